//! T12: plain http to this machine never goes through a proxy of the environment's.
//!
//! An environment is set only for another process: the test runs this very binary again, with the variables set, and
//! with the name of the part that is meant for it.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use oauth_test_server::TestServer;
use oauth_tokens::{AuthorizationServer, ClientAuth, TokenSource};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Set for the other process only.
const CHILD: &str = "TOWER_OAUTH_TEST_BEHIND_A_PROXY";

#[tokio::test(flavor = "multi_thread")]
async fn t12_loopback_http_never_uses_a_proxy_from_the_environment() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = Arc::new(AtomicU32::new(0));
    tokio::spawn(serve(listener, seen.clone()));

    let mut child = Command::new(std::env::current_exe().expect("this binary"));
    child.args(["--exact", "token_endpoint::proxy::t12_behind_a_proxy", "--nocapture"]).env(CHILD, "1");
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, &proxy);
    }
    for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        child.env_remove(name);
    }
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = child.spawn().expect("another process");
    let output =
        tokio::task::spawn_blocking(|| output.wait_with_output()).await.expect("no panic").expect("its output");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert_eq!(seen.load(Relaxed), 1, "only the request to another machine went through the proxy: {text}");
}

/// A proxy that counts, and answers everything with a token.
async fn serve(listener: TcpListener, seen: Arc<AtomicU32>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        seen.fetch_add(1, Relaxed);
        let mut request = vec![0; 4096];
        let _ = stream.read(&mut request).await;
        let body = r#"{"access_token":"by-the-proxy","token_type":"Bearer"}"#;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let _ = stream.write_all((head + body).as_bytes()).await;
    }
}

/// The part for the other process; without its variable there is nothing to do.
#[tokio::test]
async fn t12_behind_a_proxy() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let server = TestServer::start().await.expect("sockets");
    for url in [server.token_endpoint(), server.token_endpoint().replace("127.0.0.1", "localhost")] {
        let client = AuthorizationServer::token_endpoint(&url)
            .and_then(|server| server.client("m2m", ClientAuth::secret_basic("secret")))
            .expect("a client");
        let tokens = client.client_credentials().fetch().await.expect("straight to this machine");
        assert_ne!(tokens.access_token.secret(), "by-the-proxy", "{url}");
    }
    let by_issuer = AuthorizationServer::issuer(server.issuer()).expect("a server");
    by_issuer.metadata().await.expect("discovery goes straight, too");
    // The variables are right: what leaves this machine goes through the proxy.
    let client = AuthorizationServer::via(oauth_tokens::HttpClient::reqwest())
        .dangerously_allow_plain_http()
        .token_endpoint("http://id.invalid/token")
        .and_then(|server| server.client("m2m", ClientAuth::none()))
        .expect("a client");
    let tokens = client.client_credentials().fetch().await.expect("the proxy answers");
    assert_eq!(tokens.access_token.secret(), "by-the-proxy");
}
