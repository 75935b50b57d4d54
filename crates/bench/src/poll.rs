//! Futures, polled where they stand: what the measure adds is one poll.

use std::{
    io,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll, Waker},
};

use tokio::runtime::{Builder, Handle, Runtime};

/// Polls a future to its end: on the stack of the caller, where it was made, as `await` does; without a runtime as long as it does
/// not wait for anything.
macro_rules! to_end {
    ($future:expr) => {
        $crate::poll::pinned_to_end(std::pin::pin!($future))
    };
}
pub(crate) use to_end;

#[inline]
pub(crate) fn pinned_to_end<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => in_runtime(future),
    }
}

#[cold]
fn in_runtime<F: Future>(future: Pin<&mut F>) -> F::Output {
    match runtime() {
        Ok(runtime) => runtime.block_on(future),
        // A measure without a runtime is none, and there is nobody to tell.
        Err(error) => panic!("there is no runtime: {error}"),
    }
}

/// The runtime of what has to be set up: first tokens, and background tasks where a variant has some.
///
/// # Errors
///
/// When there is none to be had.
pub(crate) fn runtime() -> io::Result<Handle> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().enable_io().build()?;
    Ok(RUNTIME.get_or_init(|| runtime).handle().clone())
}
