//! The one seam through which time comes in.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The monotonic time: tokio's, which is the system's until a test pauses it.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The monotonic time as the fresh path reads it: a few milliseconds late, for a quarter of the price (7 ns instead of 29 ns with
/// Linux's own coarse clock). Before a token is renewed or waited for, the exact clock is asked.
///
/// Under `test-util` it is tokio's, so that a test can pause it; and so it is where the coarse clock would be the wall's.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Tick(imp::Instant);

impl Tick {
    #[inline]
    pub(crate) fn now() -> Self {
        Self(imp::now())
    }

    pub(crate) fn at(instant: Instant) -> Self {
        Self(imp::at(instant))
    }
}

#[cfg(all(
    not(feature = "test-util"),
    any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd", windows)
))]
mod imp {
    pub(super) type Instant = u64;

    #[inline]
    pub(super) fn now() -> Instant {
        // Not its `now`: that writes to what all threads share.
        coarsetime::Instant::now_without_cache_update().as_ticks()
    }

    pub(super) fn at(instant: tokio::time::Instant) -> Instant {
        // This clock first: if the program stands still between the two, the moment comes too early, which does no harm.
        let now = now();
        let left = coarsetime::Duration::from(instant.saturating_duration_since(super::now()));
        now.saturating_add(left.as_ticks())
    }
}

#[cfg(not(all(
    not(feature = "test-util"),
    any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd", windows)
)))]
mod imp {
    pub(super) use super::now;
    pub(super) use tokio::time::Instant;

    pub(super) fn at(instant: Instant) -> Instant {
        instant
    }
}

/// Reads the time: the monotonic side is tokio's, the wall clock's moves with it while a test has paused it.
#[derive(Clone, Debug)]
pub(crate) struct Clock;

impl Clock {
    pub(crate) fn new() -> Self {
        #[cfg(feature = "test-util")]
        anchor();
        Self
    }

    pub(crate) fn now(&self) -> Instant {
        now()
    }

    /// The time of day, for what comes as a date: `exp` in a JWT, `Retry-After`.
    pub(crate) fn wall(&self) -> SystemTime {
        #[cfg(feature = "test-util")]
        {
            let ((instant, wall), now) = (anchor(), self.now());
            wall + now.saturating_duration_since(instant) - instant.saturating_duration_since(now)
        }
        #[cfg(not(feature = "test-util"))]
        SystemTime::now()
    }
}

/// Where the wall clock stood at which instant: with it, a paused clock moves the wall clock too, for all clocks alike.
#[cfg(feature = "test-util")]
fn anchor() -> (Instant, SystemTime) {
    static ANCHOR: std::sync::OnceLock<(Instant, SystemTime)> = std::sync::OnceLock::new();
    *ANCHOR.get_or_init(|| (Instant::from_std(std::time::Instant::now()), SystemTime::now()))
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
