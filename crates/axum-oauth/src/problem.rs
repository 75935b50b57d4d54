//! What can go wrong with a sign-in, as a user is told.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use http::{StatusCode, request::Parts};
use oauth_tokens::{Error, ErrorKind, SignInRequest};
use serde::{Deserialize, Serialize};

use crate::SignIn;

/// What went wrong with a sign-in: as much as a user can be told. The log has the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Problem {
    /// The user, or the server, said no.
    Denied,
    /// No such sign-in is under way in this browser: it took more than ten minutes, was finished already, or was begun elsewhere.
    Expired,
    /// What came back does not belong to the sign-in that was begun, or cannot be believed.
    Refused,
    /// The server did not let the sign-in happen.
    Failed,
    /// A server cannot be reached, or a store does not work: it may work later.
    Unavailable,
    /// The user has just signed in, and it does not help.
    Again,
    /// Somebody made a link that leads elsewhere.
    Link,
    /// The user could not be signed out.
    SignedIn,
    /// Another site wanted something done in the user's name.
    Foreign,
    /// Something else: the page's address was not made by us.
    #[serde(other)]
    Unknown,
}

/// What the address of the application's own page for problems says: an extractor, for
/// [`SignInBuilder::problem_page`](crate::SignInBuilder::problem_page).
///
/// Whoever makes a link can write anything into it. What cannot be read is [`Problem::Unknown`].
///
/// ```
/// use axum_oauth::ProblemQuery;
///
/// # use axum::response::IntoResponse;
/// async fn problem(query: ProblemQuery) -> impl IntoResponse {
///     (query.status(), format!("{}. {}", query.problem().title(), query.problem().advice()))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ProblemQuery {
    problem: Problem,
    return_to: String,
}

#[derive(Deserialize)]
struct Fields {
    why: Problem,
    return_to: Option<String>,
}

impl ProblemQuery {
    /// What went wrong.
    #[must_use]
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// The status of the page: never one of a server's failure, or anybody with a link could make the application look broken to
    /// whatever counts those. What failed was the request before. And never 401: the page asks for no credentials.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.problem.status() {
            StatusCode::UNAUTHORIZED => StatusCode::FORBIDDEN,
            status if status.is_server_error() => StatusCode::OK,
            status => status,
        }
    }

    /// Where the user wanted to go: a local path, `/` if none was told. For a link, or for
    /// [`SignIn::login_path`](crate::SignIn::login_path).
    #[must_use]
    pub fn return_to(&self) -> &str {
        &self.return_to
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ProblemQuery {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let said = Query::<Fields>::from_request_parts(parts, state).await.ok().map(|Query(said)| said);
        let problem = said.as_ref().map_or(Problem::Unknown, |said| said.why);
        let may_return_to = |path: &String| match parts.extensions.get::<SignIn>() {
            Some(sign_in) => sign_in.0.paths.may_return_to(path),
            None => SignInRequest::is_return_path(path),
        };
        let return_to = said.and_then(|said| said.return_to).filter(may_return_to);
        Ok(Self { problem, return_to: return_to.unwrap_or_else(|| "/".to_owned()) })
    }
}

impl Problem {
    /// What became of it, in a few words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Denied => "You were not signed in",
            Self::Expired => "This sign-in is no longer valid",
            Self::Refused => "This sign-in was refused",
            Self::Failed => "Signing in did not work",
            Self::Unavailable => "Not available right now",
            Self::Again => "Signing in again did not help",
            Self::Link => "This link cannot be used",
            Self::SignedIn => "You could not be signed out",
            Self::Foreign => "This request came from another site",
            Self::Unknown => "Something went wrong",
        }
    }

    /// What the user can do.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Denied => "Access was not granted. You can try again, perhaps with another account.",
            Self::Expired => {
                "It took too long, was used already, or was begun in another browser. Please sign in again."
            }
            Self::Refused => "The answer did not belong to the sign-in that was begun here. Please sign in again.",
            Self::Failed => {
                "The identity server did not complete it. If this happens again, tell whoever runs this site."
            }
            Self::Unavailable => "A server that is needed does not answer. Please try again in a moment.",
            Self::Again => "You have just signed in, and access was refused once more. Trying again later may help.",
            Self::Link => "It leads to a place that is not part of this site.",
            Self::SignedIn => "You are still signed in. Please try again in a moment.",
            Self::Foreign => "Nothing was changed. Please use the buttons on this site.",
            Self::Unknown => "Please sign in again.",
        }
    }

    /// Whether a new sign-in may cure it; if not, the page that was wanted is worth another look.
    #[must_use]
    pub fn is_cured_by_sign_in(self) -> bool {
        !matches!(self, Self::Unavailable | Self::Foreign | Self::SignedIn)
    }

    /// The status of a request that it befell. A page that only tells of it has [its own](ProblemQuery::status).
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Denied | Self::Foreign => StatusCode::FORBIDDEN,
            Self::Expired | Self::Refused | Self::Link | Self::Unknown => StatusCode::BAD_REQUEST,
            Self::Failed => StatusCode::BAD_GATEWAY,
            Self::Unavailable | Self::SignedIn => StatusCode::SERVICE_UNAVAILABLE,
            Self::Again => StatusCode::UNAUTHORIZED,
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
            Self::Again => "again",
            Self::Link => "link",
            Self::SignedIn => "signedin",
            Self::Foreign => "foreign",
            Self::Unknown => "unknown",
        }
    }

    /// What an error of a sign-in means for the user.
    pub(crate) fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::AccessDenied | ErrorKind::InteractionRequired => Self::Denied,
            ErrorKind::InvalidCallback | ErrorKind::InvalidIdToken => Self::Refused,
            _ if error.is_transient() => Self::Unavailable,
            _ => Self::Failed,
        }
    }
}
