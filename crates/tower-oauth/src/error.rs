//! Why a request was refused before it was sent.

use std::{convert::Infallible, fmt};

use crate::{Origin, target::InvalidOrigin};

/// Why a layer cannot be built, or a request was refused before it was sent.
///
/// The layer's own errors arrive as this type in a `BoxError`; the inner service's errors arrive unchanged.
///
/// ```
/// use tower_oauth::{Error, ErrorKind};
///
/// fn why(error: &tower_oauth::BoxError) -> Option<ErrorKind> {
///     error.downcast_ref::<Error>().map(Error::kind)
/// }
/// ```
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<oauth_tokens::Error>,
}

/// What kind of failure an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A layer was given an origin, or a set of origins and tokens, that it cannot use.
    Config,
    /// There is no token for a protected origin (R3); [`source`](std::error::Error::source) is the
    /// [`oauth_tokens::Error`] that says why, unless a selector had none.
    NoToken,
    /// The request's tokens are those of a key (a tenant, a user), and it has none (F14); see
    /// [`OAuthLayer::keyed`](crate::OAuthLayer::keyed).
    MissingKey,
    /// The request asks for more scopes ([`TokenOptions`](crate::TokenOptions)), and its tokens are not of a pool.
    NoPool,
    /// The token is bound to a key (DPoP, RFC 9449), and the request's proof could not be signed;
    /// [`source`](std::error::Error::source) says why.
    NoProof,
    /// The time that the request gives itself, reqwest's timeout or `grpc-timeout`, passed while it waited for an access
    /// token, or for its turn after that.
    DeadlineExceeded,
    /// The request's URL has no authority, and the layer was not built for one connection (R5).
    NoAuthority,
    /// `Host` stands twice, cannot be read, or differs from the URL's authority (R5).
    HostMismatch,
    /// The request's path begins below an origin's path prefix, and may leave it: which of the two depends on who reads it
    /// (R4).
    AmbiguousPath,
    /// The caller set `Authorization` itself, and the layer was told to refuse that (R1).
    CallerAuthorization,
    /// A request has so many headers that no further one can be added.
    TooManyHeaders,
    /// More redirects than are followed.
    TooManyRedirects,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn no_token(origin: &Origin, cause: oauth_tokens::Error) -> Self {
        let message = format!("a request to {origin} was not sent: there is no access token for it");
        Self { kind: ErrorKind::NoToken, message, source: Some(cause) }
    }

    pub(crate) fn no_proof(origin: &Origin, cause: oauth_tokens::Error) -> Self {
        let message = format!("a request to {origin} was not sent: it could not be proven that its token is ours");
        Self { kind: ErrorKind::NoProof, message, source: Some(cause) }
    }

    pub(crate) fn deadline_exceeded(origin: &Origin) -> Self {
        let message =
            format!("a request to {origin} was not sent: its own timeout passed while it waited for an access token");
        Self::new(ErrorKind::DeadlineExceeded, message)
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Why there is no token, or no proof, for [`ErrorKind::NoToken`] and [`ErrorKind::NoProof`].
    #[must_use]
    pub fn token_error(&self) -> Option<&oauth_tokens::Error> {
        self.source.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<InvalidOrigin> for Error {
    fn from(error: InvalidOrigin) -> Self {
        Self::new(ErrorKind::Config, format!("an origin given to the layer cannot be used: {error}"))
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
