//! A token source whose tokens are kept in a store.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    Lease, Record, SharedStore, StoreKey,
    kept::{Kept, counted_from_before},
    origin::{Named, Origin, Requested},
    shared::CALL_TIMEOUT,
};
use crate::{
    Error, ErrorKind, Grant, Rejection, TokenCache, TokenRequest, TokenSet, TokenSource, clock::jitter,
    request::EXCHANGE_DEADLINE, timer,
};

/// As long as an exchange may take, and a little more: who crashes with a lease keeps others waiting for so long.
const LEASE: Duration = EXCHANGE_DEADLINE.saturating_add(Duration::from_secs(2));
/// How long somebody waits for another one's exchange, before it makes its own: time for an attempt is left then.
const WAIT: Duration = Duration::from_secs(4);
/// The pauses between two looks: the first, and the longest.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// A token that is not saved by then is not saved: its cache would lose patience.
const SAVE_BY: Duration = EXCHANGE_DEADLINE.saturating_add(Duration::from_millis(300));

/// A [`TokenSource`] whose tokens are kept in a [store](SharedStore), so that they outlive the process, or a fleet makes one
/// token request where each process would make its own. Made by [`TokenRequest::stored`] or [`SharedStore::source`].
///
/// ```
/// # #[cfg(feature = "reqwest")] {
/// # use oauth_tokens::{AuthorizationServer, ClientAuth, Secret};
/// use oauth_tokens::{FileStore, StoreKeys};
///
/// let store = FileStore::new("/var/cache/report/tokens").encrypted(StoreKeys::new(Secret::file("/etc/report/keys")));
/// # let server = AuthorizationServer::issuer("https://id.example.com")?;
/// let client = server.client("report", ClientAuth::secret_basic(Secret::file("/run/secrets/report")))?;
/// let tokens = client.client_credentials().scope("orders").stored(store).cached()?;
/// # let _ = tokens;
/// # }
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
///
/// # How it works
///
/// A fetch takes the stored token, unless it is due for renewal or was rejected. Then whoever gets the store's lease makes the
/// exchange, and saves what it brings. The others are served the token that there is, or wait for the new one: at most 4 s,
/// then they make an exchange of their own. An older token never takes the place of a newer one; one that an API rejected is
/// deleted, and not read again.
///
/// The store is a help, never a need: where it fails, takes more than half a second, or holds garbage, the exchange is made
/// without it. All of it ends within the deadline of an exchange, 10 s.
///
/// # Whose tokens are they?
///
/// They are found again by all that makes tokens differ (F14): the server and the client's id, the grant and what it hands in
/// (its digest), scopes and the other parameters in any order, and the thumbprint of the DPoP key. What is handed in may be
/// short-lived itself, as the token of a caller or a workload: tokens are then shared for as long as it is the same.
pub struct StoredSource {
    origin: Box<dyn Origin>,
    store: SharedStore,
}

impl<G: Grant> TokenRequest<G> {
    /// Keeps the tokens in a store: see [`StoredSource`].
    pub fn stored(self, store: impl Into<SharedStore>) -> StoredSource {
        let origin = Box::new(Requested { request: self, name: None });
        StoredSource { origin, store: store.into() }
    }

    /// [`stored`](Self::stored), for tokens that differ by more than the request tells: a grant of your own, or a client that
    /// shows a certificate. The name says what it is, besides all that the request tells; it is no secret. A grant whose
    /// [`identity`](Grant::identity) is none is known by the name alone: it is to say whom the tokens speak of.
    pub fn stored_as(self, name: impl Into<String>, store: impl Into<SharedStore>) -> StoredSource {
        let origin = Box::new(Requested { request: self, name: Some(name.into()) });
        StoredSource { origin, store: store.into() }
    }
}

