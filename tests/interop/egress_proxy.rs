//! The example `egress_proxy`, run as its users run it, before a real server's API (P1).

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{program, support::TempFolder, wire::reqwest_client};

use crate::{against_both, server::RealServer};

against_both!(p1_it_adds_tokens_and_ends_when_told, p1_it_says_what_is_wrong_with_its_settings);

async fn p1_it_adds_tokens_and_ends_when_told(server: &RealServer) {
    let (_folder, file) = settings(server);
    let mut proxy = Running::start(&file);
    let caller = reqwest_client();
    for path in ["/api/things?x=1", "/api/orders"] {
        let answer = caller.get(format!("http://{}{path}", proxy.address)).bearer_auth("mine").send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let seen: Value = answer.json().await.expect("JSON");
        assert_eq!(seen["client_id"], server.registered("basic").id, "{seen}");
    }
    let health = caller.get(format!("http://{}/healthz", proxy.admin)).send().await.expect("an answer");
    assert_eq!(health.status(), 200);
    let figures = caller.get(format!("http://{}/metrics", proxy.admin)).send().await.expect("an answer");
    let figures = figures.text().await.expect("text");
    let renewed = r#"oauth_token_renewals_total{cause="cold",outcome="renewed"} 1"#;
    assert!(figures.contains(renewed), "{figures}");

    let said = proxy.end("TERM");
    assert_eq!(said.matches("answered").count(), 2, "one line a request: {said}");
    for secret in [server.registered("basic").secret, "mine", "Bearer", "x=1"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

async fn p1_it_says_what_is_wrong_with_its_settings(server: &RealServer) {
    let (folder, file) = settings(server);
    let check = |file: &PathBuf| {
        let output = proxy(file).arg("--check").output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check(&file).0, Some(0), "{}", check(&file).1);
    let text = std::fs::read_to_string(&file).expect("the settings");
    let cases = [
        (text.replace("url = ", "ulr = "), "unknown field"),
        (text.replace("127.0.0.1:0", "0.0.0.0:0"), "beyond loopback"),
        (text.replace("secret = {", "secret = \"s3cr3t\" # {"), "client.secret"),
    ];
    for (text, expected) in cases {
        let (code, said) = check(&folder.write("bad.toml", text));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected) && !said.contains("s3cr3t"), "{expected}: {said}");
    }
    assert_eq!(check(&folder.path("none.toml")).0, Some(1));
}

fn settings(server: &RealServer) -> (TempFolder, PathBuf) {
    let known = server.registered("basic");
    let folder = TempFolder::new();
    let secret = folder.write("secret", known.secret);
    let api = server.api("");
    let text = format!(
        r#"
        listen = "127.0.0.1:0"
        admin = "127.0.0.1:0"

        [oauth.api]
        origins = ["{api}"]
        server.token_endpoint = "{}"
        client.id = "{}"
        client.secret = {{ file = {secret:?} }}
        grant.scope = "{}"

        [[upstreams]]
        name = "api"
        path = "/api"
        url = "{api}"
        oauth = "api"
        "#,
        server.token_endpoint(),
        known.id,
        known.scope,
    );
    let file = folder.write("proxy.toml", text);
    (folder, file)
}

fn proxy(file: &PathBuf) -> Command {
    let mut command = Command::new(program::path("egress_proxy"));
    command.arg("--config").arg(file).env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null());
    // It takes no proxy from the environment.
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:9");
    }
    command
}

/// The program, killed when it is dropped.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Running {
    fn start(file: &PathBuf) -> Self {
        let mut child = proxy(file).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut log = BufReader::new(child.stderr.take().expect("its log"));
        let mut line = String::new();
        while !line.starts_with("listening on ") {
            line.clear();
            assert_ne!(log.read_line(&mut line).expect("a line"), 0, "it ended before it listened");
        }
        let addresses = line.split([' ', ',', '\n']).filter_map(|word| word.parse().ok()).collect::<Vec<SocketAddr>>();
        let [address, admin] = addresses.try_into().expect("two addresses");
        Self { child, log, address, admin }
    }

    /// Sends a signal, and gives what was logged until the end.
    fn end(&mut self, signal: &str) -> String {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status().expect("kill runs");
        assert!(sent.success());
        let mut said = String::new();
        // Its end closes the pipe.
        std::io::Read::read_to_string(&mut self.log, &mut said).expect("its log");
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            if let Some(status) = self.child.try_wait().expect("its status") {
                assert!(status.success(), "{status}: {said}");
                return said;
            }
            std::thread::yield_now();
        }
        panic!("it did not end: {said}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
