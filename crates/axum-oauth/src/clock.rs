//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time of day; in tests, tokio's clock moves it.
#[cfg(not(feature = "test-util"))]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}

#[cfg(feature = "test-util")]
pub(crate) fn wall() -> SystemTime {
    use std::sync::OnceLock;
    use tokio::time::Instant;
    static ANCHOR: OnceLock<(Instant, SystemTime)> = OnceLock::new();
    let (instant, wall) = *ANCHOR.get_or_init(|| (Instant::from_std(std::time::Instant::now()), SystemTime::now()));
    let now = Instant::now();
    wall + now.saturating_duration_since(instant) - instant.saturating_duration_since(now)
}

/// The same, as JWTs write it.
pub(crate) fn seconds() -> u64 {
    wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
