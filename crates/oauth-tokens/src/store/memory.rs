//! A store in this process.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{Lease, Record, StoreKey, TokenStore};
use crate::{
    BoxError,
    clock::{Clock, after},
};

const DEFAULT_CAPACITY: usize = 100_000;

/// A [`TokenStore`] in the memory of this process: for user tokens of a service that runs once, and for tests.
///
/// It holds so many records at most, 100,000 unless said otherwise. When it is full, expired ones make room; if there are
/// none, new ones are refused, and nothing is lost.
///
/// ```
/// let store = oauth_tokens::MemoryStore::new().capacity(1_000);
/// # let _ = store;
/// ```
pub struct MemoryStore {
    capacity: usize,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    records: HashMap<StoreKey, Record>,
    leases: HashMap<StoreKey, (Lease, Instant)>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self { capacity: DEFAULT_CAPACITY, clock: Clock::new(), kept: Mutex::default() }
    }

    /// Holds so many records at most, at least one.
    #[must_use]
    pub fn capacity(mut self, records: usize) -> Self {
        self.capacity = records.max(1);
        self
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The record of a key, unless it is of no use any more.
    fn record(&self, key: &StoreKey, now: SystemTime) -> Option<&Record> {
        self.records.get(key).filter(|record| record.expires_at.is_none_or(|at| now < at))
    }

    fn has_room_for(&mut self, key: &StoreKey, capacity: usize, now: SystemTime) -> bool {
        if self.records.contains_key(key) || self.records.len() < capacity {
            return true;
        }
        self.records.retain(|_, record| record.expires_at.is_none_or(|at| now < at));
        self.records.len() < capacity
    }
}

impl TokenStore for MemoryStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, BoxError> {
        Ok(self.lock().record(key, self.clock.wall()).cloned())
    }

    async fn replace(&self, key: &StoreKey, expected: Option<u64>, record: &Record) -> Result<bool, BoxError> {
        let now = self.clock.wall();
        let mut kept = self.lock();
        if kept.record(key, now).map(|record| record.version) != expected || Some(record.version) <= expected {
            return Ok(false);
        }
        if !kept.has_room_for(key, self.capacity, now) {
            return Err(format!("the memory store is full: it holds {} records", self.capacity).into());
        }
        kept.records.insert(key.clone(), record.clone());
        Ok(true)
    }

    async fn delete(&self, key: &StoreKey, expected: u64) -> Result<bool, BoxError> {
        let mut kept = self.lock();
        let is_there = kept.record(key, self.clock.wall()).is_some_and(|record| record.version == expected);
        if is_there {
            kept.records.remove(key);
        }
        Ok(is_there)
    }

    async fn lease(&self, key: &StoreKey, time: Duration) -> Result<Option<Lease>, BoxError> {
        let lease = Lease::random()?;
        let now = self.clock.now();
        let mut kept = self.lock();
        if kept.leases.get(key).is_some_and(|(_, until)| now < *until) {
            return Ok(None);
        }
        if kept.leases.len() >= self.capacity {
            kept.leases.retain(|_, (_, until)| now < *until);
        }
        if kept.leases.len() >= self.capacity {
            return Err("the memory store is full of leases".into());
        }
        kept.leases.insert(key.clone(), (lease.clone(), after(now, time)));
        Ok(Some(lease))
    }

    async fn release(&self, key: &StoreKey, lease: &Lease) -> Result<(), BoxError> {
        let mut kept = self.lock();
        if kept.leases.get(key).is_some_and(|(held, _)| held == lease) {
            kept.leases.remove(key);
        }
        Ok(())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("records", &self.lock().records.len()).finish_non_exhaustive()
    }
}
