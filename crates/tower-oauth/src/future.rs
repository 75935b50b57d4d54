//! The way of a request.
//!
//! One that has its token at once, and whose first answer is the caller's, is all in [`Stage::First`], of a few words beside the
//! inner future. All else takes its time anyway, and is a [`Journey`], in a box.

mod attempt;
mod journey;
mod steps;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use oauth_tokens::{AccessToken, BoxError};
use pin_project_lite::pin_project;
use tower_service::Service;

pub(crate) use self::attempt::Again;
use self::{
    attempt::{Attempt, Parting, Wanted, wait},
    journey::Journey,
};
use crate::{
    Error,
    message::{ProtectedRequest, ProtectedResponse},
    outcome::answer,
    policy::{Protection, Sent, Tried},
};

pin_project! {
    /// The future of [`OAuth`](crate::OAuth).
    ///
    /// It is in a box of its own only where it waits for the authorization server, or sends a request again.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, R>
    where
        S: Service<R>,
        S::Response: ProtectedResponse,
        R: ProtectedRequest,
    {
        #[pin]
        stage: Stage<S, R>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, R>
    where
        S: Service<R>,
        S::Response: ProtectedResponse,
        R: ProtectedRequest,
    {
        /// Refused before anything was sent.
        Refused { error: Option<Error> },
        /// Not ours: whatever comes is the answer.
        Pass { #[pin] future: S::Future },
        /// A request that had its token at once is under way.
        First { #[pin] future: S::Future, parting: Option<Parting<S, R>> },
        /// There is no token, or it needs a proof, or an attempt was refused.
        Journey { journey: Pin<Box<Journey<S, R>>> },
    }
}

impl<S, R> ResponseFuture<S, R>
where
    S: Service<R>,
    S::Response: ProtectedResponse,
    R: ProtectedRequest,
{
    pub(crate) fn refused(error: Error) -> Self {
        Self { stage: Stage::Refused { error: Some(error) } }
    }

    pub(crate) fn pass(future: S::Future) -> Self {
        Self { stage: Stage::Pass { future } }
    }

    /// A request with a token is under way. It is sent again over this service, if that is given.
    #[inline]
    pub(crate) fn first(
        future: S::Future,
        protection: Protection,
        token: Option<AccessToken>,
        again: Option<Box<Again<S, R>>>,
    ) -> Self {
        Self { stage: Stage::First { future, parting: Some(Parting { protection, token, again }) } }
    }

    /// There is a token, and each request with it needs a proof.
    pub(crate) fn proven(inner: S, request: R, protection: Protection, token: AccessToken) -> Self
    where
        S: Clone,
    {
        Self::journey(Journey::first(inner, request, protection, token, true, S::clone))
    }

    /// There is no token.
    pub(crate) fn waiting(inner: S, request: R, protection: Protection) -> Self
    where
        S: Clone,
    {
        // What readiness reserved is let go meanwhile: the token request may have to pass by the same limit.
        let unready = inner.clone();
        drop(inner);
        let waiting = wait(protection, Wanted::Any);
        Self::journey(Journey::Token { waiting, unsent: Some((unready, request, S::clone)) })
    }

    fn journey(journey: Journey<S, R>) -> Self {
        Self { stage: Stage::Journey { journey: Box::pin(journey) } }
    }
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
        let mut stage = self.project().stage;
        loop {
            let journey = match stage.as_mut().project() {
                StageProj::Refused { error } => {
                    return Poll::Ready(Err(error.take().map_or_else(already_ended, BoxError::from)));
                }

                StageProj::Pass { future } => return future.poll(cx).map_err(Into::into),

                StageProj::First { future, parting } => {
                    let polled = future.poll(cx);
                    let is_answer = match (&polled, &*parting) {
                        (Poll::Pending, _) => return Poll::Pending,
                        (Poll::Ready(Ok(response)), Some(parting)) => parting.is_answer(response),
                        (Poll::Ready(Err(_)), Some(_)) => true,
                        (Poll::Ready(_), None) => return Poll::Ready(Err(already_ended())),
                    };
                    let parting = parting.take();
                    if is_answer {
                        return polled.map_err(Into::into);
                    }
                    match (polled, parting) {
                        (Poll::Ready(Ok(response)), Some(parting)) => match parting.follow(response) {
                            Ok(response) => return Poll::Ready(Ok(response)),
                            Err(journey) => journey,
                        },
                        _ => return Poll::Ready(Err(already_ended())),
                    }
                }

                StageProj::Journey { journey } => return journey.as_mut().poll(cx),
            };
            stage.set(Stage::Journey { journey });
        }
    }
}

impl<S, R> Parting<S, R>
where
    S: Service<R>,
    S::Response: ProtectedResponse,
    R: ProtectedRequest,
{
    /// Whether the first response is the answer, without a second look.
    #[inline]
    fn is_answer(&self, response: &S::Response) -> bool {
        self.token().is_some_and(|token| self.protection.is_answer::<R, _>(response, token))
    }

    /// The answer, or the way to another one.
    #[cold]
    fn follow(self, response: S::Response) -> Result<S::Response, Pin<Box<Journey<S, R>>>> {
        let tried = Tried::default();
        let Some(token) = self.token().cloned() else { return Ok(response) };
        let sent = Sent { token, proven: None };
        let verdict = match self.protection.judge::<R, _>(&response, &sent, tried).into_end() {
            Ok(end) => return Ok(answer(response, tried, end)),
            Err(verdict) => verdict,
        };
        let attempt = Attempt { again: self.again, protection: self.protection, sent, tried };
        match Journey::follow(attempt, verdict, response) {
            Ok(journey) => Err(Box::pin(journey)),
            Err(response) => Ok(response),
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
