//! Access tokens, and what comes with them.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, Method};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, TokenType};

/// The longest access token that is taken, in bytes (T13).
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The proof that goes with one request, while it is being signed: a future of the value of the request's `DPoP` header.
#[must_use = "futures do nothing unless polled"]
pub struct Proof {
    nonce: Option<String>,
    signing: Signing,
}

pub(crate) type Signing = Pin<Box<dyn Future<Output = Result<HeaderValue, Error>> + Send>>;

impl Proof {
    #[cfg(feature = "dpop")]
    pub(crate) fn new(nonce: Option<String>, signing: Signing) -> Self {
        Self { nonce, signing }
    }

    /// The nonce that the proof holds, if any.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }
}

impl Future for Proof {
    type Output = Result<HeaderValue, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.signing.as_mut().poll(cx)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").finish_non_exhaustive()
    }
}

/// A key that a token is bound to, as far as the token knows it.
pub(crate) trait Possession: Send + Sync {
    fn prove(&self, method: &Method, url: &str, token: &str, nonce: Option<&str>) -> Proof;
    fn learn_nonce(&self, url: &str, headers: &HeaderMap) -> Option<String>;
    #[cfg(any(feature = "sign-in", feature = "store"))]
    fn thumbprint(&self) -> &str;
}

/// An access token (RFC 6749, section 1.4), ready to be sent: cheap to clone, its header value made once and marked
/// sensitive.
///
/// Two are equal when they are the same token, whoever made them.
///
/// ```
/// use oauth_tokens::AccessToken;
///
/// let token = AccessToken::bearer("2YotnFZFEjr1zCsicMWpAA")?;
/// assert!(token.authorization().is_sensitive());
/// assert_eq!(format!("{token:?}"), "AccessToken(Bearer, 22 bytes)");
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
///
/// # Bound to a key
///
/// A token that is bound to a key (DPoP, RFC 9449) is of no use to whoever finds it: it is sent as `DPoP`, never as `Bearer`,
/// and each request needs a [`proof`](Self::proof) besides. The layer of `tower-oauth` does this by itself.
#[derive(Clone)]
pub struct AccessToken(Arc<Inner>);

struct Inner {
    header: HeaderValue,
    /// How long the scheme is, its space included.
    scheme: usize,
    key: Option<Arc<dyn Possession>>,
}

impl AccessToken {
    /// A bearer token (RFC 6750).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidResponse`] when it is empty, longer than 16 KiB, or holds anything but visible ASCII (T13, R5).
    pub fn bearer(token: &str) -> Result<Self, Error> {
        Self::new("Bearer ", token, None)
    }

    /// A token that is bound to a key (RFC 9449).
    #[cfg(feature = "dpop")]
    pub(crate) fn dpop(token: &str, key: Arc<dyn Possession>) -> Result<Self, Error> {
        Self::new("DPoP ", token, Some(key))
    }

    fn new(scheme: &str, token: &str, key: Option<Arc<dyn Possession>>) -> Result<Self, Error> {
        let unusable = |why: &str| Error::new(ErrorKind::InvalidResponse, format!("the access token {why}"));
        if token.is_empty() {
            return Err(unusable("is empty"));
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(unusable("is longer than 16 KiB"));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable("holds characters that a header may not carry"));
        }
        let mut header = HeaderValue::try_from([scheme, token].concat())
            .map_err(|_| unusable("holds characters that a header may not carry"))?;
        header.set_sensitive(true);
        Ok(Self(Arc::new(Inner { header, scheme: scheme.len(), key })))
    }

    /// The same token, whose value shares nothing with this one's. None: it is bound to a key, whose proofs cost far more.
    pub(crate) fn copy(&self) -> Option<Self> {
        let Inner { header, scheme, key: None } = &*self.0 else { return None };
        let mut header = HeaderValue::from_bytes(header.as_bytes()).ok()?;
        header.set_sensitive(true);
        Some(Self(Arc::new(Inner { header, scheme: *scheme, key: None })))
    }

    /// The value of the `Authorization` header: `Bearer` (or `DPoP`) and the token. Cloning it copies no bytes.
    #[must_use]
    pub fn authorization(&self) -> &HeaderValue {
        &self.0.header
    }

    /// Whether the token is bound to a key, so that each request needs a [`proof`](Self::proof).
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.0.key.is_some()
    }

    /// The proof for one request with this token, for its `DPoP` header (RFC 9449, section 4): new for each request, a
    /// repeated one too. None for a bearer token. The URL is the request's; its query and fragment are left out of the proof.
    ///
    /// The nonce is the one that the answer to the last attempt asked for. None: what is known of the URL's origin, which may
    /// be a nonce that another request has used up meanwhile.
    ///
    /// # Errors
    ///
    /// The future's: [`ErrorKind::Credential`] when the signer fails or takes more than 5 seconds.
    #[must_use]
    pub fn proof(&self, method: &Method, url: &str, nonce: Option<&str>) -> Option<Proof> {
        self.0.key.as_ref().map(|key| key.prove(method, url, self.secret(), nonce))
    }

    /// Remembers the nonce that a response to a request with this token asks for (`DPoP-Nonce`, RFC 9449, section 9); to be
    /// called for every response, whatever its status. None: it asks for none, or the token is a bearer token.
    ///
    /// A 401 with the error `use_dpop_nonce` is worth another attempt if this nonce is not the one that
    /// [the proof held](Proof::nonce).
    pub fn learn_nonce(&self, url: &str, headers: &HeaderMap) -> Option<String> {
        self.0.key.as_ref().and_then(|key| key.learn_nonce(url, headers))
    }

    /// The thumbprint of the key that the token is bound to.
    #[cfg(feature = "store")]
    pub(crate) fn thumbprint(&self) -> Option<&str> {
        self.0.key.as_ref().map(|key| key.thumbprint())
    }

    /// The token itself: a secret, to be sent or decoded, never logged.
    #[must_use]
    pub fn secret(&self) -> &str {
        // The constructor let only visible ASCII through, so this never falls back.
        self.0.header.to_str().ok().and_then(|value| value.get(self.0.scheme..)).unwrap_or_default()
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.header == other.0.header
    }
}

