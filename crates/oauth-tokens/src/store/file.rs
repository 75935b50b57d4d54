//! A store in a folder.

#[cfg_attr(not(unix), path = "file/no_folder.rs")]
mod folder;
mod held;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use zeroize::Zeroizing;

use self::{folder::Folder, held::HeldUntil};
use super::{Lease, Record, StoreKey, StoreKeys, TokenStore, keys::warm_up, record};
use crate::{BoxError, clock::Clock};

/// How often what has expired is looked for and removed.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Whether a file is to be there after the machine has crashed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durable {
    Yes,
    No,
}

/// A [`TokenStore`] in a folder: for tools that are started again and again, and for processes of one machine.
///
/// - The folder is made with mode 0700, files with 0600, exclusively; records are replaced whole, and are on disk when they
///   count as saved.
/// - A folder that others may enter is refused; so are links, pipes, and files that are another user's, that others can read,
///   or that are larger than 1 MiB: they are taken for nothing when they are read, and the next record takes their place.
/// - Processes keep out of each other's way by a lock on the file `lock`, held for moments; the lease of one that crashed
///   ends by itself.
///
/// Without keys, whoever can read the user's files can read the tokens: backups, for example. With keys the records are
/// [encrypted](Self::encrypted). A record that is not encrypted is then garbage, so it cannot be planted.
///
/// ```
/// use oauth_tokens::{FileStore, Secret, StoreKeys};
///
/// let store = FileStore::new("/home/me/.cache/tool/tokens");
/// let encrypted = FileStore::new("/var/lib/report/tokens").encrypted(StoreKeys::new(Secret::file("/etc/report/keys")));
/// # let _ = (store, encrypted);
/// ```
///
/// It works on Unix; elsewhere each call is an error, so that tokens are fetched without it. Put it on a local disk: locks of
/// network file systems are not to be relied on.
pub struct FileStore {
    path: Arc<Path>,
    keys: Option<StoreKeys>,
    clock: Clock,
    swept: Mutex<Option<Instant>>,
}

impl FileStore {
    /// A store in this folder, which is made when it is needed. No I/O.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { path: folder.into().into(), keys: None, clock: Clock::new(), swept: Mutex::default() }
    }

    /// Encrypts the records.
    #[must_use]
    pub fn encrypted(mut self, keys: StoreKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    async fn seal(&self, key: &StoreKey, record: &Record) -> Result<Zeroizing<Vec<u8>>, BoxError> {
        match &self.keys {
            Some(keys) => Ok(Zeroizing::new(keys.seal(key, record).await?)),
            None => Ok(record::plain(key, record)),
        }
    }

    /// A record that has expired is none.
    async fn open(&self, key: &StoreKey, bytes: Option<&[u8]>) -> Result<Option<Record>, BoxError> {
        let Some(bytes) = bytes else { return Ok(None) };
        let record = match &self.keys {
            Some(keys) => keys.open(key, bytes).await?,
            None => record::read_plain(key, bytes),
        };
        let now = self.clock.wall();
        Ok(record.filter(|record| record.expires_at.is_none_or(|at| now < at)))
    }

    /// Changes the record's file, if its record is of this version, and nobody has changed it meanwhile.
    async fn change(&self, key: &StoreKey, expected: Option<u64>, new: Option<&Record>) -> Result<bool, BoxError> {
        let name = record_name(key);
        let found = self.on_disk({
            let name = name.clone();
            move |folder| folder.read(&name)
        });
        let found = found.await?;
        let there = self.open(key, found.as_deref().map(Vec::as_slice)).await?;
        if there.map(|record| record.version) != expected {
            return Ok(false);
        }
        let new = match new {
            Some(record) => Some(self.seal(key, record).await?),
            None => None,
        };
        // Compared as bytes, under the lock: keys may be read by a function, and nobody waits for one with a lock in hand.
        self.on_disk(move |folder| {
            let _lock = folder.lock()?;
            if folder.read(&name)? != found {
                return Ok(false);
            }
            match &new {
                Some(new) => folder.write(&name, new, Durable::Yes)?,
                None => folder.remove(&name)?,
            }
            Ok(true)
        })
        .await
    }

    fn is_to_be_swept(&self) -> bool {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = swept.is_none_or(|at| at.elapsed() >= SWEEP_EVERY);
        if is_due {
            *swept = Some(Instant::now());
        }
        is_due
    }

    /// Nobody waits for it: a folder may hold thousands of files.
    fn sweep(&self) {
        let (path, now) = (Arc::clone(&self.path), self.clock.wall());
        drop(tokio::task::spawn_blocking(move || {
            if let Err(error) = Folder::open(&path).and_then(|folder| folder.sweep(now)) {
                tracing::debug!(%error, "what is over stays in the token store's folder for now");
            }
        }));
    }

    /// Off the runtime's threads.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, BoxError> {
        let path = Arc::clone(&self.path);
        let done = tokio::task::spawn_blocking(move || work(&Folder::open(&path)?)).await;
        let named = |error: &dyn fmt::Display| format!("the folder {}: {error}", self.path.display());
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(named(&error).into()),
            Err(_) => Err(named(&"the runtime is shutting down").into()),
        }
    }
}

impl TokenStore for FileStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, BoxError> {
        if self.keys.is_some() {
            warm_up();
        }
        let name = record_name(key);
        let bytes = self.on_disk(move |folder| folder.read(&name)).await?;
        self.open(key, bytes.as_deref().map(Vec::as_slice)).await
    }

    async fn replace(&self, key: &StoreKey, expected: Option<u64>, record: &Record) -> Result<bool, BoxError> {
        if Some(record.version) <= expected {
            return Ok(false);
        }
        self.change(key, expected, Some(record)).await
    }

    async fn delete(&self, key: &StoreKey, expected: u64) -> Result<bool, BoxError> {
        self.change(key, Some(expected), None).await
    }

    async fn lease(&self, key: &StoreKey, time: Duration) -> Result<Option<Lease>, BoxError> {
        let (name, lease, clock) = (lease_name(key), Lease::random()?, self.clock.clone());
        let mine = lease.clone();
        let taken = self.on_disk(move |folder| {
            let _lock = folder.lock()?;
            // Not before the lock is there: whoever had it meanwhile would seem to come from the future.
            let now = clock.wall();
            let held = folder.read(&name)?.and_then(|bytes| HeldUntil::read(&bytes));
            if held.is_some_and(|held| held.is_held(now, time)) {
                return Ok(false);
            }
            folder.write(&name, HeldUntil::new(&mine, now, time).to_string().as_bytes(), Durable::No)?;
            Ok(true)
        });
        let taken = taken.await?;
        if self.is_to_be_swept() {
            self.sweep();
        }
        Ok(taken.then_some(lease))
    }

    async fn release(&self, key: &StoreKey, lease: &Lease) -> Result<(), BoxError> {
        let (name, lease) = (lease_name(key), lease.clone());
        let released = self.on_disk(move |folder| {
            let _lock = folder.lock()?;
            let held = folder.read(&name)?.and_then(|bytes| HeldUntil::read(&bytes));
            if held.is_some_and(|held| held.holder == lease.holder()) { folder.remove(&name) } else { Ok(()) }
        });
        released.await
    }
}

fn record_name(key: &StoreKey) -> String {
    format!("{}.token", key.as_str())
}

fn lease_name(key: &StoreKey) -> String {
    format!("{}.lease", key.as_str())
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("FileStore");
        debug.field("folder", &self.path).field("encrypted", &self.keys.is_some()).finish_non_exhaustive()
    }
}
