//! Tokens that the server revokes: a 401, one renewal, and the request again.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all, stream};
use http::{Request, header::WWW_AUTHENTICATE};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use oauth_tokens::{AccessToken, TokenCache};
use serde_json::json;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_oauth::{NotReplayable, NotRetried, OAuthLayer, ReplayLayer, RetryOutcome};

use crate::{
    against_both,
    layer::{get, hyper, json_of, over_hyper},
    server::RealServer,
};

against_both!(
    r6_an_empty_403_renews_nothing,
    r6_a_challenge_with_resource_metadata,
    r8_the_first_answer_when_no_token_comes
    ; alone:
    r6_a_revoked_token_is_renewed_once_over_hyper,
    r6_a_revoked_token_is_renewed_once_over_reqwest,
    r10_a_streaming_upload_is_sent_again,
    f2_many_calls_with_a_revoked_token_renew_once
);

async fn r6_a_revoked_token_is_renewed_once_over_hyper(server: &RealServer) {
    let tokens = server.tokens("basic");
    let api = over_hyper(server, tokens.clone());
    let post = |text: &'static str| Request::post(server.api("/orders")).body(Full::from(text)).expect("a request");
    assert_eq!(api.clone().oneshot(post("first")).await.expect("an answer").status(), 200);
    for round in 1..=2 {
        let dead = revoke_current(server, "basic", &tokens).await;
        let response = api.clone().oneshot(post("the same again")).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert!(matches!(response.extensions().get(), Some(RetryOutcome::Retried)), "and the caller can tell");
        assert_eq!(json_of(response).await["body"], "the same again");
        assert_ne!(tokens.cached(), Some(dead));

        let next = api.clone().oneshot(post("next")).await.expect("an answer");
        assert_eq!(next.status(), 200);
        assert!(next.extensions().get::<RetryOutcome>().is_none(), "the new token is kept");
        assert_counts(server, 1 + round, round).await;
    }
}

