//! A store as many sources share it: each call bounded, outages noticed once, and not paid for again and again.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use super::{Lease, Record, StoreKey, TokenStore};
use crate::{
    BoxError, Error, ErrorKind,
    clock::{Clock, after, doubled, jitter},
    telemetry::{self, StoreOperation},
    timer,
};

/// How long a store may take for a call.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a store that failed is left alone by those who can do without it.
const LEFT_ALONE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// How long a store must have worked until its next failure is news.
const OUTAGE_ENDS_AFTER: Duration = Duration::from_secs(30);
/// Of so many keys, twice, the oldest record that is still taken is known.
const FLOORS: usize = 5_000;

/// A [`TokenStore`] that many token sources share. Cheap to clone; clones know of one another's outages.
///
/// Each call is held to half a second. A store that failed is left alone for 1 s, then 2 s, up to 10 s, by all who can do
/// without it; and an outage is one warning, however many tokens it concerns.
///
/// ```
/// # #[cfg(feature = "reqwest")] {
/// # use oauth_tokens::{AuthorizationServer, ClientAuth, Secret};
/// use oauth_tokens::{FileStore, SharedStore};
///
/// let store = SharedStore::new(FileStore::new("/var/cache/report/tokens"));
/// # let server = AuthorizationServer::issuer("https://id.example.com")?;
/// let client = server.client("report", ClientAuth::secret_basic(Secret::file("/run/secrets/report")))?;
/// let orders = client.client_credentials().scope("orders").stored(&store).cached()?;
/// let stock = client.client_credentials().scope("stock").stored(&store).cached()?;
/// # let _ = (orders, stock);
/// # }
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct SharedStore(Arc<Shared>);

struct Shared {
    store: Box<dyn AnyStore>,
    clock: Clock,
    health: Mutex<Health>,
    floors: Mutex<Floors>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    failed_at: Option<Instant>,
    leave_until: Option<Instant>,
    known_to_fail: bool,
}

/// The oldest version that is still taken, for the keys that were used lately: a store that lost its newest writes may
/// come back with a token that was rejected.
#[derive(Default)]
struct Floors {
    young: HashMap<StoreKey, u64>,
    old: HashMap<StoreKey, u64>,
}

impl Floors {
    fn of(&self, key: &StoreKey) -> u64 {
        self.young.get(key).or_else(|| self.old.get(key)).copied().unwrap_or_default()
    }
}

impl SharedStore {
    /// A store to share.
    #[must_use]
    pub fn new(store: impl TokenStore) -> Self {
        Self(Arc::new(Shared {
            store: Box::new(store),
            clock: Clock::new(),
            health: Mutex::default(),
            floors: Mutex::default(),
        }))
    }

    /// What a key has; see [`TokenStore::load`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] when the store fails, or takes too long.
    pub async fn load(&self, key: &StoreKey) -> Result<Option<Record>, Error> {
        self.call(StoreOperation::Load, CALL_TIMEOUT, self.0.store.load(key)).await
    }

