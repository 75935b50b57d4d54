//! Calls through the layer while all is well: which get a token, and what comes back.

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::WWW_AUTHENTICATE};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use oauth_tokens::{ClientAuth, TokenCache};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_oauth::{BoxError, Error, ErrorKind, OAuth, OAuthLayer, RetryOutcome};

use crate::{against_both, server::RealServer};

against_both!(
    calls_through_hyper,
    calls_with_the_manners_of_reqwest,
    calls_through_reqwest_as_a_service,
    r4_other_names_of_the_host_get_no_token,
    r4_a_prefix_is_whole_segments,
    r6_insufficient_scope_is_for_the_caller
    ; alone: r3_nothing_is_sent_without_a_token
);

async fn calls_through_hyper(server: &RealServer) {
    let tokens = server.tokens("basic");
    let api = over_hyper(server, tokens.clone());
    for round in 0..3 {
        let body = Full::from(format!("round {round}"));
        let request = Request::put(server.api("/things/7?x=1")).body(body).expect("a request");
        let response = api.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert!(response.extensions().get::<RetryOutcome>().is_none(), "there was no 401");
        let seen = json_of(response).await;
        assert_eq!((&seen["method"], &seen["body"]), (&json!("PUT"), &json!(format!("round {round}"))), "{seen}");
        assert_eq!(seen["client_id"], server.registered("basic").id, "{seen}");
    }
    assert_eq!(tokens.status().renewals, 1, "one token for all");
}

async fn calls_with_the_manners_of_reqwest(server: &RealServer) {
    let tokens = server.tokens("post");
    let layer = OAuthLayer::new(server.text("/api"), tokens.clone()).expect("an origin");
    let api = layer.reqwest(reqwest::Client::builder().no_proxy()).expect("a client");
    for _ in 0..3 {
        let order = json!({"item": "ÄÖ 1+1", "count": 2});
        let response = api.post(server.api("/orders?q=1")).json(&order).send().await;
        let seen: Value = response.expect("an answer").error_for_status().expect("200").json().await.expect("JSON");
        assert_eq!(seen["body"], order.to_string(), "{seen}");
    }
    assert_eq!(tokens.status().renewals, 1, "one token for all");
}

async fn calls_through_reqwest_as_a_service(server: &RealServer) {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let layer = OAuthLayer::new(server.text("/api"), server.tokens("basic")).expect("an origin");
    let api = layer.layer(client.build().expect("a client"));
    let url = server.api("/things").parse().expect("a URL");
    let response = api.oneshot(reqwest::Request::new(http::Method::GET, url)).await.expect("an answer");
    assert_eq!(response.status(), 200);
}

async fn r4_other_names_of_the_host_get_no_token(server: &RealServer) {
    let tokens = server.tokens("basic");
    let api = over_hyper(server, tokens.clone());
    let elsewhere = server.api("/things").replace("127.0.0.1", "localhost");
    let response = api.oneshot(get(&elsewhere)).await.expect("an answer");
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()[WWW_AUTHENTICATE], r#"Bearer realm="api""#, "there was no token to complain about");
    assert!(response.extensions().get::<RetryOutcome>().is_none(), "none of the layer's business");
    assert_eq!(tokens.status().renewals, 0, "nobody asked for a token");
}

async fn r4_a_prefix_is_whole_segments(server: &RealServer) {
    if server.is_oidc() {
        return; // Its API has a host of its own.
    }
    // `/api` is protected, `/api-metadata` on the same host is not.
    let api = over_hyper(server, server.tokens("basic"));
    let url = format!("{}/things", server.text("/api_with_metadata"));
    let response = api.oneshot(get(&url)).await.expect("an answer");
    assert_eq!(response.status(), 401);
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().expect("text");
    assert!(!challenge.contains("invalid_token"), "there was no token to complain about: {challenge}");
}

async fn r6_insufficient_scope_is_for_the_caller(server: &RealServer) {
    let tokens = server.client("basic").client_credentials().scope("api").cached().expect("a usable request");
    let api = over_hyper(server, tokens.clone());
    let response = api.oneshot(get(&server.api("/read/this"))).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().expect("text");
    assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
    assert_eq!(tokens.status().renewals, 1, "another token of this kind would not help");
}

async fn r3_nothing_is_sent_without_a_token(server: &RealServer) {
    let wrong = server.by_token_endpoint().client("m2m", ClientAuth::secret_post("wrong")).expect("a usable client");
    let tokens = wrong.client_credentials().cached().expect("a usable request");
    let api = over_hyper(server, tokens.clone());
    let reqwest = OAuthLayer::new(server.text("/api"), tokens).expect("an origin");
    let reqwest = reqwest.reqwest(reqwest::Client::builder().no_proxy()).expect("a client");
    for _ in 0..3 {
        let error = api.clone().oneshot(get(&server.api("/things"))).await.expect_err("a wrong secret");
        assert_no_token(error.downcast_ref().expect("ours"));
        let error = reqwest.get(server.api("/things")).send().await.expect_err("a wrong secret");
        let reqwest_middleware::Error::Middleware(error) = error else { panic!("{error:?}") };
        assert_no_token(error.downcast_ref().expect("ours"));
    }
    let stats = server.stats().await;
    assert_eq!((&stats["api_ok"], &stats["api_rejected"]), (&json!(0), &json!(0)), "{stats}");
    assert_eq!(stats["token_requests"], 1, "what is permanent is not asked again at once: {stats}");
}

fn assert_no_token(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::NoToken, "{error}");
    let cause = error.token_error().expect("a cause");
    assert_eq!(cause.oauth().expect("an OAuth error").code, "invalid_client");
}

/// What most users have: the layer directly above hyper's client.
pub(crate) fn over_hyper(server: &RealServer, tokens: TokenCache) -> OAuth<Client<HttpConnector, Full<Bytes>>> {
    OAuthLayer::new(server.text("/api"), tokens).expect("an origin").layer(hyper())
}

pub(crate) fn hyper<B>() -> Client<HttpConnector, B>
where
    B: Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) fn get(url: &str) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).expect("a request")
}

pub(crate) async fn json_of<B: Body<Error: Into<BoxError>>>(response: Response<B>) -> Value {
    let Ok(body) = response.into_body().collect().await else { panic!("a broken body") };
    serde_json::from_slice(&body.to_bytes()).expect("JSON")
}
