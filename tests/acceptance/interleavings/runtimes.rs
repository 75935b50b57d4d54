//! Runtimes whose clocks go on by hand only.

use std::{pin::pin, time::Duration};

use futures_util::FutureExt;
use tokio::{
    runtime::{Builder, Runtime},
    task::yield_now,
    time::{Instant, advance},
};

/// A runtime of one thread.
pub(super) fn paused_runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// Another runtime whose clock shows the same time.
pub(super) fn in_step_with(main: &Runtime) -> Runtime {
    let other = paused_runtime();
    let ahead = now_on(&other).saturating_duration_since(now_on(main));
    let behind = now_on(main).saturating_duration_since(now_on(&other));
    turn_on(main, ahead);
    turn_on(&other, behind);
    other
}

pub(super) fn now_on(runtime: &Runtime) -> Instant {
    let _inside = runtime.enter();
    Instant::now()
}

/// Its clock goes on; no task runs.
pub(super) fn turn_on(runtime: &Runtime, span: Duration) {
    let _inside = runtime.enter();
    assert!(pin!(advance(span)).as_mut().now_or_never().is_none(), "it yields once");
}

/// Lets everything run that can run now, on the current runtime.
pub(super) async fn settle() {
    for _ in 0..8 {
        yield_now().await;
    }
}
