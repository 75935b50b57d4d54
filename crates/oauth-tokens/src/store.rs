//! Tokens that outlive the process, or are shared by a fleet.
//!
//! | file | idea |
//! |---|---|
//! | `shared.rs` | a store as many sources share it: bounded calls, outages |
//! | `stored.rs` | a token source whose tokens are kept in a store |
//! | `origin.rs` | where stored tokens come from, and what tells them from others |
//! | `kept.rs` | what a record holds |
//! | `record.rs` | a record as bytes, bound to its key |
//! | `keys.rs` | records encrypted |
//! | `memory.rs` | a store in this process |
//! | `file.rs` | a store in a folder |

mod file;
mod kept;
mod keys;
mod memory;
mod origin;
mod record;
mod shared;
mod stored;

use std::{
    fmt::{self, Write as _},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{Context, SHA256};
use zeroize::Zeroizing;

pub(crate) use self::kept::{Kept, counted_from_before};
pub use self::{file::FileStore, keys::StoreKeys, memory::MemoryStore, shared::SharedStore, stored::StoredSource};
use crate::BoxError;

/// Where tokens are kept beyond the process, or beyond a cache. A store is a help, never a need: one that is down, slow or
/// holds garbage costs token requests, and nothing else.
///
/// It keeps one [`Record`] for each [`StoreKey`]. What a record holds is not its business; whatever leaves the process is
/// encrypted by the store itself, bound to the key: see [`StoreKeys`].
///
/// Errors hold no secret, and nothing of a record. Whoever calls a store bounds each call, so a store may be dropped in the
/// middle of one.
pub trait TokenStore: Send + Sync + 'static {
    /// The record of a key. None: there is none, or what is there is garbage: not to be read, or of another key.
    fn load(&self, key: &StoreKey) -> impl Future<Output = Result<Option<Record>, BoxError>> + Send;

    /// Puts a record in the place of the one with this version (none: where no record is, or garbage), and says whether it
    /// did: if another record is there, or the new one is not newer, nothing changes.
    fn replace(
        &self,
        key: &StoreKey,
        expected: Option<u64>,
        record: &Record,
    ) -> impl Future<Output = Result<bool, BoxError>> + Send;

    /// Deletes the record with this version, and says whether it was there.
    fn delete(&self, key: &StoreKey, expected: u64) -> impl Future<Output = Result<bool, BoxError>> + Send;

    /// Takes the lease of a key, for so long at most: its holder alone renews the token. None: somebody else has it.
    fn lease(&self, key: &StoreKey, time: Duration) -> impl Future<Output = Result<Option<Lease>, BoxError>> + Send;

    /// Gives a lease back, if it is still this one.
    fn release(&self, key: &StoreKey, lease: &Lease) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// The same store, held by several.
impl<S: TokenStore> TokenStore for Arc<S> {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, BoxError> {
        (**self).load(key).await
    }

    async fn replace(&self, key: &StoreKey, expected: Option<u64>, record: &Record) -> Result<bool, BoxError> {
        (**self).replace(key, expected, record).await
    }

    async fn delete(&self, key: &StoreKey, expected: u64) -> Result<bool, BoxError> {
        (**self).delete(key, expected).await
    }

    async fn lease(&self, key: &StoreKey, time: Duration) -> Result<Option<Lease>, BoxError> {
        (**self).lease(key, time).await
    }

    async fn release(&self, key: &StoreKey, lease: &Lease) -> Result<(), BoxError> {
        (**self).release(key, lease).await
    }
}

/// The name of a record: a digest of all that makes tokens differ, so that it tells nothing (F14).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StoreKey(String);

impl StoreKey {
    /// The key that these parts make, in this order: SHA-256 in hex. Which bytes belong to which part makes a difference.
    ///
    /// ```
    /// use oauth_tokens::StoreKey;
    ///
    /// assert_ne!(StoreKey::digest(&[b"ab", b"c"]), StoreKey::digest(&[b"a", b"bc"]));
    /// ```
    #[must_use]
    pub fn digest(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Self(hex(context.finish().as_ref()))
    }

    /// A key by its text: printable ASCII without spaces, good for a file's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({})", self.0)
    }
}

/// What a store keeps for a key.
#[derive(Clone)]
pub struct Record {
    /// Counts the records of a key: a newer one has a higher number.
    pub version: u64,
    /// When it is of no use any more, and may be dropped. None: never.
    pub expires_at: Option<SystemTime>,
    /// The tokens: a secret.
    pub content: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("version", &self.version)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The right to renew a token, for a while.
#[derive(Clone, PartialEq, Eq)]
pub struct Lease(String);

impl Lease {
    /// A lease with a random name, that nobody else has.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn random() -> Result<Self, BoxError> {
        // It is to be unlike others, and no secret: the first bytes of a cryptographic generator may take a good part of a second.
        let name = [RandomState::new().hash_one(0), RandomState::new().hash_one(1)];
        Ok(Self(hex(&name.map(u64::to_be_bytes).concat())))
    }

    /// A lease that its holder is known by: something random.
    #[must_use]
    pub fn new(holder: impl Into<String>) -> Self {
        Self(holder.into())
    }

    /// What its holder is known by.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
