//! The one seam through which time comes in.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Reads the time. The monotonic side is tokio's, which is the system's until a test pauses it.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// Where the wall clock stood at which instant. With it, a paused clock moves the wall clock too.
    #[cfg(feature = "test-util")]
    anchor: (Instant, SystemTime),
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(feature = "test-util")]
            anchor: (Instant::now(), SystemTime::now()),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::now()
    }

    /// The time of day, for what comes as a date: `exp` in a JWT, `Retry-After`.
    pub(crate) fn wall(&self) -> SystemTime {
        #[cfg(feature = "test-util")]
        return self.anchor.1 + self.now().saturating_duration_since(self.anchor.0);
        #[cfg(not(feature = "test-util"))]
        SystemTime::now()
    }
}

/// `now + delay`, for any delay: what would overflow is as good as never.
pub(crate) fn after(now: Instant, delay: Duration) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    now.checked_add(delay.min(THIRTY_YEARS)).unwrap_or(now)
}

/// A uniform share of `span`, from nothing to all of it.
pub(crate) fn jitter(span: Duration) -> Duration {
    span.mul_f64(fastrand::f64())
}

/// `base * 2^exponent`, at most `cap`.
pub(crate) fn doubled(base: Duration, exponent: u32, cap: Duration) -> Duration {
    base.saturating_mul(2_u32.saturating_pow(exponent)).min(cap)
}
