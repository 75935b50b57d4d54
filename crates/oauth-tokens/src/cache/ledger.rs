//! What is remembered between renewals: failures, and how long to wait.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    freshness::{UNKNOWN_LIFETIME, sane_refresh_in},
    renewal::Flight,
};
use crate::{
    Error,
    clock::{after, doubled, jitter},
};

const TRANSIENT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
const PERMANENT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));
const BACKGROUND: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often a changed credential is looked for while a permanent error is remembered.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) flight: Option<Flight>,
    pub(super) flights: u64,
    pub(super) renewals: u64,
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
    pub(super) fn succeeded(&mut self) {
        self.renewals += 1;
        self.fruitless = 0;
        self.failure = None;
        self.background_after = None;
    }

    /// The server handed out the token that we had (F9), which can be used for so long.
    pub(super) fn unchanged(&mut self, refresh_in: Option<Duration>, usable_for: Option<Duration>, now: Instant) {
        self.failure = None;
        let back_off = self.background_pause();
        let pause = match (sane_refresh_in(refresh_in), usable_for) {
            // Not so late that the token has had its use by then.
            (Some(refresh_in), Some(usable_for)) => refresh_in.min(usable_for / 2).max(back_off),
            (Some(refresh_in), None) => refresh_in,
            (None, Some(_)) => back_off,
            (None, None) => UNKNOWN_LIFETIME,
        };
        self.background_after = Some(after(now, pause));
        self.fruitless = self.fruitless.saturating_add(1);
    }

    pub(super) fn failed(&mut self, error: Error, fingerprint: Option<u64>, now: Instant) {
        let (first, longest) = if error.is_transient() { TRANSIENT } else { PERMANENT };
        // A quarter of it is jitter: callers of a whole fleet meet the same outage at the same moment.
        let pause = doubled(first, self.fruitless, longest);
        let pause = (pause - jitter(pause / 4)).max(error.retry_after().unwrap_or_default());
        let background = if error.is_transient() { self.background_pause() } else { pause };
        self.background_after = Some(after(now, background.max(error.retry_after().unwrap_or_default())));
        self.fruitless = self.fruitless.saturating_add(1);
        self.failure = Some(Failure { error, until: after(now, pause), fingerprint, looked_at: now });
    }

    /// Full jitter.
    fn background_pause(&self) -> Duration {
        let (first, longest) = BACKGROUND;
        jitter(doubled(first, self.fruitless, longest))
    }

    /// The error that is still remembered.
    pub(super) fn remembered_error(&self, now: Instant) -> Option<&Error> {
        self.failure.as_ref().filter(|failure| now < failure.until).map(|failure| &failure.error)
    }

    pub(super) fn last_error(&self) -> Option<&Error> {
        self.failure.as_ref().map(|failure| &failure.error)
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
