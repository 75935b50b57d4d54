//! The layer over a gRPC channel of tonic's.

mod body;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ::tonic::{Code, Status, body::Body};
use http::Request;
use oauth_tokens::BoxError;
use pin_project_lite::pin_project;
use tower_layer::Layer as _;
use tower_service::Service;

use self::body::GrpcBody;
use crate::{CloneService, Error, ErrorKind, OAuth, OAuthLayer, ProtectedResponse, ResponseFuture};

/// How much of a request is remembered if nothing else is said: as with a [`Replay`](crate::Replay).
const DEFAULT_MAX_BYTES: usize = 64 * 1024;

impl OAuthLayer {
    /// A gRPC channel whose calls get access tokens: for the clients that tonic generates.
    ///
    /// The channel adds its origin below the layer, so calls arrive here as `/package.Service/Method`. They belong to the
    /// origin of [`for_connection`](Self::for_connection), which is to be the channel's; with a layer made by
    /// [`new`](Self::new) they are refused, unless the client was built `with_origin`. Prefer `for_connection`: with `new`,
    /// `with_origin` alone says which token is sent, and the channel alone to whom.
    ///
    /// What differs from HTTP:
    ///
    /// - A response without messages that says `UNAUTHENTICATED` (`grpc-status: 16` among its headers) counts as a 401, and
    ///   so does a 401 of a proxy's. `PERMISSION_DENIED` does not, nor does a status that comes after messages.
    /// - A request is remembered while it is sent, up to 64 KiB ([`max_replay_bytes`](GrpcChannel::max_replay_bytes)). A
    ///   unary call within that is always replayed, a stream only if it has ended, or has not begun, when the answer comes.
    /// - The call's deadline (`grpc-timeout`) bounds the wait for a token and the renewal, too, and whatever is sent carries
    ///   what is left of it.
    /// - Errors are a [`Status`], see [`GrpcChannel`].
    ///
    /// ```
    /// use tonic::transport::Channel;
    /// use tower_oauth::{OAuthLayer, oauth_tokens::TokenCache};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_oauth::BoxError> {
    /// # let tokens = TokenCache::fixed("t0k3n")?;
    /// let channel = Channel::from_static("https://api.example.com").connect_lazy();
    /// let channel = OAuthLayer::for_connection("https://api.example.com", tokens)?.grpc(channel);
    /// // GreeterClient::new(channel)
    /// # let _ = channel;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn grpc<S: CloneService>(&self, channel: S) -> GrpcChannel<S> {
        GrpcChannel { inner: self.layer(Erase { inner: channel }), max_bytes: DEFAULT_MAX_BYTES }
    }
}

/// A gRPC channel whose calls get access tokens; made by [`OAuthLayer::grpc`].
///
/// Its errors are a [`Status`] whose [`source`](std::error::Error::source) is the layer's [`Error`]:
///
/// | code | when |
/// |---|---|
/// | `UNAVAILABLE` | there is no token, and trying again may help |
/// | `UNAUTHENTICATED` | there is no token, and trying again does not help |
/// | `DEADLINE_EXCEEDED` | the call's deadline passed while it waited for a token |
/// | `INTERNAL` | the call was refused for anything else, see [`ErrorKind`] |
///
/// The message says which origin was meant, and no more: a handler that passes the status on would tell its own callers.
/// Why there is no token is in the source. Mind, too, that to those callers `UNAUTHENTICATED` would speak of their own
/// credentials: map it.
///
/// Errors of the channel below are what tonic makes of them.
#[derive(Clone)]
pub struct GrpcChannel<S> {
    inner: OAuth<Erase<S>>,
    max_bytes: usize,
}

impl<S> GrpcChannel<S> {
    /// Sets how many bytes of a request are remembered at most, to send it again. Default: 64 KiB.
    #[must_use]
    pub fn max_replay_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }
}

impl<S> Service<Request<Body>> for GrpcChannel<S>
where
    S: Service<Request<Body>> + CloneService,
    S::Response: ProtectedResponse,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = Status;
    type Future = GrpcFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx).map_err(status)
    }

    fn call(&mut self, request: Request<Body>) -> GrpcFuture<S> {
        let request = request.map(|body| GrpcBody::new(body, self.max_bytes));
        GrpcFuture { inner: self.inner.call(request) }
    }
}

impl<S: fmt::Debug> fmt::Debug for GrpcChannel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcChannel").field("inner", &self.inner).field("max_bytes", &self.max_bytes).finish()
    }
}

pin_project! {
    /// The future of [`GrpcChannel`].
    #[must_use = "futures do nothing unless polled"]
    pub struct GrpcFuture<S>
    where
        S: Service<Request<Body>>,
        S::Response: ProtectedResponse,
    {
        #[pin]
        inner: ResponseFuture<Erase<S>, Request<GrpcBody>>,
    }
}

impl<S> Future for GrpcFuture<S>
where
    S: Service<Request<Body>> + Clone,
    S::Response: ProtectedResponse,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map_err(status)
    }
}

impl<S> fmt::Debug for GrpcFuture<S>
where
    S: Service<Request<Body>>,
    S::Response: ProtectedResponse,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcFuture").finish_non_exhaustive()
    }
}

/// Gives a channel the one body type that it takes.
#[derive(Clone, Debug)]
struct Erase<S> {
    inner: S,
}

impl<S: Service<Request<Body>>> Service<Request<GrpcBody>> for Erase<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<GrpcBody>) -> S::Future {
        self.inner.call(request.map(Body::new))
    }
}

fn status(error: BoxError) -> Status {
    let error = match error.downcast::<Error>() {
        Ok(error) => error,
        Err(other) => return Status::from_error(other),
    };
    let code = match (error.kind(), error.token_error()) {
        (ErrorKind::DeadlineExceeded, _) => Code::DeadlineExceeded,
        (ErrorKind::NoToken, Some(cause)) if cause.is_transient() => Code::Unavailable,
        (ErrorKind::NoToken, _) => Code::Unauthenticated,
        // As gRFC A54 has it: the other codes are for the server to say.
        _ => Code::Internal,
    };
    let mut status = Status::new(code, error.to_string());
    status.set_source(Arc::new(*error));
    status
}