    /// Puts a record in the place of the one with the expected version; see [`TokenStore::replace`].
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load): it may be there all the same.
    pub async fn replace(&self, key: &StoreKey, expected: Option<u64>, record: &Record) -> Result<bool, Error> {
        self.replace_within(CALL_TIMEOUT, key, expected, record).await
    }

    pub(crate) async fn replace_within(
        &self,
        limit: Duration,
        key: &StoreKey,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<bool, Error> {
        self.call(StoreOperation::Replace, limit, self.0.store.replace(key, expected, record)).await
    }

    /// Deletes the record with this version; see [`TokenStore::delete`].
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load): it may be gone all the same.
    pub async fn delete(&self, key: &StoreKey, expected: u64) -> Result<bool, Error> {
        self.call(StoreOperation::Delete, CALL_TIMEOUT, self.0.store.delete(key, expected)).await
    }

    pub(crate) async fn lease(&self, key: &StoreKey, time: Duration) -> Result<Option<Lease>, Error> {
        self.call(StoreOperation::Lease, CALL_TIMEOUT, self.0.store.lease(key, time)).await
    }

    /// Whoever holds a lease too long loses it anyway: so a failure is no matter.
    pub(crate) async fn release(&self, key: &StoreKey, lease: &Lease) {
        let _ = self.call(StoreOperation::Release, CALL_TIMEOUT, self.0.store.release(key, lease)).await;
    }

    /// Whether the store failed a moment ago, so that whoever can do without it does.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.health().leave_until.is_some_and(|until| self.0.clock.now() < until)
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.0.clock.wall()
    }

    /// The version of a record that takes this one's place: by the clock, so that a store that lost all does not begin anew.
    pub(crate) fn next_version(&self, key: &StoreKey, previous: Option<u64>) -> u64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let by_clock = u64::try_from(since.as_millis()).unwrap_or_default();
        by_clock.max(previous.unwrap_or_default().saturating_add(1)).max(self.floor(key).saturating_add(1))
    }

    /// The oldest version of a key that is still taken.
    pub(crate) fn floor(&self, key: &StoreKey) -> u64 {
        self.0.floors.lock().unwrap_or_else(PoisonError::into_inner).of(key)
    }

    /// Nothing older than this version is taken from now on.
    pub(crate) fn raise_floor(&self, key: &StoreKey, version: u64) {
        let mut floors = self.0.floors.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = floors.of(key).max(version);
        if floors.young.len() >= FLOORS && !floors.young.contains_key(key) {
            floors.old = std::mem::take(&mut floors.young);
        }
        floors.young.insert(key.clone(), floor);
    }

    async fn call<T>(&self, operation: StoreOperation, limit: Duration, call: Calling<'_, T>) -> Result<T, Error> {
        let result = match timer::timeout(limit, timer::catch_panic(call)).await? {
            Some(Some(Ok(answer))) => {
                self.worked();
                return Ok(answer);
            }
            Some(Some(Err(cause))) => error(operation, "failed; see the error's source").caused_by(cause),
            Some(None) => error(operation, "panicked; the panic's message is on stderr"),
            None => error(operation, &format!("did not end within {} ms", limit.as_millis())),
        };
        telemetry::store_failed(operation);
        self.failed(&result);
        Err(result)
    }

    fn worked(&self) {
        let now = self.0.clock.now();
        let mut health = self.health();
        health.failures = 0;
        health.leave_until = None;
        let long_ago = health.failed_at.is_none_or(|at| now.saturating_duration_since(at) >= OUTAGE_ENDS_AFTER);
        if long_ago && std::mem::take(&mut health.known_to_fail) {
            drop(health);
            tracing::info!("the token store works again");
        }
    }

    fn failed(&self, error: &Error) {
        let now = self.0.clock.now();
        let mut health = self.health();
        let (first, longest) = LEFT_ALONE;
        let pause = doubled(first, health.failures, longest);
        health.leave_until = Some(after(now, pause - jitter(pause / 4)));
        health.failures = health.failures.saturating_add(1);
        health.failed_at = Some(now);
        let is_news = !std::mem::replace(&mut health.known_to_fail, true);
        drop(health);
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        if is_news {
            tracing::warn!(%error, cause, "the token store does not work; tokens are fetched without it where that is possible");
        } else {
            tracing::debug!(%error, cause, "the token store failed again");
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.0.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error(operation: StoreOperation, what: &str) -> Error {
    let call = match operation {
        StoreOperation::Load => "load a record",
        StoreOperation::Replace => "save a record",
        StoreOperation::Delete => "delete a record",
        StoreOperation::Lease => "take a lease",
        StoreOperation::Release => "give a lease back",
    };
    Error::new(ErrorKind::Store, format!("the token store was to {call}, and {what}"))
}

impl<S: TokenStore> From<S> for SharedStore {
    fn from(store: S) -> Self {
        Self::new(store)
    }
}

impl From<&SharedStore> for SharedStore {
    fn from(store: &SharedStore) -> Self {
        store.clone()
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore").field("left_alone", &self.is_left_alone()).finish_non_exhaustive()
    }
}

type Calling<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// A [`TokenStore`] behind a pointer.
trait AnyStore: Send + Sync {
    fn load<'a>(&'a self, key: &'a StoreKey) -> Calling<'a, Option<Record>>;
    fn replace<'a>(&'a self, key: &'a StoreKey, expected: Option<u64>, record: &'a Record) -> Calling<'a, bool>;
    fn delete<'a>(&'a self, key: &'a StoreKey, expected: u64) -> Calling<'a, bool>;
    fn lease<'a>(&'a self, key: &'a StoreKey, time: Duration) -> Calling<'a, Option<Lease>>;
    fn release<'a>(&'a self, key: &'a StoreKey, lease: &'a Lease) -> Calling<'a, ()>;
}

// The store is called inside: it may panic before it has made its future.
impl<S: TokenStore> AnyStore for S {
    fn load<'a>(&'a self, key: &'a StoreKey) -> Calling<'a, Option<Record>> {
        Box::pin(async move { TokenStore::load(self, key).await })
    }

    fn replace<'a>(&'a self, key: &'a StoreKey, expected: Option<u64>, record: &'a Record) -> Calling<'a, bool> {
        Box::pin(async move { TokenStore::replace(self, key, expected, record).await })
    }

    fn delete<'a>(&'a self, key: &'a StoreKey, expected: u64) -> Calling<'a, bool> {
        Box::pin(async move { TokenStore::delete(self, key, expected).await })
    }

    fn lease<'a>(&'a self, key: &'a StoreKey, time: Duration) -> Calling<'a, Option<Lease>> {
        Box::pin(async move { TokenStore::lease(self, key, time).await })
    }

    fn release<'a>(&'a self, key: &'a StoreKey, lease: &'a Lease) -> Calling<'a, ()> {
        Box::pin(async move { TokenStore::release(self, key, lease).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryStore;

    #[test]
    fn s3_floors_that_are_raised_at_once_are_never_lowered() {
        let (store, key) = (SharedStore::new(MemoryStore::new()), StoreKey::digest(&[b"a"]));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (store, key) = (store.clone(), key.clone());
                scope.spawn(move || {
                    for round in 0..50_000 {
                        let version = round * 4 + thread;
                        store.raise_floor(&key, version);
                        assert!(store.floor(&key) >= version, "{version}");
                    }
                });
            }
        });
    }
}
