//! A private key in a file, read anew when it is needed (T15).

use std::{fmt, path::PathBuf, sync::Arc};

use super::{Algorithm, SharedSigner, Signer, SigningKey};
use crate::{Error, ErrorKind, secret};

/// A private key in a file, PEM or JWK: what [`SigningKey::file`] makes. It is read anew for each assertion, so that a key
/// is rotated by replacing the file.
///
/// ```
/// use oauth_tokens::{ClientAuth, SigningKey};
///
/// let auth = ClientAuth::private_key_jwt(SigningKey::file("/run/secrets/client-key.pem").with_key_id("billing-2025"));
/// # let _ = auth;
/// ```
#[derive(Clone)]
pub struct SigningKeyFile {
    path: PathBuf,
    key_id: Option<String>,
    algorithm: Option<Algorithm>,
}

impl SigningKeyFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, key_id: None, algorithm: None }
    }

    /// Names the key (`kid`), whatever the file says. A PEM file cannot name its key; where keys with names are rotated, a
    /// JWK file brings the name along.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Signs by this algorithm, whatever the file says; see [`SigningKey::with_algorithm`].
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    async fn read(&self) -> Result<SigningKey, Error> {
        let text = secret::read_file(self.path.clone(), "private key").await?;
        let in_file = |error: Error| {
            let path = self.path.display();
            Error::new(ErrorKind::Credential, format!("the private key file {path} cannot be used: {error}"))
        };
        let is_json = text.trim_start().starts_with('{');
        let mut key =
            if is_json { SigningKey::from_jwk(&text) } else { SigningKey::from_pem(&*text) }.map_err(in_file)?;
        if let Some(algorithm) = self.algorithm {
            key = key.with_algorithm(algorithm).map_err(in_file)?;
        }
        Ok(match &self.key_id {
            Some(key_id) => key.with_key_id(key_id),
            None => key,
        })
    }
}

impl fmt::Debug for SigningKeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeyFile({})", self.path.display())
    }
}

/// Where the key of a client's assertions is: any [`Signer`], or a [`SigningKeyFile`].
#[derive(Clone)]
pub struct KeySource(Source);

#[derive(Clone)]
enum Source {
    Signer(SharedSigner),
    File(SigningKeyFile),
}

impl KeySource {
    pub(crate) async fn signer(&self) -> Result<SharedSigner, Error> {
        match &self.0 {
            Source::Signer(signer) => Ok(Arc::clone(signer)),
            Source::File(file) => Ok(Arc::new(file.read().await?)),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        match &self.0 {
            Source::File(file) if file.path.as_os_str().is_empty() => {
                Err(Error::config("the private key's file has an empty path"))
            }
            _ => Ok(()),
        }
    }

    /// A number that changes when the key may have changed; none if that cannot be known cheaply.
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        match &self.0 {
            Source::Signer(_) => None,
            Source::File(file) => secret::file_fingerprint(&file.path),
        }
    }
}

impl<S: Signer> From<S> for KeySource {
    fn from(signer: S) -> Self {
        Self(Source::Signer(Arc::new(signer)))
    }
}

impl From<SigningKeyFile> for KeySource {
    fn from(file: SigningKeyFile) -> Self {
        Self(Source::File(file))
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Signer(signer) => write!(f, "KeySource(a signer of {})", signer.algorithm()),
            Source::File(file) => write!(f, "KeySource({file:?})"),
        }
    }
}
