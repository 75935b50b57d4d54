//! A small HTTP server on loopback that counts, and the process that it is a server in.

use std::{
    convert::Infallible,
    env,
    future::Future,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    process::{self, Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, runtime::Builder};

use super::cpu::{Which, pin};
use crate::BoxError;

/// What the API answers with.
const ANSWER: &str = r#"{"id":"42","state":"open"}"#;

/// Answers requests on a port of loopback, as long as the runtime lives.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// How many connections were opened so far.
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Server {
    /// Speaks HTTP/1 or HTTP/2, as each client begins.
    pub(crate) async fn start<H, F>(answer: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let server = Self { address: listener.local_addr()?, connections: Arc::default() };
        let connections = Arc::clone(&server.connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Relaxed);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let response = answer(request);
                        async { Ok::<_, Infallible>(response.await) }
                    });
                    stream.set_nodelay(true).ok();
                    // A client that goes away is what it is.
                    let connection = auto::Builder::new(TokioExecutor::new());
                    connection.serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
        });
        Ok(server)
    }

    pub(crate) fn opened(&self) -> usize {
        self.connections.load(Relaxed)
    }
}

/// A protected API, as this program runs it when it is told to `serve-api`: it says on standard output where it is, and ends
/// with its standard input.
pub(crate) fn serve_api() -> Result<(), BoxError> {
    pin(Which::Last);
    thread::spawn(|| {
        io::stdin().read_to_end(&mut Vec::new()).ok();
        process::exit(0);
    });
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let server = Server::start(api).await?;
        println!("{}", server.address);
        io::stdout().flush()?;
        std::future::pending().await
    })
}

/// Takes any bearer token.
async fn api(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let token = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let is_authorised = token.is_some_and(|token| !token.is_empty());
    let is_whole = request.into_body().collect().await.is_ok();
    let mut response = Response::new(Full::from(ANSWER));
    *response.status_mut() = match (is_authorised, is_whole) {
        (true, true) => StatusCode::OK,
        (true, false) => StatusCode::BAD_REQUEST,
        (false, _) => StatusCode::UNAUTHORIZED,
    };
    response
}

/// The API in a process of its own, so that what this one uses of a processor is the client's.
#[derive(Debug)]
pub(super) struct ApiProcess {
    child: Child,
    /// With scheme, host and port.
    pub(super) origin: String,
}

impl ApiProcess {
    pub(super) fn start() -> Result<Self, BoxError> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("serve-api").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let this = Self { child, origin: format!("http://{}", line.trim()) };
        let address: Result<SocketAddr, _> = line.trim().parse();
        address.map(|_| this).map_err(|error| format!("the API's process did not start: {error}").into())
    }
}

impl Drop for ApiProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}