impl SharedStore {
    /// Keeps the tokens of a source of your own in this store, under a name that no other source has: see [`StoredSource`].
    ///
    /// ```
    /// # use oauth_tokens::{AccessToken, MemoryStore, TokenSet, source_fn};
    /// use oauth_tokens::SharedStore;
    ///
    /// # let from_vault = source_fn(|| async { Ok(TokenSet::new(AccessToken::bearer("t0k3n")?)) });
    /// # let store = SharedStore::new(MemoryStore::new());
    /// let tokens = store.source("vault: orders", from_vault).cached()?;
    /// # let _ = tokens;
    /// # Ok::<(), oauth_tokens::Error>(())
    /// ```
    pub fn source(&self, name: impl Into<String>, source: impl TokenSource) -> StoredSource {
        let origin = Box::new(Named { source, name: name.into(), scopes: Vec::new() });
        StoredSource { origin, store: self.clone() }
    }
}

/// What a look into the store comes to.
enum Look {
    Found(TokenSet),
    /// There is none that will do, and nobody else renews it.
    Ours(Place),
    /// Somebody else takes too long.
    Alone,
}

/// Where a new record goes.
struct Place {
    lease: Lease,
    /// The version that it replaces.
    previous: Option<u64>,
}

/// A record that was loaded, and what can be made of it.
struct Loaded {
    version: u64,
    is_due: bool,
    tokens: Option<TokenSet>,
}

impl StoredSource {
    /// A token that stays fresh. No I/O: the first token is looked for when it is asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when something was asked for that cannot be sent, or when the store could not tell the tokens
    /// from those of another client or, of a refresh token, of another user. Of a grant of your own without an
    /// [identity](Grant::identity) this is said when the first token is asked for.
    pub fn cached(self) -> Result<TokenCache, Error> {
        self.origin.validate()?;
        Ok(TokenCache::new(self))
    }

    async fn obtain(&self, rejection: Option<&Rejection>) -> Result<TokenSet, Error> {
        let began = Instant::now();
        self.origin.validate()?;
        let key = self.origin.store_key().await?;
        let found = if self.store.is_left_alone() { Ok(Look::Alone) } else { self.look(&key, rejection, began).await };
        let place = match found {
            Ok(Look::Found(tokens)) => return Ok(tokens),
            Ok(Look::Ours(place)) => Some(place),
            Ok(Look::Alone) => None,
            Err(error) => {
                tracing::debug!(%error, "a token is fetched without the store");
                None
            }
        };
        let (issued_at, waited) = (self.store.now(), began.elapsed());
        let left = EXCHANGE_DEADLINE.saturating_sub(began.elapsed());
        let outcome = timer::timeout(left, self.origin.fetch(rejection)).await?.unwrap_or_else(|| Err(too_late()));
        match place {
            Some(place) => {
                let limit = CALL_TIMEOUT.min(SAVE_BY.saturating_sub(began.elapsed()));
                self.give_back(&key, place, rejection, &outcome, issued_at, limit).await;
            }
            // What could not be deleted is not read again, either.
            None if rejection.is_some() => self.store.raise_floor(&key, self.store.next_version(&key, None)),
            None => {}
        }
        outcome.map(|tokens| counted_from_before(tokens, waited))
    }

    /// Looks until there is a token, or the right to renew it.
    async fn look(&self, key: &StoreKey, rejection: Option<&Rejection>, began: Instant) -> Result<Look, Error> {
        let mut pause = LOOK_EVERY.0;
        loop {
            let loaded = match self.load(key, rejection, began).await? {
                Some(Loaded { tokens: Some(tokens), is_due: false, .. }) => return Ok(Look::Found(tokens)),
                loaded => loaded,
            };
            if let Some(lease) = self.store.lease(key, LEASE).await? {
                return self.look_again(key, rejection, began, lease).await;
            }
            // Its cache comes back for the new one, in a rhythm of its own.
            if let Some(tokens) = loaded.and_then(|loaded| loaded.tokens) {
                return Ok(Look::Found(tokens));
            }
            if began.elapsed() >= WAIT {
                return Ok(Look::Alone);
            }
            timer::sleep(pause / 2 + jitter(pause))?.await;
            pause = (pause * 3 / 2).min(LOOK_EVERY.1);
        }
    }

