//! The service that the layer makes.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use oauth_tokens::BoxError;
use tower_service::Service;

use crate::{
    CloneService, ResponseFuture,
    message::{ProtectedRequest, ProtectedResponse},
    policy::{Admission, Aside, GivenKey, Policy},
};

/// A service whose requests get access tokens; made by [`OAuthLayer`](crate::OAuthLayer).
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
}

impl<S> OAuth<S> {
    pub(crate) fn new(inner: S, policy: Arc<Policy>, key: Option<GivenKey>) -> Self {
        Self { inner, policy, key }
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

    fn call(&mut self, request: R) -> Self::Future {
        match self.policy.admit(&request, Aside { key: self.key.as_ref(), extensions: None }) {
            Admission::Pass => ResponseFuture::pass(self.inner.call(request)),
            Admission::Refuse(error) => {
                // What readiness reserved, a permit for example, is given back, as if the request had been sent.
                self.take_ready();
                ResponseFuture::refused(error)
            }
            Admission::Protect(protection) => ResponseFuture::protected(self.take_ready(), request, protection),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for OAuth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth").field("inner", &self.inner).field("policy", &self.policy).finish_non_exhaustive()
    }
}
