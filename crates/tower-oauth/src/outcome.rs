//! What became of a 401, for the caller's metrics.

use crate::{
    NotReplayable,
    challenge::Reason,
    message::sealed,
    policy::Tried,
    telemetry::{Fate, refused_at_first},
};

/// What the layer made of a 401: in the extensions of a response, whenever the first answer to a request that carried one
/// of its tokens was a 401; or a 403 that asks for a stronger token, if the layer may [step up](crate::OAuthLayer::step_up).
///
/// ```
/// use tower_oauth::RetryOutcome;
///
/// fn count<B>(response: &http::Response<B>) -> &'static str {
///     match response.extensions().get() {
///         None => "no 401",
///         Some(RetryOutcome::Retried) => "retried",
///         Some(RetryOutcome::NotRetried(_)) => "not retried",
///     }
/// }
/// # assert_eq!(count(&http::Response::new(())), "no 401");
/// ```
#[derive(Clone, Debug)]
pub enum RetryOutcome {
    /// The request was sent again, with another token or another proof (DPoP), and this is the answer to that.
    Retried,
    /// This is the first answer.
    NotRetried(NotRetried),
}

/// Why a request was not sent again after a 401.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NotRetried {
    /// The challenges are of other schemes only (R6).
    OtherScheme,
    /// `insufficient_scope`: another token of the same kind would fare no better (R6); see
    /// [`OAuthLayer::step_up`](crate::OAuthLayer::step_up).
    InsufficientScope,
    /// `insufficient_user_authentication` (RFC 9470) (R6).
    InsufficientUserAuthentication,
    /// The token lacks claims that the API asks for, and its source does not heed that (R14).
    InsufficientClaims,
    /// `invalid_request` (R6).
    InvalidRequest,
    /// An error that is not known (R6).
    UnknownError,
    /// The body cannot be sent again; the token is renewed for the next call (R10).
    Body(NotReplayable),
    /// Renewing failed, or brought the same token again (R8).
    NotRenewed(oauth_tokens::Error),
    /// The proof for the retry could not be signed (DPoP).
    NotProven(oauth_tokens::Error),
    /// The inner service did not become ready for the retry.
    NotReady,
    /// The time that the request gives itself, reqwest's timeout or `grpc-timeout`, passed before the retry.
    DeadlineExceeded,
    /// The answer came from elsewhere, by a redirect that was followed below the layer (R13).
    Elsewhere,
    /// The layer was told never to send anything again; the token is renewed for the next call.
    Never,
}

impl From<Reason> for NotRetried {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::OtherScheme => Self::OtherScheme,
            Reason::InsufficientScope => Self::InsufficientScope,
            Reason::InsufficientUserAuthentication => Self::InsufficientUserAuthentication,
            Reason::InsufficientClaims => Self::InsufficientClaims,
            Reason::InvalidRequest => Self::InvalidRequest,
            Reason::UnknownError => Self::UnknownError,
        }
    }
}

/// How the last attempt at a request ended.
pub(crate) enum End {
    Accepted,
    /// Refused, as an attempt before it.
    Refused,
    Left(NotRetried),
}

/// The answer to the last attempt that there is, and what the caller is to know of it.
pub(crate) fn answer<R: sealed::Response>(response: R, tried: Tried, end: End) -> R {
    match end {
        End::Accepted if !tried.anything() => response,
        End::Accepted => with_outcome(response, RetryOutcome::Retried, Fate::Cured),
        End::Left(why) if !tried.anything() => not_retried(response, why),
        End::Refused | End::Left(_) => with_outcome(response, RetryOutcome::Retried, Fate::Rejected),
    }
}

/// The answer to an attempt that should have been followed by another.
pub(crate) fn not_retried<R: sealed::Response>(response: R, why: NotRetried) -> R {
    let fate = Fate::from(&why);
    with_outcome(response, RetryOutcome::NotRetried(why), fate)
}

/// An attempt ended without an answer.
pub(crate) fn failed(tried: Tried) {
    if tried.anything() {
        refused_at_first(Fate::Failed);
    }
}

fn with_outcome<R: sealed::Response>(mut response: R, outcome: RetryOutcome, fate: Fate) -> R {
    tracing::debug!(status = response.status().as_u16(), ?outcome, "a request was answered 401 at first");
    refused_at_first(fate);
    response.extensions_mut().insert(outcome);
    response
}
