//! An API in memory that knows which token is good.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use tokio::{sync::Semaphore, task::yield_now};
use tower::Service;

use crate::request::Body;

/// Tokens have numbers; those below a certain one are revoked.
pub(super) fn numbered(number: usize) -> String {
    format!("token-{number}")
}

fn number(headers: &HeaderMap) -> Option<usize> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer token-")?.parse().ok()
}

/// Judges a token when the request arrives, and answers a moment later, as if there were a network.
#[derive(Clone, Debug, Default)]
pub(super) struct Api(Arc<State>);

#[derive(Debug, Default)]
struct State {
    revocations: AtomicUsize,
    sent: AtomicUsize,
    accepted: AtomicUsize,
    revoke_every: Option<usize>,
    rejected: AtomicUsize,
    reject_together: Option<Gathering>,
}

/// Those who wait until there are so many.
#[derive(Debug)]
struct Gathering {
    size: usize,
    complete: Semaphore,
}

impl Api {
    /// Revokes the token whenever it has accepted so many requests; for the first time after half as many, so that somebody is left
    /// to notice the last one.
    pub(super) fn revoking_every(requests: usize) -> Self {
        Self(Arc::new(State { revoke_every: Some(requests), ..State::default() }))
    }

    /// Answers 401 only when it has so many requests to answer so.
    pub(super) fn rejecting_together(size: usize) -> Self {
        let gathering = Gathering { size, complete: Semaphore::new(0) };
        Self(Arc::new(State { reject_together: Some(gathering), ..State::default() }))
    }

    pub(super) fn revoke(&self) {
        self.0.revocations.fetch_add(1, SeqCst);
    }

    pub(super) fn revocations(&self) -> usize {
        self.0.revocations.load(SeqCst)
    }

    pub(super) fn sent(&self) -> usize {
        self.0.sent.load(SeqCst)
    }

    /// The answer, once its time has come.
    async fn answer(self, token: Option<usize>) -> Response<Body> {
        self.0.sent.fetch_add(1, SeqCst);
        let is_good = token.is_some_and(|token| token >= self.revocations());
        if is_good {
            let accepted = self.0.accepted.fetch_add(1, SeqCst) + 1;
            if self.0.revoke_every.is_some_and(|every| accepted % every == every / 2) {
                self.revoke();
            }
        } else if let Some(gathering) = &self.0.reject_together {
            if self.0.rejected.fetch_add(1, SeqCst) + 1 == gathering.size {
                gathering.complete.close();
            }
            // Closed is complete: then nobody waits any longer.
            let _ = gathering.complete.acquire().await;
        }
        yield_now().await;
        let mut response = Response::default();
        if !is_good {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl Service<Request<Body>> for Api {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.clone().answer(number(request.headers()));
        Box::pin(async { Ok(answer.await) })
    }
}
