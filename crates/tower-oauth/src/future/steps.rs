//! The ways from one state to the next.

use std::time::Duration;

use http::HeaderValue;
use oauth_tokens::AccessToken;
use tower_service::Service;

use super::{
    attempt::{Again, Attempt, CloneOf, Kept, Retry, Signing, Unsent, Wanted, wait},
    journey::Journey,
};
use crate::{
    Error,
    drain::Drain,
    message::{ProtectedRequest, ProtectedResponse, sealed::Response as _},
    outcome::not_retried,
    policy::{Protection, Sent, Tried, Verdict, authorize},
    telemetry::retry_span,
    timer::sleep,
};

/// How long the inner service may take to become ready for the retry; then the caller gets the first response.
const READY_WITHIN: Duration = Duration::from_secs(5);

impl<S, R> Journey<S, R>
where
    S: Service<R>,
    S::Response: ProtectedResponse,
    R: ProtectedRequest,
{
    pub(super) fn refused(error: Error) -> Self {
        Self::Refused { error: Some(error) }
    }

    pub(super) fn first(
        inner: S,
        request: R,
        protection: Protection,
        token: AccessToken,
        is_ready: bool,
        clone: CloneOf<S>,
    ) -> Self {
        let tried = Tried::default();
        let (sent, proof) = protection.prove(&request, token, None);
        if proof.is_none() && is_ready {
            return Self::send(inner, request, protection, sent, tried, None);
        }
        let left = protection.deadline().left();
        let unsent = Unsent { inner, request, protection, sent, tried };
        match proof {
            Some(proof) => Self::Prove { signing: Signing::new(proof, left), unsent: Some(unsent), is_ready, clone },
            None => Self::turn(unsent, None, clone),
        }
    }

    /// Waits for the inner service.
    pub(super) fn turn(unsent: Unsent<S, R>, proof: Option<HeaderValue>, clone: CloneOf<S>) -> Self {
        let timer = unsent.protection.deadline().left().and_then(sleep);
        Self::Turn { unsent: Some(unsent), proof, timer, clone }
    }

    /// Sends a request, keeping what it takes to send it again.
    fn send(
        inner: S,
        mut request: R,
        protection: Protection,
        sent: Sent,
        tried: Tried,
        proof: Option<HeaderValue>,
    ) -> Self {
        let kept = if protection.may_follow(tried, &sent.token) { request.keep() } else { None };
        // Before the proof, which is for this attempt alone.
        let sender = match kept {
            Some(kept) => Ok(Again::new(&request, kept, inner)),
            None => Err(inner),
        };
        let span = tried.anything().then(|| Box::new(retry_span(tried, request.method())));
        if let Err(error) = authorize(request.headers_mut(), &sent.token, proof) {
            return Self::refused(error);
        }
        let entered = span.as_ref().map(|span| span.enter());
        let (future, again) = match sender {
            Ok(mut again) => (again.inner.call(request), Some(again)),
            Err(mut inner) => (inner.call(request), None),
        };
        drop(entered);
        Self::Sent { future, attempt: Some(Attempt { again, protection, sent, tried }), span }
    }

    pub(super) fn send_in_time(mut unsent: Unsent<S, R>, proof: Option<HeaderValue>) -> Self {
        unsent.protection.deadline().apply(&mut unsent.request);
        let Unsent { inner, request, protection, sent, tried } = unsent;
        Self::send(inner, request, protection, sent, tried, proof)
    }

    pub(super) fn renew(protection: Protection, wanted: Wanted, kept: Kept<S, R>, response: S::Response) -> Self {
        Self::Renew { waiting: wait(protection, wanted), kept: Some(kept), response: Some(response) }
    }

    /// Another attempt, with another token or another nonce.
    pub(super) fn retry(
        kept: Kept<S, R>,
        protection: Protection,
        token: AccessToken,
        nonce: Option<&str>,
        response: S::Response,
    ) -> Self {
        let (sent, proof) = protection.prove(&kept.again.target(), token, nonce);
        let left = protection.deadline().left();
        let retry = Retry { kept, protection, sent };
        match proof {
            Some(proof) => {
                Self::ProveAgain { signing: Signing::new(proof, left), retry: Some(retry), response: Some(response) }
            }
            None => Self::ready(retry, None, response),
        }
    }

    /// Waits for the inner service before a retry.
    pub(super) fn ready(retry: Retry<S, R>, proof: Option<HeaderValue>, response: S::Response) -> Self {
        let timer = sleep(retry.protection.deadline().left().unwrap_or(READY_WITHIN).min(READY_WITHIN));
        Self::Ready { retry: Some(retry), proof, response: Some(response), timer }
    }

    pub(super) fn drain(unsent: Unsent<S, R>, proof: Option<HeaderValue>, response: S::Response) -> Self {
        let drain = Drain::new(response.into_body(), unsent.protection.deadline().left());
        Self::Drain { drain, unsent: Some((unsent, proof)) }
    }

    /// Another attempt, unless there is nothing to send again.
    pub(super) fn follow(attempt: Attempt<S, R>, verdict: Verdict, response: S::Response) -> Result<Self, S::Response> {
        let Attempt { again, protection, sent, mut tried } = attempt;
        let Some(again) = again else {
            if let Verdict::Renew(rejection) = &verdict {
                protection.renew_in_background(rejection);
            }
            return Err(not_retried(response, protection.why_not_kept()));
        };
        tried.note(&verdict);
        let kept = Kept { again, tried };
        Ok(match verdict {
            Verdict::Renew(rejection) => Self::renew(protection, Wanted::Instead(rejection), kept, response),
            Verdict::StepUp(tokens) => {
                Self::renew(protection.with_tokens(tokens), Wanted::Stronger(sent.token), kept, response)
            }
            Verdict::ProveAgain(nonce) => Self::retry(kept, protection, sent.token, Some(&nonce), response),
            Verdict::Return | Verdict::Refused | Verdict::Leave(_) => return Err(response),
        })
    }
}
