//! One detached renewal at a time: how it is started, and what becomes of it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicU64,
            Ordering::{Relaxed, Release},
        },
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, time::Instant};
use tracing::{Instrument, Span};

use super::{
    freshness::Entry,
    ledger::Ledger,
    shared::{AnyCache, Locked},
};
use crate::{
    AccessToken, Error, ErrorKind, Rejection, TokenSet,
    clock::now,
    request::EXCHANGE_DEADLINE,
    telemetry::{self, Cause, Renewed},
    timer,
};

/// A source of the caller's own is held to the exchange's deadline too, a little later than one of ours, which then has
/// the better words for it.
const DEADLINE: Duration = EXCHANGE_DEADLINE.saturating_add(Duration::from_millis(500));
/// When whoever waits takes over: the task that renews is on a runtime that stands still.
const TAKE_OVER_AFTER: Duration = EXCHANGE_DEADLINE.saturating_add(Duration::from_secs(1));
/// A token that lives for less than this is no use: every call would fetch another.
pub(crate) const MIN_LIFETIME: Duration = Duration::from_millis(100);

/// What a renewal brought.
pub(super) type Outcome = Result<AccessToken, Error>;

/// A renewal on its way.
#[derive(Clone)]
pub(super) struct Flight {
    id: u64,
    started: Instant,
    cause: Cause,
    /// The origin whose rejection caused it.
    origin: Option<Box<str>>,
    outcome: watch::Receiver<Option<Outcome>>,
    span: Arc<OnceLock<Span>>,
}

/// A renewal that is to be spawned, once no lock is held.
pub(super) struct Launch {
    id: u64,
    publish: watch::Sender<Option<Outcome>>,
    /// What caused it, for the source.
    rejection: Option<Rejection>,
    cause: Cause,
    span: Arc<OnceLock<Span>>,
}

/// Notes that a renewal begins.
pub(super) fn launch(
    ledger: &mut Ledger,
    cause: Cause,
    origin: Option<Box<str>>,
    rejection: Option<Rejection>,
    now: Instant,
) -> (Flight, Launch) {
    /// For all caches: a renewal that was superseded must not be taken for a later one.
    static FLIGHTS: AtomicU64 = AtomicU64::new(0);

    let id = FLIGHTS.fetch_add(1, Relaxed);
    let (publish, outcome) = watch::channel(None);
    let span = Arc::default();
    let flight = Flight { id, started: now, cause, origin, outcome, span: Arc::clone(&span) };
    ledger.flight = Some(flight.clone());
    (flight, Launch { id, publish, rejection, cause, span })
}

impl Flight {
    /// None: nobody drives it any more.
    pub(super) async fn wait(&self) -> Result<Option<Outcome>, Error> {
        if let Some(span) = self.span.get() {
            Span::current().follows_from(span);
        }
        let mut outcome = self.outcome.clone();
        let left = TAKE_OVER_AFTER.saturating_sub(now().saturating_duration_since(self.started));
        let ended = timer::timeout(left, outcome.wait_for(Option::is_some)).await?;
        Ok(ended.and_then(Result::ok).and_then(|outcome| outcome.clone()))
    }
}

impl AnyCache {
    /// Never called with a lock held: a runtime that shuts down drops the task here and now.
    pub(super) fn spawn(self: &Arc<Self>, runtime: &Handle, launch: Launch) {
        let Launch { id, publish, rejection, cause, span } = launch;
        // Nobody's child: it belongs to all who wait for it, and each of them says so by itself.
        let span =
            span.get_or_init(|| tracing::info_span!(parent: None, "oauth.renewal", cause = cause.as_str())).clone();
        let shared = Arc::clone(self);
        let renewal = async move {
            let since = now();
            // Before the exchange reads the credential: one that changes meanwhile is a new one.
            let fingerprint = shared.fingerprint();
            let result = shared.fetch(rejection.as_ref()).await;
            if let Some(outcome) = shared.settle(id, since, fingerprint, result) {
                publish.send_replace(Some(outcome));
            }
        };
        runtime.spawn(renewal.instrument(span));
    }

    async fn fetch(&self, rejection: Option<&Rejection>) -> Result<TokenSet, Error> {
        // The source is called inside, too: it may panic before it has made its future.
        let fetch = async {
            let fetch = match rejection {
                Some(rejection) => self.source.fetch_after(rejection),
                None => self.source.fetch(),
            };
            timer::timeout(DEADLINE, fetch).await
        };
        match timer::catch_panic(fetch).await {
            Some(Ok(Some(result))) => result,
            Some(Ok(None)) => {
                let message = format!("the token source did not answer within {} ms", DEADLINE.as_millis());
                Err(Error::new(ErrorKind::Timeout, message))
            }
            Some(Err(no_runtime)) => Err(no_runtime),
            None => Err(Error::new(ErrorKind::Source, "the token source panicked; the panic's message is on stderr")),
        }
    }