async fn r6_a_revoked_token_is_renewed_once_over_reqwest(server: &RealServer) {
    let tokens = server.tokens("post");
    let layer = OAuthLayer::new(server.text("/api"), tokens.clone()).expect("an origin");
    let api = layer.reqwest(reqwest::Client::builder().no_proxy()).expect("a client");
    let call = || async { api.post(server.api("/orders")).json(&json!({"n": 1})).send().await.expect("an answer") };
    assert_eq!(call().await.status(), 200);
    revoke_current(server, "post", &tokens).await;
    let response = call().await;
    assert_eq!(response.status(), 200);
    assert!(matches!(response.extensions().get(), Some(RetryOutcome::Retried)));
    let seen: serde_json::Value = response.json().await.expect("JSON");
    assert_eq!(seen["body"], r#"{"n":1}"#);
    assert!(call().await.extensions().get::<RetryOutcome>().is_none(), "the new token is kept");
    assert_counts(server, 2, 1).await;
}

async fn r10_a_streaming_upload_is_sent_again(server: &RealServer) {
    let tokens = server.tokens("basic");
    let layer = OAuthLayer::new(server.text("/api"), tokens.clone()).expect("an origin");
    let api = ServiceBuilder::new().layer(ReplayLayer::new()).layer(layer).service(hyper());
    let upload = |text: &str| Request::post(server.api("/upload")).body(streaming(text)).expect("a request");
    assert_eq!(api.clone().oneshot(upload("first")).await.expect("an answer").status(), 200);

    revoke_current(server, "basic", &tokens).await;
    let text: String = (0..500).map(|line| format!("line {line} of nobody knows how many\n")).collect();
    let response = api.clone().oneshot(upload(&text)).await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(matches!(response.extensions().get(), Some(RetryOutcome::Retried)));
    assert_eq!(json_of(response).await["body"], text, "whole, and once");
    assert_counts(server, 2, 1).await;

    revoke_current(server, "basic", &tokens).await;
    let long = "more than is remembered. ".repeat(8_000);
    let response = api.clone().oneshot(upload(&long)).await.expect("an answer");
    assert_eq!(response.status(), 401);
    let why = response.extensions().get();
    assert!(matches!(why, Some(RetryOutcome::NotRetried(NotRetried::Body(NotReplayable::TooLarge)))), "{why:?}");
    let response = api.oneshot(upload(&long)).await.expect("an answer");
    assert_eq!(response.status(), 200, "with the token that was renewed meanwhile");
    assert_eq!(json_of(response).await["body"], long);
    assert_counts(server, 3, 2).await;
}

/// A body that comes piece by piece, its length unknown.
fn streaming(text: &str) -> UnsyncBoxBody<Bytes, io::Error> {
    let pieces: Vec<_> = text.as_bytes().chunks(100).map(Bytes::copy_from_slice).collect();
    let frames = stream::iter(pieces).then(|piece| async {
        tokio::task::yield_now().await;
        Ok(Frame::data(piece))
    });
    StreamBody::new(frames).boxed_unsync()
}

async fn f2_many_calls_with_a_revoked_token_renew_once(server: &RealServer) {
    let tokens = server.tokens("basic");
    let api = over_hyper(server, tokens.clone());
    revoke_current(server, "basic", &tokens).await;
    let calls = (0..40).map(|_| api.clone().oneshot(get(&server.api("/things"))));
    for response in join_all(calls).await {
        assert_eq!(response.expect("an answer").status(), 200);
    }
    assert_eq!(tokens.status().renewals, 2);
    assert_eq!(server.stats().await["token_requests"], 2, "one for the first token, one for all who met a 401");
}

async fn r6_an_empty_403_renews_nothing(server: &RealServer) {
    if server.is_oidc() {
        return; // Only the toolkit has such a view.
    }
    let forbidding = server.text("/api_forbidding");
    let tokens = server.tokens("basic");
    let dead = revoke_current(server, "basic", &tokens).await;
    let api = OAuthLayer::new(forbidding, tokens.clone()).expect("an origin").layer(hyper());
    let response = api.oneshot(get(&format!("{forbidding}/things"))).await.expect("an answer");
    assert_eq!(response.status(), 403);
    assert!(response.headers().get(WWW_AUTHENTICATE).is_none());
    assert!(response.extensions().get::<RetryOutcome>().is_none(), "there was no 401");
    assert_eq!(tokens.cached(), Some(dead), "nothing says that the token is to blame");
    assert_eq!(tokens.status().renewals, 1);
}

async fn r6_a_challenge_with_resource_metadata(server: &RealServer) {
    if server.is_oidc() {
        return; // Only the toolkit has such a view.
    }
    let metadata = server.text("/api_with_metadata");
    let tokens = server.tokens("basic");
    revoke_current(server, "basic", &tokens).await;
    let api = OAuthLayer::new(metadata, tokens.clone()).expect("an origin").layer(hyper());
    let response = api.oneshot(get(&format!("{metadata}/things"))).await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(matches!(response.extensions().get(), Some(RetryOutcome::Retried)));
    assert_eq!(tokens.status().renewals, 2);
}

async fn r8_the_first_answer_when_no_token_comes(server: &RealServer) {
    // A token that nobody issued, and that cannot be renewed.
    let tokens = TokenCache::fixed("n0b0dys.t0k3n").expect("a token");
    let api = over_hyper(server, tokens);
    let response = api.oneshot(get(&server.api("/things"))).await.expect("an answer");
    assert_eq!(response.status(), 401);
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().expect("text").to_owned();
    assert!(challenge.contains(r#"error="invalid_token""#), "the server's own: {challenge}");
    assert!(matches!(response.extensions().get(), Some(RetryOutcome::NotRetried(_))));
}

/// Gets the cache to hold a token, and that token revoked.
async fn revoke_current(server: &RealServer, role: &str, tokens: &TokenCache) -> AccessToken {
    let token = tokens.token().await.expect("a token");
    server.revoke(role, &token).await;
    assert_eq!(server.call(&token).await.0, 401, "revoked");
    token
}

/// Nothing but these tokens was asked for, and nothing but the revoked ones rejected: once by the test, once on the way
/// to the renewal.
async fn assert_counts(server: &RealServer, tokens: u64, revoked: u64) {
    let stats = server.stats().await;
    assert_eq!(stats["token_requests"], tokens, "{stats}");
    assert_eq!(stats["token_errors"], 0, "{stats}");
    assert_eq!(stats["api_rejected"], 2 * revoked, "{stats}");
}
