//! The store.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use oauth_tokens::{BoxError, Error, Lease, Record, StoreKey, StoreKeys, TokenStore};
use redis::Value;

use crate::{builder::RedisStoreBuilder, cluster::Cluster, failure::Unexpected, script, wanted_lease::WantedLease};

/// A [`TokenStore`] on Redis (6 or newer, or Valkey), alone or as a cluster, for a fleet that shares its tokens. Clones share
/// connections.
///
/// # What is kept
///
/// | key | value | until |
/// |---|---|---|
/// | `oauth-tokens:{digest}` | the version, and the record sealed with [`StoreKeys`] (AES-256-GCM) | the record expires |
/// | `oauth-tokens:{digest}:lease` | a random number that its holder knows | it is given back, or its time is over |
///
/// The digest is that of a [`StoreKey`]: no name of a user, client or server is in it. Who reads Redis learns how many tokens there
/// are, and when they expire; who writes to it can make records unreadable, or put an older one back, and costs you token requests
/// (S2). What is to be compared and changed in one step is done by Lua scripts, so a slow process never overwrites a newer record;
/// expiry is relative, so the clock of Redis does not matter.
///
/// A record that cannot be opened counts as none. It is not deleted, because a process that does not have a new key yet must not
/// destroy what the others stored; a new record takes its place.
///
/// # Connections
///
/// One connection for each node and tokio runtime, made when it is first needed: within 1 s, TLS and login included. Each operation
/// has 250 ms on it; looking for the right node of a cluster takes no longer than both together. When a connection could not be made, or did not answer, everybody's next operations fail at once for a pause
/// of 250 ms, doubled each time up to 5 s (half of it jitter); so a Redis that is dead or hangs costs next to nothing. A connection
/// that broke is made anew at once, and the operation is sent again: each has the same effect twice as once.
///
/// `redis://` is for this machine only, `rediss://` (TLS, by rustls; the system's roots and those that you add) for all others. A
/// node of a cluster that names another one is followed under the same rule.
///
/// A cluster is found by any of its nodes. Sentinel is not asked: use the name that leads to the master.
///
/// # Setting Redis up
///
/// A user of its own with no more rights than these:
///
/// ```text
/// ACL SETUSER fleet on >password ~oauth-tokens:* -@all +eval +getrange +get +set +del +select +asking
/// ```
///
/// (`select` where the URL names a database, `asking` in a cluster.)
///
/// Access tokens may be evicted and lost: they are fetched again. Refresh tokens of users
/// may not: give them a Redis that evicts nothing (`maxmemory-policy noeviction`), writes each change to disk (`appendonly yes`), and
/// do not let a replica take over that lags behind. When the last write before a crash is lost, and the authorization server
/// rotates refresh tokens, that user has to sign in again.
///
/// ```
/// use oauth_tokens::{Secret, StoreKeys};
/// use oauth_tokens_redis::RedisStore;
///
/// # let ca = "";
/// let keys = StoreKeys::new(Secret::file("/run/secrets/store-keys"));
/// let store = RedisStore::builder("rediss://fleet@redis-1.example.com", keys)
///     .node("rediss://redis-2.example.com")
///     .password(Secret::file("/run/secrets/redis-password"))
///     .prefix("oauth-tokens:billing")
///     .build()?;
/// # let _ = store;
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) cluster: Cluster,
    keys: StoreKeys,
    prefix: String,
}

impl RedisStore {
    /// A store on the Redis at this URL: `rediss://[user[:password]@]host[:port][/database]`, or `redis://` to this machine.
    /// Records are encrypted with these keys. No I/O: it is connected to when it is first asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](oauth_tokens::ErrorKind::Config) when the URL cannot be used, or is plain `redis://` to another
    /// machine, and when a key is none.
    pub fn new(url: &str, keys: StoreKeys) -> Result<Self, Error> {
        Self::builder(url, keys).build()
    }

