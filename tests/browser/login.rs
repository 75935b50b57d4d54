//! The example `login`, run as its users run it, and a real browser.

mod attacks;

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use oauth_test_server::{Client, ClientAuthMethod, TestServer};
use reqwest::Url;
use tests::{program, support::TempFolder};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{browser::Browser, oidc, oidc::oidc, test_server};

/// On a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the tool is told to be at home: a server, a client there, an API.
struct Home<'a> {
    issuer: &'a str,
    client_id: &'a str,
    api: String,
    folder: TempFolder,
}

/// The tool, which waits for its user. Killed when it is dropped.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it said so far.
    said: String,
}

impl<'a> Home<'a> {
    /// At oidc-provider; `short`: its access tokens live for 5 seconds.
    fn at_oidc(short: bool) -> Home<'static> {
        let api = format!("{}/orders", oidc().api());
        Home { issuer: oidc().issuer(), client_id: oidc().native(short), api, folder: TempFolder::new() }
    }

    fn at(server: &'a TestServer) -> Self {
        Self { issuer: server.issuer(), client_id: "login", api: server.api_url("/orders"), folder: TempFolder::new() }
    }

    fn store(&self) -> std::path::PathBuf {
        self.folder.path("state")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program::path("login"));
        command.args(["--issuer", self.issuer, "--client-id", self.client_id, "--api", &self.api]);
        command.arg("--store").arg(self.store()).args(arguments);
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "BROWSER"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs it where nobody has to sign in.
    async fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = timeout(PATIENCE, self.command(arguments).output()).await.expect("it ends").expect("it runs");
        let Output { status, stdout, stderr } = output;
        (status.success(), [stdout, stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat())
    }

    /// Starts it, and gives the URL that it wants opened.
    async fn start(&self) -> (Running, String) {
        let mut running = Running::start(self.command(&["--print-url"]));
        let line = running.line().await;
        let url = line.trim().strip_prefix("Open ").unwrap_or_else(|| panic!("no URL: {line:?}")).to_owned();
        (running, url)
    }
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("it runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, stdout, said: String::new() }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stdout.read_line(&mut line)).await.expect("it says something");
        read.expect("text");
        self.said.push_str(&line);
        line
    }

    /// How it ended, and all that it said.
    async fn end(mut self) -> (bool, String) {
        let status = timeout(PATIENCE, async {
            self.stdout.read_to_string(&mut self.said).await.expect("text");
            let mut stderr = self.child.stderr.take().expect("a pipe");
            stderr.read_to_string(&mut self.said).await.expect("text");
            self.child.wait().await.expect("it ends")
        });
        let status = status.await.expect("it ends");
        (status.success(), self.said)
    }
}

/// `http://127.0.0.1:port`.
fn origin(url: &str) -> String {
    Url::parse(url).expect("a URL").origin().ascii_serialization()
}

