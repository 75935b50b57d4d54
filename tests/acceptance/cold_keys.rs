//! A service of many tenants starts, and everybody calls at once: F1 and F14, the whole way.

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use oauth_test_server::{Client, Fault, TestServer};
use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient, TokenPool};
use tokio::time::Duration;
use tower::ServiceExt;
use tower_oauth::OAuthLayer;

const KEYS: usize = 1_000;
const CALLERS: usize = 10_000;

fn tenant(number: usize) -> String {
    format!("tenant-{number}")
}

/// Each token request takes a moment, so that all callers are there before the first one is answered.
#[tokio::test(start_paused = true)]
async fn f1_ten_thousand_cold_requests_for_a_thousand_keys_make_a_thousand_token_requests() {
    let client = |number| Client::new(tenant(number)).secret("secret").scopes(["api"]);
    let server =
        (0..KEYS).fold(TestServer::builder().keep_requests(0), |builder, number| builder.client(client(number)));
    let server = server.build();
    server.token_faults().push_forever(Fault::Delay(Duration::from_millis(50)));
    let authorization = AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .token_endpoint(&server.token_endpoint())
        .expect("a token endpoint");
    let pool = TokenPool::new(move |tenant: &String| {
        let client = authorization.client(tenant, ClientAuth::secret_post("secret"))?;
        Ok(client.client_credentials().scope("api"))
    });
    let layer = OAuthLayer::keyed(server.api_origin(), pool.clone()).expect("a layer");
    let api = layer.layer(server.api_service());

    let calls = (0..CALLERS).map(|caller| {
        let (tenant, request) = (tenant(caller % KEYS), Request::get(server.api_url("/who")));
        let call = api.key(tenant.clone()).oneshot(request.body(Full::<Bytes>::default()).expect("a request"));
        tokio::spawn(async move {
            let response = call.await.expect("a response");
            assert_eq!(response.status(), StatusCode::OK);
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            let told: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(told["client_id"], *tenant, "never another's token");
        })
    });
    for call in join_all(calls).await {
        call.expect("no panic");
    }
    let counters = server.counters();
    assert_eq!((counters.token_requests, counters.api_requests), (KEYS as u64, CALLERS as u64));
    assert_eq!((pool.status().keys, pool.status().refused), (KEYS, 0));
}
