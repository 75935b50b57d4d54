//! reqwest-middleware 0.5.2, with the middleware that people write by hand: a token behind a mutex.
//!
//! On the path: a boxed future for each middleware, an async mutex, the monotonic clock, and the finished header's clone;
//! with the retry also a clone of the request.
//!
//! Like ours: one renewal for many waiting callers. Unlike ours: nobody renews ahead of expiry, all requests of a process pass
//! one lock, and wait in it while a renewal is under way; tokens go to any origin.
//!
//! In its favour: the header is kept finished, where most format it for each request; a rejected token is dropped only while
//! it is still there; the last middleware answers at once, so nothing of reqwest's client is measured.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use http::{Extensions, HeaderValue, StatusCode, header::AUTHORIZATION};
use reqwest::{Request, Response, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};
use tokio::sync::Mutex;

use super::{Caller, End, Entry, Family, RequestParts, Setting, Tokens, Variant, bearer};
use crate::{
    BoxError,
    inner::Inner,
    poll,
    request::{ORIGIN, Shape},
};

pub(super) const PLAIN: Entry = Entry {
    name: "reqwest-middleware",
    family: Family::Peer,
    retries: false,
    setup: "reqwest-middleware 0.5.2 with a `Mutex<Option<Token>>`, as people write it by hand, above a middleware that answers; \
            reqwest's requests, to be compared with *reqwest-middleware-static*.",
    make: |Setting { shape, token }| variant::<false, _>(&Tokens::new(vec![token.clone()]), *shape, Inner),
};

pub(super) const RETRY: Entry = Entry {
    name: "reqwest-middleware-retry",
    retries: true,
    setup: "As *reqwest-middleware*, with `Request::try_clone` for a second attempt after a 401.",
    make: |Setting { shape, token }| variant::<true, _>(&Tokens::new(vec![token.clone()]), *shape, Inner),
    ..PLAIN
};

pub(super) const STATIC: Entry = Entry {
    name: "reqwest-middleware-static",
    setup: "The same chain with a middleware that inserts a static header.",
    make: |Setting { shape, token }| Chain::boxed(Static(bearer(token)?), *shape, Inner),
    ..PLAIN
};

pub(super) fn variant<const RETRIES: bool, E: End>(
    tokens: &Tokens,
    shape: Shape,
    end: E,
) -> std::result::Result<Box<dyn Variant>, BoxError> {
    Chain::boxed(ByHand::<RETRIES> { held: Mutex::new(None), tokens: tokens.clone() }, shape, end)
}

struct Token {
    header: HeaderValue,
    expires_at: Instant,
}

struct ByHand<const RETRIES: bool> {
    held: Mutex<Option<Token>>,
    tokens: Tokens,
}

impl<const RETRIES: bool> ByHand<RETRIES> {
    async fn header(&self) -> Result<HeaderValue> {
        let mut held = self.held.lock().await;
        if let Some(token) = held.as_ref().filter(|token| Instant::now() < token.expires_at) {
            return Ok(token.header.clone());
        }
        let header = bearer(&self.tokens.take()).map_err(|error| Error::middleware(Failed(error)))?;
        *held = Some(Token { header: header.clone(), expires_at: Instant::now() + Duration::from_secs(3600) });
        Ok(header)
    }

    async fn drop_if(&self, rejected: &HeaderValue) {
        self.held.lock().await.take_if(|token| token.header == rejected);
    }
}

#[derive(Debug)]
struct Failed(BoxError);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no token")
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}

#[async_trait]
impl<const RETRIES: bool> Middleware for ByHand<RETRIES> {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let header = self.header().await?;
        let again = if RETRIES { request.try_clone() } else { None };
        if !RETRIES {
            request.headers_mut().insert(AUTHORIZATION, header);
            return next.run(request, extensions).await;
        }
        request.headers_mut().insert(AUTHORIZATION, header.clone());
        let response = next.clone().run(request, extensions).await?;
        let (StatusCode::UNAUTHORIZED, Some(mut again)) = (response.status(), again) else { return Ok(response) };
        self.drop_if(&header).await;
        again.headers_mut().insert(AUTHORIZATION, self.header().await?);
        next.run(again, extensions).await
    }
}

struct Static(HeaderValue);

#[async_trait]
impl Middleware for Static {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        request.headers_mut().insert(AUTHORIZATION, self.0.clone());
        next.run(request, extensions).await
    }
}

/// The last one, which sends nothing.
struct Last<E>(E);

#[async_trait]
impl<E: End> Middleware for Last<E> {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        let status = self.0.answer(|| request.headers().clone());
        drop(black_box(request));
        let mut response = http::Response::new("");
        *response.status_mut() = status;
        Ok(response.into())
    }
}

struct Chain {
    client: ClientWithMiddleware,
    url: Url,
    parts: RequestParts,
}

impl Chain {
    fn boxed<E: End>(
        middleware: impl Middleware,
        shape: Shape,
        end: E,
    ) -> std::result::Result<Box<dyn Variant>, BoxError> {
        let client = reqwest::Client::builder().build()?;
        let client = ClientBuilder::new(client).with(middleware).with_arc(Arc::new(Last(end))).build();
        let url = Url::parse(&format!("{ORIGIN}/v1/orders/42"))?;
        Ok(Box::new(Self { client, url, parts: RequestParts::new(shape)? }))
    }
}

impl Caller for Chain {
    #[inline]
    fn call(&mut self) {
        let (parts, body) = self.parts.make();
        let mut request = Request::new(parts.method, self.url.clone());
        *request.headers_mut() = parts.headers;
        *request.body_mut() = body.map(Into::into);
        let _ = black_box(poll::to_end!(self.client.execute(request)));
    }

    fn fork(&self) -> std::result::Result<Self, BoxError> {
        let parts = RequestParts::new(self.parts.shape)?;
        Ok(Self { client: self.client.clone(), url: self.url.clone(), parts })
    }
}
