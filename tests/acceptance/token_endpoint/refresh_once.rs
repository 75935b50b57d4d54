//! T10 on bad days: a refresh token that may have been redeemed is not redeemed again within the same exchange, and one
//! that came in an answer of no other use is kept.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use oauth_test_server::Fault;
use oauth_tokens::{AuthorizationServer, ClientAuth, Error, Exchange, Form, Grant, HttpClient, TokenSet, TokenSource};
use tests::canned::{Canned, json, token};
use tokio::time::{Instant, advance};
use tower::{Service, ServiceExt};

use super::{TOKEN_ENDPOINT, app_client, app_server, client_at};

#[tokio::test(start_paused = true)]
async fn t10_a_stumble_is_not_followed_by_a_repetition_that_looks_like_theft() {
    for fault in [Fault::Status(StatusCode::BAD_GATEWAY), Fault::Disconnect, Fault::CloseMidBody(StatusCode::OK)] {
        let server = app_server();
        server.token_faults().push(1, fault.clone());
        let tokens = app_client(&server).refresh_token(server.issue_refresh_token("app", "api")).cached();
        let tokens = tokens.expect("a request");
        tokens.token().await.expect_err("a stumble");
        assert_eq!(server.counters().token_requests, 1, "{fault:?}");
        // The faults above redeemed nothing: the next exchange does.
        advance(Duration::from_secs(10)).await;
        tokens.token().await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!((server.counters().token_requests, server.counters().refresh_reuse_detected), (2, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn t10_a_slow_server_has_the_whole_deadline_and_is_asked_once() {
    for (seconds, answered) in [(9, true), (11, false)] {
        let server = app_server();
        server.token_faults().push(1, Fault::Delay(Duration::from_secs(seconds)));
        let began = Instant::now();
        let fetched = app_client(&server).refresh_token(server.issue_refresh_token("app", "api")).fetch().await;
        assert_eq!((fetched.is_ok(), server.counters().token_requests), (answered, 1));
        assert!(began.elapsed() <= Duration::from_millis(10_005), "{:?}", began.elapsed());
    }
}

/// A service that cannot be reached at first: nothing is sent then.
#[derive(Clone)]
struct Unready {
    left: Arc<AtomicU32>,
    inner: Canned,
}

impl Service<Request<Full<Bytes>>> for Unready {
    type Response = Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = futures_util::future::BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let failing = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        Poll::Ready(if failing { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(()) })
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let inner = self.inner.clone();
        Box::pin(async move { Ok(inner.oneshot(request).await.unwrap_or_else(|never| match never {})) })
    }
}

#[tokio::test(start_paused = true)]
async fn t10_what_surely_was_not_sent_is_tried_again() {
    for (failures, answered) in [(2, true), (3, false)] {
        let canned = Canned::always(token("t"));
        let service = Unready { left: Arc::new(AtomicU32::new(failures)), inner: canned.clone() };
        let client = AuthorizationServer::via(HttpClient::new(service))
            .token_endpoint(TOKEN_ENDPOINT)
            .and_then(|server| server.client("app", ClientAuth::none()))
            .expect("a client");
        assert_eq!(client.refresh_token("r1").fetch().await.is_ok(), answered);
        assert_eq!(canned.requests().len(), usize::from(answered));
    }
    // A server out of service has taken nothing in.
    let server = app_server();
    server.token_faults().push(2, Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    app_client(&server).refresh_token(server.issue_refresh_token("app", "api")).fetch().await.expect("a token");
    assert_eq!((server.counters().token_requests, server.counters().refresh_reuse_detected), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn t10_a_rotated_token_in_an_answer_of_no_other_use_is_kept() {
    let too_long = format!(r#"{{"access_token":"{}","token_type":"Bearer","refresh_token":"r2"}}"#, "x".repeat(17_000));
    let answers = [
        r#"{"access_token":"a","token_type":"mac","refresh_token":"r2"}"#,
        r#"{"access_token":"a","refresh_token":"r2"}"#,
        r#"{"access_token":"a b","token_type":"Bearer","refresh_token":"r2"}"#,
        r#"{"token_type":"Bearer","refresh_token":"r2"}"#,
        r#"{"access_token":"a","token_type":"Bearer","expires_in":0,"refresh_token":"r2"}"#,
        &too_long,
    ];
    for answer in answers {
        let canned = Canned::sequence([json(200, answer), token("t")]);
        let request = client_at(&canned).refresh_token("r1");
        let _ = request.fetch().await;
        request.fetch().await.expect("a token");
        assert!(canned.bodies()[1].contains("refresh_token=r2"), "{answer}: {:?}", canned.bodies());
    }
    // What is no answer to a request, or cannot be trusted to be one, rotates nothing.
    for (status, answer) in [
        (400, r#"{"error":"server_error","refresh_token":"r2"}"#),
        (201, r#"{"access_token":"a","token_type":"Bearer","refresh_token":"r2"}"#),
        (200, r#"{"access_token":"a","token_type":"Bearer","refresh_token":"r2","refresh_token":"r3"}"#),
    ] {
        let canned = Canned::sequence([json(status, answer), token("t")]);
        let request = client_at(&canned).refresh_token("r1");
        request.fetch().await.expect_err("no token");
        request.fetch().await.expect("a token");
        assert!(canned.bodies()[1].contains("refresh_token=r1"), "{answer}: {:?}", canned.bodies());
    }
}

/// A code of one's own that can be redeemed once.
struct Code;

impl Grant for Code {
    fn grant_type(&self) -> &str {
        "urn:example:code"
    }

    async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        exchange.send_once(Form::new().with("code", "c1")).await
    }
}

#[tokio::test(start_paused = true)]
async fn grants_of_a_users_own_may_be_sent_once() {
    let canned = Canned::always(json(502, "{}"));
    client_at(&canned).grant(Code).fetch().await.expect_err("down");
    assert_eq!(canned.bodies(), ["grant_type=urn%3Aexample%3Acode&code=c1"]);
}
