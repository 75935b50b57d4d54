//! A client's secret: a value, a file or a function, read anew for each exchange (T15).

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use zeroize::Zeroizing;

use crate::{BoxError, Error, ErrorKind};

/// The most that is read of a file that holds a secret or a token.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A client's secret, or where to find it. It is read anew for each exchange, so that rotation needs no restart.
///
/// ```
/// use oauth_tokens::Secret;
///
/// let value = Secret::new("s3cr3t");
/// let file = Secret::file("/run/secrets/m2m");
/// let vault = Secret::from_fn(|| async { Ok("read from a vault".to_owned()) });
/// assert_eq!(format!("{value:?}"), "Secret(value)");
/// # let _ = (file, vault);
/// ```
#[derive(Clone)]
pub struct Secret(Kind);

#[derive(Clone)]
enum Kind {
    Value(Arc<Zeroizing<String>>),
    File(Arc<Path>),
    Function(Arc<Function>),
}

type Function = dyn Fn() -> Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>> + Send + Sync;

impl Secret {
    /// A secret given as it is.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(Kind::Value(Arc::new(Zeroizing::new(value.into()))))
    }

    /// A secret in a file (UTF-8, at most 1 MiB; line ends at its end are dropped). A change of the file also ends the
    /// waiting after a permanent error such as `invalid_client`.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Kind::File(path.into().into()))
    }

    /// A secret that an async function gets, from a vault for example. The function's error becomes the `source()` of an
    /// [`ErrorKind::Credential`] error; it runs within the exchange's deadline.
    #[must_use]
    pub fn from_fn<F, Fut>(function: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Self(Kind::Function(Arc::new(move || Box::pin(function()))))
    }

    /// What can be known to be wrong without reading it; `what` names it in messages.
    pub(crate) fn validate(&self, what: &str) -> Result<(), Error> {
        match &self.0 {
            Kind::Value(value) => check(value).map_err(|why| Error::config(format!("the {what} {why}"))),
            Kind::File(path) if path.as_os_str().is_empty() => {
                Err(Error::config(format!("the {what}'s file has an empty path")))
            }
            Kind::File(_) | Kind::Function(_) => Ok(()),
        }
    }

    /// The secret as it is now, for a client or a store of your own; `what` names it in messages. A file is read off the runtime's
    /// threads.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Credential`] when it cannot be read, is empty, or holds a control character.
    pub async fn read(&self, what: &'static str) -> Result<Zeroizing<String>, Error> {
        let (value, origin) = match &self.0 {
            Kind::Value(value) => return Ok(Zeroizing::clone(value)),
            Kind::File(path) => (read_file(path.to_path_buf(), what).await?, format!("the file {}", path.display())),
            Kind::Function(function) => {
                let read = function().await.map_err(|cause| {
                    let message = format!("the function that gets the {what} failed; see the error's source");
                    Error::new(ErrorKind::Credential, message).caused_by(cause)
                })?;
                (Zeroizing::new(read), "the function that gets it".to_owned())
            }
        };
        check(&value).map_err(|why| Error::new(ErrorKind::Credential, format!("the {what} from {origin} {why}")))?;
        Ok(value)
    }

    /// The secret, where it is a value.
    #[cfg(any(feature = "signing", feature = "store"))]
    pub(crate) fn value(&self) -> Option<&str> {
        match &self.0 {
            Kind::Value(value) => Some(value),
            Kind::File(_) | Kind::Function(_) => None,
        }
    }

    /// A number that changes when the secret may have changed; none if that cannot be known cheaply.
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        match &self.0 {
            Kind::File(path) => file_fingerprint(path),
            Kind::Value(_) | Kind::Function(_) => None,
        }
    }
}

fn check(secret: &str) -> Result<(), &'static str> {
    if secret.is_empty() {
        Err("is empty")
    } else if secret.chars().any(char::is_control) {
        Err("holds a control character (a line end in the middle, perhaps)")
    } else {
        Ok(())
    }
}

/// Reads a small text file without its final line ends, off the runtime's threads.
pub(crate) async fn read_file(path: PathBuf, what: &'static str) -> Result<Zeroizing<String>, Error> {
    let shown = path.display().to_string();
    let failed =
        |why: &str| Error::new(ErrorKind::Credential, format!("could not read the {what} file {shown}: {why}"));
    let read = tokio::task::spawn_blocking(move || read_capped(&path)).await;
    match read {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(failed(&error.to_string()).caused_by(error)),
        Err(_) => Err(failed("the runtime is shutting down")),
    }
}

pub(crate) fn read_capped(path: &Path) -> std::io::Result<Zeroizing<String>> {
    use std::io::{Error, ErrorKind, Read};
    // Looked at before it is opened: opening a named pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::new(ErrorKind::InvalidData, "larger than 1 MiB"));
    }
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(text)
}

/// Changes when the file is replaced or written. Kubernetes swaps a link, so links are followed.
pub(crate) fn file_fingerprint(path: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok()?;
    let mut hasher = DefaultHasher::new();
    (metadata.len(), metadata.modified().ok(), std::fs::canonicalize(path).ok()).hash(&mut hasher);
    Some(hasher.finish())
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Value(_) => f.write_str("Secret(value)"),
            Kind::File(path) => write!(f, "Secret(file {})", path.display()),
            Kind::Function(_) => f.write_str("Secret(function)"),
        }
    }
}
