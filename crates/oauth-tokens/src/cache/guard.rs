//! What keeps rejections from causing a storm of renewals (F10, F11).

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    AccessToken, Error, ErrorKind,
    clock::{after, doubled},
};

const FIRST_HOLD: Duration = Duration::from_secs(5);
const LONGEST_HOLD: Duration = Duration::from_secs(300);
/// How many renewals rejections may cause at once, and how long one more takes to be allowed: 20 a minute. An API that
/// revokes more tokens than that is not helped by more of them.
const BURST: f64 = 20.0;
const REFILL: Duration = Duration::from_secs(3);

#[derive(Default)]
pub(super) struct StormGuard {
    /// Whether any origin is held: all that a successful call looks at.
    engaged: AtomicBool,
    origins: Mutex<HashMap<Box<str>, Origin>>,
}

struct Origin {
    /// A renewal was caused here, and no call has succeeded since.
    hold: Option<Hold>,
    /// What is left of this origin's share of the budget, as of when.
    budget: f64,
    counted_at: Instant,
}

struct Hold {
    rejected: AccessToken,
    until: Instant,
    /// Renewals in a row that cured nothing.
    times: u32,
}

impl StormGuard {
    /// Whether a rejection may cause a renewal now; if so, the next one is held.
    pub(super) fn admit(&self, name: &str, rejected: &AccessToken, now: Instant) -> Result<(), Error> {
        let mut origins = self.lock();
        if !origins.contains_key(name) {
            origins.insert(name.into(), Origin { hold: None, budget: BURST, counted_at: now });
        }
        let share = 1.0 / origins.len() as f64;
        let Some(origin) = origins.get_mut(name) else { return Ok(()) };
        let times = match &origin.hold {
            Some(hold) if now < hold.until => {
                return Err(held(
                    name,
                    "the last renewal did not end the 401s: check the API's audience and the token's scope",
                ));
            }
            // Long over: what was then says nothing of now.
            Some(hold) if hold.is_long_over(now) => 0,
            Some(hold) => hold.times,
            None => 0,
        };
        if !origin.spend(share, now) {
            return Err(held(name, "401s have used up the budget for renewals (20 a minute for all origins)"));
        }
        let until = after(now, hold_time(times));
        origin.hold = Some(Hold { rejected: rejected.clone(), until, times: times.saturating_add(1) });
        self.engaged.store(true, Relaxed);
        Ok(())
    }

    /// The renewal brought a token: the hold counts from when it can be tried.
    pub(super) fn renewed(&self, name: &str, now: Instant) {
        if let Some(hold) = self.lock().get_mut(name).and_then(|origin| origin.hold.as_mut()) {
            hold.until = after(now, hold_time(hold.times.saturating_sub(1)));
        }
    }

    /// The renewal failed, which says nothing of the origin; the failure itself is remembered elsewhere.
    pub(super) fn failed(&self, name: &str, now: Instant) {
        if let Some(hold) = self.lock().get_mut(name).and_then(|origin| origin.hold.as_mut()) {
            hold.times = hold.times.saturating_sub(1);
            hold.until = now;
        }
    }

    pub(super) fn is_engaged(&self) -> bool {
        self.engaged.load(Relaxed)
    }

    /// A call with the current token succeeded: nothing is held there any more, unless that is the token that was rejected.
    pub(super) fn accepted(&self, name: &str, token: &AccessToken, now: Instant) {
        let mut origins = self.lock();
        for (origin, Origin { hold, .. }) in origins.iter_mut() {
            let cured = hold.as_ref().is_some_and(|hold| &**origin == name && hold.rejected != *token);
            let long_over = hold.as_ref().is_some_and(|hold| hold.is_long_over(now));
            if cured || long_over {
                *hold = None;
            }
        }
        self.engaged.store(origins.values().any(|origin| origin.hold.is_some()), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Origin>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    fn is_long_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.until) > LONGEST_HOLD
    }
}

impl Origin {
    /// Every origin has an equal share of the budget, so that none starves another.
    fn spend(&mut self, share: f64, now: Instant) -> bool {
        let refilled = now.saturating_duration_since(self.counted_at).div_duration_f64(REFILL) * share;
        self.budget = (self.budget + refilled).min((BURST * share).max(1.0));
        self.counted_at = now;
        let enough = self.budget >= 1.0;
        if enough {
            self.budget -= 1.0;
        }
        enough
    }
}

fn hold_time(times: u32) -> Duration {
    doubled(FIRST_HOLD, times, LONGEST_HOLD)
}

fn held(origin: &str, why: &str) -> Error {
    let by = if origin.is_empty() { String::new() } else { format!(" by {origin}") };
    Error::new(ErrorKind::Held, format!("a token rejected{by} is not renewed now: {why}"))
}
