//! Many tokens: a bounded set of caches by key.
//!
//! | file | idea |
//! |---|---|
//! | `key.rs` | what a cache is found by, and where its tokens come from |
//! | `shard.rs` | a part of the pool behind one lock, and which cache makes room |

mod key;
mod shard;

use std::{
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use self::{
    key::{AnyKey, Keyed, Maker, Wanted},
    shard::{Shard, Slot},
};
use crate::{AccessToken, Error, ErrorKind, TokenCache, TokenSource, cache::Shared};

const DEFAULT_CAPACITY: usize = 10_000;
/// Locks side by side, for a pool of so many keys that each still has enough to choose from when one is to make room.
const SHARDS: usize = 16;
const KEYS_FOR_SHARDS: usize = 4096;

/// A bounded set of [`TokenCache`]s by key: a tenant, a user, a resource, or whatever else a service gets different tokens for.
///
/// - Each key has one cache, however many ask for it at once: ten thousand callers of one key make one token request.
/// - When the pool is full (10,000 keys unless [told otherwise](Self::capacity)), the cache that was not used for long makes room. One in
///   renewal never does, nor one that somebody holds: a pool full of those refuses
///   ([`ErrorKind::PoolFull`]), and does not grow (F15). So keep the pool and ask it each time, rather than keep what
///   it gave.
/// - Keys that differ never share a token (F14). A key is to hold all that makes tokens differ for the function that makes
///   sources.
/// - What a source remembers between two fetches (a refresh token that rotates) is lost with its key. For users' refresh tokens there
///   is `UserTokens` (feature `store`).
///
/// A pool is cheap to clone; clones share all.
///
/// ```
/// use oauth_tokens::TokenPool;
///
/// # #[cfg(feature = "reqwest")] {
/// # use oauth_tokens::{AuthorizationServer, ClientAuth, Secret};
/// # let client = AuthorizationServer::issuer("https://id.example.com")?
/// #     .client("m2m", ClientAuth::secret_basic(Secret::file("/run/secrets/m2m")))?;
/// let tenants = TokenPool::new(move |tenant: &String| {
///     Ok(client.client_credentials().scope("crm").param("tenant", tenant))
/// })
/// .capacity(100_000);
///
/// let acme = tenants.get(&"acme".to_owned())?; // a TokenCache; no I/O yet
/// # let _ = acme;
/// # }
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
pub struct TokenPool<K>(Arc<Inner<K>>);

struct Inner<K> {
    maker: Arc<Maker<K>>,
    capacity: AtomicUsize,
    /// How many shards are in use.
    spread: AtomicUsize,
    hasher: RandomState,
    shards: [RwLock<Shard<K>>; SHARDS],
    keys: AtomicUsize,
    evicted: AtomicU64,
    refused: AtomicU64,
}

impl<K: Eq + Hash + Clone + Send + Sync + 'static> TokenPool<K> {
    /// A pool whose tokens come from the sources that this function makes: of a key when it is first asked for, and again at each
    /// fetch, unless the source [holds state](TokenSource::holds_state). No I/O; it is to be quick.
    #[must_use]
    pub fn new<S: TokenSource>(source: impl Fn(&K) -> Result<S, Error> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            maker: Arc::new(Maker::new(source)),
            capacity: AtomicUsize::new(DEFAULT_CAPACITY),
            spread: AtomicUsize::new(SHARDS),
            hasher: RandomState::new(),
            shards: Default::default(),
            keys: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// How many keys it holds at most, at least one; for all clones. Default: 10,000. A pool that holds more already lets none go
    /// for that.
    #[must_use]
    pub fn capacity(self, keys: usize) -> Self {
        self.0.capacity.store(keys.max(1), Relaxed);
        // Once there are keys, they stay where they are.
        if self.0.keys.load(Relaxed) == 0 {
            self.0.spread.store(if keys < KEYS_FOR_SHARDS { 1 } else { SHARDS }, Relaxed);
        }
        self
    }

    /// The cache of a key, made if there is none. No I/O. It is in use, and never evicted, as long as what this gives lives.
    ///
    /// # Errors
    ///
    /// Why there is no source for the key; [`ErrorKind::PoolFull`] when no cache can make room for it.
    pub fn get(&self, key: &K) -> Result<TokenCache, Error> {
        self.find(&Wanted { key, scopes: &[] })
    }

    /// The cache of a key for tokens that are asked for with these scopes besides; their order and repetitions make no
    /// difference.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); [`ErrorKind::Config`] when the source cannot ask for more scopes.
    pub fn get_scoped(&self, key: &K, scopes: &[String]) -> Result<TokenCache, Error> {
        let mut scopes = scopes.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        self.find(&Wanted { key, scopes: &scopes })
    }

    /// A token for a key; see [`TokenCache::token`].
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`TokenCache::token`].
    pub async fn token(&self, key: &K) -> Result<AccessToken, Error> {
        self.get(key)?.token().await
    }

    /// Forgets a key, with whatever scopes, and says whether it was there. Whoever holds its cache can still use it; who asks the
    /// pool gets a new one.
    pub fn forget(&self, key: &K) -> bool {
        let forgotten = write(&self.0.shards[self.shard(key)]).remove(|of| of.key == *key);
        self.0.keys.fetch_sub(forgotten.len(), Relaxed);
        !forgotten.is_empty()
    }

    /// Whether both are clones of one pool.
    #[must_use]
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A look at all keys, for health checks: it costs a moment for each of them, and starts nothing.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let mut status = PoolStatus {
            keys: 0,
            capacity: self.0.capacity.load(Relaxed),
            usable: 0,
            renewing: 0,
            failing: 0,
            evicted: self.0.evicted.load(Relaxed),
            refused: self.0.refused.load(Relaxed),
        };
        for shard in &self.0.shards {
            // Not under the lock: it takes while there are many.
            let slots = read(shard).slots();
            for cache in slots.into_iter().filter_map(|slot| slot.upgrade()) {
                let cache = TokenCache::over(cache).status();
                status.keys += 1;
                status.usable += usize::from(cache.usable);
                status.renewing += usize::from(cache.renewing);
                status.failing += usize::from(cache.last_error.is_some());
            }
        }
        status
    }

    fn find(&self, wanted: &Wanted<'_, K>) -> Result<TokenCache, Error> {
        let shard = self.shard(wanted.key);
        let wanted: &dyn AnyKey<K> = wanted;
        if let Some(slot) = read(&self.0.shards[shard]).get(wanted) {
            return Ok(TokenCache::over(slot.into_cache()));
        }
        // Not under a lock: it is code of others.
        let made = Slot::new(Shared::new(Keyed::new(&self.0.maker, wanted)?));
        let room = self.make_room(shard);
        let mut shard = write(&self.0.shards[shard]);
        // Somebody else may have made one meanwhile.
        if let Some(slot) = shard.get(wanted) {
            self.0.keys.fetch_sub(usize::from(room.is_ok()), Relaxed);
            return Ok(TokenCache::over(slot.into_cache()));
        }
        room?;
        shard.insert(made.clone());
        Ok(TokenCache::over(made.into_cache()))
    }

    /// Counts one more key, and lets another go if there are too many.
    fn make_room(&self, own: usize) -> Result<(), Error> {
        let capacity = self.0.capacity.load(Relaxed);
        if self.0.keys.fetch_add(1, Relaxed) < capacity {
            return Ok(());
        }
        let evicted = (0..SHARDS).find_map(|next| write(&self.0.shards[(own + next) % SHARDS]).evict());
        self.0.keys.fetch_sub(1, Relaxed);
        if evicted.is_some() {
            self.0.evicted.fetch_add(1, Relaxed);
            return Ok(());
        }
        self.0.refused.fetch_add(1, Relaxed);
        let message = format!(
            "the token pool is full: all of its {capacity} keys are in renewal or in use; give it more capacity, or keep the \
             pool instead of what it gave"
        );
        Err(Error::new(ErrorKind::PoolFull, message))
    }

    /// By the key alone: all that is kept for it is in one place.
    fn shard(&self, key: &K) -> usize {
        match self.0.spread.load(Relaxed) {
            1 => 0,
            spread => self.0.hasher.hash_one(key) as usize % spread,
        }
    }
}

