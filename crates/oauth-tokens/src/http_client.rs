//! The only way out: any tower service of http requests.

use std::{
    fmt,
    future::poll_fn,
    net::ToSocketAddrs,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tower_service::Service;

use crate::{BoxError, Error, ErrorKind, endpoint_url::EndpointUrl};

#[cfg(feature = "reqwest")]
mod builder;
#[cfg(feature = "reqwest")]
mod identity;
#[cfg(feature = "reqwest")]
mod reqwest;

#[cfg(feature = "reqwest")]
pub use self::builder::HttpClientBuilder;

/// The most that is read of a response, after decompression (T3).
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Sends requests to authorization servers over a tower service that you choose, type-erased and cheap to clone.
///
/// With the feature `reqwest` (on by default) there is one ready: rustls with the system's roots, redirects off, connect
/// timeout 2 s, no proxy for loopback. `HttpClient::builder` gives it root certificates and a certificate of the client's.
///
/// With a service of your own, your timeouts, proxies, tracing and client certificates apply. It must not follow
/// redirects: they would carry the client's secret on (T2).
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use oauth_tokens::{AuthorizationServer, HttpClient};
///
/// #[derive(Clone)]
/// struct Canned;
///
/// impl tower_service::Service<Request<Full<Bytes>>> for Canned {
///     type Response = Response<Full<Bytes>>;
///     type Error = std::convert::Infallible;
///     type Future = std::future::Ready<Result<Self::Response, Self::Error>>;
///
///     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
///         std::task::Poll::Ready(Ok(()))
///     }
///
///     fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
///         std::future::ready(Ok(Response::new(Full::from(r#"{"access_token":"t","token_type":"Bearer"}"#))))
///     }
/// }
///
/// let server = AuthorizationServer::via(HttpClient::new(Canned)).token_endpoint("https://id.example.com/token")?;
/// # let _ = server;
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct HttpClient {
    service: Arc<dyn Exchange>,
    /// Whether the service itself sees to it that `localhost` is this machine.
    pins_localhost: bool,
}

/// One request, one whole response.
trait Exchange: Send + Sync {
    fn send(&self, request: Request<Full<Bytes>>) -> Pin<Box<dyn Future<Output = Sent> + Send>>;

    /// Whether it shows a certificate of the client's, where that is known.
    fn has_identity(&self) -> Option<bool> {
        None
    }

    /// A number that changes when that certificate may have changed; none if that cannot be known cheaply.
    fn identity_fingerprint(&self) -> Option<u64> {
        None
    }
}

type Sent = Result<Response<Bytes>, SendError>;

/// Why there is no whole response.
enum SendError {
    TooLarge(StatusCode),
    /// The client's certificate or its key cannot be used.
    #[cfg(feature = "reqwest")]
    Identity(Error),
    /// Before anything reached the server.
    Unsent(BoxError),
    Failed(BoxError),
}

impl HttpClient {
    /// A client over any service of http requests; it is cloned for each request.
    #[must_use]
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Self { service: Arc::new(Tower(Mutex::new(service))), pins_localhost: false }
    }

    /// Whether it shows a certificate of the client's to servers, where that is known.
    pub(crate) fn has_identity(&self) -> Option<bool> {
        self.service.has_identity()
    }

    /// A number that changes when that certificate may have changed; none if that cannot be known cheaply.
    pub(crate) fn identity_fingerprint(&self) -> Option<u64> {
        self.service.identity_fingerprint()
    }

    /// Sends, and reads the whole response within the cap.
    pub(crate) async fn send(
        &self,
        url: &EndpointUrl,
        request: Request<Full<Bytes>>,
        what: &str,
        timeout: Duration,
    ) -> Result<Response<Bytes>, Error> {
        let work = async {
            if !url.is_https() && url.is_localhost() && !self.pins_localhost {
                check_localhost(url, what).await?;
            }
            self.service.send(request).await.map_err(|error| match error {
                SendError::TooLarge(status) => {
                    let message =
                        format!("{what} was answered with HTTP {} and more than 1 MiB; check the URL", status.as_u16());
                    Error::new(ErrorKind::UnexpectedResponse, message).with_status(status)
                }
                #[cfg(feature = "reqwest")]
                SendError::Identity(cause) => {
                    let message =
                        format!("{what} was not sent: the client's certificate cannot be used; see the error's source");
                    Error::new(ErrorKind::Credential, message).caused_by(cause).with_unsent(true)
                }
                SendError::Unsent(cause) => {
                    Error::new(ErrorKind::Transport, failure(what, &cause)).caused_by(cause).with_unsent(true)
                }
                SendError::Failed(cause) => Error::new(ErrorKind::Transport, failure(what, &cause)).caused_by(cause),
            })
        };
        match crate::timer::timeout(timeout, work).await? {
            Some(result) => result,
            None => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "{what} was not answered within {} ms; check that the server is up and reachable",
                    timeout.as_millis()
                ),
            )),
        }
    }
}