#[tokio::test]
async fn at_oidc_provider_from_sign_in_to_sign_out() {
    let home = Home::at_oidc(true);
    let (tool, url) = home.start().await;
    let browser = Browser::open().await;
    browser.go(&url).await;
    browser.visited("").await;
    oidc::sign_in(&browser, "ann").await;
    browser.wait_for("ann, shall").await;
    oidc::allow(&browser).await;
    browser.wait_for("You are signed in").await;
    browser.screenshots("login-done").await;
    assert_eq!(browser.url().await, format!("{}/done", origin(&url)), "no code is left in the address bar");
    let callbacks = browser.visited(&format!("{}/callback?", origin(&url))).await;
    assert_eq!(callbacks.len(), 1, "{callbacks:?}");
    assert!(callbacks[0].contains("code=") && callbacks[0].contains("iss="), "{callbacks:?}");
    let (successful, said) = tool.end().await;
    assert!(successful && said.contains("Signed in as ann.") && said.contains(r#""sub":"ann""#), "{said}");

    // Later starts: what is stored will do, and then it is renewed. Nobody is asked for anything.
    let stored = || fs::read(record(&home.store())).expect("a record");
    let first = stored();
    let renewed = timeout(PATIENCE, async {
        loop {
            let (successful, said) = home.run(&["--print-url"]).await;
            assert!(
                successful && said.contains("Still signed in as ann.") && said.contains(r#""sub":"ann""#),
                "{said}"
            );
            if stored() != first {
                return;
            }
        }
    });
    renewed.await.expect("an access token of 5 seconds is renewed");

    // Who has a copy of what was stored has nothing, once the user has signed out.
    let copy = TempFolder::new();
    let (record, kept) = (record(&home.store()), copy.path("record"));
    fs::copy(&record, &kept).expect("a copy");
    let (successful, said) = home.run(&["--logout"]).await;
    assert!(successful && said.contains("Signed out."), "{said}");
    assert!(!record.exists(), "nothing is left");
    fs::copy(&kept, &record).expect("a copy");
    let mut tool = Running::start(home.command(&["--print-url"]));
    // It takes the access token for good, and is refused; or it is not, and the user has to sign in.
    while !tool.said.contains("Open http") && !tool.line().await.is_empty() {}
    assert!(!tool.said.contains("200 OK"), "{}", tool.said);
}

#[tokio::test]
async fn at_oidc_provider_the_user_says_no() {
    let home = Home::at_oidc(false);
    let (tool, url) = home.start().await;
    let browser = Browser::open().await;
    browser.go(&url).await;
    oidc::sign_in(&browser, "bob").await;
    browser.wait_for("bob, shall").await;
    oidc::deny(&browser).await;
    browser.wait_for("You are not signed in").await;
    browser.screenshots("login-denied").await;
    let (successful, said) = tool.end().await;
    assert!(!successful && !said.contains("The API answers"), "{said}");
    assert!(!home.store().join("tokens").exists() || !record_exists(&home.store()), "nothing is kept");
}

#[tokio::test]
async fn at_oidc_provider_on_another_device() {
    let home = Home::at_oidc(false);
    let mut tool = Running::start(home.command(&["--device"]));
    let line = tool.line().await;
    let (place, code) = line.trim().rsplit_once(" and enter the code ").expect("a place and a code");
    assert!(place.starts_with(&format!("Open {}", home.issuer)), "{line}");
    oidc().approve_device(code).await;
    let (successful, said) = tool.end().await;
    assert!(successful && said.contains("Signed in as alice.") && said.contains(r#""sub":"alice""#), "{said}");
}

#[tokio::test]
async fn at_the_test_server_by_the_browser_that_the_system_names() {
    let server = test_server().await;
    let home = Home::at(&server);
    // What BROWSER names gets the URL as one argument, without a shell in between.
    let told = home.folder.path("told");
    let script =
        format!("#!/bin/sh\nprintf '%s\\n' \"$#\" \"$@\" >{told}.new && mv {told}.new {told}\n", told = told.display());
    let script = home.folder.write("browser", script);
    make_executable(&script);
    let mut command = home.command(&[]);
    command.env("BROWSER", &script);
    let tool = Running::start(command);
    let browser = Browser::open().await;
    tests::support::eventually("the browser is opened", || told.exists()).await;
    let told = fs::read_to_string(&told).expect("what it was told");
    let [count, url] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
    assert_eq!(count, "1", "{told}");
    assert!(url.starts_with("http://127.0.0.1:") && !url.contains("state="), "{url}");

    browser.go(url).await;
    test_server::sign_in(&browser, "ann").await;
    browser.wait_for("wants to").await;
    test_server::allow(&browser).await;
    browser.wait_for("You are signed in").await;
    let (successful, said) = tool.end().await;
    assert!(successful && said.contains("Signed in as ann.") && said.contains(r#""sub":"ann""#), "{said}");

    let issued = server.counters().tokens_issued;
    server.revoke_access_tokens();
    let (successful, said) = home.run(&["--print-url"]).await;
    assert!(successful && said.contains("Still signed in as ann."), "{said}");
    assert_eq!(server.counters().tokens_issued, issued + 1, "renewed");
    let (successful, said) = home.run(&["--logout"]).await;
    assert!(successful && server.counters().revocations > 0, "{said}");
}

#[tokio::test]
async fn at_the_test_server_the_user_says_no() {
    let server = test_server().await;
    let home = Home::at(&server);
    let (tool, url) = home.start().await;
    let browser = Browser::open().await;
    browser.go(&url).await;
    test_server::sign_in(&browser, "bob").await;
    browser.wait_for("wants to").await;
    test_server::deny(&browser).await;
    browser.wait_for("You are not signed in").await;
    assert!(!tool.end().await.0);
}

async fn test_server() -> TestServer {
    let login = Client::new("login").name("login").scopes(["openid", "offline_access", "api"]);
    let login = login.auth_methods([ClientAuthMethod::None]).redirect_uri("http://127.0.0.1/callback");
    TestServer::builder().client(login).offline_access().start().await.expect("sockets")
}

/// The file of the only record.
fn record(store: &Path) -> std::path::PathBuf {
    records(store).pop().expect("a record")
}

fn record_exists(store: &Path) -> bool {
    !records(store).is_empty()
}

fn records(store: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(store.join("tokens")).expect("a folder").map(|file| file.expect("a file").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "token")).collect()
}

fn make_executable(path: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(path, mode).expect("permissions");
}