fn read<K>(shard: &RwLock<Shard<K>>) -> std::sync::RwLockReadGuard<'_, Shard<K>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<K>(shard: &RwLock<Shard<K>>) -> std::sync::RwLockWriteGuard<'_, Shard<K>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

/// How a [`TokenPool`] fares; see [`TokenPool::status`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStatus {
    /// How many keys it holds.
    pub keys: usize,
    /// How many it holds at most.
    pub capacity: usize,
    /// How many have a token that can be used now.
    pub usable: usize,
    /// How many are being renewed.
    pub renewing: usize,
    /// Of how many the latest renewal failed.
    pub failing: usize,
    /// How many made room for others so far.
    pub evicted: u64,
    /// How often there was no room ([`ErrorKind::PoolFull`]).
    pub refused: u64,
}

impl<K> TokenPool<K> {
    /// For a source that is told by its server that its key is no more: it must not keep its own pool alive.
    #[cfg(feature = "store")]
    pub(crate) fn downgrade(&self) -> WeakPool<K> {
        WeakPool(Arc::downgrade(&self.0))
    }
}

#[cfg(feature = "store")]
pub(crate) struct WeakPool<K>(std::sync::Weak<Inner<K>>);

#[cfg(feature = "store")]
impl<K> WeakPool<K> {
    pub(crate) fn upgrade(&self) -> Option<TokenPool<K>> {
        self.0.upgrade().map(TokenPool)
    }
}

impl<K> Clone for TokenPool<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Keys are not shown: they may name people.
impl<K> fmt::Debug for TokenPool<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPool")
            .field("keys", &self.0.keys)
            .field("capacity", &self.0.capacity)
            .finish_non_exhaustive()
    }
}
