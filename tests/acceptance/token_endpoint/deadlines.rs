//! T3: every exchange ends, and takes in no more than it may. The clock is paused: what hangs is waited for in no time.

use std::{
    future::pending,
    io,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use oauth_test_server::{Endpoint, Fault, TestServer};
use oauth_tokens::{
    AuthorizationServer, ClientAuth, Error, ErrorKind, Exchange, Grant, HttpClient, RefreshToken, Secret, TokenCache,
    TokenSet, TokenSource, source_fn,
};
use tests::canned::{Canned, json, token};
use tokio::time::{Instant, advance};
use tower::Service;

use super::{TOKEN_ENDPOINT, client_at, client_by, client_of};

const DEADLINE: Duration = Duration::from_secs(10);
const ATTEMPT: Duration = Duration::from_secs(5);
/// The longest pauses between three attempts, and a millisecond of the timer's.
const PAUSES: Duration = Duration::from_millis(302);

/// Fails at the deadline and not before: how, and after how long.
async fn timed_out(source: &impl TokenSource) -> Error {
    let began = Instant::now();
    let error = source.fetch().await.expect_err("it hangs");
    let elapsed = began.elapsed();
    assert!(elapsed >= DEADLINE && elapsed < DEADLINE + Duration::from_millis(5), "{elapsed:?}: {error}");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.is_transient());
    error
}

/// Where a service hangs.
#[derive(Clone, Copy, Debug)]
enum Hangs {
    Ready,
    Headers,
    Body,
}

struct Stuck;

impl Body for Stuck {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Pending
    }
}

