//! How little it could cost to keep a token that changes: the header of b from elsewhere, and nothing more. They know no
//! origin, no renewal and no 401.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, header::AUTHORIZATION};
use tower::Service;

use super::{Calling, Entry, Family};
use crate::{inner::Inner, request::Body};

pub(super) const ENTRIES: &[Entry] = &[Entry {
    name: "limit-arc-swap",
    family: Family::Limit,
    retries: false,
    setup: "b, with the header from an `ArcSwap` and its expiry compared with `Instant::now()`.",
    make: |setting| {
        let header = HeaderValue::try_from(format!("Bearer {}", setting.token))?;
        let token = Token { header, expires_at: Instant::now() + Duration::from_secs(3600) };
        Calling::boxed(Swapped { inner: Inner, token: Arc::new(ArcSwap::from_pointee(token)) }, setting)
    },
}];

struct Token {
    header: HeaderValue,
    expires_at: Instant,
}

#[derive(Clone)]
struct Swapped<S> {
    inner: S,
    token: Arc<ArcSwap<Token>>,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Swapped<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        let token = self.token.load();
        if Instant::now() < token.expires_at {
            request.headers_mut().insert(AUTHORIZATION, token.header.clone());
        }
        self.inner.call(request)
    }
}
