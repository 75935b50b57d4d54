//! Against the test server, which asks as real APIs do, and looks whether it got what it asked for.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use oauth_test_server::{Client, Requirement, ResponseBody, TestServer};
use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient, TokenClient};
use serde_json::{Value, json};
use tokio::time::advance;
use tower::{Layer, ServiceExt};
use tower_oauth::{OAuthLayer, StepUp};

use super::{retried, told};

fn server() -> TestServer {
    let scopes = ["read", "write", "admin"];
    TestServer::builder().client(Client::new("m2m").secret("secret").scopes(scopes)).build()
}

fn client_of(server: &TestServer) -> TokenClient {
    let http = HttpClient::new(server.authorization_service());
    let authorization = AuthorizationServer::via(http).issuer(server.issuer()).expect("an issuer");
    authorization.client("m2m", ClientAuth::secret_basic("secret")).expect("a client")
}

/// What a service would write: everything that was asked for, and what it has anyway.
fn layer(server: &TestServer) -> OAuthLayer {
    let client = client_of(server);
    let tokens = client.client_credentials().scope("read").cached().expect("a request");
    let step_up = StepUp::new(move |_, demand| {
        let mut request = client.client_credentials().scope("read").scope(demand.scopes.join(" "));
        if !demand.acr_values.is_empty() {
            request = request.param("acr_values", demand.acr_values.join(" "));
        }
        request.cached().ok()
    });
    let step_up = step_up.allow_scopes(["write"]).allow_acr_values(["mfa"]).allow_max_age();
    OAuthLayer::new(server.api_origin(), tokens).expect("an origin").step_up(step_up)
}

async fn call(server: &TestServer, layer: &OAuthLayer, path: &str) -> Response<ResponseBody> {
    let request = Request::post(server.api_url(path)).body(Full::<Bytes>::from("a body")).expect("a request");
    layer.layer(server.api_service()).oneshot(request).await.expect("a response")
}

async fn json_of(response: Response<ResponseBody>) -> Value {
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn r14_a_scope_that_is_missing_is_asked_for() {
    let server = server();
    server.require("/write", Requirement::Scope("write".to_owned()));
    let layer = layer(&server);
    let response = call(&server, &layer, "/write").await;
    assert_eq!(told(&response), retried(200));
    let told_back = json_of(response).await;
    assert_eq!((&told_back["scope"], &told_back["body_len"]), (&json!("read write"), &json!(6)));
    assert_eq!(json_of(call(&server, &layer, "/read").await).await["scope"], "read", "nobody else has more");
    call(&server, &layer, "/write").await;
    assert_eq!(server.counters().token_requests, 2, "each of the two tokens once");
}

#[tokio::test(start_paused = true)]
async fn r14_a_scope_above_the_ceiling_is_not() {
    let server = server();
    server.require("/admin", Requirement::Scope("admin".to_owned()));
    let response = call(&server, &layer(&server), "/admin").await;
    assert_eq!(response.status(), 403);
    assert_eq!((server.counters().api_requests, server.counters().token_requests), (1, 1));
    assert_eq!(json_of(response).await["error"], "insufficient_scope", "its body is whole");
}

#[tokio::test(start_paused = true)]
async fn r14_a_sign_in_that_is_too_weak_or_too_old_is_repeated() {
    let server = server();
    let requirement = |max_age| Requirement::Authentication { acr_values: Some("phr mfa".to_owned()), max_age };
    server.require("/pay", requirement(None));
    server.require("/now", requirement(Some(Duration::from_secs(600))));
    let layer = layer(&server);
    for _ in 0..2 {
        assert_eq!(told(&call(&server, &layer, "/pay").await), retried(200));
        assert_eq!(told(&call(&server, &layer, "/now").await), retried(200));
    }
    assert_eq!(server.counters().token_requests, 3, "two demands, two tokens besides the first");
    // A sign-in that has grown too old: the stronger token is no better any more, and is not fetched again and again.
    advance(Duration::from_secs(601)).await;
    assert_eq!(call(&server, &layer, "/now").await.status(), 401);
    assert_eq!(told(&call(&server, &layer, "/pay").await), retried(200));
}

#[tokio::test(start_paused = true)]
async fn r14_both_tokens_are_dead_and_both_are_renewed() {
    let server = server();
    server.require("/write", Requirement::Scope("write".to_owned()));
    let layer = layer(&server);
    call(&server, &layer, "/write").await;
    server.revoke_access_tokens();
    // One renewal for a request: the base token's first, then the stronger one's.
    assert_eq!(told(&call(&server, &layer, "/write").await), retried(401));
    assert_eq!(told(&call(&server, &layer, "/write").await), retried(200));
    assert_eq!(server.counters().token_requests, 4);
}

#[tokio::test(start_paused = true)]
async fn r14_claims_that_are_missing_are_asked_for() {
    let server = server();
    let claims = json!({ "access_token": { "nbf": { "essential": true, "value": "1701" } } });
    let request = client_of(&server).client_credentials().scope("read").accept_claims_challenges();
    let layer = OAuthLayer::new(server.api_origin(), request.cached().expect("a request")).expect("an origin");
    assert_eq!(told(&call(&server, &layer, "/x").await), (200, "-".to_owned()));
    server.require("/", Requirement::Claims(claims));
    assert_eq!(told(&call(&server, &layer, "/x").await), retried(200));
    assert_eq!(
        told(&call(&server, &layer, "/x").await),
        (200, "-".to_owned()),
        "the token with the claims is everybody's"
    );
    assert_eq!(server.counters().token_requests, 2);
    // The next token is asked for without them, and rejected, and asked for with them.
    advance(Duration::from_secs(3600)).await;
    assert_eq!(told(&call(&server, &layer, "/x").await), retried(200));
    let requests = server.requests_to(oauth_test_server::Endpoint::Token);
    let with_claims = requests.iter().map(|request| String::from_utf8_lossy(&request.body).contains("claims="));
    assert_eq!(with_claims.collect::<Vec<_>>(), [false, true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn r14_a_source_without_claims_leaves_them_to_the_caller() {
    let server = server();
    server.require("/", Requirement::Claims(json!({ "access_token": {} })));
    let response = call(&server, &layer(&server), "/x").await;
    assert_eq!(told(&response), (401, "InsufficientClaims".to_owned()));
    let challenges = tower_oauth::challenge::parse(response.headers());
    assert_eq!(challenges[0].param("claims"), Some("eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="), "readable by the caller");
}
