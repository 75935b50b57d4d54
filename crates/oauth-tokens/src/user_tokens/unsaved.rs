//! Rotated refresh tokens that the store did not take yet: the server knows no others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;
use tracing::Instrument as _;

use super::renewal::{Users, revoke};
use crate::{Error, ErrorKind, Lease, Record, StoreKey, clock::jitter, store::Kept, timer};

/// How long the store may take to save a refresh token: losing it would end the sign-in.
const SAVE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long saving goes on by itself even if nobody needs the users any more.
const AT_LEAST: Duration = Duration::from_secs(60);
/// The pauses in it: the first, the longest within that time, and the longest later.
const PAUSES: (Duration, Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(30));

/// So many at most: with a store that takes nothing, no more exchanges are begun.
const MAX: usize = 1_000;

/// What became of a record that was to be saved.
pub(super) enum Saved {
    Here,
    /// The user signed in anew, or was forgotten, since the exchange began.
    Superseded,
}

/// A record that is to take the place of another one.
#[derive(Clone)]
pub(super) struct Unsaved {
    pub(super) previous: u64,
    pub(super) record: Record,
    /// Given back when the record is saved: nobody else is to use the refresh token before this one.
    pub(super) lease: Lease,
    since: Instant,
    /// Whether a task saves it already.
    has_saver: bool,
}

#[derive(Default)]
pub(super) struct AllUnsaved(Mutex<HashMap<StoreKey, Unsaved>>);

impl AllUnsaved {
    pub(super) fn is_full(&self) -> bool {
        self.lock().len() >= MAX
    }

    pub(super) fn get(&self, key: &StoreKey) -> Option<Unsaved> {
        self.lock().get(key).cloned()
    }

    pub(super) fn put(&self, key: &StoreKey, unsaved: Unsaved) {
        self.lock().insert(key.clone(), unsaved);
    }

    /// It is saved, or another one is. One that was put there since stays.
    pub(super) fn done(&self, key: &StoreKey, version: u64) {
        let mut all = self.lock();
        if all.get(key).is_some_and(|unsaved| unsaved.record.version == version) {
            all.remove(key);
        }
    }

    /// Another lease keeps others from using the refresh token before this one.
    pub(super) fn hold(&self, key: &StoreKey, lease: &Lease) {
        if let Some(unsaved) = self.lock().get_mut(key) {
            unsaved.lease = lease.clone();
        }
    }

    /// The version that is to be saved, for one task: none if another one does it already.
    fn begin_saving(&self, key: &StoreKey) -> Option<(u64, Instant)> {
        let mut all = self.lock();
        let unsaved = all.get_mut(key).filter(|unsaved| !unsaved.has_saver)?;
        unsaved.has_saver = true;
        Some((unsaved.record.version, unsaved.since))
    }

    /// Its task has ended: with its runtime, perhaps.
    fn end_saving(&self, key: &StoreKey, version: u64) {
        if let Some(unsaved) = self.lock().get_mut(key).filter(|unsaved| unsaved.record.version == version) {
            unsaved.has_saver = false;
        }
    }

    fn has(&self, key: &StoreKey, version: u64) -> bool {
        self.lock().get(key).is_some_and(|unsaved| unsaved.record.version == version)
    }