/// Says why in one line where the cause is well known; the whole chain stays in `source()`.
fn failure(what: &str, cause: &BoxError) -> String {
    let mut deepest: &dyn std::error::Error = &**cause;
    let mut chain = deepest.to_string();
    while let Some(next) = deepest.source() {
        deepest = next;
        chain.push_str(&deepest.to_string());
    }
    let deepest = deepest.to_string().to_ascii_lowercase();
    let proxy = ["tunnel", "proxy"].iter().any(|word| chain.contains(word));
    let alert = deepest.contains("fatal alert");
    let certificate = ["certificate", "unknownissuer", "tls"].iter().any(|word| deepest.contains(word));
    let hint = if proxy {
        "the proxy that the environment or the client's settings name could not be reached, or refused"
    } else if alert {
        "the server broke the TLS handshake off: it may want a certificate of the client's, or not take the one it got"
    } else if certificate {
        "the server's certificate was not accepted; for a development certificate, give its root to \
         HttpClient::with_root_certificates"
    } else if deepest.contains("refused") {
        "nothing listens there: check host and port, and that the server runs"
    } else if deepest.contains("lookup") || deepest.contains("resolve") || deepest.contains("name or service") {
        "the host name could not be resolved"
    } else {
        "check the network; the error's source tells more"
    };
    format!("{what} could not be sent, or its answer not be read: {hint}")
}

/// `localhost` counts as loopback when it is: a resolver could say otherwise (T1).
async fn check_localhost(url: &EndpointUrl, what: &str) -> Result<(), Error> {
    let port = url.uri().port_u16().unwrap_or(80);
    let resolved = tokio::task::spawn_blocking(move || ("localhost", port).to_socket_addrs()).await;
    let is_loopback = match resolved {
        Ok(Ok(mut addresses)) => addresses.all(|address| address.ip().to_canonical().is_loopback()),
        _ => false,
    };
    if is_loopback {
        return Ok(());
    }
    let message = format!("{what} was not sent: `localhost` is not this machine here; use 127.0.0.1 or https");
    Err(Error::new(ErrorKind::InvalidEndpoint, message))
}

/// Any service, behind a lock that is held only while it is cloned: a service need not be `Sync`.
struct Tower<S>(Mutex<S>);

impl<S, B> Exchange for Tower<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn send(&self, request: Request<Full<Bytes>>) -> Pin<Box<dyn Future<Output = Sent> + Send>> {
        let mut service = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(|error| SendError::Unsent(error.into()))?;
            let response = service.call(request).await.map_err(|error| SendError::Failed(error.into()))?;
            whole(response).await
        })
    }
}

async fn whole<B>(response: Response<B>) -> Sent
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (parts, body) = response.into_parts();
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(collected) => Ok(Response::from_parts(parts, collected.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(SendError::TooLarge(parts.status)),
        Err(error) => Err(SendError::Failed(error)),
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}
