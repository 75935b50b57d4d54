//! Whose tokens were discarded lately, so that what a renewal under way brings is not revoked, either.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::StoreKey;

/// So many are remembered: what comes after more than these is revoked, as after a sign-out.
const MAX: usize = 10_000;

/// Keys that were discarded, the latest last.
#[derive(Default)]
pub(super) struct Discarded(Mutex<VecDeque<(Instant, StoreKey)>>);

impl Discarded {
    /// Remembers a key for so long.
    pub(super) fn put(&self, key: &StoreKey, remembered: Duration) {
        let now = Instant::now();
        let mut all = self.lock();
        while all.front().is_some_and(|(until, _)| *until <= now) || all.len() >= MAX {
            all.pop_front();
        }
        all.push_back((now + remembered, key.clone()));
    }

    /// Somebody signed in under this key again: what is forgotten from now on is to be revoked.
    pub(super) fn take_back(&self, key: &StoreKey) {
        self.lock().retain(|(_, discarded)| discarded != key);
    }

    pub(super) fn has(&self, key: &StoreKey) -> bool {
        let now = Instant::now();
        self.lock().iter().any(|(until, discarded)| *until > now && discarded == key)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, StoreKey)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
