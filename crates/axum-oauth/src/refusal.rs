//! What becomes of a request whose call to an API failed.

use std::{error::Error as StdError, fmt, time::Duration};

use axum::response::{IntoResponse, Response};
use oauth_tokens::{BoxError, ErrorKind};

use crate::{Problem, SignIn, User, asked::Asked};

/// Whoever signed in so lately, and is to sign in again, has signed in for nothing.
const JUST_SIGNED_IN: Duration = Duration::from_secs(60);

/// Why a handler gives up, as an answer; made by [`User::refusal`].
///
/// - The sign-in is over ([`ErrorKind::SignInRequired`], anywhere in the error's chain): a page that a browser wants to show becomes a
///   redirect to the sign-in, which leads back to it; any other request is answered 401. Not so within a minute of the last sign-in:
///   then a new one does not cure it, and the user is told so on a page, which ends what would go round in circles.
/// - Anything else: 503, as a page or as a problem. The error is not shown; log it.
///
/// ```
/// # use axum_oauth::{Refusal, User};
/// # async fn call_the_api(key: &axum_oauth::UserKey) -> Result<String, oauth_tokens::BoxError> { Ok(String::new()) }
/// async fn orders(user: User) -> Result<String, Refusal> {
///     call_the_api(user.key()).await.map_err(|error| user.refusal(error))
/// }
/// ```
pub struct Refusal {
    why: Why,
    is_of_no_help: bool,
    asked: Asked,
    sign_in: SignIn,
}

pub(crate) enum Why {
    SignInAgain(Option<BoxError>),
    Failed(BoxError),
}

impl Refusal {
    pub(crate) fn of(error: BoxError, user: &User) -> Self {
        let why = if is_sign_in_required(&*error) { Why::SignInAgain(Some(error)) } else { Why::Failed(error) };
        Self::new(why, user)
    }

    pub(crate) fn new(why: Why, user: &User) -> Self {
        let (sign_in, asked) = user.asked();
        let is_of_no_help = user.signed_in_for() < JUST_SIGNED_IN;
        Self { why, is_of_no_help, asked: asked.clone(), sign_in: sign_in.clone() }
    }

    /// Whether the user has to sign in again.
    #[must_use]
    pub fn is_sign_in(&self) -> bool {
        matches!(self.why, Why::SignInAgain(_))
    }

    /// The error that it was made of, if there was one.
    #[must_use]
    pub fn error(&self) -> Option<&BoxError> {
        match &self.why {
            Why::SignInAgain(error) => error.as_ref(),
            Why::Failed(error) => Some(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match &self.why {
            Why::SignInAgain(_) if self.is_of_no_help => self.asked.problem(Problem::Again, &self.sign_in),
            Why::SignInAgain(_) => self.asked.sign_in(&self.sign_in),
            Why::Failed(error) => {
                tracing::warn!(error = &**error as &(dyn StdError + 'static), "a call on a user's behalf failed");
                self.asked.problem(Problem::Unavailable, &self.sign_in)
            }
        }
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal").field("is_sign_in", &self.is_sign_in()).field("error", &self.error()).finish()
    }
}

fn is_sign_in_required(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let token_error = error.downcast_ref::<oauth_tokens::Error>();
        if token_error.is_some_and(|error| error.kind() == ErrorKind::SignInRequired) {
            return true;
        }
        cause = error.source();
    }
    false
}
