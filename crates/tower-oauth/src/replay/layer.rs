//! `ReplayLayer` and its service.

use std::task::{Context, Poll};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::Replay;

/// Wraps the body of every request in a [`Replay`], so that streaming bodies are sent again after a 401.
///
/// It goes above the OAuth layer. Bodies that are values, as `Full` and `Empty` are, do not need it: they are cloned, and
/// without a limit. Nor do gRPC channels: `OAuthLayer::grpc` remembers bodies by itself, and knows the rules of gRPC.
///
/// ```
/// use std::convert::Infallible;
///
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Empty};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_oauth::{Replay, ReplayLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Infallible> {
/// type Streaming = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;
///
/// let client = service_fn(|_: Request<Replay<Streaming>>| async { Ok::<_, Infallible>(Response::new(())) });
/// let api = ServiceBuilder::new()
///     .layer(ReplayLayer::new().max_bytes(256 * 1024))
///     // .layer(the OAuth layer)
///     .service(client);
///
/// let body: Streaming = Empty::new().map_err(|never| match never {}).boxed_unsync();
/// api.oneshot(Request::post("https://api.example.com/upload").body(body).unwrap()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct ReplayLayer {
    max_bytes: Option<usize>,
}

impl ReplayLayer {
    /// Remembers up to 64 KiB of a body.
    #[must_use]
    pub const fn new() -> Self {
        Self { max_bytes: None }
    }

    /// Sets how many bytes of data are remembered at most, for each request that is under way.
    ///
    /// Default: 64 KiB.
    #[must_use]
    pub const fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }
}

impl<S> Layer<S> for ReplayLayer {
    type Service = ReplayService<S>;

    fn layer(&self, inner: S) -> ReplayService<S> {
        ReplayService { inner, layer: *self }
    }
}

/// The service of [`ReplayLayer`].
// Rustc shows the line within the brackets where it says that this is no service, and does not say why.
#[derive(Debug, Clone, Copy)]
pub struct ReplayService<
    // To be a service, it takes one of `Request<Replay<B>>`: a client below has `Replay<B>` for its body type, not `B`.
    S,
> {
    inner: S,
    layer: ReplayLayer,
}

impl<S, B> Service<Request<B>> for ReplayService<S>
where
    S: Service<Request<Replay<B>>>,
    B: Body,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let length = declared_length(request.headers());
        self.inner.call(request.map(|body| {
            let body = Replay::new(body).declared_length(length);
            match self.layer.max_bytes {
                Some(max_bytes) => body.max_bytes(max_bytes),
                None => body,
            }
        }))
    }
}

/// A stream that does not know its length is often sent with a `content-length` from elsewhere.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    match (values.next(), values.next()) {
        (Some(length), None) => length.to_str().ok()?.parse().ok(),
        _ => None,
    }
}