    /// With the lease in hand: another one may have renewed the token, and given the lease back, since we looked.
    async fn look_again(
        &self,
        key: &StoreKey,
        rejection: Option<&Rejection>,
        began: Instant,
        lease: Lease,
    ) -> Result<Look, Error> {
        match self.load(key, rejection, began).await? {
            Some(Loaded { tokens: Some(tokens), is_due: false, .. }) => {
                self.store.release(key, &lease).await;
                Ok(Look::Found(tokens))
            }
            loaded => Ok(Look::Ours(Place { lease, previous: loaded.map(|loaded| loaded.version) })),
        }
    }

    /// The record that there is. One whose token was rejected is deleted, and there is none.
    async fn load(
        &self,
        key: &StoreKey,
        rejection: Option<&Rejection>,
        began: Instant,
    ) -> Result<Option<Loaded>, Error> {
        let Some(record) = self.store.load(key).await? else { return Ok(None) };
        let (version, kept, now) = (record.version, Kept::read(&record), self.store.now());
        let rejected = rejection.map(|rejection| rejection.token.secret());
        if kept.as_ref().is_some_and(|kept| rejected == Some(kept.access_token())) {
            self.store.raise_floor(key, version.saturating_add(1));
            self.store.delete(key, version).await?;
            return Ok(None);
        }
        let kept = kept.filter(|_| version >= self.store.floor(key));
        let is_due = kept.as_ref().is_none_or(|kept| kept.is_due(now));
        let tokens = kept.and_then(|kept| kept.tokens(now, self.origin.bound_key().as_ref()));
        if tokens.is_some() {
            self.store.raise_floor(key, version);
        }
        let tokens = tokens.map(|tokens| counted_from_before(tokens, began.elapsed()));
        Ok(Some(Loaded { version, is_due, tokens }))
    }

    /// Saves what an exchange brought, and gives the lease back.
    async fn give_back(
        &self,
        key: &StoreKey,
        place: Place,
        rejection: Option<&Rejection>,
        outcome: &Result<TokenSet, Error>,
        issued_at: SystemTime,
        limit: Duration,
    ) {
        let is_another = |tokens: &&TokenSet| rejection.is_none_or(|rejection| rejection.token != tokens.access_token);
        if let Some(tokens) = outcome.as_ref().ok().filter(is_another) {
            let version = self.store.next_version(key, place.previous);
            self.store.raise_floor(key, version);
            if let Some(record) = self.record(tokens, version, issued_at)
                && self.store.replace_within(limit, key, place.previous, &record).await.is_err()
            {
                // It would only be waited for again.
                return;
            }
        }
        self.store.release(key, &place.lease).await;
    }

    /// None: it could not be bound to its key again, so it is of no use to others.
    fn record(&self, tokens: &TokenSet, version: u64, issued_at: SystemTime) -> Option<Record> {
        let kept = Kept::of(tokens, issued_at);
        kept.tokens(issued_at, self.origin.bound_key().as_ref())?;
        Some(kept.to_record(version, kept.expires_at()))
    }
}

fn too_late() -> Error {
    let message = format!(
        "the token request, with what the token store took, did not end within {} s; check that the server is up and reachable",
        EXCHANGE_DEADLINE.as_secs()
    );
    Error::new(ErrorKind::Timeout, message)
}

impl TokenSource for StoredSource {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        self.obtain(None).await
    }

    async fn fetch_after(&self, rejection: &Rejection) -> Result<TokenSet, Error> {
        self.obtain(Some(rejection)).await
    }

    fn accepts_claims(&self) -> bool {
        self.origin.accepts_claims()
    }

    fn scoped(self, scopes: &[String]) -> Result<Self, Error> {
        Ok(Self { origin: self.origin.scoped(scopes)?, store: self.store })
    }

    fn holds_state(&self) -> bool {
        self.origin.holds_state()
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        self.origin.credential_fingerprint()
    }
}

impl fmt::Debug for StoredSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSource").field("origin", &self.origin).field("store", &self.store).finish()
    }
}