    /// A store with settings: more nodes of a cluster, certificates, limits.
    pub fn builder(url: &str, keys: StoreKeys) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url, keys)
    }

    /// Connects to a node, and reads the keys: for a check when a service starts, or is asked whether it is ready. Tokens are fetched
    /// without the store as long as this fails.
    ///
    /// # Errors
    ///
    /// What is wrong, and what to do about it.
    pub async fn ready(&self) -> Result<(), BoxError> {
        let key = StoreKey::digest(&[b"is anybody there?"]);
        self.0.keys.open(&key, &[]).await?;
        self.load(&key).await.map(drop)
    }

    pub(crate) fn over(cluster: Cluster, keys: StoreKeys, prefix: String) -> Self {
        Self(Arc::new(Inner { cluster, keys, prefix }))
    }
}

impl Inner {
    /// The braces keep all that belongs to one record on one node of a cluster.
    fn name(&self, key: &StoreKey) -> String {
        format!("{}:{{{}}}", self.prefix, key.as_str())
    }

    fn lease_name(&self, key: &StoreKey) -> String {
        format!("{}:lease", self.name(key))
    }

    /// The record in what is kept for a key, unless it is garbage.
    async fn open(&self, key: &StoreKey, text: &[u8]) -> Result<Option<Record>, Error> {
        let Some((version, sealed)) = script::parse(text) else { return Ok(None) };
        let record = self.keys.open(key, sealed).await?;
        Ok(record.filter(|record| record.version == version))
    }

    async fn number(&self, name: &str, command: redis::Cmd) -> Result<bool, BoxError> {
        match self.cluster.send(name, &command).await? {
            Value::Int(number) => Ok(number == 1),
            _ => Err(Unexpected.into()),
        }
    }
}

impl TokenStore for RedisStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, BoxError> {
        let name = self.0.name(key);
        match self.0.cluster.send(&name, &script::load(&name)).await {
            Ok(Value::BulkString(text)) => Ok(self.0.open(key, &text).await?),
            Ok(Value::Nil) => Ok(None),
            Ok(_) => Err(Unexpected.into()),
            // Somebody else's list or hash is garbage.
            Err(failure) if failure.is_wrong_type() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn replace(&self, key: &StoreKey, expected: Option<u64>, record: &Record) -> Result<bool, BoxError> {
        if Some(record.version) <= expected {
            return Ok(false);
        }
        let name = self.0.name(key);
        let text = script::text(record.version, &self.0.keys.seal(key, record).await?);
        let ttl = record.expires_at.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
        let mut garbage = Vec::new();
        // Once more if there is garbage: it is replaced if it is still exactly that.
        for _ in 0..2 {
            let command = script::replace(&name, expected, &text, ttl, &garbage);
            match self.0.cluster.send(&name, &command).await? {
                Value::Int(1) => return Ok(true),
                Value::BulkString(there) if expected.is_none() && self.0.open(key, &there).await?.is_none() => {
                    garbage = there;
                }
                Value::BulkString(_) => return Ok(false),
                _ => return Err(Unexpected.into()),
            }
        }
        Ok(false)
    }

    async fn delete(&self, key: &StoreKey, expected: u64) -> Result<bool, BoxError> {
        let name = self.0.name(key);
        self.0.number(&name, script::delete(&name, expected)).await
    }

    async fn lease(&self, key: &StoreKey, time: Duration) -> Result<Option<Lease>, BoxError> {
        let name = self.0.lease_name(key);
        let lease = Lease::random()?;
        let wanted = WantedLease::new(&self.0, &name, &lease);
        let is_ours = self.0.number(&name, script::lease(&name, lease.holder(), time)).await?;
        wanted.answered();
        Ok(is_ours.then_some(lease))
    }

    async fn release(&self, key: &StoreKey, lease: &Lease) -> Result<(), BoxError> {
        let name = self.0.lease_name(key);
        self.0.number(&name, script::release(&name, lease.holder())).await.map(drop)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("cluster", &self.0.cluster)
            .field("keys", &self.0.keys)
            .field("prefix", &self.0.prefix)
            .finish()
    }
}
