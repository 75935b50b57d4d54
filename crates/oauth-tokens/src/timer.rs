//! Waiting, on runtimes of which nothing is known.

use std::{
    cell::Cell,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::{
    runtime::{Handle, Id},
    time::{Instant, Sleep, sleep as tokio_sleep},
};

use crate::{Error, ErrorKind};

/// Runs a future for at most this long; none when it did not end by then.
///
/// The future is polled first, so that what is ready at the deadline still counts.
pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Result<Option<F::Output>, Error> {
    let mut timer = sleep(limit)?;
    let mut future = pin!(future);
    let output = poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    });
    Ok(output.await)
}

/// A timer, or a typed error where there is nothing to drive it: tokio panics then, and cannot be asked beforehand.
pub(crate) fn sleep(delay: Duration) -> Result<Pin<Box<Sleep>>, Error> {
    runtime()?;
    catch_unwind(|| Box::pin(tokio_sleep(delay))).map_err(|_| {
        Error::new(ErrorKind::NoRuntime, "the tokio runtime has no timer: build it with enable_time() or enable_all()")
    })
}

pub(crate) fn runtime() -> Result<Handle, Error> {
    Handle::try_current().map_err(|_| {
        Error::new(ErrorKind::NoRuntime, "there is no tokio runtime here: a token can only be fetched from inside one")
    })
}

/// The runtime that a renewal can be spawned on: one with a timer.
pub(crate) fn runtime_with_timer() -> Result<Handle, Error> {
    drop(sleep(Duration::ZERO)?);
    runtime()
}

/// [`runtime_with_timer`], asked for at most once a second by a thread that had none: each time costs a caught panic.
pub(crate) fn runtime_with_timer_unless_refused(now: Instant) -> Option<Handle> {
    thread_local! {
        static REFUSED: Cell<Option<(Id, Instant)>> = const { Cell::new(None) };
    }
    let id = Handle::try_current().ok()?.id();
    let lately = |(refused, at)| refused == id && now.saturating_duration_since(at) < Duration::from_secs(1);
    if REFUSED.get().is_some_and(lately) {
        return None;
    }
    let runtime = runtime_with_timer().ok();
    REFUSED.set(if runtime.is_none() { Some((id, now)) } else { None });
    runtime
}

/// Runs a future to its end, or to its panic.
pub(crate) async fn catch_panic<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        // The future is not polled again, only dropped.
        Err(_) => Poll::Ready(None),
    })
    .await
}
