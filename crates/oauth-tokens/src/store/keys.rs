//! Records encrypted.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
    time::Duration,
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
    hkdf::{HKDF_SHA256, Prk, Salt},
    rand,
};
use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use tokio::{runtime::Handle, sync::watch, time::Instant};
use zeroize::Zeroizing;

use super::{Record, StoreKey, record};
use crate::{Error, ErrorKind, Secret, timer};

const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 8;
/// How long keys are used before they are read again; a file that changes is read at once.
const RELOAD: Duration = Duration::from_secs(60);
/// Whoever reads for so long is on a runtime that stands still (F13): another one reads then.
const TAKE_OVER_AFTER: Duration = Duration::from_secs(1);
/// Says what the keys are used for: the same bytes elsewhere make other keys.
const PURPOSE: &[u8] = b"oauth-tokens store, AES-256-GCM, 1";

/// The keys that records are encrypted with before they leave the process: AES-256-GCM.
///
/// A record is bound to its [`StoreKey`], its version and its expiry: one that was moved, cut or changed is garbage. What remains
/// to somebody who can write to the store is to put back an older record, or none.
///
/// # Rotation
///
/// There may be several keys: the first seals, all open. So a new key goes to the end of the list first; when every process
/// has it, to its front; and the old one goes when the last record that it sealed has expired. A file is read again when it
/// changes, and a function is called once a minute: no restart is needed. Whoever needs the keys meanwhile waits for that
/// call, and shares what it gives, an error too.
///
/// ```
/// use oauth_tokens::{Secret, StoreKeys};
///
/// // `openssl rand -base64 32`; several keys are separated by spaces or commas.
/// let keys = StoreKeys::new(Secret::file("/run/secrets/token-store-keys"));
/// # let _ = keys;
/// ```
///
/// Each record is sealed with a key of its own, made of the first key and the record's [`StoreKey`] (HKDF), and a random nonce:
/// no fleet is large enough to use a nonce twice.
#[derive(Clone)]
pub struct StoreKeys(Arc<Shared>);

struct Shared {
    secrets: Vec<Secret>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How the latest reading ended.
    latest: Option<Arc<Read>>,
    reading: Option<Reading>,
}

/// The keys as they were read, or why they could not be.
struct Read {
    keys: Result<Arc<[MasterKey]>, Error>,
    at: Instant,
    fingerprints: Vec<Option<u64>>,
}

/// One reads them for all who wait: a function may be slow, or cost something.
#[derive(Clone)]
struct Reading {
    since: Instant,
    /// Closed when it has ended, or was given up.
    ended: watch::Receiver<()>,
}

/// Who is to read the keys.
enum Turn {
    Ours(watch::Sender<()>),
    Anothers(Reading),
}

impl StoreKeys {
    /// One or several keys, each of 32 bytes in base64 (either alphabet), separated by spaces or commas: the first seals, all
    /// open. No I/O.
    #[must_use]
    pub fn new(keys: impl Into<Secret>) -> Self {
        Self(Arc::new(Shared { secrets: vec![keys.into()], state: Mutex::default() }))
    }

    /// Opens with these keys, too: older ones that are kept elsewhere.
    #[must_use]
    pub fn and_open(self, keys: impl Into<Secret>) -> Self {
        let mut secrets = self.0.secrets.clone();
        secrets.push(keys.into());
        Self(Arc::new(Shared { secrets, state: Mutex::default() }))
    }

    /// What can be known to be wrong without I/O.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when what was given as a value is no key.
    pub fn validate(&self) -> Result<(), Error> {
        for secret in &self.0.secrets {
            secret.validate("store keys")?;
            if let Some(value) = secret.value() {
                parse(value).map_err(Error::config)?;
            }
        }
        Ok(())
    }

    /// Encrypts a record of this key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Credential`] when the keys cannot be read.
    pub async fn seal(&self, key: &StoreKey, record: &Record) -> Result<Vec<u8>, Error> {
        let keys = self.keys().await?;
        let sealed = keys.first().and_then(|master| master.seal(key, record));
        sealed.ok_or_else(|| Error::new(ErrorKind::Credential, "a record could not be encrypted"))
    }

    /// The record of this key. None: it is garbage, or sealed with a key that is not among these.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal).
    pub async fn open(&self, key: &StoreKey, sealed: &[u8]) -> Result<Option<Record>, Error> {
        let keys = self.keys().await?;
        Ok(keys.iter().find_map(|master| master.open(key, sealed)))
    }

