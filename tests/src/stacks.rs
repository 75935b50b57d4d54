//! What every stack has to do: a call, a revocation, and a call that survives it.

use std::{
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use oauth_test_server::{Endpoint, RecordedRequest, TestServer};
use tower::Service;
use tower_oauth::{BoxError, OAuthLayer, oauth_tokens::TokenCache};

use crate::{script::outcome, steps::guarded, wire::tokens_of};

/// What is sent, and comes back.
pub const BODY: &str = r#"{"order":7}"#;

/// A protected API on a loopback socket, and its layer.
#[derive(Debug)]
pub struct Protected {
    /// The API, and its authorization server.
    pub server: TestServer,
    /// What the layer is given.
    pub tokens: TokenCache,
    /// The layer for the API.
    pub layer: OAuthLayer,
    origin: String,
}

impl Protected {
    /// Starts both.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn start() -> Self {
        let server = TestServer::start().await.expect("sockets");
        let tokens = tokens_of(&server);
        let layer = OAuthLayer::new(server.api_origin(), tokens.clone()).expect("an origin");
        let origin = server.api_origin().to_owned();
        Self { server, tokens, layer, origin }
    }

    /// The same API, reached by another origin.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    pub fn at(self, origin: &str) -> Self {
        let layer = OAuthLayer::new(origin, self.tokens.clone()).expect("an origin");
        Self { layer, origin: origin.to_owned(), ..self }
    }

    /// A path of the API that answers with what it was sent.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/echo", self.origin)
    }

    /// A POST of [`BODY`].
    ///
    /// # Panics
    ///
    /// When the URL is none.
    #[must_use]
    pub fn request(&self) -> Request<Full<Bytes>> {
        Request::post(self.url()).body(Full::from(BODY)).expect("a URL")
    }

    /// Calls twice, with a revocation in between: the first time with one token, the second time with that and another
    /// one; nobody notices. Each call has to POST [`BODY`] to [`url`](Self::url).
    ///
    /// # Panics
    ///
    /// When the stack does anything else.
    pub async fn survives_revocation<B>(&self, mut call: impl AsyncFnMut() -> Result<Response<B>, BoxError>)
    where
        B: Body<Error: Into<BoxError>>,
    {
        self.server.clear_requests();
        for (expected, sent) in [("-", 1), ("Retried", 3)] {
            if expected == "Retried" {
                self.server.revoke_access_tokens();
            }
            let response = guarded(call()).await.expect("a response");
            assert_eq!((response.status(), outcome(response.extensions()).as_str()), (StatusCode::OK, expected));
            let echo = response.into_body().collect().await.map_err(Into::into).expect("a body").to_bytes();
            assert_eq!(echo, BODY);
            assert_eq!(self.server.requests_to(Endpoint::Api).len(), sent);
        }
        let seen = self.server.requests_to(Endpoint::Api);
        assert_eq!(seen[0].bearer_token(), seen[1].bearer_token());
        assert_ne!(seen[1].bearer_token(), seen[2].bearer_token());
        assert_eq!(but_token(&seen[1]), but_token(&seen[2]), "R2: the same request again");
        assert!(seen.iter().all(|seen| seen.bearer_token().is_some() && seen.body == BODY));
    }
}

fn but_token(request: &RecordedRequest) -> impl PartialEq + std::fmt::Debug {
    let mut headers = request.headers.clone();
    headers.remove(AUTHORIZATION);
    (request.method.clone(), request.uri.clone(), headers, request.body.clone(), request.trailers.clone())
}

/// A service that panics when it is called without being ready. Readiness is not cloned.
#[derive(Debug)]
pub struct Strict<S> {
    inner: S,
    ready: bool,
}

impl<S> Strict<S> {
    /// Over this service.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner, ready: false }
    }
}

impl<S: Clone> Clone for Strict<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<S: Service<R>, R> Service<R> for Strict<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let polled = self.inner.poll_ready(cx);
        self.ready = matches!(polled, Poll::Ready(Ok(())));
        polled
    }

    fn call(&mut self, request: R) -> S::Future {
        assert!(mem::take(&mut self.ready), "called without being ready");
        self.inner.call(request)
    }
}