impl Service<Request<Full<Bytes>>> for Hangs {
    type Response = Response<Stuck>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Response<Stuck>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self, Self::Ready) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        match self {
            Self::Body => async { Ok(Response::new(Stuck)) }.boxed(),
            _ => pending().boxed(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t3_the_deadline_covers_readiness_headers_and_body() {
    for hangs in [Hangs::Ready, Hangs::Headers, Hangs::Body] {
        let http = HttpClient::new(hangs);
        let server = AuthorizationServer::via(http.clone()).token_endpoint(TOKEN_ENDPOINT).expect("a server");
        let client = server.client("m2m", ClientAuth::none()).expect("a client");
        let error = timed_out(&client.client_credentials()).await;
        assert!(error.to_string().contains("id.test"), "it says where: {error}");

        // The same for discovery, as part of an exchange and by itself.
        let server = AuthorizationServer::via(http).issuer("https://id.test").expect("a server");
        let client = server.client("m2m", ClientAuth::none()).expect("a client");
        let began = Instant::now();
        let error = client.client_credentials().fetch().await.expect_err("it hangs");
        assert!(error.kind() == ErrorKind::Timeout && error.is_transient(), "{error}");
        assert!(began.elapsed() <= DEADLINE, "{hangs:?}: {:?}", began.elapsed());

        advance(DEADLINE).await;
        let began = Instant::now();
        let error = server.metadata().await.expect_err("it hangs");
        assert!(error.kind() == ErrorKind::Timeout && error.is_transient(), "{error}");
        assert!(began.elapsed() <= DEADLINE, "{hangs:?}: {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn t3_the_deadline_covers_a_body_that_comes_by_the_byte() {
    let server = TestServer::builder().build();
    server.token_faults().push_forever(Fault::Trickle(StatusCode::OK, Duration::from_secs(1)));
    timed_out(&client_of(&server).client_credentials()).await;
}

#[tokio::test(start_paused = true)]
async fn t3_the_deadline_covers_the_secret_the_grant_and_saving() {
    let server = TestServer::builder().build();
    let secret = Secret::from_fn(pending);
    timed_out(&client_by(&server, ClientAuth::secret_post(secret)).client_credentials()).await;
    assert_eq!(server.counters().token_requests, 0);

    timed_out(&client_of(&server).grant(Forever)).await;

    let canned = Canned::always(json(200, r#"{"access_token":"t","token_type":"Bearer","refresh_token":"r2"}"#));
    let grant = RefreshToken::new("r1").on_rotation(|_| pending());
    timed_out(&client_at(&canned).grant(grant)).await;
}

struct Forever;

impl Grant for Forever {
    fn grant_type(&self) -> &str {
        "forever"
    }

    async fn redeem(&self, _: &Exchange<'_>) -> Result<TokenSet, Error> {
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn t3_a_source_of_the_callers_own_is_held_to_a_deadline_too() {
    let tokens = TokenCache::new(source_fn(pending));
    let began = Instant::now();
    let error = tokens.token().await.expect_err("it hangs");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.is_transient() && began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn t3_an_attempt_has_5_s_and_is_followed_by_another() {
    let cases = [
        // At 5 s both have ended, and what is ready counts; a tick later it has not.
        (ATTEMPT - Duration::from_millis(1), 1),
        (ATTEMPT + Duration::from_millis(2), 2),
    ];
    for (delay, requests) in cases {
        let server = TestServer::builder().build();
        server.token_faults().push(1, Fault::Delay(delay));
        let began = Instant::now();
        client_of(&server).client_credentials().fetch().await.expect("a token");
        assert_eq!(server.counters().token_requests, requests, "{delay:?}");
        assert!(began.elapsed() <= ATTEMPT + PAUSES, "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn t3_a_stumble_is_tried_three_times_with_short_pauses() {
    for fault in
        [Fault::Status(StatusCode::INTERNAL_SERVER_ERROR), Fault::Html(StatusCode::BAD_GATEWAY), Fault::Disconnect]
    {
        let server = TestServer::builder().build();
        server.token_faults().push(2, fault.clone());
        let began = Instant::now();
        client_of(&server).client_credentials().fetch().await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(server.counters().token_requests, 3, "{fault:?}");
        assert!(began.elapsed() <= PAUSES, "{:?}", began.elapsed());

        server.token_faults().push_forever(fault.clone());
        client_of(&server).client_credentials().fetch().await.expect_err("three are enough");
        assert_eq!(server.counters().token_requests, 6, "{fault:?}");
    }
    // What another attempt would not cure is not attempted.
    for fault in [Fault::oauth_error("invalid_client"), Fault::Empty(StatusCode::FORBIDDEN), Fault::Garbage] {
        let server = TestServer::builder().build();
        server.token_faults().push_forever(fault.clone());
        client_of(&server).client_credentials().fetch().await.expect_err("refused");
        assert_eq!(server.counters().token_requests, 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn t3_a_broken_body_is_a_transport_error_and_transient() {
    let server = TestServer::builder().build();
    server.token_faults().push_forever(Fault::CloseMidBody(StatusCode::OK));
    let error = client_of(&server).client_credentials().fetch().await.expect_err("half a body");
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.is_transient() && std::error::Error::source(&error).is_some());
}

#[tokio::test(start_paused = true)]
async fn t3_a_body_has_at_most_1_mib() {
    let padded = |length: usize| {
        let mut body = String::from_utf8(token("t0k3n").into_body().to_vec()).expect("text");
        body.push_str(&" ".repeat(length - body.len()));
        Canned::always(json(200, body))
    };
    client_at(&padded(1024 * 1024)).client_credentials().fetch().await.expect("1 MiB");
    let error = client_at(&padded(1024 * 1024 + 1)).client_credentials().fetch().await.expect_err("one byte more");
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
    assert!(error.is_transient() && error.to_string().contains("1 MiB"), "{error}");

    let server = TestServer::builder().build();
    for status in [StatusCode::OK, StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN] {
        server.token_faults().push(1, Fault::Endless(status));
        let error = client_of(&server).client_credentials().fetch().await.expect_err("endless");
        assert!(error.is_transient() && error.to_string().contains("1 MiB"), "{error}");
    }
    server.discovery_faults().push_forever(Fault::Endless(StatusCode::OK));
    let server_by_issuer = AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .expect("a server");
    let error = server_by_issuer.metadata().await.expect_err("endless");
    assert!(error.is_transient() && error.to_string().contains("1 MiB"), "{error}");
    assert_eq!(server.requests_to(Endpoint::Discovery).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn t3_the_secret_of_a_second_attempt_is_read_anew() {
    static READS: AtomicU32 = AtomicU32::new(0);
    let server = TestServer::builder().build();
    server.token_faults().push(1, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let secret = Secret::from_fn(|| async {
        READS.fetch_add(1, Relaxed);
        Ok("secret".to_owned())
    });
    client_by(&server, ClientAuth::secret_basic(secret)).client_credentials().fetch().await.expect("a token");
    assert_eq!(READS.load(Relaxed), 2);
}
