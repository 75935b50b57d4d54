//! The way of a request that has to wait for something, or is sent again, as a state machine.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::HeaderValue;
use oauth_tokens::BoxError;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;
use tracing::Span;

use super::{
    already_ended,
    attempt::{Attempt, CloneOf, Kept, Retry, Signing, Unsent, Waiting},
};
use crate::{
    Error, NotRetried,
    drain::Drain,
    message::{ProtectedRequest, ProtectedResponse, sealed::Response as _},
    outcome::{answer, failed, not_retried},
};

pin_project! {
    #[project = JourneyProj]
    pub(super) enum Journey<S, R>
    where
        S: Service<R>,
        S::Response: ProtectedResponse,
        R: ProtectedRequest,
    {
        /// Refused before anything was sent.
        Refused { error: Option<Error> },
        /// There is no usable token; one is on its way.
        Token { waiting: Waiting, unsent: Option<(S, R, CloneOf<S>)> },
        /// The proof that the token is ours is being signed. The inner service is let go of if that takes time.
        Prove { signing: Signing, unsent: Option<Unsent<S, R>>, is_ready: bool, clone: CloneOf<S> },
        /// Token and proof have come; the inner service is not known to be ready.
        Turn { unsent: Option<Unsent<S, R>>, proof: Option<HeaderValue>, timer: Option<Pin<Box<Sleep>>>, clone: CloneOf<S> },
        /// A request is under way.
        Sent { #[pin] future: S::Future, attempt: Option<Attempt<S, R>>, span: Option<Box<Span>> },
        /// An attempt was refused, and another token is on its way.
        Renew { waiting: Waiting, kept: Option<Kept<S, R>>, response: Option<S::Response> },
        /// Another token, or another nonce, is in hand, and its proof is being signed.
        ProveAgain { signing: Signing, retry: Option<Retry<S, R>>, response: Option<S::Response> },
        /// Another token, or another proof, is in hand; the inner service is not known to be ready.
        Ready { retry: Option<Retry<S, R>>, proof: Option<HeaderValue>, response: Option<S::Response>, timer: Option<Pin<Box<Sleep>>> },
        /// All is ready: the last response is read to its end, so that its connection can be used again.
        Drain { #[pin] drain: Drain<<S::Response as crate::message::sealed::Response>::Body>, unsent: Option<(Unsent<S, R>, Option<HeaderValue>)> },
    }
}

impl<S, R> Future for Journey<S, R>
where
    S: Service<R>,
    S::Response: ProtectedResponse,
    S::Error: Into<BoxError>,
    R: ProtectedRequest,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self;
        loop {
            let next = match state.as_mut().project() {
                JourneyProj::Refused { error } => {
                    return Poll::Ready(Err(error.take().map_or_else(already_ended, BoxError::from)));
                }

                JourneyProj::Token { waiting, unsent } => {
                    let (granted, protection) = ready!(waiting.as_mut().poll(cx));
                    match (granted, unsent.take()) {
                        (_, None) => return Poll::Ready(Err(already_ended())),
                        (Some(Ok(token)), Some((inner, request, clone))) => {
                            Journey::first(inner, request, protection, token, false, clone)
                        }
                        (Some(Err(cause)), _) => Journey::refused(Error::no_token(protection.origin(), cause)),
                        (None, _) => Journey::refused(Error::deadline_exceeded(protection.origin())),
                    }
                }

                JourneyProj::Prove { signing, unsent, is_ready, clone } => {
                    let signed = signing.poll(cx);
                    if signed.is_pending()
                        && mem::take(is_ready)
                        && let Some(unsent) = unsent
                    {
                        // What readiness reserved is let go meanwhile: the signer may have to pass by the same limit.
                        let unready = clone(&unsent.inner);
                        unsent.inner = unready;
                    }
                    let (signed, Some(unsent)) = (ready!(signed), unsent.take()) else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    let protection = &unsent.protection;
                    match signed {
                        Some(Err(cause)) => Journey::refused(Error::no_proof(protection.origin(), cause)),
                        Some(Ok(proof)) if !protection.deadline().has_passed() => match is_ready {
                            true => Journey::send_in_time(unsent, Some(proof)),
                            false => Journey::turn(unsent, Some(proof), *clone),
                        },
                        Some(Ok(_)) | None => Journey::refused(Error::deadline_exceeded(protection.origin())),
                    }
                }

                JourneyProj::Turn { unsent, proof, timer, clone } => {
                    let is_ready = match unsent.as_mut().map(|unsent| unsent.inner.poll_ready(cx)) {
                        Some(Poll::Ready(result)) => result.map_err(Into::into).map(|()| true)?,
                        Some(Poll::Pending) => {
                            let Some(timer) = timer else { return Poll::Pending };
                            ready!(timer.as_mut().poll(cx));
                            false
                        }
                        None => false,
                    };
                    let Some(unsent) = unsent.take() else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    if !is_ready || unsent.protection.deadline().has_passed() {
                        Journey::refused(Error::deadline_exceeded(unsent.protection.origin()))
                    } else {
                        // That may have taken a while.
                        match unsent.protection.cached().filter(|token| *token != unsent.sent.token) {
                            None => Journey::send_in_time(unsent, proof.take()),
                            Some(token) => {
                                let Unsent { inner, mut request, protection, .. } = unsent;
                                protection.deadline().apply(&mut request);
                                Journey::first(inner, request, protection, token, true, *clone)
                            }
                        }
                    }
                }

                JourneyProj::Sent { future, attempt, span } => {
                    let entered = span.as_ref().map(|span| span.enter());
                    let result = ready!(future.poll(cx));
                    drop(entered);
                    let Some(Attempt { protection, sent, tried, .. }) = attempt else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    let tried = *tried;
                    let response = result.map_err(Into::into).inspect_err(|_| failed(tried))?;
                    if let Some(span) = span {
                        span.record("http.response.status_code", response.status().as_u16());
                    }
                    let verdict = protection.judge::<R, _>(&response, sent, tried);
                    let next = match verdict.into_end() {
                        Ok(end) => {
                            *attempt = None;
                            return Poll::Ready(Ok(answer(response, tried, end)));
                        }
                        Err(verdict) => attempt.take().map(|attempt| Journey::follow(attempt, verdict, response)),
                    };
                    match next {
                        Some(Ok(next)) => next,
                        Some(Err(response)) => return Poll::Ready(Ok(response)),
                        None => return Poll::Ready(Err(already_ended())),
                    }
                }

                JourneyProj::Renew { waiting, kept, response } => {
                    let (granted, protection) = ready!(waiting.as_mut().poll(cx));
                    let (Some(response), Some(kept)) = (response.take(), kept.take()) else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    let why = match granted {
                        Some(Ok(token)) => {
                            state.set(Journey::retry(kept, protection, token, None, response));
                            continue;
                        }
                        Some(Err(cause)) => NotRetried::NotRenewed(cause),
                        None => NotRetried::DeadlineExceeded,
                    };
                    return Poll::Ready(Ok(not_retried(response, why)));
                }

                JourneyProj::ProveAgain { signing, retry, response } => {
                    let signed = ready!(signing.poll(cx));
                    let (Some(response), Some(retry)) = (response.take(), retry.take()) else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    let why = match signed {
                        Some(Ok(proof)) => {
                            state.set(Journey::ready(retry, Some(proof), response));
                            continue;
                        }
                        Some(Err(cause)) => NotRetried::NotProven(cause),
                        None => NotRetried::DeadlineExceeded,
                    };
                    return Poll::Ready(Ok(not_retried(response, why)));
                }

                JourneyProj::Ready { retry, proof, response, timer } => {
                    let is_ready = match retry.as_mut().map(|retry| retry.kept.again.inner.poll_ready(cx)) {
                        Some(Poll::Ready(result)) => result.is_ok(),
                        Some(Poll::Pending) => {
                            if let Some(timer) = timer {
                                ready!(timer.as_mut().poll(cx));
                            }
                            false
                        }
                        None => false,
                    };
                    let (Some(response), Some(retry)) = (response.take(), retry.take()) else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    // Last, as it supersedes the first body: until here, all is as if the layer were not there.
                    match retry.restore(is_ready) {
                        Ok(unsent) => Journey::drain(unsent, proof.take(), response),
                        Err(why) => return Poll::Ready(Ok(not_retried(response, why))),
                    }
                }

                JourneyProj::Drain { drain, unsent } => {
                    ready!(drain.poll(cx));
                    match unsent.take() {
                        Some((unsent, proof)) => Journey::send_in_time(unsent, proof),
                        None => return Poll::Ready(Err(already_ended())),
                    }
                }
            };
            state.set(next);
        }
    }
}
