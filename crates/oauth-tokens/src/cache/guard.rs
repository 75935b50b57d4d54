//! What keeps rejections from causing a storm of renewals (F10, F11).

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{
    AccessToken, Error, ErrorKind,
    clock::{after, doubled},
    telemetry::HeldBy,
};

const FIRST_HOLD: Duration = Duration::from_secs(5);
const LONGEST_HOLD: Duration = Duration::from_secs(300);
/// How many renewals one origin's rejections may cause at once, and how long one more takes to be allowed: 20 a minute. An
/// API that revokes more tokens than that is not helped by more of them.
const BURST: f64 = 20.0;
const REFILL: Duration = Duration::from_secs(3);
/// How many all origins together may cause at once, at the same rate: each has an equal share of 20, and this is the end
/// of it, however many there are.
const ABSOLUTE_BURST: f64 = 60.0;
/// More names than this are not remembered without need.
const MANY_ORIGINS: usize = 256;

pub(super) struct StormGuard {
    origins: BTreeMap<Box<str>, Origin>,
    absolute: Option<Budget>,
}

struct Origin {
    /// A renewal was caused here, and no call has succeeded since.
    hold: Option<Hold>,
    /// What is left of this origin's share.
    budget: Budget,
}

/// How many renewals may still be caused, as of when.
struct Budget {
    left: f64,
    counted_at: Instant,
}

struct Hold {
    rejected: AccessToken,
    until: Instant,
    /// Renewals in a row that cured nothing.
    times: u32,
}

impl StormGuard {
    pub(super) const fn new() -> Self {
        Self { origins: BTreeMap::new(), absolute: None }
    }

    /// Whether a rejection may cause a renewal now; if so, the next one is held.
    pub(super) fn admit(&mut self, name: &str, rejected: &AccessToken, now: Instant) -> Result<(), (HeldBy, Error)> {
        let Self { origins, absolute } = self;
        if !origins.contains_key(name) {
            if origins.len() >= MANY_ORIGINS {
                origins.retain(|_, origin| !origin.is_forgettable(now));
            }
            origins.insert(name.into(), Origin { hold: None, budget: Budget::full(BURST, now) });
        }
        let share = 1.0 / origins.len() as f64;
        let Some(origin) = origins.get_mut(name) else { return Ok(()) };
        let times = match &origin.hold {
            Some(hold) if now < hold.until => {
                let why = "the last renewal did not end the 401s: check the API's audience and the token's scope";
                return Err((HeldBy::Uncured, held(name, why)));
            }
            // Long over: what was then says nothing of now.
            Some(hold) if hold.is_long_over(now) => 0,
            Some(hold) => hold.times,
            None => 0,
        };
        let absolute = absolute.get_or_insert_with(|| Budget::full(ABSOLUTE_BURST, now));
        let (own, all) =
            (origin.budget.refill((BURST * share).max(1.0), share, now), absolute.refill(ABSOLUTE_BURST, 1.0, now));
        if own < 1.0 || all < 1.0 {
            let why = "401s have used up the budget for renewals (20 a minute for all origins)";
            return Err((HeldBy::Budget, held(name, why)));
        }
        origin.budget.left -= 1.0;
        absolute.left -= 1.0;
        let until = after(now, hold_time(times));
        origin.hold = Some(Hold { rejected: rejected.clone(), until, times: times.saturating_add(1) });
        Ok(())
    }

    /// The renewal brought a token: the hold counts from when it can be tried.
    pub(super) fn renewed(&mut self, name: &str, now: Instant) {
        if let Some(hold) = self.origins.get_mut(name).and_then(|origin| origin.hold.as_mut()) {
            hold.until = after(now, hold_time(hold.times.saturating_sub(1)));
        }
    }

    /// The renewal failed, which says nothing of the origin; the failure itself is remembered elsewhere.
    pub(super) fn failed(&mut self, name: &str, now: Instant) {
        if let Some(hold) = self.origins.get_mut(name).and_then(|origin| origin.hold.as_mut()) {
            hold.times = hold.times.saturating_sub(1);
            hold.until = now;
        }
    }

    /// Whether any origin is held: all that a successful call looks at.
    pub(super) fn is_engaged(&self) -> bool {
        self.origins.values().any(|origin| origin.hold.is_some())
    }

    /// A call with the current token succeeded: nothing is held there any more, unless that is the token that was rejected.
    pub(super) fn accepted(&mut self, name: &str, token: &AccessToken, now: Instant) {
        for (origin, Origin { hold, .. }) in &mut self.origins {
            let cured = hold.as_ref().is_some_and(|hold| &**origin == name && hold.rejected != *token);
            let long_over = hold.as_ref().is_some_and(|hold| hold.is_long_over(now));
            if cured || long_over {
                *hold = None;
            }
        }
    }

    /// Forgets all, once there is nothing that a new guard would not know.
    pub(super) fn tidy(&mut self, now: Instant) {
        let is_full = |budget: &mut Budget, burst: f64| budget.refill(burst, 1.0, now) >= burst;
        if self.origins.values().all(|origin| origin.is_forgettable(now))
            && self.absolute.as_mut().is_none_or(|absolute| is_full(absolute, ABSOLUTE_BURST))
        {
            *self = Self::new();
        }
    }

    pub(super) fn is_blank(&self) -> bool {
        self.origins.is_empty() && self.absolute.is_none()
    }
}

impl Hold {
    fn is_long_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.until) > LONGEST_HOLD
    }
}

impl Origin {
    fn is_forgettable(&self, now: Instant) -> bool {
        self.hold.as_ref().is_none_or(|hold| hold.is_long_over(now))
    }
}

impl Budget {
    fn full(burst: f64, now: Instant) -> Self {
        Self { left: burst, counted_at: now }
    }

    /// What is left now. Every origin has an equal share of what comes in, so that none starves another.
    fn refill(&mut self, burst: f64, share: f64, now: Instant) -> f64 {
        let refilled = now.saturating_duration_since(self.counted_at).div_duration_f64(REFILL) * share;
        self.left = (self.left + refilled).min(burst);
        self.counted_at = now;
        self.left
    }
}

fn hold_time(times: u32) -> Duration {
    doubled(FIRST_HOLD, times, LONGEST_HOLD)
}

fn held(origin: &str, why: &str) -> Error {
    let by = if origin.is_empty() { String::new() } else { format!(" by {origin}") };
    Error::new(ErrorKind::Held, format!("a token rejected{by} is not renewed now: {why}"))
}
