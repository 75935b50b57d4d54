use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

/// Tokio's clock, and the wall time that goes with it: pausing and advancing the one moves the other.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    wall_start: Duration,
}

impl Clock {
    pub(crate) fn new() -> Self {
        /// Where the wall clock stood at which instant: the clients' clock goes by the same, also one that was advanced before
        /// there was a server.
        static ANCHOR: LazyLock<(Instant, Duration)> = LazyLock::new(|| {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            (Instant::from_std(std::time::Instant::now()), wall)
        });
        let (at, wall) = *ANCHOR;
        let start = Instant::now();
        let wall = wall.saturating_add(start.saturating_duration_since(at));
        let wall = wall.saturating_sub(at.saturating_duration_since(start));
        Self {
            start,
            // Whole seconds, so that under a paused clock `iat` and `exp` are exact.
            wall_start: Duration::from_secs(wall.as_secs()),
        }
    }

    /// The wall time now, since the Unix epoch.
    pub(crate) fn now(&self) -> Duration {
        self.wall(Instant::now())
    }

    /// Seconds since the Unix epoch, rounded down.
    pub(crate) fn unix(&self, instant: Instant) -> u64 {
        self.wall(instant).as_secs()
    }

    /// Seconds since the Unix epoch, rounded up: no `exp` claim is earlier than the expiry.
    pub(crate) fn unix_ceil(&self, instant: Instant) -> u64 {
        let wall = self.wall(instant);
        wall.as_secs() + u64::from(wall.subsec_nanos() > 0)
    }

    fn wall(&self, instant: Instant) -> Duration {
        self.wall_start.saturating_add(instant.saturating_duration_since(self.start))
    }
}
