//! Where tokens come from, new each time.

use std::{fmt, pin::Pin};

use crate::{Error, TokenSet};

/// Something that gets a new token each time it is asked: a [`TokenRequest`](crate::TokenRequest), a
/// [`TokenFile`](crate::TokenFile), or one of your own. A [`TokenCache`](crate::TokenCache) over it does the rest.
///
/// ```
/// use std::time::Duration;
/// use oauth_tokens::{AccessToken, Error, TokenCache, TokenSet, TokenSource};
///
/// struct FromVault;
///
/// impl TokenSource for FromVault {
///     async fn fetch(&self) -> Result<TokenSet, Error> {
///         let token = "read from the vault";
///         # let token = "t0k3n";
///         let mut tokens = TokenSet::new(AccessToken::bearer(token)?);
///         tokens.expires_in = Some(Duration::from_secs(300));
///         Ok(tokens)
///     }
/// }
///
/// let cache = TokenCache::new(FromVault);
/// # let _ = cache;
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// Gets a new token. Durations in the answer count from when this was called.
    ///
    /// # Errors
    ///
    /// Why there is none; [`Error::source_failed`] makes one from a message of your own.
    fn fetch(&self) -> impl Future<Output = Result<TokenSet, Error>> + Send;

    /// A number that changes when the credential behind this source may have changed, if that can be known without
    /// blocking for long. After a permanent error, a change ends the waiting for the next attempt. Default: none.
    fn credential_fingerprint(&self) -> Option<u64> {
        None
    }
}

/// A [`TokenSource`] from an async function.
///
/// ```
/// use oauth_tokens::{AccessToken, TokenCache, TokenSet, source_fn};
///
/// let cache = TokenCache::new(source_fn(|| async { Ok(TokenSet::new(AccessToken::bearer("t0k3n")?)) }));
/// # let _ = cache;
/// ```
#[must_use]
pub fn source_fn<F, Fut>(function: F) -> SourceFn<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<TokenSet, Error>> + Send,
{
    SourceFn(function)
}

/// What [`source_fn`] makes.
pub struct SourceFn<F>(F);

impl<F, Fut> TokenSource for SourceFn<F>
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<TokenSet, Error>> + Send,
{
    fn fetch(&self) -> impl Future<Output = Result<TokenSet, Error>> + Send {
        (self.0)()
    }
}

impl<F> fmt::Debug for SourceFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceFn")
    }
}

/// A [`TokenSource`] behind a pointer: what the cache holds.
pub(crate) trait AnySource: Send + Sync {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<TokenSet, Error>> + Send + '_>>;
    fn credential_fingerprint(&self) -> Option<u64>;
}

impl<S: TokenSource> AnySource for S {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<TokenSet, Error>> + Send + '_>> {
        Box::pin(TokenSource::fetch(self))
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        TokenSource::credential_fingerprint(self)
    }
}