    /// Gives it up.
    pub(super) fn take(&self, key: &StoreKey) -> Option<Kept> {
        self.lock().remove(key).and_then(|unsaved| Kept::read(&unsaved.record))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, Unsaved>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Users {
    /// Puts these tokens in the place of what there was.
    pub(super) async fn replace(&self, key: &StoreKey, previous: Option<u64>, kept: &Kept) -> Result<bool, Error> {
        let record = self.record(key, previous, kept);
        self.store.replace_within(SAVE_TIMEOUT, key, previous, &record).await
    }

    fn record(&self, key: &StoreKey, previous: Option<u64>, kept: &Kept) -> Record {
        let expires_at = match kept.refresh_token {
            Some(_) => self.store.now().checked_add(self.idle),
            None => kept.expires_at(),
        };
        kept.to_record(self.store.next_version(key, previous), expires_at)
    }

    /// Saves a refresh token that may be the only one that the server knows.
    pub(super) async fn save(
        self: &Arc<Self>,
        key: &StoreKey,
        previous: u64,
        kept: &Kept,
        lease: &Lease,
    ) -> Result<Saved, Error> {
        let record = self.record(key, Some(previous), kept);
        // Put there first: whoever drives this may end in the middle.
        self.unsaved
            .put(key, Unsaved { previous, record, lease: lease.clone(), since: Instant::now(), has_saver: false });
        self.save_unsaved(key).await
    }

    /// Saves what could not be saved, if there is anything.
    pub(super) async fn save_unsaved(&self, key: &StoreKey) -> Result<Saved, Error> {
        let Some(Unsaved { previous, record, lease, .. }) = self.unsaved.get(key) else { return Ok(Saved::Here) };
        let saved = self.replace_with(key, previous, &record).await.map_err(|cause| {
            let message = "a rotated refresh token could not be saved, so the access token is not used; saving goes on, and is \
                           tried again before the next exchange";
            Error::new(ErrorKind::Store, message).caused_by(cause)
        })?;
        self.unsaved.done(key, record.version);
        if matches!(saved, Saved::Here) {
            self.store.raise_floor(key, record.version);
        }
        self.store.release(key, &lease).await;
        Ok(saved)
    }

    async fn replace_with(&self, key: &StoreKey, previous: u64, record: &Record) -> Result<Saved, Error> {
        if self.store.replace_within(SAVE_TIMEOUT, key, Some(previous), record).await? {
            return Ok(Saved::Here);
        }
        match self.store.load(key).await? {
            // It was there already: the store's answer was lost.
            Some(there) if there.version == record.version => Ok(Saved::Here),
            // The user signed in anew. Our tokens may be of the same session at the server, so they are not revoked.
            Some(_) => Ok(Saved::Superseded),
            None => {
                if let Some(kept) = Kept::read(record).filter(|_| !self.discarded.has(key)) {
                    self.revoke_detached(&kept)?;
                }
                Ok(Saved::Superseded)
            }
        }
    }

    /// Nobody is to have them: what was issued is to end, too.
    pub(super) fn revoke_detached(&self, kept: &Kept) -> Result<(), Error> {
        let (client, kept) = (self.client.clone(), kept.clone());
        timer::runtime()?.spawn(async move {
            if let Err(error) = revoke(&client, &kept).await {
                tracing::debug!(%error, "tokens that nobody is to have could not be revoked");
            }
        });
        Ok(())
    }

    /// Goes on saving, in a task of its own, as long as there is something to save and somebody has these users.
    pub(super) fn keep_saving(self: &Arc<Self>, key: &StoreKey) -> Result<(), Error> {
        let runtime = timer::runtime()?;
        if let Some((version, since)) = self.unsaved.begin_saving(key) {
            let saver = Saver { users: Arc::downgrade(self), key: key.clone(), version, since };
            runtime.spawn(saver.run(Arc::clone(self)).in_current_span());
        }
        Ok(())
    }
}

/// A task that saves one record.
struct Saver {
    users: Weak<Users>,
    key: StoreKey,
    version: u64,
    since: Instant,
}

impl Saver {
    async fn run(self, users: Arc<Users>) {
        let (mut pause, shortly, longest) = PAUSES;
        let mut users = Some(users);
        loop {
            let is_young = self.since.elapsed() < AT_LEAST;
            if !is_young {
                users = None;
            }
            let Ok(pausing) = timer::sleep(pause / 2 + jitter(pause / 2)) else { return };
            pausing.await;
            pause = (pause * 2).min(if is_young { shortly } else { longest });
            let Some(users) = users.clone().or_else(|| self.users.upgrade()) else { return };
            if !users.unsaved.has(&self.key, self.version) {
                return;
            }
            if self.since.elapsed() >= users.idle {
                // The server has forgotten it by now, too.
                return users.unsaved.done(&self.key, self.version);
            }
            let _ = users.save_unsaved(&self.key).await;
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        if let Some(users) = self.users.upgrade() {
            users.unsaved.end_saving(&self.key, self.version);
        }
    }
}
