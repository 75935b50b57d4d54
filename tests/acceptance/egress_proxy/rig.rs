//! A proxy between a caller that writes raw bytes and an upstream that shows what came.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use examples::egress_proxy::{Proxy, Settings};
use oauth_test_server::TestServer;
use tests::support::TempFolder;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

/// No test takes so long; whatever does is stuck.
const BOUND: Duration = Duration::from_secs(20);

/// A running proxy. It ends when it is dropped.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) end: Option<oneshot::Sender<()>>,
    pub(crate) serving: JoinHandle<()>,
    _secret: TempFolder,
}

impl Rig {
    /// In front of the test server's API, which is `/crm` here.
    pub(crate) async fn before_api(server: &TestServer) -> Self {
        Self::start(server, server.api_origin(), |_| {}).await
    }

    /// In front of `{upstream}/v2`, which is `/crm` here.
    pub(crate) async fn before(server: &TestServer, upstream: &Upstream) -> Self {
        Self::start(server, &format!("{}/v2", upstream.origin), |_| {}).await
    }

    pub(crate) async fn start(server: &TestServer, url: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let (secret, mut settings) = settings(server, url);
        change(&mut settings);
        let proxy = Proxy::bind(&settings).await.expect("settings that can be used");
        let address = proxy.address().expect("an address");
        let admin = proxy.admin_address().expect("an address");
        let (end, told) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            proxy.serve(async { drop(told.await) }).await.expect("a good end");
        });
        Self { address, admin, end: Some(end), serving, _secret: secret }
    }

    /// Sends these bytes on a connection of their own, and reads all that comes until the proxy closes it.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        exchange(self.address, bytes.as_ref()).await
    }

    /// The answer to a GET, with more lines of head.
    pub(crate) async fn get(&self, path: &str, lines: &[&str]) -> String {
        self.send(request("GET", path, lines, "")).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The settings that tests begin with.
pub(crate) fn settings(server: &TestServer, url: &str) -> (TempFolder, Settings) {
    let folder = TempFolder::new();
    let file = folder.write("secret", "secret");
    let (tokens, origin) = (server.token_endpoint(), url.split_inclusive('/').take(3).collect::<String>());
    let origin = origin.trim_end_matches('/');
    let text = format!(
        r#"
        listen = "127.0.0.1:0"
        admin = "127.0.0.1:0"
        oauth.crm.origins = ["{origin}"]
        oauth.crm.server.token_endpoint = "{tokens}"
        oauth.crm.client = {{ id = "m2m", secret = {{ file = {file:?} }} }}
        oauth.crm.grant.scope = "api"
        upstreams = [{{ name = "crm", path = "/crm", url = "{url}", oauth = "crm" }}]
        "#
    );
    (folder, Settings::parse(&text).expect("settings"))
}

/// A request that ends its connection, for this machine.
pub(crate) fn request(method: &str, path: &str, lines: &[&str], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text + body
}

pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The proxy may have seen enough before the end.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let closed = timeout(BOUND, stream.read_to_end(&mut answer)).await.is_ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(closed, "still open: {:.300?}, answered by {answer:.300?}", String::from_utf8_lossy(bytes));
    answer
}

/// The status of an answer; 0 where there is none.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// The values of a header, by its name in lower case.
pub(crate) fn header<'m>(message: &'m str, name: &str) -> Vec<&'m str> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}

/// Reads until this has come, and gives all that has.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&seen).contains(text) {
            assert_ne!(stream.read_buf(&mut seen).await.expect("a read"), 0, "closed before {text:?} came");
        }
    };
    timeout(BOUND, read).await.unwrap_or_else(|_| panic!("{text:?} never came"));
    String::from_utf8_lossy(&seen).into_owned()
}

/// A server that answers every request with the same bytes, and keeps what it was sent, as it was.
pub(crate) struct Upstream {
    pub(crate) origin: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// The simplest answer.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl Upstream {
    pub(crate) async fn start(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::start_with(move |_| answer.clone()).await
    }

    /// Answers by how many requests came before.
    pub(crate) async fn start_with(answer: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("its address"));
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let task = tokio::spawn(serve(listener, Arc::new(answer), Arc::clone(&requests)));
        Self { origin, requests, task }
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The latest request.
    pub(crate) fn last(&self) -> String {
        self.requests().pop().expect("a request should have come")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answer = dyn Fn(usize) -> String + Send + Sync;

async fn serve(listener: TcpListener, answer: Arc<Answer>, requests: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let (answer, requests) = (Arc::clone(&answer), Arc::clone(&requests));
        connections.spawn(async move {
            let mut buffer = Vec::new();
            while let Some(request) = next_request(&mut stream, &mut buffer).await {
                let before = {
                    let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
                    requests.push(request);
                    requests.len() - 1
                };
                let answer = answer(before);
                let is_over = stream.write_all(answer.as_bytes()).await.is_err();
                if is_over || answer.is_empty() {
                    break;
                }
            }
        });
    }
}

/// One request as it stands on the wire, framed as the standard says.
async fn next_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(length) = length(&String::from_utf8_lossy(buffer)) {
            let request = buffer.drain(..length).collect::<Vec<_>>();
            return Some(String::from_utf8_lossy(&request).into_owned());
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// How long the first message is, once it is whole.
fn length(text: &str) -> Option<usize> {
    let head = text.find("\r\n\r\n")? + 4;
    if header(text, "transfer-encoding").contains(&"chunked") {
        // The last chunk, and its trailers.
        let last = head + if text[head..].starts_with("0\r\n") { 0 } else { text[head..].find("\r\n0\r\n")? + 2 };
        return Some(last + text[last..].find("\r\n\r\n")? + 4);
    }
    let body = header(text, "content-length").first().map_or(0, |length| length.parse().expect("a length"));
    (text.len() >= head + body).then_some(head + body)
}
