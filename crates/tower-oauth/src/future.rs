//! The way of a request, as a state machine.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use oauth_tokens::{AccessToken, BoxError};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use crate::{
    Error, NotReplayable, NotRetried, RetryOutcome,
    drain::Drain,
    message::{ProtectedRequest, ProtectedResponse, sealed::Response as _},
    policy::{Protection, Verdict, authorize},
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
        /// The first attempt is under way.
        First { #[pin] future: S::Future, attempt: Option<Attempt<S, R>> },
        /// The first attempt was answered 401, and another token is on its way.
        Renew { waiting: Waiting, response: Option<S::Response>, inner: Option<S>, kept: Option<R::Kept> },
        /// Another token is in hand; the inner service is not known to be ready.
        Ready { attempt: Option<Attempt<S, R>>, response: Option<S::Response>, timer: Option<Pin<Box<Sleep>>> },
        /// All is ready: the first response is read to its end, so that its connection can be used again.
        Drain { #[pin] drain: Drain<<S::Response as crate::message::sealed::Response>::Body>, retry: Option<Retry<S, R>> },
        /// The second attempt is under way: whatever comes is the answer.
        Second { #[pin] future: S::Future, sent: Option<(Protection, AccessToken)> },
    }
}

/// What the first attempt leaves behind.
struct Attempt<S, R: ProtectedRequest> {
    inner: S,
    protection: Protection,
    token: AccessToken,
    kept: Option<R::Kept>,
}

impl<S, R: ProtectedRequest> Attempt<S, R> {
    fn restore(self) -> Result<Retry<S, R>, NotReplayable> {
        let Self { inner, protection, token, kept } = self;
        let request = R::restore(kept.ok_or(NotReplayable::Opaque)?)?;
        Ok(Retry { inner, request, protection, token })
    }
}

/// A second attempt, all but sent.
struct Retry<S, R> {
    inner: S,
    request: R,
    protection: Protection,
    token: AccessToken,
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

    /// Sends a request for the first time, keeping what it takes to send it again.
    fn first(mut inner: S, mut request: R, protection: Protection, token: AccessToken) -> Self {
        let kept = if protection.may_retry() { request.keep() } else { None };
        if let Err(error) = authorize(request.headers_mut(), &token) {
            return Self::refused(error);
        }
        let future = inner.call(request);
        Self::First { future, attempt: Some(Attempt { inner, protection, token, kept }) }
    }

    fn second(retry: Retry<S, R>) -> Self {
        let Retry { mut inner, mut request, protection, token } = retry;
        protection.deadline().apply(&mut request);
        if let Err(error) = authorize(request.headers_mut(), &token) {
            return Self::refused(error);
        }
        let future = inner.call(request);
        Self::Second { future, sent: Some((protection, token)) }
    }
}

fn wait(protection: Protection, rejected: Option<AccessToken>) -> Waiting {
    Box::pin(async move {
        let left = protection.deadline().left();
        let renewed = match rejected {
            None => within(left, protection.tokens().token()).await,
            Some(rejected) => within(left, protection.renew(&rejected)).await,
        };
        (renewed, protection)
    })
}

fn not_retried<R: ProtectedResponse>(mut response: R, why: NotRetried) -> R {
    tracing::debug!(?why, "a 401 was not followed by a retry");
    response.extensions_mut().insert(RetryOutcome::NotRetried(why));
    response
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

                StateProj::First { future, attempt } => {
                    let response = ready!(future.poll(cx)).map_err(Into::into)?;
                    let Some(Attempt { inner, protection, token, kept }) = attempt.take() else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    match protection.judge(&response, &token) {
                        Verdict::Return => return Poll::Ready(Ok(response)),
                        Verdict::Leave(why) => return Poll::Ready(Ok(not_retried(response, why))),
                        Verdict::Renew if kept.is_none() => {
                            protection.renew_in_background(&token);
                            let why = protection.why_not_kept();
                            return Poll::Ready(Ok(not_retried(response, why)));
                        }
                        Verdict::Renew => State::Renew {
                            waiting: wait(protection, Some(token)),
                            response: Some(response),
                            inner: Some(inner),
                            kept,
                        },
                    }
                }

                StateProj::Renew { waiting, response, inner, kept } => {
                    let (renewed, protection) = ready!(waiting.as_mut().poll(cx));
                    let (Some(response), Some(inner), Some(kept)) = (response.take(), inner.take(), kept.take()) else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    let token = match renewed {
                        Some(Ok(token)) => token,
                        Some(Err(cause)) => {
                            return Poll::Ready(Ok(not_retried(response, NotRetried::NotRenewed(cause))));
                        }
                        None => return Poll::Ready(Ok(not_retried(response, NotRetried::DeadlineExceeded))),
                    };
                    let timer = sleep(protection.deadline().left().unwrap_or(READY_WITHIN).min(READY_WITHIN));
                    let attempt = Attempt { inner, protection, token, kept: Some(kept) };
                    State::Ready { attempt: Some(attempt), response: Some(response), timer }
                }

                StateProj::Ready { attempt, response, timer } => {
                    let is_ready = match attempt.as_mut().map(|attempt| attempt.inner.poll_ready(cx)) {
                        Some(Poll::Ready(result)) => result.is_ok(),
                        Some(Poll::Pending) => {
                            if let Some(timer) = timer {
                                ready!(timer.as_mut().poll(cx));
                            }
                            false
                        }
                        None => false,
                    };
                    let (Some(response), Some(attempt)) = (response.take(), attempt.take()) else {
                        return Poll::Ready(Err(already_ended()));
                    };
                    if attempt.protection.deadline().has_passed() {
                        return Poll::Ready(Ok(not_retried(response, NotRetried::DeadlineExceeded)));
                    }
                    if !is_ready {
                        return Poll::Ready(Ok(not_retried(response, NotRetried::NotReady)));
                    }
                    // Last, as it supersedes the first body: until here, all is as if the layer were not there.
                    match attempt.restore() {
                        Ok(retry) => {
                            let drain = Drain::new(response.into_body(), retry.protection.deadline().left());
                            State::Drain { drain, retry: Some(retry) }
                        }
                        Err(why) => return Poll::Ready(Ok(not_retried(response, NotRetried::Body(why)))),
                    }
                }

                StateProj::Drain { drain, retry } => {
                    ready!(drain.poll(cx));
                    match retry.take() {
                        Some(retry) => State::second(retry),
                        None => return Poll::Ready(Err(already_ended())),
                    }
                }

                StateProj::Second { future, sent } => {
                    let mut response = ready!(future.poll(cx)).map_err(Into::into)?;
                    if let Some((protection, token)) = sent.take() {
                        protection.note_acceptance(&response, &token);
                    }
                    tracing::debug!(status = response.status().as_u16(), "a request was retried with a renewed token");
                    response.extensions_mut().insert(RetryOutcome::Retried);
                    return Poll::Ready(Ok(response));
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
