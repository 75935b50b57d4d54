//! Which users signed in anew, so that what was remembered against them ends.

use std::{
    array,
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::StoreKey;

/// Users share a counter with few others: a sign-in of one is to cost the others nothing.
const COUNTERS: usize = 1024;

/// How often users signed in, in a place of fixed size.
pub(super) struct SignIns {
    counters: Box<[AtomicU64; COUNTERS]>,
    /// Nobody can tell which users share one.
    hasher: RandomState,
}

impl SignIns {
    pub(super) fn count(&self, key: &StoreKey) {
        self.counter(key).fetch_add(1, Relaxed);
    }

    pub(super) fn of(&self, key: &StoreKey) -> u64 {
        self.counter(key).load(Relaxed)
    }

    fn counter(&self, key: &StoreKey) -> &AtomicU64 {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash % COUNTERS as u64).unwrap_or_default();
        &self.counters[index]
    }
}

impl Default for SignIns {
    fn default() -> Self {
        Self { counters: Box::new(array::from_fn(|_| AtomicU64::new(1))), hasher: RandomState::new() }
    }
}
