//! The service below all that is measured: it takes the request, drops it, and answers 200 at once.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response};
use tower::Service;

use crate::request::Body;

thread_local! {
    /// Read for each call, by all variants alike; see [`sent_by`].
    static RECORDING: Cell<bool> = const { Cell::new(false) };
    static SENT: RefCell<Option<HeaderMap>> = const { RefCell::new(None) };
}

/// A client that does nothing, and costs nothing to clone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inner;

impl<B> Service<Request<B>> for Inner {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        send(request.headers());
        drop(black_box(request));
        ready(Ok(Response::new(Body::default())))
    }
}

/// For variants that do not end in [`Inner`]: what they send these headers with calls it.
#[inline]
pub(crate) fn send(headers: &HeaderMap) {
    send_with(|| headers.clone());
}

/// For headers that are of another type.
#[inline]
pub(crate) fn send_with(headers: impl FnOnce() -> HeaderMap) {
    if RECORDING.get() {
        SENT.set(Some(headers()));
    }
}

/// The headers that arrived while this was done on this thread, the last ones.
pub(crate) fn sent_by(calls: impl FnOnce()) -> Option<HeaderMap> {
    SENT.take();
    RECORDING.set(true);
    calls();
    RECORDING.set(false);
    SENT.take()
}
