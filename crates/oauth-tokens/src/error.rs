//! Why a token could not be had.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use zeroize::Zeroizing;

use crate::retry::MAX_RETRY_AFTER;

/// A boxed error, as tower uses it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a token could not be had: cheap to clone, because everybody who waited for one exchange gets the same error.
///
/// `Display` says what was tried, where, and what to do about it. It never holds a secret; text that came from a server
/// is escaped and cut. The cause, if there is one, is only in [`source`](std::error::Error::source).
///
/// ```
/// use oauth_tokens::{AuthorizationServer, ErrorKind};
/// # #[cfg(feature = "reqwest")] {
/// let error = AuthorizationServer::issuer("http://id.example.com").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Config);
/// assert!(error.to_string().contains("https"));
/// # }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    status: Option<StatusCode>,
    oauth: Option<OAuthError>,
    retry_after: Option<Duration>,
    source: Option<BoxError>,
    /// A refresh token that came with an answer of no other use: the server has forgotten the one before it.
    rotated: Option<Zeroizing<String>>,
    /// The request surely did not reach the server.
    unsent: bool,
    /// A source of the caller's own says that waiting does not cure it.
    permanent: bool,
    /// The answer came with another nonce than the proof held.
    nonce: Option<String>,
    /// The operator knows already: a log has it of another request.
    known: bool,
}

/// What kind of failure an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something given by the caller cannot work: a bad URL, an empty client id, a parameter that the protocol owns.
    Config,
    /// The client's secret, key, assertion or certificate could not be read, or a signer failed (T15).
    Credential,
    /// The authorization server could not be reached, or the connection broke.
    Transport,
    /// An exchange's deadline passed (T3).
    Timeout,
    /// Nothing was sent: the authorization server failed so many exchanges in a row that it is asked now and then only, or too
    /// many requests to it are under way (F15).
    ServerUnavailable,
    /// The authorization server's metadata does not name an endpoint that is needed (D3).
    MissingEndpoint,
    /// The authorization server's metadata names an endpoint that must not be used (D3, D5).
    InvalidEndpoint,
    /// The metadata speaks for another issuer (D2).
    IssuerMismatch,
    /// The authorization server answered with an OAuth error (RFC 6749, section 5.2); see [`Error::oauth`].
    OAuth,
    /// The authorization server answered with something that is neither a token nor an OAuth error.
    UnexpectedResponse,
    /// The authorization server answered 200, but with nothing that can be used as a token (T5).
    InvalidResponse,
    /// The token that was rejected is the one the authorization server still hands out (F9).
    SameToken,
    /// No renewal now: renewing did not cure earlier rejections (F10), or their budget is spent (F11).
    Held,
    /// A [`TokenPool`](crate::TokenPool) has no room for another key: all it has are in renewal or in use (F15).
    PoolFull,
    /// A protected resource's metadata speak for another resource (RFC 9728, section 3.3).
    ResourceMismatch,
    /// A protected resource names no authorization server that is allowed (RFC 9728, section 7.6).
    ServerNotAllowed,
    /// The user said no (RFC 8628, section 3.5; RFC 6749, section 4.1.2.1).
    AccessDenied,
    /// The user did not answer in time (RFC 8628, section 3.5).
    DeviceCodeExpired,
    /// A token store failed, and the token cannot be had without it.
    Store,
    /// Nobody is signed in under this name any more: the user has to sign in again.
    SignInRequired,
    /// The authorization server would have to ask the user something, and was told not to by `prompt=none` (OpenID Connect
    /// Core, section 3.1.2.6).
    InteractionRequired,
    /// What came to the redirect URI does not belong to the sign-in that was begun, or is malformed: nothing was redeemed.
    InvalidCallback,
    /// An ID token, a logout token or an answer about the user must not be believed.
    InvalidIdToken,
    /// A sign-in in this machine's browser could not be begun, or was called off.
    SignInCancelled,
    /// A [`TokenSource`](crate::TokenSource) or a [`Grant`](crate::Grant) of the caller's own failed.
    Source,
    /// There is no tokio runtime (with its timer) to run the exchange on.
    NoRuntime,
}

/// An OAuth error response (RFC 6749, section 5.2), with what the vendor added.
///
/// All text is escaped, cut at 512 characters, and free of the secrets that were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OAuthError {
    /// `error`, for example `invalid_client`.
    pub code: String,
    /// `error_description`.
    pub description: Option<String>,
    /// `error_uri`.
    pub uri: Option<String>,
    /// The status of the response; 400 for an error that came to the redirect URI, where there is none.
    pub status: StatusCode,
    /// Every other scalar field of the response (`error_codes`, `trace_id`, `correlation_id`, ...), at most sixteen.
    pub fields: Vec<(String, String)>,
}

impl OAuthError {
    /// A vendor field by name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }

    /// One of the known codes that waiting does not cure (T7).
    fn is_permanent(&self) -> bool {
        let known = matches!(
            self.code.as_str(),
            "invalid_client"
                | "invalid_grant"
                | "invalid_scope"
                | "unauthorized_client"
                | "unsupported_grant_type"
                | "invalid_request"
                | "invalid_target"
        );
        known && self.status != StatusCode::TOO_MANY_REQUESTS && !self.status.is_server_error()
    }
}