impl Eq for AccessToken {}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_bound() { "DPoP" } else { "Bearer" };
        write!(f, "AccessToken({scheme}, {} bytes)", self.secret().len())
    }
}

/// What one exchange brought (RFC 6749, section 5.1). Durations count from the moment the exchange began.
///
/// A [`TokenSource`](crate::TokenSource) of your own makes one from an [`AccessToken`]:
///
/// ```
/// use std::time::Duration;
/// use oauth_tokens::{AccessToken, TokenSet};
///
/// let tokens = TokenSet::new(AccessToken::bearer("t0k3n")?).expiring_in(Duration::from_secs(300));
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct TokenSet {
    /// The access token.
    pub access_token: AccessToken,
    /// How long it lives. None: the server did not say.
    pub expires_in: Option<Duration>,
    /// After how long the server would have it renewed (`refresh_in`).
    pub refresh_in: Option<Duration>,
    /// The scope that was granted, when the server said so.
    pub scope: Option<String>,
    /// A refresh token (RFC 6749, section 1.5): a secret.
    pub refresh_token: Option<Zeroizing<String>>,
    /// An ID token (OpenID Connect), not verified: a secret.
    pub id_token: Option<Zeroizing<String>>,
    /// What kind of token was issued, when the server said so: the answer to a token exchange does (RFC 8693, section 2.2.1).
    pub issued_token_type: Option<TokenType>,
    /// What the access token is good for in detail (RFC 9396, section 7), a JSON array, when the server said so.
    pub authorization_details: Option<serde_json::Value>,
    /// How long ago it was issued, for one that comes from a store.
    pub(crate) age: Duration,
}

impl TokenSet {
    /// A set of nothing but an access token.
    #[must_use]
    pub fn new(access_token: AccessToken) -> Self {
        Self {
            access_token,
            expires_in: None,
            refresh_in: None,
            scope: None,
            refresh_token: None,
            id_token: None,
            issued_token_type: None,
            authorization_details: None,
            age: Duration::ZERO,
        }
    }

    /// Says how long the access token lives.
    #[must_use]
    pub fn expiring_in(self, lifetime: Duration) -> Self {
        Self { expires_in: Some(lifetime), ..self }
    }

    /// Says how long ago the tokens were issued: they are then renewed when their whole lifetime says so.
    #[cfg(feature = "store")]
    #[must_use]
    pub(crate) fn aged(self, age: Duration) -> Self {
        Self { age, ..self }
    }

    /// Says when the access token expires, by this machine's clock; a moment in the past is now. It is renewed a little
    /// earlier than that, by the time that the exchange took.
    #[must_use]
    pub fn expiring_at(self, at: SystemTime) -> Self {
        self.expiring_in(at.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<Zeroizing<String>>| secret.as_ref().map(|_| "[redacted]");
        f.debug_struct("TokenSet")
            .field("access_token", &self.access_token)
            .field("expires_in", &self.expires_in)
            .field("refresh_in", &self.refresh_in)
            .field("scope", &self.scope)
            .field("refresh_token", &hidden(&self.refresh_token))
            .field("id_token", &hidden(&self.id_token))
            .field("issued_token_type", &self.issued_token_type)
            .field("authorization_details", &self.authorization_details.is_some())
            .finish()
    }
}
