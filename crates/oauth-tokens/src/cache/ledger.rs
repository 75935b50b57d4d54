//! What is remembered between renewals: failures, and how long to wait.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    flight::Flight,
    freshness::{UNKNOWN_LIFETIME, sane_refresh_in},
    guard::StormGuard,
    warm::Warm,
};
use crate::{
    Error, ErrorKind,
    clock::{after, doubled, jitter},
};

const TRANSIENT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
const PERMANENT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));
/// Between renewals in the background, of a token without a lifetime.
const BACKGROUND: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The longest pause between two of a token that has one.
const LONGEST_BACKGROUND: Duration = Duration::from_secs(30 * 60);
/// How often a changed credential is looked for while a permanent error is remembered.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A cache for which all goes well has none: it costs memory only while there is something to remember.
pub(super) struct Ledger {
    pub(super) flight: Option<Flight>,
    pub(super) guard: StormGuard,
    pub(super) warm: Option<Warm>,
    /// Renewals in a row that brought nothing new.
    fruitless: u32,
    failure: Option<Failure>,
    background_after: Option<Instant>,
}

struct Failure {
    error: Error,
    until: Instant,
    fingerprint: Option<u64>,
    looked_at: Instant,
}

impl Ledger {
    pub(super) const BLANK: Self = Self {
        flight: None,
        guard: StormGuard::new(),
        warm: None,
        fruitless: 0,
        failure: None,
        background_after: None,
    };

    /// Whether there is nothing in it to remember.
    pub(super) fn is_blank(&self) -> bool {
        let Self { flight, guard, warm, fruitless, failure, background_after } = self;
        flight.is_none()
            && guard.is_blank()
            && warm.is_none()
            && *fruitless == 0
            && failure.is_none()
            && background_after.is_none()
    }

    pub(super) fn succeeded(&mut self) {
        self.fruitless = 0;
        self.failure = None;
        self.background_after = None;
    }

    /// The server handed out the token that we had (F9), which can be used for so long.
    pub(super) fn unchanged(&mut self, refresh_in: Option<Duration>, usable_for: Option<Duration>, now: Instant) {
        self.failure = None;
        let pause = match (sane_refresh_in(refresh_in), usable_for) {
            // Not so late that the token has had its use by then.
            (Some(refresh_in), Some(left)) => refresh_in.min(left / 2).max(self.background_pause(usable_for)),
            (Some(refresh_in), None) => refresh_in,
            (None, Some(_)) => self.background_pause(usable_for),
            (None, None) => UNKNOWN_LIFETIME,
        };
        self.background_after = Some(after(now, pause));
        self.fruitless = self.fruitless.saturating_add(1);
    }

    /// A renewal failed; the token that we have can be used for so long, or (None) for ever.
    pub(super) fn failed(
        &mut self,
        error: Error,
        fingerprint: Option<u64>,
        usable_for: Option<Duration>,
        now: Instant,
    ) {
        let (first, longest) = if error.is_transient() { TRANSIENT } else { PERMANENT };
        // The server was not even asked: its gate sees to how often it is, so nobody needs to wait longer for that.
        let was_asked = error.kind() != ErrorKind::ServerUnavailable;
        let pause = doubled(first, if was_asked { self.fruitless } else { 0 }, longest);
        // A quarter of it is jitter: callers of a whole fleet meet the same outage at the same moment.
        let pause = (pause - jitter(pause / 4)).max(error.retry_after().unwrap_or_default());
        let background = if error.is_transient() { self.background_pause(usable_for) } else { pause };
        self.background_after = Some(after(now, background.max(error.retry_after().unwrap_or_default())));
        self.fruitless = self.fruitless.saturating_add(u32::from(was_asked));
        self.failure = Some(Failure { error, until: after(now, pause), fingerprint, looked_at: now });
    }

    /// Full jitter over all that is left of the token. There is no hurry while it is good, and a fleet that met an outage comes back
    /// one by one; the shorter the time, the sooner the next try.
    fn background_pause(&self, usable_for: Option<Duration>) -> Duration {
        let (first, longest) = BACKGROUND;
        jitter(match usable_for {
            Some(left) => left.min(LONGEST_BACKGROUND),
            None => doubled(first, self.fruitless, longest),
        })
    }

    /// The error that is still remembered.
    pub(super) fn remembered_error(&self, now: Instant) -> Option<&Error> {
        self.failure.as_ref().filter(|failure| now < failure.until).map(|failure| &failure.error)
    }

    pub(super) fn last_error(&self) -> Option<&Error> {
        self.failure.as_ref().map(|failure| &failure.error)
    }

    /// When a caller who has no token may cause a renewal.
    pub(super) fn forgiven_at(&self, now: Instant) -> Instant {
        self.failure.as_ref().map_or(now, |failure| failure.until)
    }

    /// When the next renewal in the background may begin.
    pub(super) fn background_due(&self, now: Instant) -> Instant {
        self.background_after.unwrap_or(now)
    }

    pub(super) fn may_renew_in_background(&self, now: Instant) -> bool {
        self.background_after.is_none_or(|at| at <= now)
    }

    /// Whether now is a time to look for a changed credential; says so at most once a second.
    pub(super) fn should_look_for_new_credential(&mut self, now: Instant) -> bool {
        let Some(failure) = &mut self.failure else { return false };
        let due = !failure.error.is_transient()
            && now < failure.until
            && now.saturating_duration_since(failure.looked_at) >= LOOK_EVERY;
        if due {
            failure.looked_at = now;
        }
        due
    }

    /// The credential may be another one than at the failure: what it caused is forgotten.
    pub(super) fn saw_credential(&mut self, fingerprint: Option<u64>) {
        if self.failure.as_ref().is_some_and(|failure| failure.fingerprint != fingerprint) {
            self.failure = None;
            self.fruitless = 0;
            self.background_after = None;
        }
    }
}
