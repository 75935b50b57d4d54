//! Access tokens, and what comes with them.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::HeaderValue;
use zeroize::Zeroizing;

use crate::{Error, ErrorKind};

/// The longest access token that is taken, in bytes (T13).
const MAX_TOKEN_BYTES: usize = 16 * 1024;
const BEARER: &str = "Bearer ";

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
#[derive(Clone)]
pub struct AccessToken(Arc<HeaderValue>);

impl AccessToken {
    /// A bearer token (RFC 6750).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidResponse`] when it is empty, longer than 16 KiB, or holds anything but visible ASCII (T13, R5).
    pub fn bearer(token: &str) -> Result<Self, Error> {
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
        let mut header = HeaderValue::try_from([BEARER, token].concat())
            .map_err(|_| unusable("holds characters that a header may not carry"))?;
        header.set_sensitive(true);
        Ok(Self(Arc::new(header)))
    }

    /// The value of the `Authorization` header: `Bearer` and the token. Cloning it copies no bytes.
    #[must_use]
    pub fn authorization(&self) -> &HeaderValue {
        &self.0
    }

    /// The token itself: a secret, to be sent or decoded, never logged.
    #[must_use]
    pub fn secret(&self) -> &str {
        // The constructor let only visible ASCII through, so this never falls back.
        self.0.to_str().ok().and_then(|value| value.strip_prefix(BEARER)).unwrap_or_default()
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for AccessToken {}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken(Bearer, {} bytes)", self.secret().len())
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
}

impl TokenSet {
    /// A set of nothing but an access token.
    #[must_use]
    pub fn new(access_token: AccessToken) -> Self {
        Self { access_token, expires_in: None, refresh_in: None, scope: None, refresh_token: None, id_token: None }
    }

    /// Says how long the access token lives.
    #[must_use]
    pub fn expiring_in(self, lifetime: Duration) -> Self {
        Self { expires_in: Some(lifetime), ..self }
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
            .finish()
    }
}
