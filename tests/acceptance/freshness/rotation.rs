//! Renewals that rotate a refresh token: what the server has rotated is saved, whatever becomes of the renewal.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, HttpClient, RefreshToken, TokenCache};
use tests::source::{settle, token};
use tokio::{sync::Semaphore, time::advance};

use super::{TAKE_OVER, paused_runtime, runtime, s};

/// An authorization server that answers each refresh with the next token, and can withhold its answers.
#[derive(Clone)]
struct Rotating(Arc<RotatingState>);

struct RotatingState {
    /// The refresh token that is valid, by its number.
    current: Mutex<u32>,
    reused: AtomicBool,
    answers: Semaphore,
    arrivals: Semaphore,
}

impl tower::Service<Request<Full<Bytes>>> for Rotating {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            let form = String::from_utf8(body.to_vec()).expect("a form");
            let number = {
                let mut current = state.current.lock().expect("no panic");
                if !form.contains(&format!("refresh_token=refresh-{current}&"))
                    && !form.ends_with(&format!("refresh_token=refresh-{current}"))
                {
                    state.reused.store(true, SeqCst);
                }
                *current += 1;
                *current
            };
            state.arrivals.add_permits(1);
            state.answers.acquire().await.expect("open").forget();
            let answer = format!(
                r#"{{"access_token":"access-{number}","token_type":"Bearer","expires_in":3600,"refresh_token":"refresh-{number}"}}"#
            );
            Ok(Response::new(Full::from(answer)))
        })
    }
}

struct RotationTest {
    server: Arc<RotatingState>,
    saved: Arc<Mutex<Vec<String>>>,
    cache: TokenCache,
}

fn rotation() -> RotationTest {
    let server = Arc::new(RotatingState {
        current: Mutex::new(1),
        reused: AtomicBool::new(false),
        answers: Semaphore::new(0),
        arrivals: Semaphore::new(0),
    });
    let saved = Arc::new(Mutex::new(Vec::new()));
    let grant = RefreshToken::new("refresh-1").on_rotation({
        let saved = Arc::clone(&saved);
        move |token| {
            saved.lock().expect("no panic").push(token.to_string());
            std::future::ready(Ok(()))
        }
    });
    let cache = AuthorizationServer::via(HttpClient::new(Rotating(Arc::clone(&server))))
        .token_endpoint("https://id.test/token")
        .and_then(|at| at.client("app", ClientAuth::none()))
        .and_then(|client| client.grant(grant).cached())
        .expect("a cache");
    RotationTest { server, saved, cache }
}

/// Everybody has gone, the cache too: what the server has rotated is saved all the same.
#[tokio::test(start_paused = true)]
async fn f13_a_rotated_refresh_token_is_saved_though_the_cache_is_gone() {
    let RotationTest { server, saved, cache } = rotation();
    assert!(cache.token().now_or_never().is_none());
    server.arrivals.acquire().await.expect("open").forget();
    drop(cache);
    server.answers.add_permits(1);
    settle().await;
    assert_eq!(*saved.lock().expect("no panic"), ["refresh-2"]);
}

/// The runtime of an exchange stands still after the server has rotated; a waiter takes over meanwhile. The superseded
/// exchange publishes nothing, but saves the rotated token, and the old one is not redeemed twice.
#[test]
fn f5_a_superseded_renewal_publishes_nothing_and_still_saves_a_rotated_refresh_token() {
    let RotationTest { server, saved, cache } = rotation();
    let (still, waits) = (runtime(), paused_runtime());
    still.block_on(async {
        assert!(cache.token().now_or_never().is_none());
        server.arrivals.acquire().await.expect("open").forget();
    });
    let waiter = waits.spawn({
        let cache = cache.clone();
        async move { cache.token().await }
    });
    waits.block_on(async {
        settle().await;
        advance(TAKE_OVER).await;
        settle().await;
    });
    assert!(cache.status().renewing, "the waiter has taken over");
    assert_eq!(*saved.lock().expect("no panic"), [""; 0]);

    // The runtime moves again, and the answer is there.
    server.answers.add_permits(1);
    still.block_on(settle());
    assert_eq!(*saved.lock().expect("no panic"), ["refresh-2"]);
    assert!(cache.cached().is_none(), "what was superseded publishes nothing");

    server.answers.add_permits(1);
    let renewed = waits.block_on(waiter).expect("no panic").expect("a token");
    assert_eq!(renewed.secret(), "access-3");
    assert_eq!(*saved.lock().expect("no panic"), ["refresh-2", "refresh-3"]);
    assert!(!server.reused.load(SeqCst), "a refresh token was redeemed twice");
    assert_eq!(cache.cached(), Some(token("access-3")));
}

/// An idle runtime must not keep a cache of a refresh token from ever working again.
#[test]
fn f13_a_refresh_that_stands_still_does_not_block_the_others_for_ever() {
    let RotationTest { server, saved, cache } = rotation();
    let (still, waits) = (runtime(), paused_runtime());
    still.block_on(async {
        assert!(cache.token().now_or_never().is_none());
        server.arrivals.acquire().await.expect("open").forget();
    });
    // While it stands still there may be no token, but no waiter hangs.
    let outcome = waits.block_on(async { tokio::time::timeout(s(60), cache.token()).await.expect("it ends") });
    assert_eq!(outcome.expect_err("the old token is not redeemed twice").kind(), ErrorKind::Timeout);
    // It moves again; then all is well.
    server.answers.add_permits(2);
    still.block_on(settle());
    assert_eq!(*saved.lock().expect("no panic"), ["refresh-2"]);
    let renewed = waits.block_on(async {
        advance(s(10)).await;
        cache.token().await
    });
    assert_eq!(renewed.expect("a token").secret(), "access-3");
    assert!(!server.reused.load(SeqCst));
}
