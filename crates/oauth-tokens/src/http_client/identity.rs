//! The certificate that a client shows to servers, and its private key (RFC 8705).

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
};

use zeroize::Zeroizing;

use crate::{Error, ErrorKind, secret};

/// Where the certificate and the key are.
pub(super) enum Identity {
    Pem(Zeroizing<Vec<u8>>),
    /// Read again when they change, so that rotation needs no restart (T15).
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
}

impl Identity {
    pub(super) fn from_pem(certificate: &str, key: &str) -> Self {
        Self::Pem(pem(certificate, key))
    }

    pub(super) fn read(&self) -> Result<reqwest::Identity, Error> {
        let unusable = |why: &str| Error::new(ErrorKind::Credential, format!("{self}: {why}"));
        match self {
            Self::Pem(pem) => parse(pem).map_err(unusable),
            Self::Files { certificate, key } => {
                let read = |path: &PathBuf| secret::read_capped(path).map_err(|error| unusable(&error.to_string()));
                parse(&pem(&read(certificate)?, &read(key)?)).map_err(unusable)
            }
        }
    }

    /// They can be read, but TLS has no use for them.
    pub(super) fn refused(&self, cause: reqwest::Error) -> Error {
        let message = format!("{self}: they do not belong together, or are of a kind that is not known");
        Error::new(ErrorKind::Credential, message).caused_by(cause)
    }

    pub(super) fn fingerprint(&self) -> Option<u64> {
        match self {
            Self::Pem(_) => None,
            Self::Files { certificate, key } => {
                let mut hasher = DefaultHasher::new();
                [certificate, key].map(|path| secret::file_fingerprint(path)).hash(&mut hasher);
                Some(hasher.finish())
            }
        }
    }
}

fn parse(pem: &[u8]) -> Result<reqwest::Identity, &'static str> {
    reqwest::Identity::from_pem(pem).map_err(|_| {
        "PEM is expected, the certificate and its chain after it (-----BEGIN CERTIFICATE-----), and an unencrypted private \
         key (-----BEGIN PRIVATE KEY-----)"
    })
}

/// The certificates of the one and the keys of the other: either may hold both, or things that TLS has no use for.
fn pem(certificate: &str, key: &str) -> Zeroizing<Vec<u8>> {
    // Never grown, so that no copy of the key stays behind.
    let mut out = Zeroizing::new(Vec::with_capacity(certificate.len() + key.len() + 2));
    sections(certificate, |label| label == "CERTIFICATE", &mut out);
    sections(key, |label| label.ends_with("PRIVATE KEY"), &mut out);
    out
}

fn sections(pem: &str, wanted: impl Fn(&str) -> bool, out: &mut Vec<u8>) {
    let mut inside = false;
    for line in pem.lines() {
        let label = |edge: &str| line.trim().strip_prefix(edge).and_then(|rest| rest.strip_suffix("-----"));
        if label("-----BEGIN ").is_some_and(&wanted) {
            inside = true;
        }
        if inside {
            out.extend_from_slice(line.trim().as_bytes());
            out.push(b'\n');
        }
        if label("-----END ").is_some() {
            inside = false;
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem(_) => f.write_str("the client's certificate and key"),
            Self::Files { certificate, key } => {
                write!(f, "the client's certificate in {} and key in {}", certificate.display(), key.display())
            }
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}
