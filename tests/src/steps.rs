//! Futures that a test polls by hand.

use std::task::{Context, Poll, Waker};

use http::Request;
use http_body_util::{Empty, Full};

/// Where the tests' API is.
pub const API: &str = "https://api.test";

/// A GET without a body.
///
/// # Panics
///
/// When it is no URL.
#[must_use]
pub fn get(url: &str) -> Request<Empty<bytes::Bytes>> {
    Request::get(url).body(Empty::new()).expect("a URL")
}

/// A POST of this text.
///
/// # Panics
///
/// When it is no URL.
#[must_use]
pub fn post(url: &str, body: &'static str) -> Request<Full<bytes::Bytes>> {
    Request::post(url).body(Full::from(body)).expect("a URL")
}

/// Lets all other tasks go on as far as they can without the clock.
pub async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// One step of a future, by hand.
pub fn step<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// One step of a future, which then waits.
///
/// # Panics
///
/// When it does not.
pub fn assert_waits<F: Future + Unpin>(future: &mut F) {
    assert!(step(future).is_pending(), "it should wait here");
}

/// Waits no longer than a minute, of whatever clock the test has: a test that would hang fails instead.
///
/// # Panics
///
/// When it takes longer.
pub async fn guarded<F: Future>(future: F) -> F::Output {
    let minute = std::time::Duration::from_secs(60);
    tokio::time::timeout(minute, future).await.expect("it hangs")
}