    async fn keys(&self) -> Result<Arc<[MasterKey]>, Error> {
        warm_up();
        let seen = self.state().latest.clone();
        loop {
            let fingerprints: Vec<_> = self.0.secrets.iter().map(Secret::fingerprint).collect();
            let turn = {
                let mut state = self.state();
                if let Some(keys) = state.latest.as_deref().and_then(|read| read.still_good(&fingerprints)) {
                    return Ok(keys);
                }
                // Whoever waited for a reading that failed need not try it, too.
                if let Some(read) = state.latest.as_ref().filter(|read| read.keys.is_err())
                    && seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, read))
                {
                    return read.keys.clone();
                }
                state.turn()
            };
            match turn {
                Turn::Ours(ended) => return self.read(fingerprints, ended).await,
                Turn::Anothers(reading) => reading.wait().await,
            }
        }
    }

    async fn read(&self, fingerprints: Vec<Option<u64>>, _ended: watch::Sender<()>) -> Result<Arc<[MasterKey]>, Error> {
        let keys = self.read_all().await;
        let read = Read { keys: keys.clone(), at: Instant::now(), fingerprints };
        self.state().latest = Some(Arc::new(read));
        keys
    }

    async fn read_all(&self) -> Result<Arc<[MasterKey]>, Error> {
        let mut keys = Vec::new();
        for secret in &self.0.secrets {
            let text = secret.read("store keys").await?;
            keys.extend(parse(&text).map_err(|why| Error::new(ErrorKind::Credential, why))?);
        }
        Ok(keys.into())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn turn(&mut self) -> Turn {
        if let Some(reading) = self.reading.as_ref().filter(|reading| reading.goes_on()) {
            return Turn::Anothers(reading.clone());
        }
        let (sender, ended) = watch::channel(());
        self.reading = Some(Reading { since: Instant::now(), ended });
        Turn::Ours(sender)
    }
}

impl Read {
    fn still_good(&self, fingerprints: &[Option<u64>]) -> Option<Arc<[MasterKey]>> {
        let is_good = self.fingerprints == fingerprints && self.at.elapsed() < RELOAD;
        self.keys.as_ref().ok().filter(|_| is_good).cloned()
    }
}

impl Reading {
    fn goes_on(&self) -> bool {
        self.ended.has_changed().is_ok() && self.since.elapsed() < TAKE_OVER_AFTER
    }

    /// Until it has ended, or somebody else is to read.
    async fn wait(mut self) {
        let left = TAKE_OVER_AFTER.saturating_sub(self.since.elapsed());
        if timer::timeout(left, self.ended.changed()).await.is_err() {
            // Without a timer.
            let _ = self.ended.changed().await;
        }
    }
}

impl fmt::Debug for StoreKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreKeys").field(&self.0.secrets).finish()
    }
}

/// The first random bytes of a process may take a good part of a second: they are got on another thread, ahead of time.
pub(super) fn warm_up() {
    static ONCE: Once = Once::new();
    if let (false, Ok(runtime)) = (ONCE.is_completed(), Handle::try_current()) {
        ONCE.call_once(|| drop(runtime.spawn_blocking(|| rand::fill(&mut [0]))));
    }
}

/// The reason for a failure is told without the input (S1).
fn parse(text: &str) -> Result<Vec<MasterKey>, String> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let [standard, url_safe] = [STANDARD, URL_SAFE].map(|alphabet| GeneralPurpose::new(&alphabet, config));
    let keys = text.split([' ', ',']).filter(|key| !key.is_empty());
    let keys: Option<Vec<MasterKey>> = keys
        .map(|key| {
            let bytes = Zeroizing::new(standard.decode(key).or_else(|_| url_safe.decode(key)).ok()?);
            (bytes.len() == KEY_BYTES).then(|| MasterKey::new(&bytes))
        })
        .collect();
    keys.filter(|keys| !keys.is_empty()).ok_or_else(|| {
        "the store keys cannot be used: each must be 32 random bytes in base64, and several are separated by spaces or commas"
            .to_owned()
    })
}

struct MasterKey {
    id: [u8; ID_BYTES],
    key: Prk,
}

impl MasterKey {
    fn new(bytes: &[u8]) -> Self {
        let mut id = [0; ID_BYTES];
        let named = Zeroizing::new([b"id of a key: ", PURPOSE, bytes].concat());
        id.iter_mut().zip(digest(&SHA256, &named).as_ref()).for_each(|(id, byte)| *id = *byte);
        Self { id, key: Salt::new(HKDF_SHA256, PURPOSE).extract(bytes) }
    }

    fn seal(&self, key: &StoreKey, record: &Record) -> Option<Vec<u8>> {
        let header = record::header(record::SEALED, record);
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = [&header[..], &self.id, &nonce].concat();
        let mut content = record.content.clone();
        let tag = self.key_of(key)?.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(self.bound_to(key, &header)),
            &mut content,
        );
        let tag = tag.ok()?;
        sealed.extend_from_slice(&content);
        sealed.extend_from_slice(tag.as_ref());
        (sealed.len() <= record::MAX_BYTES).then_some(sealed)
    }

    fn open(&self, key: &StoreKey, sealed: &[u8]) -> Option<Record> {
        let (header, rest) = record::split(record::SEALED, sealed)?;
        let (id, rest) = rest.split_first_chunk::<ID_BYTES>()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>()?;
        if *id != self.id {
            return None;
        }
        let mut content = Zeroizing::new(ciphertext.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = Aad::from(self.bound_to(key, header));
        let length = self.key_of(key)?.open_in_place(nonce, aad, &mut content).ok()?.len();
        content.truncate(length);
        record::with_content(header, content)
    }

    /// One key for each record's name: the random nonces of one need not differ from those of another.
    fn key_of(&self, key: &StoreKey) -> Option<LessSafeKey> {
        let info = [key.as_str().as_bytes()];
        Some(LessSafeKey::new(UnboundKey::from(self.key.expand(&info, &AES_256_GCM).ok()?)))
    }

    fn bound_to(&self, key: &StoreKey, header: &record::Header) -> Vec<u8> {
        [&header[..], &self.id, key.as_str().as_bytes()].concat()
    }
}
