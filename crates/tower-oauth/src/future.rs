//! The way of a request, as a state machine.

use std::{
    fmt,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::HeaderValue;
use oauth_tokens::{AccessToken, BoxError, Proof, Rejection};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use crate::{
    Error, NotReplayable, NotRetried,
    drain::Drain,
    message::{ProtectedRequest, ProtectedResponse, sealed::Response as _},
    outcome::{answer, not_retried},
    policy::{Protection, Sent, Tried, Verdict, authorize},
    timer::{sleep, within},
};

/// How long the inner service may take to become ready for the retry; then the caller gets the first response.
const READY_WITHIN: Duration = Duration::from_secs(5);

pin_project! {
    /// The future of [`OAuth`](crate::OAuth).
    ///
    /// Only the states that wait for the authorization server are boxed.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, R>
    where
        S: Service<R>,
        S::Response: ProtectedResponse,
        R: ProtectedRequest,
    {
        #[pin]
        state: State<S, R>,
    }
}

/// None: the request's own deadline passed meanwhile.
type Renewed = Option<Result<AccessToken, oauth_tokens::Error>>;
/// The future that renews gives back what it needed meanwhile.
// `Sync` too, as `ServiceBuilder::boxed_clone_sync` wants it.
type Waiting = Pin<Box<dyn Future<Output = (Renewed, Protection)> + Send + Sync>>;

pin_project! {
    #[project = StateProj]
    enum State<S, R>
    where
        S: Service<R>,
        S::Response: ProtectedResponse,
        R: ProtectedRequest,
    {
        /// Refused before anything was sent.
        Refused { error: Option<Error> },
        /// Not ours: whatever comes is the answer.
        Pass { #[pin] future: S::Future },
        /// There is no usable token; one is on its way.
        Token { waiting: Waiting, unsent: Option<(S, R)> },
        /// The token has come; the inner service is not known to be ready.
        Turn { unsent: Option<(S, R)>, granted: Option<(Protection, AccessToken)>, timer: Option<Pin<Box<Sleep>>> },
        /// All is ready but for the proof that the token is ours: a signer's future, in a lock that nobody takes, as it need
        /// not be `Sync`. The response is that of the attempt before, if there was one.
        Prove { proof: Mutex<Proof>, unsent: Option<Unsent<S, R>>, response: Option<S::Response> },
        /// A request is under way.
        Sent { #[pin] future: S::Future, attempt: Option<Attempt<S, R>> },
        /// An attempt was answered 401, and another token is on its way.
        Renew { waiting: Waiting, response: Option<S::Response>, attempt: Option<Kept<S, R>> },
        /// Another token, or another nonce, is in hand; the inner service is not known to be ready.
        Ready { attempt: Option<(Kept<S, R>, Next)>, response: Option<S::Response>, timer: Option<Pin<Box<Sleep>>> },
        /// All is ready: the last response is read to its end, so that its connection can be used again.
        Drain { #[pin] drain: Drain<<S::Response as crate::message::sealed::Response>::Body>, unsent: Option<(Unsent<S, R>, Option<HeaderValue>)> },
    }
}

/// A request that is all but sent.
struct Unsent<S, R> {
    inner: S,
    request: R,
    protection: Protection,
    sent: Sent,
    tried: Tried,
}

/// What a request that is under way leaves behind.
struct Attempt<S, R: ProtectedRequest> {
    kept: Kept<S, R>,
    protection: Protection,
    sent: Sent,
}

/// What the next attempt has that the last one had not: another token, or the nonce that the API asked for.
struct Next {
    protection: Protection,
    token: AccessToken,
    nonce: Option<String>,
}

/// What it takes to send a request again.
struct Kept<S, R: ProtectedRequest> {
    inner: S,
    kept: Option<R::Kept>,
    tried: Tried,
}

impl<S, R> ResponseFuture<S, R>
where
    S: Service<R>,
    S::Response: ProtectedResponse,
    R: ProtectedRequest,
{
    pub(crate) fn refused(error: Error) -> Self {
        Self { state: State::refused(error) }
    }

    pub(crate) fn pass(future: S::Future) -> Self {
        Self { state: State::Pass { future } }
    }

    pub(crate) fn protected(inner: S, request: R, protection: Protection) -> Self
    where
        S: Clone,
    {
        let state = match protection.tokens().cached() {
            Some(token) => State::first(inner, request, protection, token),
            None => {
                // What readiness reserved is let go meanwhile: the token request may have to pass by the same limit.
                let unready = inner.clone();
                drop(inner);
                State::Token { waiting: wait(protection, None), unsent: Some((unready, request)) }
            }
        };
        Self { state }
    }
}

impl<S, R> State<S, R>
where
    S: Service<R>,
    S::Response: ProtectedResponse,
    R: ProtectedRequest,
{
    fn refused(error: Error) -> Self {
        Self::Refused { error: Some(error) }
    }

    fn first(inner: S, request: R, protection: Protection, token: AccessToken) -> Self {
        let (sent, proof) = protection.prove(&request, token, None);
        let unsent = Unsent { inner, request, protection, sent, tried: Tried::default() };
        match proof {
            None => Self::send(unsent, None),
            Some(proof) => Self::Prove { proof: Mutex::new(proof), unsent: Some(unsent), response: None },
        }
    }

    /// Sends a request, keeping what it takes to send it again.
    fn send(unsent: Unsent<S, R>, proof: Option<HeaderValue>) -> Self {
        let Unsent { mut inner, mut request, protection, sent, tried } = unsent;
        let kept = if protection.may_follow(tried, &sent.token) { request.keep() } else { None };
        if let Err(error) = authorize(request.headers_mut(), &sent.token, proof) {
            return Self::refused(error);
        }
        let future = inner.call(request);
        Self::Sent { future, attempt: Some(Attempt { kept: Kept { inner, kept, tried }, protection, sent }) }
    }

    /// Waits for the inner service before a retry.
    fn ready(kept: Kept<S, R>, next: Next, response: S::Response) -> Self {
        let timer = sleep(next.protection.deadline().left().unwrap_or(READY_WITHIN).min(READY_WITHIN));
        Self::Ready { attempt: Some((kept, next)), response: Some(response), timer }
    }

    fn drain(unsent: Unsent<S, R>, proof: Option<HeaderValue>, response: S::Response) -> Self {
        let drain = Drain::new(response.into_body(), unsent.protection.deadline().left());
        Self::Drain { drain, unsent: Some((unsent, proof)) }
    }
}

fn wait(protection: Protection, rejection: Option<Rejection>) -> Waiting {
    Box::pin(async move {
        let left = protection.deadline().left();
        let renewed = match rejection {
            None => within(left, protection.tokens().token()).await,
            Some(rejection) => within(left, protection.renew(&rejection)).await,
        };
        (renewed, protection)
    })
}

/// A future that is polled after it has ended gives this, as there is no response any more.
fn already_ended() -> BoxError {
    "the response future was polled after it had ended".into()
}

impl<S, R> Future for ResponseFuture<S, R>
where
    S: Service<R>,
    S::Response: ProtectedResponse,
    S::Error: Into<BoxError>,
    R: ProtectedRequest,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Refused { error } => {
                    return Poll::Ready(Err(error.take().map_or_else(already_ended, BoxError::from)));
                }

                StateProj::Pass { future } => return future.poll(cx).map_err(Into::into),

                StateProj::Token { waiting, unsent } => {
                    let (renewed, protection) = ready!(waiting.as_mut().poll(cx));
                    match renewed {
                        Some(Ok(token)) => {
                            let timer = protection.deadline().left().and_then(sleep);
                            State::Turn { unsent: unsent.take(), granted: Some((protection, token)), timer }
                        }
                        Some(Err(cause)) => State::refused(Error::no_token(protection.origin(), cause)),
                        None => State::refused(Error::deadline_exceeded(protection.origin())),
                    }
                }

                StateProj::Turn { unsent, granted, timer } => {
                    let is_ready = match unsent.as_mut().map(|(inner, _)| inner.poll_ready(cx)) {
                        Some(Poll::Ready(result)) => result.map_err(Into::into).map(|()| true)?,
                        Some(Poll::Pending) => {
                            let Some(timer) = timer else { return Poll::Pending };
                            ready!(timer.as_mut().poll(cx));
                            false
                        }
                        None => false,
                    };
                    let (Some((inner, mut request)), Some((protection, token))) = (unsent.take(), granted.take())
                    else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    let deadline = protection.deadline();
                    if !is_ready || deadline.has_passed() {
                        State::refused(Error::deadline_exceeded(protection.origin()))
                    } else {
                        deadline.apply(&mut request);
                        // That may have taken a while.
                        let token = protection.tokens().cached().unwrap_or(token);
                        State::first(inner, request, protection, token)
                    }
                }

                StateProj::Prove { proof, unsent, response } => {
                    let proof = proof.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let proven = ready!(Pin::new(proof).poll(cx));
                    let Some(mut unsent) = unsent.take() else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    match (proven, response.take()) {
                        // Signing may have taken a while.
                        (Ok(_), None) if unsent.protection.deadline().has_passed() => {
                            State::refused(Error::deadline_exceeded(unsent.protection.origin()))
                        }
                        (Ok(proof), None) => {
                            unsent.protection.deadline().apply(&mut unsent.request);
                            State::send(unsent, Some(proof))
                        }
                        (Ok(_), Some(response)) if unsent.protection.deadline().has_passed() => {
                            return Poll::Ready(Ok(not_retried(response, NotRetried::DeadlineExceeded)));
                        }
                        (Ok(proof), Some(response)) => State::drain(unsent, Some(proof), response),
                        (Err(cause), None) => State::refused(Error::no_proof(unsent.protection.origin(), cause)),
                        (Err(cause), Some(response)) => {
                            return Poll::Ready(Ok(not_retried(response, NotRetried::NotProven(cause))));
                        }
                    }
                }

                StateProj::Sent { future, attempt } => {
                    let response = ready!(future.poll(cx)).map_err(Into::into)?;
                    let Some(Attempt { mut kept, protection, sent }) = attempt.take() else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    match protection.judge(&response, &sent, kept.tried) {
                        Verdict::Return => return Poll::Ready(Ok(answer(response, kept.tried, None))),
                        Verdict::Leave(why) => return Poll::Ready(Ok(answer(response, kept.tried, Some(why)))),
                        Verdict::Renew(rejection) if kept.kept.is_none() => {
                            protection.renew_in_background(&rejection);
                            return Poll::Ready(Ok(not_retried(response, protection.why_not_kept())));
                        }
                        Verdict::ProveAgain(_) | Verdict::StepUp(_) if kept.kept.is_none() => {
                            return Poll::Ready(Ok(not_retried(response, protection.why_not_kept())));
                        }
                        Verdict::Renew(rejection) => {
                            kept.tried.renewal = true;
                            let waiting = wait(protection, Some(rejection));
                            State::Renew { waiting, response: Some(response), attempt: Some(kept) }
                        }
                        Verdict::StepUp(tokens) => {
                            // The stronger token may be bound to another key, which knows no nonce yet.
                            (kept.tried.step_up, kept.tried.nonce) = (true, false);
                            let waiting = wait(protection.with_tokens(tokens), None);
                            State::Renew { waiting, response: Some(response), attempt: Some(kept) }
                        }
                        Verdict::ProveAgain(nonce) => {
                            kept.tried.nonce = true;
                            State::ready(kept, Next { protection, token: sent.token, nonce: Some(nonce) }, response)
                        }
                    }
                }

                StateProj::Renew { waiting, response, attempt } => {
                    let (renewed, protection) = ready!(waiting.as_mut().poll(cx));
                    let (Some(response), Some(kept)) = (response.take(), attempt.take()) else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    let why = match renewed {
                        Some(Ok(token)) => {
                            state.set(State::ready(kept, Next { protection, token, nonce: None }, response));
                            continue;
                        }
                        Some(Err(cause)) => NotRetried::NotRenewed(cause),
                        None => NotRetried::DeadlineExceeded,
                    };
                    return Poll::Ready(Ok(not_retried(response, why)));
                }

                StateProj::Ready { attempt, response, timer } => {
                    let is_ready = match attempt.as_mut().map(|(kept, ..)| kept.inner.poll_ready(cx)) {
                        Some(Poll::Ready(result)) => result.is_ok(),
                        Some(Poll::Pending) => {
                            if let Some(timer) = timer {
                                ready!(timer.as_mut().poll(cx));
                            }
                            false
                        }
                        None => false,
                    };
                    let (Some(response), Some((kept, next))) = (response.take(), attempt.take()) else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    let (Kept { inner, kept, tried }, Next { protection, token, nonce }) = (kept, next);
                    // Last, as it supersedes the first body: until here, all is as if the layer were not there.
                    let restored = if protection.deadline().has_passed() {
                        Err(NotRetried::DeadlineExceeded)
                    } else if !is_ready {
                        Err(NotRetried::NotReady)
                    } else {
                        kept.ok_or(NotReplayable::Opaque).and_then(R::restore).map_err(NotRetried::Body)
                    };
                    match restored {
                        Err(why) => return Poll::Ready(Ok(not_retried(response, why))),
                        Ok(request) => {
                            let (sent, proof) = protection.prove(&request, token, nonce.as_deref());
                            let unsent = Unsent { inner, request, protection, sent, tried };
                            match proof {
                                None => State::drain(unsent, None, response),
                                Some(proof) => State::Prove {
                                    proof: Mutex::new(proof),
                                    unsent: Some(unsent),
                                    response: Some(response),
                                },
                            }
                        }
                    }
                }

                StateProj::Drain { drain, unsent } => {
                    ready!(drain.poll(cx));
                    match unsent.take() {
                        Some((mut unsent, proof)) => {
                            unsent.protection.deadline().apply(&mut unsent.request);
                            State::send(unsent, proof)
                        }
                        None => return Poll::Ready(Err(already_ended())),
                    }
                }
            };
            state.set(next);
        }
    }
}

impl<S, R> fmt::Debug for ResponseFuture<S, R>
where
    S: Service<R>,
    S::Response: ProtectedResponse,
    R: ProtectedRequest,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
