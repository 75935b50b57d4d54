//! Whether there is a storm, for all who judge by it.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::Notify;

/// Counts the changes: even in a storm and while lanes recover, odd in a calm.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    changes: AtomicU64,
    gust: Notify,
}

/// The weather when something began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading(u64);

impl Weather {
    pub(crate) fn reading(&self) -> Reading {
        Reading(self.changes.load(SeqCst))
    }

    /// Whether it was calm since then, all the time.
    pub(crate) fn calm_since(&self, then: Reading) -> bool {
        then.0 % 2 == 1 && self.changes.load(SeqCst) == then.0
    }

    pub(crate) fn set_calm(&self, calm: bool) {
        if (self.changes.load(SeqCst) % 2 == 1) != calm {
            self.changes.fetch_add(1, SeqCst);
        }
    }

    /// Wakes all callers that pause: they call at once, together.
    pub(crate) fn blow(&self) {
        self.gust.notify_waiters();
    }

    pub(crate) async fn gust(&self) {
        self.gust.notified().await;
    }
}
