//! Sign-in in the browser of this machine: what the listener takes for an answer, and what it refuses (L1, L3, RFC 8252). By raw
//! sockets, as an attacker has them, so time is real here.

mod browser;
mod device;
mod listener;
mod one_browser;
mod outcome;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use oauth_test_server::{Client, ClientAuthMethod, TestServer};
use oauth_tokens::{AuthorizationServer, ClientAuth, Error, HttpClient, NativeSignIn, SignedIn, TokenClient};
use tests::support::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

/// A sign-in that waits for its browser, which is played here.
struct Waiting {
    server: TestServer,
    /// The URL that the browser was given.
    url: String,
    run: JoinHandle<Result<SignedIn, Error>>,
    browser: Browser,
}

/// The cookies of a browser, each as `name=value`. Clones are windows of the same browser.
#[derive(Clone, Default)]
struct Browser(Arc<Mutex<Vec<String>>>);

/// An authorization server without sockets.
fn server() -> TestServer {
    let native = Client::new("native").name("acme").scopes(["openid", "api", "offline_access"]);
    let native = native.auth_methods([ClientAuthMethod::None]).redirect_uri("http://127.0.0.1/callback");
    TestServer::builder().client(native).refresh_tokens(true).build()
}

fn client(server: &TestServer) -> TokenClient {
    let at = AuthorizationServer::via(HttpClient::new(server.authorization_service())).issuer(server.issuer());
    at.and_then(|at| at.client("native", ClientAuth::none())).expect("a client")
}

fn native(server: &TestServer) -> NativeSignIn {
    client(server).native_sign_in().scope("openid api")
}

/// A program that waits for the browser.
async fn waiting() -> Waiting {
    let server = server();
    let sign_in = native(&server);
    waiting_for(server, sign_in).await
}

async fn waiting_for(server: TestServer, sign_in: NativeSignIn) -> Waiting {
    let urls: Arc<Mutex<Vec<String>>> = Arc::default();
    let opened = urls.clone();
    let sign_in = sign_in.open_with(move |url| {
        opened.lock().expect("a lock").push(url.to_owned());
        Ok(())
    });
    let run = tokio::spawn(async move { sign_in.run().await });
    eventually("the browser is opened", || !urls.lock().expect("a lock").is_empty()).await;
    let url = urls.lock().expect("a lock")[0].clone();
    Waiting::new(server, url, run)
}

impl Browser {
    /// What it sends to each port of this machine.
    fn header(&self) -> String {
        let cookies = self.0.lock().expect("a lock").join("; ");
        if cookies.is_empty() { cookies } else { format!("Cookie: {cookies}\r\n") }
    }

    fn keep(&self, answer: &Answer) {
        let Some(cookie) = answer.header("set-cookie") else { return };
        let (cookie, attributes) = cookie.split_once("; ").expect("attributes");
        let name = cookie.split('=').next().expect("a name");
        let mut cookies = self.0.lock().expect("a lock");
        cookies.retain(|known| known.split('=').next() != Some(name));
        if !attributes.contains("Max-Age=0") {
            cookies.push(cookie.to_owned());
        }
    }
}

impl Waiting {
    fn new(server: TestServer, url: String, run: JoinHandle<Result<SignedIn, Error>>) -> Self {
        Self { server, url, run, browser: Browser::default() }
    }

    /// `127.0.0.1:port`.
    fn host(&self) -> &str {
        self.url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("a host")
    }

    /// What the browser asks for first.
    fn start(&self) -> &str {
        self.url.strip_prefix("http://").and_then(|rest| rest.strip_prefix(self.host())).expect("a path")
    }

    /// Where the listener sends the browser.
    async fn target(&self) -> String {
        let answer = self.get(self.start()).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        answer.header("location").expect("a place").to_owned()
    }

    /// The path and query that the server sends this user back with.
    async fn signed_in_as(&self, user: &str) -> String {
        let back = self.server.browser().authorize(&self.target().await, user).await.expect("the server's answer");
        back.strip_prefix(&format!("http://{}", self.host())).expect("back to the listener").to_owned()
    }

    /// The path and query that the server sends a user back with who says no.
    async fn denied(&self) -> String {
        let back = self.server.browser().deny(&self.target().await, "ann").await.expect("the server's answer");
        back.strip_prefix(&format!("http://{}", self.host())).expect("back to the listener").to_owned()
    }

    /// The `state` that is waited for.
    async fn state(&self) -> String {
        let target = reqwest::Url::parse(&self.target().await).expect("a URL");
        let state = target.query_pairs().find(|(name, _)| name == "state").expect("a state");
        state.1.into_owned()
    }

    /// What the browser gets.
    async fn get(&self, path: &str) -> Answer {
        let answer = self.get_with(path, &self.browser.header()).await;
        self.browser.keep(&answer);
        answer
    }

    /// What somebody else gets, with these header lines.
    async fn get_with(&self, path: &str, headers: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.host())).await
    }

    /// As a form of another site's is posted: without the cookie, which is `SameSite=Lax`.
    async fn post(&self, path: &str, content_type: &str, body: &str) -> Answer {
        let head = format!("Host: {}\r\nContent-Type: {content_type}\r\nContent-Length: {}", self.host(), body.len());
        self.send(&format!("POST {path} HTTP/1.1\r\n{head}\r\n\r\n{body}")).await
    }

    async fn send(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.host()).await.expect("somebody listens");
        // A request that is refused early may not be read to its end.
        let _ = stream.write_all(request.as_bytes()).await;
        read(&mut stream).await
    }

    /// Whoever came, the program still waits, and goes on as if nothing had been.
    async fn goes_on_undisturbed(self) {
        assert!(!self.run.is_finished(), "it still waits");
        assert_eq!(self.server.counters().token_requests, 0, "nothing was redeemed");
        let back = self.signed_in_as("ann").await;
        self.ends_well(&back, "ann").await;
    }

    /// The browser comes back, and all is well.
    async fn ends_well(mut self, back: &str, user: &str) {
        let answer = self.get(back).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/done")), "{answer:?}");
        let answer = self.get("/done").await;
        assert!(answer.status == 200 && answer.body.contains("You are signed in"), "{answer:?}");
        let signed_in = self.end().await.expect("signed in");
        assert_eq!(signed_in.id_token.expect("an ID token").subject(), user);
        assert_eq!(self.server.counters().token_requests, 1);
    }

    async fn end(&mut self) -> Result<SignedIn, Error> {
        timeout(Duration::from_secs(30), &mut self.run).await.expect("it ends").expect("no panic")
    }
}

/// What came back, until the connection was closed.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// An answer to the end; status 0 if there is none.
async fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset ends it, too.
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await.expect("the connection ends");
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
