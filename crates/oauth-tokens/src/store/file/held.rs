//! A lease as a file holds it.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::Lease;

/// Who holds a lease, and until when: `<holder> <milliseconds since 1970>`.
pub(super) struct HeldUntil {
    pub(super) holder: String,
    until: Duration,
}

impl HeldUntil {
    pub(super) fn new(lease: &Lease, now: SystemTime, time: Duration) -> Self {
        Self { holder: lease.holder().to_owned(), until: since_1970(now).saturating_add(time) }
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (holder, until) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        Some(Self { holder: holder.to_owned(), until: Duration::from_millis(until.parse().ok()?) })
    }

    /// Whether somebody has it now, where leases are for so long. One that ends much later than a new one would was written
    /// before the clock was set back: it does not count, or nobody would renew for as long as that was. A clock that is set
    /// back by moments makes no second lease.
    pub(super) fn is_held(&self, now: SystemTime, time: Duration) -> bool {
        let now = since_1970(now);
        now < self.until && self.until <= now.saturating_add(time.saturating_mul(2))
    }
}

impl fmt::Display for HeldUntil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.holder, self.until.as_millis())
    }
}

fn since_1970(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}
