//! A token store that fares as a test says.

use std::{
    fmt,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use oauth_tokens::{BoxError, Lease, MemoryStore, Record, StoreKey, TokenStore};

/// What a store is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`TokenStore::load`].
    Load,
    /// [`TokenStore::replace`].
    Replace,
    /// [`TokenStore::delete`].
    Delete,
    /// [`TokenStore::lease`].
    Lease,
    /// [`TokenStore::release`].
    Release,
}

/// How a call fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Works,
    /// It fails at once.
    Fails,
    /// It never ends, and changes nothing.
    Hangs,
    /// It is done, but never says so.
    IsLost,
    /// It panics.
    Panics,
    /// What is loaded is nonsense.
    Garbles,
}

/// A [`MemoryStore`] that fares as the test says. Clones are one store, as processes share it.
#[derive(Clone)]
pub struct TestStore(Arc<Inner>);

struct Inner {
    memory: MemoryStore,
    mood: Mutex<Box<dyn Fn(Call) -> Mood + Send>>,
    calls: Mutex<Vec<Call>>,
    keys: Mutex<Vec<StoreKey>>,
}

impl TestStore {
    /// A store that works.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            memory: MemoryStore::new(),
            mood: Mutex::new(Box::new(|_| Mood::Works)),
            calls: Mutex::default(),
            keys: Mutex::default(),
        }))
    }

    /// All calls fare so from now on.
    pub fn set(&self, mood: Mood) {
        self.set_each(move |_| mood);
    }

    /// Calls fare by this from now on.
    pub fn set_each(&self, mood: impl Fn(Call) -> Mood + Send + 'static) {
        *lock(&self.0.mood) = Box::new(mood);
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.0.calls).clone()
    }

    /// How many calls of this kind there were.
    #[must_use]
    pub fn count(&self, call: Call) -> usize {
        self.calls().into_iter().filter(|made| *made == call).count()
    }

    /// Every key that was asked for, in the order in which they came up.
    #[must_use]
    pub fn keys(&self) -> Vec<StoreKey> {
        lock(&self.0.keys).clone()
    }

    /// What is in it, behind all moods.
    #[must_use]
    pub fn memory(&self) -> &MemoryStore {
        &self.0.memory
    }

    async fn fare<T>(
        &self,
        call: Call,
        key: &StoreKey,
        work: impl Future<Output = Result<T, BoxError>>,
    ) -> Result<T, BoxError> {
        lock(&self.0.calls).push(call);
        {
            let mut keys = lock(&self.0.keys);
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        let mood = lock(&self.0.mood)(call);
        match mood {
            Mood::Works | Mood::Garbles => work.await,
            Mood::Fails => Err("the store is down, as the test told it".into()),
            Mood::Hangs => pending().await,
            Mood::IsLost => {
                work.await?;
                pending().await
            }
            Mood::Panics => panic!("the store panics, as the test told it to"),
        }
    }
}

impl TokenStore for TestStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, BoxError> {
        let mut record = self.fare(Call::Load, key, self.0.memory.load(key)).await?;
        if lock(&self.0.mood)(Call::Load) == Mood::Garbles {
            let content = br#"{"access_token":"gar"#.to_vec().into();
            record = Some(Record {
                content,
                ..record.unwrap_or(Record { version: 7, expires_at: None, content: Vec::new().into() })
            });
        }
        Ok(record)
    }

    async fn replace(&self, key: &StoreKey, expected: Option<u64>, record: &Record) -> Result<bool, BoxError> {
        self.fare(Call::Replace, key, self.0.memory.replace(key, expected, record)).await
    }

    async fn delete(&self, key: &StoreKey, expected: u64) -> Result<bool, BoxError> {
        self.fare(Call::Delete, key, self.0.memory.delete(key, expected)).await
    }

    async fn lease(&self, key: &StoreKey, time: Duration) -> Result<Option<Lease>, BoxError> {
        self.fare(Call::Lease, key, self.0.memory.lease(key, time)).await
    }

    async fn release(&self, key: &StoreKey, lease: &Lease) -> Result<(), BoxError> {
        self.fare(Call::Release, key, self.0.memory.release(key, lease)).await
    }
}

impl Default for TestStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestStore").field("calls", &self.calls().len()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
