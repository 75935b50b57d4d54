//! The code for tokens: sent once, with all that belongs to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use oauth_tokens::{AuthorizationServer, BoxError, ClientAuth, ErrorKind, HttpClient};
use serde_json::json;
use tests::canned;

use super::{CODE, ISSUER, REDIRECT, approved, begin, finish, forms_at, generous, metadata, public, server, value};

#[tokio::test]
async fn l2_the_code_goes_with_the_verifier_the_redirect_uri_and_the_resources() {
    let canned = generous();
    let client = public(&canned);
    let request = client
        .sign_in("https://app.test/callback?tenant=1")
        .scope("orders")
        .resource("https://a.test/")
        .resource("urn:b")
        .audience("x")
        .login_hint("ann")
        .param("y", "z")
        .return_to("/orders?x=1#top");
    let begun = begin(&request).await.expect("begun");
    let query = approved(&begun.pending);
    let signed_in = finish(&client, begun.pending, &query).await.expect("tokens");
    assert_eq!(signed_in.return_to(), "/orders?x=1#top");
    assert_eq!(signed_in.scope(), "orders", "granted as asked, where the server does not say");
    assert_eq!(signed_in.tokens.access_token.secret(), "t1");

    let mut form = forms_at(&canned, "/token").remove(0);
    let verifier = value(&form, "code_verifier").expect("a verifier").to_owned();
    assert!(verifier.len() == 43 && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    form.retain(|(name, _)| name != "code_verifier");
    let mut expected = [
        ("grant_type", "authorization_code"),
        ("code", CODE),
        ("redirect_uri", "https://app.test/callback?tenant=1"),
        ("resource", "https://a.test/"),
        ("resource", "urn:b"),
        ("client_id", "app"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    form.sort();
    expected.sort();
    assert_eq!(form, expected);
}

#[tokio::test]
async fn what_was_granted_is_told() {
    let answer = json!({ "access_token": "t1", "token_type": "Bearer", "scope": "orders.read", "refresh_token": "r1" });
    let canned = server(metadata(), move |_| canned::json(200, answer.to_string()));
    let client = public(&canned);
    let begun = begin(&client.sign_in(REDIRECT).scope("orders.read orders.write")).await.expect("begun");
    let query = approved(&begun.pending);
    let signed_in = finish(&client, begun.pending, &query).await.expect("tokens");
    assert_eq!(signed_in.scope(), "orders.read");
    assert_eq!(signed_in.into_tokens().refresh_token.map(|token| token.to_string()).as_deref(), Some("r1"));
}

/// A code that may have been seen is not sent again: the server would take it for stolen, and revoke the tokens.
#[tokio::test(start_paused = true)]
async fn l2_a_code_is_never_sent_twice() {
    type Token = fn(&Request<Bytes>) -> Response<Bytes>;
    let cases: [(Token, ErrorKind); 9] = [
        (|_| canned::status(StatusCode::SERVICE_UNAVAILABLE), ErrorKind::UnexpectedResponse),
        (|_| canned::status(StatusCode::INTERNAL_SERVER_ERROR), ErrorKind::UnexpectedResponse),
        (|_| canned::status(StatusCode::TOO_MANY_REQUESTS), ErrorKind::UnexpectedResponse),
        (|_| canned::json(200, "<html>"), ErrorKind::InvalidResponse),
        (|_| canned::json(200, "{}"), ErrorKind::InvalidResponse),
        (|_| canned::json(400, r#"{"error":"invalid_grant"}"#), ErrorKind::OAuth),
        (|_| canned::json(401, r#"{"error":"invalid_client"}"#), ErrorKind::OAuth),
        (|_| canned::json(503, r#"{"error":"temporarily_unavailable"}"#), ErrorKind::OAuth),
        (|_| canned::json(400, r#"{"error":"use_dpop_nonce"}"#), ErrorKind::OAuth),
    ];
    for (number, (token, kind)) in cases.into_iter().enumerate() {
        let canned = server(metadata(), token);
        let client = public(&canned);
        let begun = begin(&client.sign_in(REDIRECT)).await.expect("begun");
        let query = approved(&begun.pending);
        let error = finish(&client, begun.pending, &query).await.expect_err("no tokens");
        assert_eq!(error.kind(), kind, "{number}: {error}");
        assert_eq!(forms_at(&canned, "/token").len(), 1, "{number}");
    }
}

/// Its answer is lost with the connection, or comes too late.
#[tokio::test(start_paused = true)]
async fn l2_a_lost_answer_says_that_the_user_begins_anew() {
    for is_slow in [false, true] {
        let sent = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&sent);
        let http = HttpClient::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let is_token = request.uri().path() == "/token";
            count.fetch_add(u32::from(is_token), Relaxed);
            async move {
                match (is_token, is_slow) {
                    (true, true) => std::future::pending().await,
                    (true, false) => Err(BoxError::from("connection reset")),
                    _ => Ok(canned::json(200, metadata().to_string()).map(Full::new)),
                }
            }
        }));
        let client = AuthorizationServer::via(http)
            .issuer(ISSUER)
            .and_then(|at| at.client("app", ClientAuth::none()))
            .expect("a client");
        let begun = begin(&client.sign_in(REDIRECT)).await.expect("begun");
        let query = approved(&begun.pending);
        let began = tokio::time::Instant::now();
        let error = finish(&client, begun.pending, &query).await.expect_err("lost");
        assert_eq!(error.kind(), if is_slow { ErrorKind::Timeout } else { ErrorKind::Transport });
        assert!(error.to_string().contains("begin anew") && error.is_transient(), "{error}");
        assert!(std::error::Error::source(&error).is_some(), "what happened is its source");
        assert!(began.elapsed() <= Duration::from_millis(10_100), "{:?}", began.elapsed());
        assert_eq!(sent.load(Relaxed), 1);
    }
}