impl Error {
    /// An error for a [`TokenSource`](crate::TokenSource) or [`Grant`](crate::Grant) of your own: transient unless called
    /// [`permanent`](Self::permanent), with the message as its `Display`. Keep secrets out of the message.
    #[must_use]
    pub fn source_failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Source, message)
    }

    /// That the token which an API refused is the one that the authorization server hands out again
    /// ([`ErrorKind::SameToken`]).
    #[must_use]
    pub fn same_token() -> Self {
        Self::new(ErrorKind::SameToken, "the authorization server handed out the very token that the API had refused")
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            status: None,
            oauth: None,
            retry_after: None,
            source: None,
            rotated: None,
            unsent: false,
            permanent: false,
            nonce: None,
            known: false,
        }))
    }

    /// An error for a builder of your own, a store's for example: something that was given to it cannot work. Permanent, with the
    /// message as its `Display`. Keep secrets out of the message.
    #[must_use]
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// Adds to an error that was just made and is not shared yet.
    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        }
        self
    }

    /// The cause of this error, for its `source()`; for a [`TokenSource`](crate::TokenSource) of your own.
    #[must_use]
    pub fn caused_by(self, source: impl Into<BoxError>) -> Self {
        let source = source.into();
        self.with(|inner| inner.source = Some(source))
    }

    /// Says of an error of your own that waiting does not cure it: it is then asked for again rarely, as after
    /// `invalid_client`.
    #[must_use]
    pub fn permanent(self) -> Self {
        self.with(|inner| inner.permanent = true)
    }

    /// Says of an error of your own how long the server asked to wait (`Retry-After`); at most 5 minutes are.
    #[must_use]
    pub fn wait_at_least(self, pause: Duration) -> Self {
        self.with_retry_after(Some(pause.min(MAX_RETRY_AFTER)))
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        self.with(|inner| inner.status = Some(status))
    }

    pub(crate) fn with_kind(self, kind: ErrorKind) -> Self {
        self.with(|inner| inner.kind = kind)
    }

    pub(crate) fn with_oauth(self, oauth: OAuthError) -> Self {
        self.with(|inner| inner.oauth = Some(oauth))
    }

    pub(crate) fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        self.with(|inner| inner.retry_after = retry_after)
    }

    pub(crate) fn with_unsent(self, unsent: bool) -> Self {
        self.with(|inner| inner.unsent = unsent)
    }

    pub(crate) fn with_nonce(self, nonce: Option<String>) -> Self {
        self.with(|inner| inner.nonce = nonce)
    }

    /// The nonce with which the same request may succeed (RFC 9449, section 8).
    pub(crate) fn asked_nonce(&self) -> Option<&str> {
        let asks = self.oauth().is_some_and(|oauth| oauth.code == "use_dpop_nonce");
        self.0.nonce.as_deref().filter(|_| asks)
    }

    pub(crate) fn with_known(self, known: bool) -> Self {
        self.with(|inner| inner.known = known)
    }

    /// Whether a warning about this very thing was given already: about the server or the client, for another token.
    pub(crate) fn is_known(&self) -> bool {
        self.0.known
    }

    pub(crate) fn is_unsent(&self) -> bool {
        self.0.unsent
    }

    pub(crate) fn with_rotated(self, rotated: Option<Zeroizing<String>>) -> Self {
        self.with(|inner| inner.rotated = rotated)
    }

    /// Takes the refresh token out of an error that is not shared yet.
    pub(crate) fn take_rotated(&mut self) -> Option<Zeroizing<String>> {
        Arc::get_mut(&mut self.0).and_then(|inner| inner.rotated.take())
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same request may succeed later without anybody changing anything.
    ///
    /// Permanent are the OAuth errors that speak of the request or the client (`invalid_client`, `invalid_grant`,
    /// `invalid_scope`, `unauthorized_client`, `unsupported_grant_type`, `invalid_request`, `invalid_target`), and what
    /// is wrong in the program itself ([`ErrorKind::Config`], [`ErrorKind::NoRuntime`]), and whatever a source of your own
    /// calls [`permanent`](Self::permanent). Even a permanent error is tried
    /// again, rarely: somebody may mend it at the server.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match (&self.0.oauth, self.0.kind) {
            (_, ErrorKind::Config | ErrorKind::NoRuntime) => false,
            (_, ErrorKind::AccessDenied | ErrorKind::DeviceCodeExpired | ErrorKind::SignInRequired) => false,
            (_, ErrorKind::InteractionRequired | ErrorKind::InvalidCallback) => false,
            (_, ErrorKind::InvalidIdToken | ErrorKind::SignInCancelled) => false,
            _ if self.0.permanent => false,
            (Some(oauth), _) => !oauth.is_permanent(),
            (None, _) => true,
        }
    }

    /// How long the server asked to wait (`Retry-After`, at most 5 minutes), counted from its answer.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The OAuth error that the authorization server answered with, if it did.
    #[must_use]
    pub fn oauth(&self) -> Option<&OAuthError> {
        self.0.oauth.as_ref()
    }

    /// The status that the authorization server answered with, if it answered.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("oauth", &self.0.oauth)
            .field("retry_after", &self.0.retry_after)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}
