//! What the proxy answers when an upstream, or a token, cannot be had.

use std::time::Duration;

use http::StatusCode;
use oauth_test_server::{Endpoint, Fault, TestServer};
use serde_json::Value;
use tests::support::TempFolder;

use super::rig::{OK, Rig, Upstream, header, request, status};

/// The problem in an answer, checked for what every one has to be.
fn problem(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    assert_eq!(header(answer, "content-type"), ["application/problem+json"], "{head}");
    assert_eq!(header(answer, "cache-control"), ["no-store"], "{head}");
    assert!(header(answer, "proxy-status")[0].starts_with("egress-proxy; error="), "{head}");
    let problem: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["status"], status(answer), "{problem}");
    for text in ["title", "detail", "code", "type"] {
        assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
    for secret in ["secret", "Bearer", "127.0.0.1", "m2m"] {
        assert!(!answer.contains(secret), "{secret}: {answer}");
    }
    (status(answer), problem["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn p1_an_upstream_that_is_no_good_is_a_problem_of_its_own() {
    let server = TestServer::start().await.expect("servers");
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let unauthenticated = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!";
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(300_000));
    let cases = [
        ("", 502, "connection_lost"),
        ("SSH-2.0-OpenSSH_9.7\r\n\r\n", 502, "bad_response"),
        ("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", 502, "bad_response"),
        (smuggled, 502, "bad_response"),
        (&huge, 502, "bad_response"),
        (switched, 502, "bad_response"),
        (unauthenticated, 502, "bad_response"),
    ];
    for (answer, expected, code) in cases {
        let upstream = Upstream::start(answer).await;
        let rig = Rig::before(&server, &upstream).await;
        let came = rig.send(request("POST", "/crm/x", &["Content-Length: 0"], "")).await;
        assert_eq!(problem(&came), (expected, code.to_owned()), "{answer:.60}");
        assert_eq!(upstream.requests().len(), 1, "a POST is not sent again: {answer:.60}");
    }
}

#[tokio::test]
async fn p1_an_upstream_that_cannot_be_reached_and_one_that_is_silent() {
    let server = TestServer::start().await.expect("servers");
    let closed = Upstream::start(OK).await.origin.clone();
    let rig = Rig::start(&server, &closed, |_| {}).await;
    assert_eq!(problem(&rig.get("/crm/x", &[]).await), (502, "unreachable".to_owned()));

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = format!("http://{}", silent.local_addr().expect("its address"));
    let rig = Rig::start(&server, &origin, |settings| {
        settings.timeouts.response_head = Duration::from_millis(300);
    });
    let rig = rig.await;
    assert_eq!(problem(&rig.get("/crm/x", &[]).await), (504, "response_timeout".to_owned()));
}

#[tokio::test]
async fn p1_without_a_token_nothing_is_sent() {
    let server = TestServer::start().await.expect("servers");
    server.token_faults().push_forever(Fault::StatusWithRetryAfter(StatusCode::SERVICE_UNAVAILABLE, "7".to_owned()));
    let rig = Rig::before_api(&server).await;
    let answer = rig.get("/crm/x", &[]).await;
    assert_eq!(problem(&answer), (503, "token_not_now".to_owned()));
    let pause: u64 = header(&answer, "retry-after")[0].parse().expect("seconds");
    assert!((1..=7).contains(&pause), "{answer}");

    let other = TestServer::start().await.expect("servers");
    other.token_faults().push_forever(Fault::oauth_error("invalid_client"));
    let rig = Rig::before_api(&other).await;
    assert_eq!(problem(&rig.get("/crm/x", &[]).await), (502, "token_refused".to_owned()));
    for server in [server, other] {
        assert_eq!(server.requests_to(Endpoint::Api).len(), 0, "nothing is sent without a token");
    }
}

#[tokio::test]
async fn p1_an_apis_own_errors_come_through() {
    let server = TestServer::start().await.expect("servers");
    let rig = Rig::before_api(&server).await;
    for expected in [400, 403, 404, 418, 429, 500, 503, 599] {
        let answer = rig.get(&format!("/crm/status/{expected}"), &[]).await;
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(header(&answer, "proxy-status").is_empty(), "{answer}");
    }
    // Renewing does not cure it: the challenge is the caller's to read.
    server.api_faults().push_forever(Fault::challenge("Bearer error=\"invalid_token\""));
    let answer = rig.get("/crm/x", &[]).await;
    assert_eq!((status(&answer), header(&answer, "www-authenticate").len()), (401, 1), "{answer}");
}

#[tokio::test]
async fn p1_an_upstream_is_trusted_by_the_roots_of_its_credentials_only() {
    let server = TestServer::builder().tls().start().await.expect("servers");
    let folder = TempFolder::new();
    let root = folder.write("root.pem", server.ca_certificate_pem().expect("a root"));
    let api = server.api_origin();
    // With the root, tokens and calls alike; without, nothing is sent.
    for (roots, expected) in [(format!("root_certificates = {root:?}"), 200), (String::new(), 503)] {
        let oauth = format!(
            r#"
            origins = ["{api}"]
            client = {{ id = "m2m", secret = {{ file = {:?} }} }}
            [server]
            issuer = "{}"
            {roots}
            "#,
            folder.write("secret", "secret"),
            server.issuer()
        );
        let rig = Rig::start(&server, api, |settings| {
            settings.oauth.insert("crm".to_owned(), toml::from_str(&oauth).expect("settings"));
        });
        let answer = rig.await.get("/crm/x", &[]).await;
        assert_eq!(status(&answer), expected, "{answer}");
    }
    assert_eq!(server.requests_to(Endpoint::Api).len(), 1);
}