    pub(super) fn accepts_claims(&self) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.source.accepts_claims())).unwrap_or_default()
    }

    pub(super) fn fingerprint(&self) -> Option<u64> {
        catch_unwind(AssertUnwindSafe(|| self.source.credential_fingerprint())).unwrap_or_default()
    }

    /// Publishes what a renewal brought. None: it was superseded, and nobody waits for it any more.
    fn settle(
        &self,
        id: u64,
        since: Instant,
        fingerprint: Option<u64>,
        result: Result<TokenSet, Error>,
    ) -> Option<Outcome> {
        let now = now();
        let mut ledger = self.lock();
        let flight = ledger.flight.take_if(|flight| flight.id == id)?;
        let first_failure = ledger.last_error().is_none();
        let before = self.current.load().as_ref().map(|entry| entry.usable_until());
        let renewals = self.renewals.load(Relaxed);
        let outcome = result.and_then(|tokens| self.publish(&mut ledger, &flight, &tokens, since, now));
        let renewed = if self.renewals.load(Relaxed) == renewals { Renewed::Unchanged } else { Renewed::New };
        match &outcome {
            Ok(_) => {}
            // It says nothing of the server, and another runtime may fare better.
            Err(error) if error.kind() == ErrorKind::NoRuntime => {}
            Err(error) => {
                let until = before.unwrap_or(Some(now));
                let usable_for = until.map(|until| until.saturating_duration_since(now));
                ledger.failed(error.clone(), fingerprint, usable_for, now);
            }
        }
        if let Some(origin) = &flight.origin {
            match &outcome {
                Ok(_) => ledger.guard.renewed(origin, now),
                Err(_) => ledger.guard.failed(origin, now),
            }
        }
        ledger.guard.tidy(now);
        drop(ledger);
        let took = now.saturating_duration_since(since);
        telemetry::renewal_ended(flight.cause, outcome.as_ref().map(|_| renewed), took);
        if let (Ok(_), Renewed::New, Some(until)) = (&outcome, renewed, before) {
            telemetry::replaced(until.map(|until| until.saturating_duration_since(now)));
        }
        // Not under the lock: whoever listens may look at the cache.
        if let Err(error) = &outcome
            && first_failure
            && !error.is_known()
        {
            tracing::warn!(%error, "an access token could not be renewed");
        }
        Some(outcome)
    }

    fn publish(
        &self,
        ledger: &mut Ledger,
        flight: &Flight,
        tokens: &TokenSet,
        since: Instant,
        now: Instant,
    ) -> Outcome {
        let current = self.current.load();
        let had_none = current.as_ref().is_none_or(|current| !current.is_usable(now));
        let in_a_hurry = had_none || flight.cause == Cause::Rejected || ledger.last_error().is_some();
        let entry = Entry::new(tokens, since, in_a_hurry);
        if let Some(current) = current.as_ref()
            && current.token == entry.token
            && current.is_usable(now)
        {
            // Not a renewal: what was known of the token stays (F9).
            let usable_for = current.usable_until().map(|until| until.saturating_duration_since(now));
            ledger.unchanged(tokens.refresh_in, usable_for, now);
            return Ok(current.token.clone());
        }
        let is_no_use = tokens.expires_in.is_some_and(|lifetime| lifetime < MIN_LIFETIME);
        if is_no_use || !entry.is_usable(now) {
            let message =
                "the token that was issued is expired already, or all but; check the server's clock and token lifetime";
            return Err(Error::new(ErrorKind::InvalidResponse, message));
        }
        let token = entry.token.clone();
        self.current.store(Some(Arc::new(entry)));
        // After the token: whoever sees the number sees the token.
        self.renewals.fetch_add(1, Release);
        ledger.succeeded();
        Ok(token)
    }

    pub(super) fn give_up_on(&self, flight: &Flight) {
        let mut ledger = self.lock();
        if ledger.flight.as_ref().is_some_and(|current| current.id == flight.id) {
            forget_flight(&mut ledger, now());
        }
    }

    /// The renewal that runs, if somebody still drives it; one that nobody drives is forgotten.
    pub(super) fn live_flight(&self, ledger: &mut Locked<'_>, now: Instant) -> Option<Flight> {
        let flight = ledger.flight.as_ref()?;
        let dropped = flight.outcome.has_changed().is_err();
        if dropped || now.saturating_duration_since(flight.started) >= TAKE_OVER_AFTER {
            forget_flight(ledger, now);
        }
        ledger.flight.clone()
    }
}

/// A renewal that never ended is held against no origin.
fn forget_flight(ledger: &mut Locked<'_>, now: Instant) {
    ledger.forgotten = ledger.flight.take();
    if let Some(origin) = ledger.forgotten.as_ref().and_then(|flight| flight.origin.clone()) {
        ledger.guard.failed(&origin, now);
    }
}
