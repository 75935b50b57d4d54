//! One detached renewal at a time, shared by all who wait for it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{runtime::Handle, sync::watch, time::Instant};

use super::{TokenStatus, freshness::Entry, guard::StormGuard, ledger::Ledger};
use crate::{
    AccessToken, Error, ErrorKind, Rejection, TokenSet, clock::Clock, request::EXCHANGE_DEADLINE, source::AnySource,
    timer,
};

/// A source of the caller's own is held to the exchange's deadline too, a little later than one of ours, which then has
/// the better words for it.
const DEADLINE: Duration = EXCHANGE_DEADLINE.saturating_add(Duration::from_millis(500));
/// When whoever waits takes over: the task that renews is on a runtime that stands still.
const TAKE_OVER_AFTER: Duration = EXCHANGE_DEADLINE.saturating_add(Duration::from_secs(1));
/// A token that lives for less than this is no use: every call would fetch another.
const MIN_LIFETIME: Duration = Duration::from_millis(100);
/// How often one waiter takes over before it gives up.
const MAX_TAKE_OVERS: u32 = 3;

/// What a caller of the cache needs.
#[derive(Clone, Copy)]
pub(super) enum Need<'a> {
    Any,
    /// Another token than one that an origin rejected.
    Instead(&'a Rejection),
}

impl Need<'_> {
    fn is_met_by(&self, token: &AccessToken) -> bool {
        match self {
            Need::Any => true,
            Need::Instead(rejection) => rejection.token != *token,
        }
    }
}

/// What all clones of a cache, and the renewals in flight, share.
pub(super) struct Shared {
    current: ArcSwapOption<Entry>,
    source: Box<dyn AnySource>,
    clock: Clock,
    ledger: Mutex<Ledger>,
    guard: StormGuard,
}

/// A renewal on its way.
#[derive(Clone)]
pub(super) struct Flight {
    id: u64,
    started: Instant,
    /// The origin whose rejection caused it.
    origin: Option<Box<str>>,
    outcome: watch::Receiver<Option<Outcome>>,
}

type Outcome = Result<AccessToken, Error>;

/// A renewal that is to be spawned, once no lock is held.
struct Launch {
    id: u64,
    publish: watch::Sender<Option<Outcome>>,
    /// What caused it, for the source.
    rejection: Option<Rejection>,
}

enum Step {
    Have(AccessToken),
    Wait(Flight),
}

