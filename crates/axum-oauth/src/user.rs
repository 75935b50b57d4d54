//! Who is signed in, for a handler.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;
use oauth_tokens::BoxError;
use serde_json::Value;
use tower_sessions::Session;

use crate::{
    Refusal, SignIn, UserKey, asked::Asked, layer::Seen, refusal::Why, session::SignedInUser, sign_in::Current,
};

/// Who is signed in: an extractor.
///
/// Where nobody is, a page that a browser wants to show becomes a redirect to the sign-in, which leads back to it; any other
/// request is answered 401 with a problem (RFC 9457). For a page that is there for everybody, take `Option<User>`.
///
/// Whatever is answered to a request that asked for the user is not cached (`Cache-Control: no-store`), unless the handler says
/// otherwise.
#[derive(Clone)]
pub struct User {
    user: Arc<SignedInUser>,
    asked: Asked,
    sign_in: SignIn,
}

impl User {
    /// The key of the user's tokens, for `Keyed::key` of the layer and for [`UserTokens`](oauth_tokens::UserTokens).
    #[must_use]
    pub fn key(&self) -> &UserKey {
        &self.user.key
    }

    /// Who it is at the server (`sub`): unique there, and for good. A database's key for users is this with
    /// [the issuer](Self::issuer); an e-mail address is not.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.user.sub
    }

    /// The server that says so (`iss`).
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.user.iss
    }

    /// What to call the user: `name`, else `preferred_username`, else the e-mail address, if one of these was told and is kept.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let known = ["name", "preferred_username", "email"].into_iter().filter_map(|name| self.claim(name)?.as_str());
        known.into_iter().find(|name| !name.trim().is_empty())
    }

    /// The e-mail address, if it was told and is kept. Whether it is the user's, `email_verified` says.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.claim("email").and_then(Value::as_str)
    }

    /// A claim of the ID token, or of the answer about the user, that is [kept](crate::SignInBuilder::claims).
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.user.claims.get(name)
    }

    /// How long ago the user signed in.
    #[must_use]
    pub fn signed_in_for(&self) -> Duration {
        self.user.age()
    }

    /// What becomes of a request whose call to an API failed. [`Refusal`] tells an error that a new sign-in cures from others, and
    /// is an answer: the first is "sign in again", once.
    #[must_use]
    pub fn refusal(&self, error: impl Into<BoxError>) -> Refusal {
        Refusal::of(error.into(), self)
    }

    /// "Sign in again": for an API that answers 401 whatever token it gets, for example. Once: right after a sign-in, it is a page
    /// that says so.
    #[must_use]
    pub fn sign_in_again(&self) -> Refusal {
        Refusal::new(Why::SignInAgain(None), self)
    }

    pub(crate) fn asked(&self) -> (&SignIn, &Asked) {
        (&self.sign_in, &self.asked)
    }

    /// Whether somebody is signed in; if not, whether somebody was.
    async fn find(parts: &mut Parts) -> Result<Result<Self, Absent>, Response> {
        let sign_in = parts.extensions.get::<SignIn>().cloned();
        let session = parts.extensions.get::<Session>().cloned();
        let (Some(sign_in), Some(session)) = (sign_in, session) else {
            tracing::error!("a handler asks for the user, and the layer of `SignIn::sessions` is not over its route");
            return Err(http::StatusCode::INTERNAL_SERVER_ERROR.into_response());
        };
        let seen = parts.extensions.get::<Seen>().cloned().unwrap_or_default();
        seen.note();
        let asked = Asked::of(parts);
        match sign_in.current(&session).await {
            Ok(Current::SignedIn(user)) => Ok(Ok(Self { user: Arc::new(user), asked, sign_in })),
            Ok(Current::Ended) => {
                seen.note_end();
                Ok(Err(Absent { has_ended: true }))
            }
            Ok(Current::Nobody) => Ok(Err(Absent { has_ended: false })),
            Err(problem) => Err(asked.problem(problem, &sign_in)),
        }
    }
}

/// That nobody is signed in.
struct Absent {
    has_ended: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let has_ended = match Self::find(parts).await? {
            Ok(user) => return Ok(user),
            Err(Absent { has_ended }) => has_ended,
        };
        let asked = Asked::of(parts);
        // Found above, or there would have been no answer.
        Err(match parts.extensions.get::<SignIn>() {
            Some(sign_in) if has_ended => asked.sign_in(sign_in),
            Some(sign_in) => asked.sign_in_once(sign_in, &parts.headers),
            None => http::StatusCode::UNAUTHORIZED.into_response(),
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Response> {
        Ok(Self::find(parts).await?.ok())
    }
}

/// Claims are not shown.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").finish_non_exhaustive()
    }
}
