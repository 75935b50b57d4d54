//! How callers come by a token that is not at hand: each waits for the one renewal, and none for another's turn.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::Instant};

use super::{
    flight::{Flight, Outcome, launch},
    freshness::Entry,
    shared::{AnyCache, Locked},
};
use crate::{
    AccessToken, Error, ErrorKind, Rejection,
    clock::now,
    telemetry::{self, Cause},
    timer,
};

/// How often one waiter takes over before it gives up.
const MAX_TAKE_OVERS: u32 = 3;

/// What a caller of the cache needs.
#[derive(Clone, Copy)]
pub(super) enum Need<'a> {
    Any,
    /// Another token than one that an origin rejected.
    Instead(&'a Rejection),
    /// A token that lives for so long, if one can be had.
    ValidFor(Duration),
}

impl Need<'_> {
    /// Whether a token will do when no better one can be had.
    fn is_served_by(&self, token: &AccessToken) -> bool {
        match self {
            Need::Any | Need::ValidFor(_) => true,
            Need::Instead(rejection) => rejection.token != *token,
        }
    }

    fn is_met_by(&self, entry: &Entry, now: Instant) -> bool {
        match self {
            Need::ValidFor(wanted) => entry.lasts(*wanted, now),
            Need::Any | Need::Instead(_) => self.is_served_by(&entry.token),
        }
    }

    fn cause(&self, current: Option<&Entry>, now: Instant) -> Cause {
        match (self, current) {
            (_, None) => Cause::Cold,
            (_, Some(entry)) if !entry.is_usable(now) => Cause::Expired,
            (Need::ValidFor(_), _) => Cause::Short,
            (Need::Any | Need::Instead(_), _) => Cause::Rejected,
        }
    }
}

enum Step {
    Have(AccessToken),
    Wait(Flight),
}

impl AnyCache {
    pub(super) fn renew_in_background(self: &Arc<Self>, now: Instant) {
        // Without a runtime the token serves on; and nothing is noted, as others may have one.
        if timer::runtime().is_err() || !self.try_lock().is_some_and(|mut ledger| self.is_due(&mut ledger, now)) {
            return;
        }
        // Looked for last, and not under the lock: it costs an allocation, or a panic where there is none.
        let Some(runtime) = timer::runtime_with_timer_unless_refused(now) else { return };
        self.renew_if_due(&runtime, Cause::Window, now);
        self.rewarm(&runtime);
    }

    pub(super) fn renew_if_due(self: &Arc<Self>, runtime: &Handle, cause: Cause, now: Instant) {
        let mut ledger = self.lock();
        if self.is_due(&mut ledger, now) {
            let (_, launch) = launch(&mut ledger, cause, None, None, now);
            drop(ledger);
            self.spawn(runtime, launch);
        }
    }

    /// Looked at under the lock: a renewal may have ended, or begun, since the caller looked.
    fn is_due(&self, ledger: &mut Locked<'_>, now: Instant) -> bool {
        let is_past = self.current.load().as_ref().is_some_and(|entry| now >= entry.refresh_at);
        is_past && self.live_flight(ledger, now).is_none() && ledger.may_renew_in_background(now)
    }

    /// Waits for what is needed. When that is not to be had, a token serves until it really expires (F8); and nobody
    /// waits so long for a better one that it does.
    pub(super) async fn obtain(self: &Arc<Self>, need: Need<'_>) -> Outcome {
        let outcome = self.renewed_in_time(need).await;
        // Whoever is polled late may find that a token has come meanwhile, and is past its use already.
        outcome.or_else(|error| self.last_resort(need).map(|(token, _)| token).ok_or(error))
    }

    async fn renewed_in_time(self: &Arc<Self>, need: Need<'_>) -> Outcome {
        if let Some((_, left)) = self.last_resort(need) {
            let ended = timer::timeout(left / 2, self.await_renewal(need)).await;
            match (ended, self.last_resort(need)) {
                (Ok(Some(outcome)), _) => return outcome,
                (_, Some((token, _))) => return Ok(token),
                // Whoever is polled late may find that it has expired by now.
                (_, None) => {}
            }
        }
        self.await_renewal(need).await
    }

