//! What all clones of a cache share, and what a call sees of it.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{Acquire, Relaxed},
        },
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use super::{TokenStatus, flight::Flight, freshness::Entry, ledger::Ledger};
use crate::{
    AccessToken,
    clock::{Tick, now},
    source::AnySource,
};

/// What all clones of a cache, and the renewals in flight, share: as little as can be, since a pool holds many.
pub(crate) struct Shared<S: ?Sized> {
    pub(super) current: ArcSwapOption<Entry>,
    /// None: there is nothing to remember.
    ledger: Mutex<Option<Box<Ledger>>>,
    /// How many renewals brought a new token.
    pub(super) renewals: AtomicU32,
    /// Whether the storm guard holds an origin: all that a successful call looks at.
    engaged: AtomicBool,
    /// Whether somebody asked for it lately, for a pool's eviction.
    pub(crate) used: AtomicBool,
    pub(crate) source: S,
}

/// A cache whose source can be any.
pub(crate) type AnyCache = Shared<dyn AnySource>;

impl<S> Shared<S> {
    pub(crate) fn new(source: S) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            ledger: Mutex::default(),
            renewals: AtomicU32::new(0),
            engaged: AtomicBool::new(false),
            used: AtomicBool::new(false),
            source,
        }
    }
}

impl AnyCache {
    pub(super) fn publish_fixed(&self, token: AccessToken) {
        self.current.store(Some(Arc::new(Entry::fixed(token, now()))));
    }

    /// The fresh path: one atomic load, one look at a coarse clock, one reference counted.
    pub(super) fn cached(self: &Arc<Self>) -> Option<AccessToken> {
        let current = self.current.load();
        let entry = current.as_ref()?;
        if Tick::now() >= entry.fresh_until {
            return self.cached_past_refresh(entry);
        }
        Some(entry.token.clone())
    }

    #[cold]
    fn cached_past_refresh(self: &Arc<Self>, entry: &Entry) -> Option<AccessToken> {
        let now = now();
        if !entry.is_usable(now) {
            return None;
        }
        // The clock of the fresh path may have been early.
        if now >= entry.refresh_at {
            self.renew_in_background(now);
        }
        Some(entry.token.clone())
    }

    /// The token, how many renewals there were before it, and until when it is fresh.
    pub(super) fn fresh(&self) -> Option<(AccessToken, u32, Tick)> {
        // Before the token: if another comes meanwhile, the number is an old one, and nobody goes by it.
        let renewals = self.renewals.load(Acquire);
        let current = self.current.load();
        current.as_ref().map(|entry| (entry.token.clone(), renewals, entry.fresh_until))
    }

    /// Whether no other token has come since there were so many renewals.
    #[inline]
    pub(super) fn is_still(&self, renewals: u32) -> bool {
        self.renewals.load(Relaxed) == renewals
    }

    pub(super) fn lasts(&self, token: &AccessToken, wanted: Duration) -> bool {
        self.current.load().as_ref().is_some_and(|entry| entry.token == *token && entry.lasts(wanted, now()))
    }

    pub(super) fn held(&self) -> Option<AccessToken> {
        self.current.load().as_ref().map(|entry| entry.token.clone())
    }

    #[inline]
    pub(super) fn awaits_acceptance(&self) -> bool {
        self.engaged.load(Relaxed)
    }

    pub(super) fn accepted(&self, origin: &str, token: &AccessToken) {
        if self.awaits_acceptance() && self.current.load().as_ref().is_some_and(|entry| entry.token == *token) {
            self.lock().guard.accepted(origin, token, now());
        }
    }

    pub(super) fn status(&self) -> TokenStatus {
        let now = now();
        let current = self.current.load();
        let entry = current.as_ref();
        let mut ledger = self.lock();
        let left = |until: Instant| until.saturating_duration_since(now);
        TokenStatus {
            usable: entry.is_some_and(|entry| entry.is_usable(now)),
            expires_in: entry.and_then(|entry| entry.usable_until()).map(left),
            refresh_in: entry.map(|entry| left(entry.refresh_at)),
            renewing: self.live_flight(&mut ledger, now).is_some(),
            renewals: self.renewals.load(Relaxed).into(),
            scope: entry.and_then(|entry| entry.scope()).map(str::to_owned),
            last_error: ledger.last_error().cloned(),
        }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { engaged: &self.engaged, ledger, forgotten: None }
    }

    /// Whoever holds the lock sees to the renewal already.
    pub(super) fn try_lock(&self) -> Option<Locked<'_>> {
        let ledger = match self.ledger.try_lock() {
            Ok(ledger) => ledger,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Locked { engaged: &self.engaged, ledger, forgotten: None })
    }
}

/// The ledger, locked; a new one where there was none. One with nothing in it is given up with the lock.
pub(super) struct Locked<'a> {
    engaged: &'a AtomicBool,
    ledger: MutexGuard<'a, Option<Box<Ledger>>>,
    /// Dropped after the lock: the end of its span is code of others.
    pub(super) forgotten: Option<Flight>,
}

static BLANK: Ledger = Ledger::BLANK;

impl Deref for Locked<'_> {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        self.ledger.as_deref().unwrap_or(&BLANK)
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Ledger {
        self.ledger.get_or_insert_with(|| Box::new(Ledger::BLANK))
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.engaged.store(self.guard.is_engaged(), Relaxed);
        if self.is_blank() {
            *self.ledger = None;
        }
    }
}
