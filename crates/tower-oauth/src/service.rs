//! The service that the layer makes.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use oauth_tokens::BoxError;
use tower_service::Service;

use crate::{
    CloneService, Error, ResponseFuture,
    deadline::Deadline,
    future::Again,
    message::{ProtectedRequest, ProtectedResponse},
    policy::{Admission, Aside, GivenKey, Hand, Policy, Protection, authorize_first},
};

/// A service whose requests get access tokens; made by [`OAuthLayer`](crate::OAuthLayer).
///
/// From its second request on, each clone has a copy of the current token for itself, so that clones on many threads do not
/// wait for each other. Clone it once for each task that makes many requests, or for each request: both are cheap.
// Rustc shows the lines within the brackets where it says that `OAuth` is no service, and does not say why.
#[derive(Clone)]
pub struct OAuth<
    // To be a service, it takes one that is `Clone` (others go into a `tower::buffer::Buffer`), requests whose body is a
    // `ReplayBody` (others: put a `ReplayLayer` above, or wrap them in `Replay`), and responses with an `http_body::Body`.
    S,
> {
    inner: S,
    policy: Arc<Policy>,
    key: Option<GivenKey>,
    hand: Hand,
}

impl<S> OAuth<S> {
    pub(crate) fn new(inner: S, policy: Arc<Policy>, key: Option<GivenKey>) -> Self {
        Self { inner, policy, key, hand: Hand::default() }
    }

    /// The service that is ready; its clone, which may not be, waits for the next request.
    fn take_ready(&mut self) -> S
    where
        S: Clone,
    {
        let clone = self.inner.clone();
        mem::replace(&mut self.inner, clone)
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R> Service<R> for OAuth<S>
where
    S: Service<R> + CloneService,
    S::Response: ProtectedResponse,
    S::Error: Into<BoxError>,
    R: ProtectedRequest,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: R) -> Self::Future {
        let (protection, token) = match self.hand.lend(&request) {
            Some(at_hand) => (Protection::lent(at_hand, Deadline::of(&request)), None),
            None => match self.policy.admit(&request, Aside { key: self.key.as_ref(), extensions: None }) {
                Admission::Pass => return ResponseFuture::pass(self.inner.call(request)),
                Admission::Refuse(error) => return self.refuse(error),
                Admission::Protect(protection) => match protection.cached() {
                    None => return ResponseFuture::waiting(self.take_ready(), request, protection),
                    Some(token) if token.is_bound() => {
                        return ResponseFuture::proven(self.take_ready(), request, protection, token);
                    }
                    Some(token) => {
                        self.hand.note(&protection);
                        (protection, Some(token))
                    }
                },
            },
        };
        let header = token.as_ref().or_else(|| protection.lent_token());
        if let Some(Err(error)) = header.map(|token| authorize_first(request.headers_mut(), token)) {
            return self.refuse(error);
        }
        let kept = if protection.may_retry() { request.keep() } else { None };
        // The clone need not be ready: a retry waits until it is.
        let again = kept.map(|kept| Again::new(&request, kept, self.inner.clone()));
        ResponseFuture::first(self.inner.call(request), protection, token, again)
    }
}

impl<S> OAuth<S> {
    fn refuse<R>(&mut self, error: Error) -> ResponseFuture<S, R>
    where
        S: Service<R> + Clone,
        S::Response: ProtectedResponse,
        R: ProtectedRequest,
    {
        // What readiness reserved, a permit for example, is given back, as if the request had been sent.
        self.take_ready();
        ResponseFuture::refused(error)
    }
}

impl<S: fmt::Debug> fmt::Debug for OAuth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth").field("inner", &self.inner).field("policy", &self.policy).finish_non_exhaustive()
    }
}
