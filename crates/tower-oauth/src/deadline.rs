//! The time that a request gives itself, counted over all that is done for it.

use std::time::Duration;

use tokio::time::Instant;

use crate::message::sealed;

/// When a request has to be over: its clients count anew for each request that they send, so what is sent says what is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    pub(crate) fn of<R: sealed::Request>(request: &R) -> Self {
        // One that is too far away to be told is none.
        Self(request.timeout().and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// What is left of it.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn has_passed(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    pub(crate) fn apply<R: sealed::Request>(self, request: &mut R) {
        if let Some(left) = self.left() {
            request.set_timeout(left);
        }
    }
}