    fn is_usable(&self, token: &AccessToken) -> bool {
        let current = self.current.load();
        current.as_ref().is_some_and(|entry| entry.token == *token && entry.is_usable(now()))
    }

    /// A token that has not expired, though it may be past its use.
    fn last_resort(&self, need: Need<'_>) -> Option<(AccessToken, Duration)> {
        let current = self.current.load();
        let entry = current.as_ref().filter(|entry| need.is_served_by(&entry.token))?;
        Some((entry.token.clone(), entry.valid_for(now())?))
    }

    /// Joins a renewal, or starts one.
    async fn await_renewal(self: &Arc<Self>, need: Need<'_>) -> Outcome {
        for _ in 0..=MAX_TAKE_OVERS {
            self.look_for_new_credential();
            let flight = match self.next_step(need)? {
                Step::Have(token) => return Ok(token),
                Step::Wait(flight) => flight,
            };
            match flight.wait().await? {
                Some(Ok(token)) if !need.is_served_by(&token) => return Err(same_token()),
                Some(Ok(token)) if self.is_usable(&token) => return Ok(token),
                // Whoever is polled late finds that the token has had its use meanwhile.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                // The runtime that drove it ended or stands still: the next round takes over.
                None => self.give_up_on(&flight),
            }
        }
        Err(Error::new(
            ErrorKind::Source,
            "renewals came to nothing again and again: runtimes ended or stood still, or tokens expired before they were used",
        ))
    }

    /// Like [`obtain`](Self::obtain), but nobody waits.
    pub(super) fn start(self: &Arc<Self>, need: Need<'_>) {
        if let Err(error) = self.next_step(need) {
            tracing::debug!(%error, "a rejected token is not renewed now");
        }
    }

    fn next_step(self: &Arc<Self>, need: Need<'_>) -> Result<Step, Error> {
        let runtime = timer::runtime_with_timer()?;
        let now = now();
        let mut ledger = self.lock();
        // Looked at under the lock: a renewal may have ended since the caller looked.
        let current = self.current.load();
        let usable = current.as_ref().filter(|entry| entry.is_usable(now));
        if let Some(entry) = usable.filter(|entry| need.is_met_by(entry, now)) {
            return Ok(Step::Have(entry.token.clone()));
        }
        if let Some(flight) = self.live_flight(&mut ledger, now) {
            return Ok(Step::Wait(flight));
        }
        if let Some(error) = ledger.remembered_error(now) {
            return Err(error.clone());
        }
        let origin = match (need, usable) {
            // What would be used otherwise has been rejected: that is what the guard is for.
            (Need::Instead(rejection), Some(entry)) if entry.token == rejection.token => {
                if let Err((by, error)) = ledger.guard.admit(&rejection.origin, &rejection.token, now) {
                    drop(ledger);
                    telemetry::held(by);
                    return Err(error);
                }
                Some(rejection.origin.as_str().into())
            }
            // The server has given none that lasts longer, a moment ago (F9, F12).
            (Need::ValidFor(_), Some(entry)) if !ledger.may_renew_in_background(now) => {
                return Ok(Step::Have(entry.token.clone()));
            }
            // Anybody would renew now, whatever was rejected before.
            _ => None,
        };
        let rejection = match need {
            Need::Instead(rejection) => Some(rejection.clone()),
            Need::Any | Need::ValidFor(_) => None,
        };
        let cause = need.cause(current.as_deref(), now);
        let (flight, launch) = launch(&mut ledger, cause, origin, rejection, now);
        drop(ledger);
        self.spawn(&runtime, launch);
        self.rewarm(&runtime);
        Ok(Step::Wait(flight))
    }

    /// After a permanent error, a credential that changed is worth a new attempt at once.
    fn look_for_new_credential(&self) {
        if self.lock().should_look_for_new_credential(now()) {
            let fingerprint = self.fingerprint();
            self.lock().saw_credential(fingerprint);
        }
    }
}

fn same_token() -> Error {
    let message = "the authorization server handed out the rejected token again; it may cache tokens, or not know that \
                   this one was revoked";
    Error::new(ErrorKind::SameToken, message)
}
