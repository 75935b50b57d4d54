//! A part of a pool behind one lock, and which cache makes room.

use std::{
    borrow::Borrow,
    collections::HashSet,
    hash::{Hash, Hasher},
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
};

use super::key::{AnyKey, Keyed};
use crate::cache::{AnyCache, Shared};

/// A shard holds each of its caches twice: by key, and in a ring.
const OWN_HANDLES: usize = 2;

/// A cache, found by its key. It is all that a pool needs for one: some twenty bytes besides the cache itself.
pub(super) struct Slot<K>(Arc<Shared<Keyed<K>>>);

impl<K> Slot<K> {
    pub(super) fn new(shared: Shared<Keyed<K>>) -> Self {
        Self(Arc::new(shared))
    }
}

impl<K: Send + Sync + 'static> Slot<K> {
    pub(super) fn into_cache(self) -> Arc<AnyCache> {
        self.0
    }
}

/// The caches of some keys; which of them makes room is decided by the second-chance algorithm: a hand goes round, passes over
/// whoever was asked for since it last came by, and takes the first that was not.
pub(super) struct Shard<K> {
    by_key: HashSet<Slot<K>>,
    ring: Vec<Slot<K>>,
    hand: usize,
}

impl<K: Eq + Hash + 'static> Shard<K> {
    pub(super) fn get(&self, wanted: &dyn AnyKey<K>) -> Option<Slot<K>> {
        let slot = self.by_key.get(wanted)?;
        // Only written when it changes: readers side by side do not take the line from each other.
        if !slot.0.used.load(Relaxed) {
            slot.0.used.store(true, Relaxed);
        }
        Some(slot.clone())
    }

    pub(super) fn insert(&mut self, slot: Slot<K>) {
        self.ring.push(slot.clone());
        self.by_key.insert(slot);
    }

    /// Lets one cache go; none: each is in renewal, or in somebody's hands. It is dropped by the caller, without the lock: what
    /// is in it is code of others.
    pub(super) fn evict(&mut self) -> Option<Slot<K>> {
        let mut any_is_idle = false;
        // Twice round: the first time may only take second chances away.
        for step in 0..2 * self.ring.len() {
            if step == self.ring.len() && !any_is_idle {
                break;
            }
            self.hand = (self.hand + 1) % self.ring.len();
            let slot = &self.ring[self.hand];
            // Nobody gets at it meanwhile but through this shard, and a renewal has a handle of its own.
            let is_idle = Arc::strong_count(&slot.0) == OWN_HANDLES;
            any_is_idle |= is_idle;
            if is_idle && !slot.0.used.swap(false, Relaxed) {
                let slot = self.ring.swap_remove(self.hand);
                self.by_key.remove(&slot as &dyn AnyKey<K>);
                return Some(slot);
            }
        }
        None
    }

    /// Removes those of a key; they are dropped by the caller, as above.
    pub(super) fn remove(&mut self, is_it: impl Fn(&Keyed<K>) -> bool) -> Vec<Slot<K>> {
        let removed: Vec<_> = self.ring.extract_if(.., |slot| is_it(&slot.0.source)).collect();
        for slot in &removed {
            self.by_key.remove(slot as &dyn AnyKey<K>);
        }
        removed
    }

    /// All of them, held by nobody: a look at them must not keep any from making room.
    pub(super) fn slots(&self) -> Vec<Weak<Shared<Keyed<K>>>> {
        self.ring.iter().map(|slot| Arc::downgrade(&slot.0)).collect()
    }
}

impl<K> AnyKey<K> for Slot<K> {
    fn key(&self) -> &K {
        &self.0.source.key
    }

    fn scopes(&self) -> &[String] {
        self.0.source.scopes()
    }
}

impl<'a, K: 'a> Borrow<dyn AnyKey<K> + 'a> for Slot<K> {
    fn borrow(&self) -> &(dyn AnyKey<K> + 'a) {
        self
    }
}

impl<K: Hash> Hash for Slot<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self as &dyn AnyKey<K>).hash(state);
    }
}

impl<K: Eq> PartialEq for Slot<K> {
    fn eq(&self, other: &Self) -> bool {
        self as &dyn AnyKey<K> == other as &dyn AnyKey<K>
    }
}

impl<K: Eq> Eq for Slot<K> {}

impl<K> Clone for Slot<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Shard<K> {
    fn default() -> Self {
        Self { by_key: HashSet::new(), ring: Vec::new(), hand: 0 }
    }
}
