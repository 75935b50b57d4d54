//! Timers, where the runtime has one.

use std::{
    future::poll_fn,
    panic::catch_unwind,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::time::Sleep;

/// None where nothing would drive it: tokio panics then, and cannot be asked beforehand.
pub(crate) fn sleep(delay: Duration) -> Option<Pin<Box<Sleep>>> {
    catch_unwind(|| Box::pin(tokio::time::sleep(delay))).ok()
}

/// Runs a future for at most so long. None: it did not end by then.
pub(crate) async fn within<F: Future>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    let Some(mut timer) = limit.and_then(sleep) else { return Some(future.await) };
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    })
    .await
}
