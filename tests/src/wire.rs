//! Real sockets: servers, clients, and how many connections there were.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Uri;
use http_body::Body;
use hyper_util::{
    client::legacy::{Builder, Client},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use oauth_test_server::TestServer;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tower::Service;
use tower_oauth::{
    BoxError,
    oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient, TokenCache},
};

/// A token cache of the test server's only client, which asks without sockets.
///
/// # Panics
///
/// When the test server's URL is none.
#[must_use]
pub fn tokens_of(server: &TestServer) -> TokenCache {
    let http = HttpClient::new(server.authorization_service());
    let authorization = AuthorizationServer::via(http).token_endpoint(&server.token_endpoint()).expect("a URL");
    let client = authorization.client("m2m", ClientAuth::secret_basic("secret")).expect("a client");
    client.client_credentials().scope("api").cached().expect("a request")
}

/// Connects to where the URL says, and counts.
#[derive(Clone, Debug, Default)]
pub struct CountingConnector(Arc<AtomicU64>);

impl CountingConnector {
    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

impl Service<Uri> for CountingConnector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<TokioIo<TcpStream>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let count = Arc::clone(&self.0);
        Box::pin(async move {
            let authority = uri.authority().ok_or("no authority")?.as_str();
            let address: SocketAddr = authority.parse()?;
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            count.fetch_add(1, SeqCst);
            Ok(TokioIo::new(stream))
        })
    }
}

/// An HTTP version to be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge.
    Http2,
}

/// hyper-util's client, over a connector that counts.
#[must_use]
pub fn hyper_client<B>(speaks: Speaks) -> (Client<CountingConnector, B>, CountingConnector)
where
    B: Body<Data = Bytes> + Send + Unpin,
{
    let connector = CountingConnector::default();
    let client = Builder::new(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .http2_only(speaks == Speaks::Http2)
        .build(connector.clone());
    (client, connector)
}

/// A reqwest client that follows no redirects and knows no proxy.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
pub fn reqwest_client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.build().expect("a client")
}

/// A URL of the server that redirects to another one with this status.
///
/// # Panics
///
/// When it is no URL.
#[must_use]
pub fn redirect_url(server: &TestServer, path: &str, status: u16, to: &str) -> String {
    let url = server.api_url(&format!("{path}/redirect/{status}"));
    reqwest::Url::parse_with_params(&url, [("to", to)]).expect("a URL").into()
}

/// A way to a server on which connections are counted, for clients whose connector is their own. It ends when it is
/// dropped.
#[derive(Debug)]
pub struct CountingProxy {
    origin: String,
    connections: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl CountingProxy {
    /// Listens on loopback, and hands on all bytes to this origin.
    ///
    /// # Panics
    ///
    /// When there is no free port, or the origin is not plain http.
    pub async fn start(upstream: &str) -> Self {
        let upstream = upstream.strip_prefix("http://").expect("plain http").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("its address"));
        let connections = Arc::<AtomicU64>::default();
        let task = tokio::spawn(hand_on(listener, upstream, Arc::clone(&connections)));
        Self { origin, connections, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(SeqCst)
    }
}

impl Drop for CountingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn hand_on(listener: TcpListener, upstream: String, count: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    while let Ok((mut down, _)) = listener.accept().await {
        count.fetch_add(1, SeqCst);
        let upstream = upstream.clone();
        connections.spawn(async move {
            let mut up = TcpStream::connect(upstream).await?;
            copy_bidirectional(&mut down, &mut up).await
        });
    }
}
