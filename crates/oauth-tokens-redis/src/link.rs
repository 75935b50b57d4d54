//! A connection, from its first moment to its failure and the pause after it.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, ready},
};
use redis::aio::MultiplexedConnection;
use tokio::{runtime::Handle, time::Instant};

use crate::{
    address::Address,
    connect::connect,
    failure::{Cause, Failure},
    settings::Settings,
};

/// The pause after the first failure, and the longest; what asks meanwhile fails at once. Half of it is jitter, so that a
/// fleet does not come back in step.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The attempt to connect, and what came of it; all who need the connection wait for the same.
pub(crate) type Opening = Shared<BoxFuture<'static, Result<MultiplexedConnection, Failed>>>;

/// A failure and when it was.
type Failed = (Failure, Instant);

pub(crate) struct Link {
    opening: Opening,
    /// Whether a command was answered on it.
    proven: bool,
    /// How many links before this one failed without having been of use.
    failures: u32,
    pause: Duration,
}

impl Link {
    /// Connects in a task: a caller that gives up leaves the connection to the next one.
    pub(crate) fn open(runtime: &Handle, address: Address, settings: Arc<Settings>, failures: u32) -> Self {
        let panicked = Failure::new(&address, Cause::NoRuntime);
        let task =
            runtime.spawn(async move { connect(address, settings).await.map_err(|failure| (failure, Instant::now())) });
        let opening = async move { task.await.unwrap_or_else(|_| Err((panicked, Instant::now()))) };
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_PAUSE);
        Self {
            opening: opening.boxed().shared(),
            proven: false,
            failures,
            pause: pause.mul_f64((1.0 + fastrand::f64()) / 2.0),
        }
    }

    pub(crate) fn opening(&self) -> Opening {
        self.opening.clone()
    }

    pub(crate) fn is(&self, opening: &Opening) -> bool {
        self.opening.ptr_eq(opening)
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn is_proven(&self) -> bool {
        self.proven
    }

    /// Why it is of no use any more, if it is not.
    pub(crate) fn failed(&self) -> Option<Failed> {
        // Polled, because those who waited may all have given up.
        self.opening.clone().now_or_never()?.err()
    }

    /// It is too early for another attempt.
    pub(crate) fn is_pausing(&self, failed: Instant, now: Instant) -> bool {
        now.saturating_duration_since(failed) < self.pause
    }

    /// A command was answered.
    pub(crate) fn prove(&mut self) {
        self.proven = true;
        self.failures = 0;
        self.pause = FIRST_PAUSE;
    }

    /// It is of no use any more; the connection is closed when the last who waits on it has gone, whatever it is still sending.
    pub(crate) fn fail(&mut self, failure: Failure, now: Instant) {
        self.opening = ready(Err((failure, now))).boxed().shared();
    }
}
