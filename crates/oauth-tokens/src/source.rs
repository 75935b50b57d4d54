//! Where tokens come from, new each time.

use std::{fmt, pin::Pin};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};

use crate::{AccessToken, Error, TokenSet, json::Object};

/// The most that is taken of one value of a challenge (R14).
const MAX_CHALLENGE_BYTES: usize = 4096;

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

    /// Gets a new token after an API rejected one: with what the API asked for, past a cache of the source's own.
    /// Default: [`fetch`](Self::fetch).
    ///
    /// # Errors
    ///
    /// As [`fetch`](Self::fetch).
    fn fetch_after(&self, rejection: &Rejection) -> impl Future<Output = Result<TokenSet, Error>> + Send {
        let _ = rejection;
        self.fetch()
    }

    /// Whether [`fetch_after`](Self::fetch_after) heeds the [`claims`](Rejection::claims) that an API asks for; if not, such a
    /// rejection renews nothing. Default: no (R14).
    fn accepts_claims(&self) -> bool {
        false
    }

    /// The same source, that asks for these scopes besides; a [`TokenPool`](crate::TokenPool) uses it for requests that need
    /// more than others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when the source cannot do that, which is the default.
    fn scoped(self, scopes: &[String]) -> Result<Self, Error>
    where
        Self: Sized,
    {
        let _ = scopes;
        Err(Error::config("this token source cannot ask for scopes that a single request needs"))
    }

    /// Whether the source remembers something from one fetch to the next that another one, made in the same way, would not
    /// know: a refresh token, for example. A [`TokenPool`](crate::TokenPool) keeps such a source with its key, and makes any other
    /// anew for each fetch. Default: yes.
    fn holds_state(&self) -> bool {
        true
    }

    /// A number that changes when the credential behind this source may have changed, if that can be known without
    /// blocking for long. After a permanent error, a change ends the waiting for the next attempt. Default: none.
    fn credential_fingerprint(&self) -> Option<u64> {
        None
    }
}

/// That an API rejected a token, and what it said of the next one.
///
/// What it said comes from the API, within limits (R14), but not from anybody else who vouches for it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Rejection {
    /// The token.
    pub token: AccessToken,
    /// The origin that rejected it.
    pub origin: String,
    /// The claims that the next token is to hold: JSON, decoded, at most 4 KiB (OpenID Connect Core, section 5.5; Entra's
    /// continuous access evaluation).
    pub claims: Option<String>,
    /// Where the API's metadata are: a URL (RFC 9728, section 5.1), at most 4 KiB.
    pub resource_metadata: Option<String>,
}

impl Rejection {
    /// That this origin rejected this token, and said no more.
    #[must_use]
    pub fn new(origin: impl Into<String>, token: AccessToken) -> Self {
        Self { token, origin: origin.into(), claims: None, resource_metadata: None }
    }

    /// Takes over the `claims` of a challenge: base64 of a JSON object, at most 4 KiB. False: they are none, and not taken.
    pub fn set_claims(&mut self, encoded: &str) -> bool {
        let claims = (encoded.len() <= MAX_CHALLENGE_BYTES).then(|| decoded(encoded.trim_end_matches('='))).flatten();
        let is_object = claims.as_deref().is_some_and(|claims| Object::parse(claims.as_bytes()).is_ok());
        if is_object {
            self.claims = claims;
        }
        is_object
    }
}

/// Servers write either alphabet, with or without padding.
fn decoded(text: &str) -> Option<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).or_else(|_| BASE64_STANDARD_NO_PAD.decode(text)).ok()?;
    String::from_utf8(bytes).ok()
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("token", &self.token)
            .field("origin", &self.origin)
            .field("claims", &self.claims.is_some())
            .field("resource_metadata", &self.resource_metadata.is_some())
            .finish()
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

type Fetching<'a> = Pin<Box<dyn Future<Output = Result<TokenSet, Error>> + Send + 'a>>;

/// A [`TokenSource`] behind a pointer: what the cache holds.
pub(crate) trait AnySource: Send + Sync {
    fn fetch(&self) -> Fetching<'_>;
    fn fetch_after<'a>(&'a self, rejection: &'a Rejection) -> Fetching<'a>;
    fn accepts_claims(&self) -> bool;
    fn holds_state(&self) -> bool;
    fn credential_fingerprint(&self) -> Option<u64>;
}

impl<S: TokenSource> AnySource for S {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(TokenSource::fetch(self))
    }

    fn fetch_after<'a>(&'a self, rejection: &'a Rejection) -> Fetching<'a> {
        Box::pin(TokenSource::fetch_after(self, rejection))
    }

    fn accepts_claims(&self) -> bool {
        TokenSource::accepts_claims(self)
    }

    fn holds_state(&self) -> bool {
        TokenSource::holds_state(self)
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        TokenSource::credential_fingerprint(self)
    }
}
