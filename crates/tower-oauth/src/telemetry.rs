//! What operators see of retries: a span around each, and a figure for the `metrics` facade.
//!
//! Labels are from closed sets: never a key, an origin, or a text that came from one (S1).

use http::Method;
use tracing::{Span, field::Empty};

use crate::{NotRetried, policy::Tried};

#[cfg(feature = "metrics")]
const RETRIES: &str = "oauth.request.retries";

/// Tells the recorder that is installed what the figures of this crate and of [`oauth_tokens`] mean. Call it once, after the
/// recorder was installed.
///
/// The figures of [`oauth_tokens::describe_metrics`], and:
///
/// | metric | what | labels |
/// |---|---|---|
/// | `oauth.request.retries` | counter: requests with one of the layer's tokens that were refused at first (401, or what [step-up](crate::OAuthLayer::step_up) acts on), by what became of them | `outcome` |
///
/// `outcome`: sent again, and `cured`, `rejected` again, or `failed` on the way; or not sent again, as the token was
/// `not_renewed` (or came out the same), its proof `not_proven`, the body `not_replayable`, the inner service `not_ready`, the
/// request's own time over (`deadline_exceeded`), the layer told `never` to; or as nothing would have helped (`left`).
///
/// ```
/// tower_oauth::describe_metrics();
/// ```
#[cfg(feature = "metrics")]
pub fn describe_metrics() {
    oauth_tokens::describe_metrics();
    metrics::describe_counter!(RETRIES, "Requests that were refused at first, by what became of them");
}

/// What became of a request that was refused at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Cured,
    Rejected,
    Failed,
    NotRenewed,
    NotProven,
    NotReplayable,
    NotReady,
    DeadlineExceeded,
    Never,
    Left,
}

impl Fate {
    #[cfg(feature = "metrics")]
    fn as_str(self) -> &'static str {
        match self {
            Self::Cured => "cured",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::NotRenewed => "not_renewed",
            Self::NotProven => "not_proven",
            Self::NotReplayable => "not_replayable",
            Self::NotReady => "not_ready",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Never => "never",
            Self::Left => "left",
        }
    }
}

impl From<&NotRetried> for Fate {
    fn from(why: &NotRetried) -> Self {
        match why {
            NotRetried::NotRenewed(_) => Self::NotRenewed,
            NotRetried::NotProven(_) => Self::NotProven,
            NotRetried::Body(_) => Self::NotReplayable,
            NotRetried::NotReady => Self::NotReady,
            NotRetried::DeadlineExceeded => Self::DeadlineExceeded,
            NotRetried::Never => Self::Never,
            NotRetried::OtherScheme
            | NotRetried::InsufficientScope
            | NotRetried::InsufficientUserAuthentication
            | NotRetried::InsufficientClaims
            | NotRetried::InvalidRequest
            | NotRetried::UnknownError
            | NotRetried::Elsewhere => Self::Left,
        }
    }
}

/// Counts a request that was refused at first.
pub(crate) fn refused_at_first(fate: Fate) {
    #[cfg(feature = "metrics")]
    metrics::counter!(RETRIES, "outcome" => fate.as_str()).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = fate;
}

/// A method by its name, if everybody knows it: the convention has one word for all others, so that they stay few.
fn known(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    if known.contains(method) { method.as_str() } else { "_OTHER" }
}

/// The span around a retry, named as OpenTelemetry names what it tells (semantic conventions for HTTP).
pub(crate) fn retry_span(tried: Tried, method: &Method) -> Span {
    tracing::info_span!(
        "oauth.retry",
        http.request.method = known(method),
        http.request.resend_count = tried.resends(),
        http.response.status_code = Empty,
    )
}