impl Shared {
    pub(super) fn new(source: Box<dyn AnySource>) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            source,
            clock: Clock::new(),
            ledger: Mutex::default(),
            guard: StormGuard::default(),
        }
    }

    pub(super) fn publish_fixed(&self, token: AccessToken) {
        self.current.store(Some(Arc::new(Entry::fixed(token, self.clock.now()))));
    }

    /// The fresh path: one atomic load, one look at the clock, one reference counted.
    pub(super) fn cached(self: &Arc<Self>) -> Option<AccessToken> {
        let current = self.current.load();
        let entry = current.as_ref()?;
        let now = self.clock.now();
        if now >= entry.refresh_at {
            return self.cached_past_refresh(entry, now);
        }
        Some(entry.token.clone())
    }

    pub(super) fn held(&self) -> Option<AccessToken> {
        self.current.load().as_ref().map(|entry| entry.token.clone())
    }

    #[cold]
    fn cached_past_refresh(self: &Arc<Self>, entry: &Entry, now: Instant) -> Option<AccessToken> {
        if !entry.is_usable(now) {
            return None;
        }
        self.renew_in_background(now);
        Some(entry.token.clone())
    }

    fn renew_in_background(self: &Arc<Self>, now: Instant) {
        // Without a runtime the token serves on; and nothing is noted, as others may have one.
        if timer::runtime().is_err() || !self.try_lock().is_some_and(|mut ledger| self.is_due(&mut ledger, now)) {
            return;
        }
        // Looked for last, and not under the lock: it costs an allocation, or a panic where there is none.
        let Some(runtime) = timer::runtime_with_timer_unless_refused(now) else { return };
        let mut ledger = self.lock();
        if self.is_due(&mut ledger, now) {
            let (_, launch) = launch(&mut ledger, None, None, now);
            drop(ledger);
            self.spawn(&runtime, launch);
        }
    }

    /// Looked at under the lock: a renewal may have ended, or begun, since the caller looked.
    fn is_due(&self, ledger: &mut Ledger, now: Instant) -> bool {
        let is_past = self.current.load().as_ref().is_some_and(|entry| now >= entry.refresh_at);
        is_past && self.live_flight(ledger, now).is_none() && ledger.may_renew_in_background(now)
    }

    /// Whoever holds the lock sees to the renewal already.
    fn try_lock(&self) -> Option<MutexGuard<'_, Ledger>> {
        match self.ledger.try_lock() {
            Ok(ledger) => Some(ledger),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Waits for what is needed. When that is not to be had, a token serves until it really expires (F8); and nobody
    /// waits so long for a better one that it does.
    pub(super) async fn obtain(self: &Arc<Self>, need: Need<'_>) -> Outcome {
        let Some((_, left)) = self.last_resort(need) else {
            return self.await_renewal(need).await;
        };
        let outcome = timer::timeout(left / 2, self.await_renewal(need)).await;
        if let Ok(Some(Ok(renewed))) = outcome {
            return Ok(renewed);
        }
        // Whoever is polled late may find that it has expired by now.
        match (self.last_resort(need), outcome) {
            (Some((token, _)), _) => Ok(token),
            (None, Ok(Some(failed))) => failed,
            (None, _) => self.await_renewal(need).await,
        }
    }

    fn is_usable(&self, token: &AccessToken) -> bool {
        let current = self.current.load();
        current.as_ref().is_some_and(|entry| entry.token == *token && entry.is_usable(self.clock.now()))
    }

    /// A token that is past its use, but has not expired.
    fn last_resort(&self, need: Need<'_>) -> Option<(AccessToken, Duration)> {
        let current = self.current.load();
        let entry = current.as_ref().filter(|entry| need.is_met_by(&entry.token))?;
        Some((entry.token.clone(), entry.valid_for(self.clock.now())?))
    }

    /// Joins a renewal, or starts one.
    async fn await_renewal(self: &Arc<Self>, need: Need<'_>) -> Outcome {
        for _ in 0..=MAX_TAKE_OVERS {
            self.look_for_new_credential();
            let flight = match self.next_step(need)? {
                Step::Have(token) => return Ok(token),
                Step::Wait(flight) => flight,
            };
            match flight.wait(&self.clock).await? {
                Some(Ok(token)) if !need.is_met_by(&token) => return Err(same_token()),
                Some(Ok(token)) if self.is_usable(&token) => return Ok(token),
                // Whoever is polled late finds that the token has had its use meanwhile.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                // The runtime that drove it ended or stands still: the next round takes over.
                None => self.give_up_on(flight.id),
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
        let now = self.clock.now();
        let mut ledger = self.lock();
        // Looked at under the lock: a renewal may have ended since the caller looked.
        let current = self.current.load();
        let usable = current.as_ref().filter(|entry| entry.is_usable(now)).map(|entry| &entry.token);
        if let Some(token) = usable.filter(|token| need.is_met_by(token)) {
            return Ok(Step::Have(token.clone()));
        }
        if let Some(flight) = self.live_flight(&mut ledger, now) {
            return Ok(Step::Wait(flight));
        }
        if let Some(error) = ledger.remembered_error(now) {
            return Err(error.clone());
        }
        let origin = match need {
            // What would be used otherwise has been rejected: that is what the guard is for.
            Need::Instead(rejection) if usable == Some(&rejection.token) => {
                self.guard.admit(&rejection.origin, &rejection.token, now)?;
                Some(rejection.origin.as_str().into())
            }
            // Anybody would renew now, whatever was rejected before.
            Need::Instead(_) | Need::Any => None,
        };
        let rejection = match need {
            Need::Instead(rejection) => Some(rejection.clone()),
            Need::Any => None,
        };
        let (flight, launch) = launch(&mut ledger, origin, rejection, now);
        drop(ledger);
        self.spawn(&runtime, launch);
        Ok(Step::Wait(flight))
    }

    /// Never called with a lock held: a runtime that shuts down drops the task here and now.
    fn spawn(self: &Arc<Self>, runtime: &Handle, launch: Launch) {
        let shared = Arc::clone(self);
        runtime.spawn(async move {
            let since = shared.clock.now();
            // Before the exchange reads the credential: one that changes meanwhile is a new one.
            let fingerprint = shared.fingerprint();
            let result = shared.fetch(launch.rejection.as_ref()).await;
            if let Some(outcome) = shared.settle(launch.id, since, fingerprint, result) {
                launch.publish.send_replace(Some(outcome));
            }
        });
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
        self.source.accepts_claims()
    }

    fn fingerprint(&self) -> Option<u64> {
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
        let now = self.clock.now();
        let mut ledger = self.lock();
        let flight = ledger.flight.take_if(|flight| flight.id == id)?;
        let first_failure = ledger.last_error().is_none();
        let outcome = result.and_then(|tokens| self.publish(&mut ledger, &tokens, since, now));
        match &outcome {
            Ok(_) => {}
            // It says nothing of the server, and another runtime may fare better.
            Err(error) if error.kind() == ErrorKind::NoRuntime => {}
            Err(error) => ledger.failed(error.clone(), fingerprint, now),
        }
        if let Some(origin) = &flight.origin {
            match &outcome {
                Ok(_) => self.guard.renewed(origin, now),
                Err(_) => self.guard.failed(origin, now),
            }
        }
        drop(ledger);
        // Not under the lock: whoever listens may look at the cache.
        if let Err(error) = &outcome
            && first_failure
        {
            tracing::warn!(%error, "an access token could not be renewed");
        }
        Some(outcome)
    }

    fn publish(&self, ledger: &mut Ledger, tokens: &TokenSet, since: Instant, now: Instant) -> Outcome {
        let entry = Entry::new(tokens, since);
        if let Some(current) = self.current.load().as_ref()
            && current.token == entry.token
            && current.is_usable(now)
        {
            // Not a renewal: what was known of the token stays (F9).
            let usable_for = current.usable_until.map(|until| until.saturating_duration_since(now));
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
        ledger.succeeded();
        Ok(token)
    }

    fn give_up_on(&self, id: u64) {
        let mut ledger = self.lock();
        if ledger.flight.as_ref().is_some_and(|flight| flight.id == id) {
            self.forget_flight(&mut ledger, self.clock.now());
        }
    }

    /// The renewal that runs, if somebody still drives it; one that nobody drives is forgotten.
    fn live_flight(&self, ledger: &mut Ledger, now: Instant) -> Option<Flight> {
        let flight = ledger.flight.as_ref()?;
        let dropped = flight.outcome.has_changed().is_err();
        if dropped || now.saturating_duration_since(flight.started) >= TAKE_OVER_AFTER {
            self.forget_flight(ledger, now);
        }
        ledger.flight.clone()
    }

    /// A renewal that never ended is held against no origin.
    fn forget_flight(&self, ledger: &mut Ledger, now: Instant) {
        if let Some(origin) = ledger.flight.take().and_then(|flight| flight.origin) {
            self.guard.failed(&origin, now);
        }
    }

    /// After a permanent error, a credential that changed is worth a new attempt at once.
    fn look_for_new_credential(&self) {
        if self.lock().should_look_for_new_credential(self.clock.now()) {
            let fingerprint = self.fingerprint();
            self.lock().saw_credential(fingerprint);
        }
    }

    pub(super) fn accepted(&self, origin: &str, token: &AccessToken) {
        if self.guard.is_engaged() && self.current.load().as_ref().is_some_and(|entry| entry.token == *token) {
            self.guard.accepted(origin, token, self.clock.now());
        }
    }

    pub(super) fn status(&self) -> TokenStatus {
        let now = self.clock.now();
        let current = self.current.load();
        let entry = current.as_ref();
        let mut ledger = self.lock();
        let left = |until: Instant| until.saturating_duration_since(now);
        TokenStatus {
            usable: entry.is_some_and(|entry| entry.is_usable(now)),
            expires_in: entry.and_then(|entry| entry.usable_until).map(left),
            refresh_in: entry.map(|entry| left(entry.refresh_at)),
            renewing: self.live_flight(&mut ledger, now).is_some(),
            renewals: ledger.renewals,
            scope: entry.and_then(|entry| entry.scope.as_deref()).map(str::to_owned),
            last_error: ledger.last_error().cloned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn launch(
    ledger: &mut Ledger,
    origin: Option<Box<str>>,
    rejection: Option<Rejection>,
    now: Instant,
) -> (Flight, Launch) {
    ledger.flights += 1;
    let id = ledger.flights;
    let (publish, outcome) = watch::channel(None);
    let flight = Flight { id, started: now, origin, outcome };
    ledger.flight = Some(flight.clone());
    (flight, Launch { id, publish, rejection })
}

impl Flight {
    /// None: nobody drives it any more.
    async fn wait(&self, clock: &Clock) -> Result<Option<Outcome>, Error> {
        let mut outcome = self.outcome.clone();
        let left = TAKE_OVER_AFTER.saturating_sub(clock.now().saturating_duration_since(self.started));
        let ended = timer::timeout(left, outcome.wait_for(Option::is_some)).await?;
        Ok(ended.and_then(Result::ok).and_then(|outcome| outcome.clone()))
    }
}

fn same_token() -> Error {
    let message = "the authorization server handed out the rejected token again; it may cache tokens, or not know that \
                   this one was revoked";
    Error::new(ErrorKind::SameToken, message)
}
