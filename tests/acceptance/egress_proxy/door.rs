//! Who may come in.

use oauth_test_server::{Endpoint, TestServer};

use super::rig::{OK, Rig, Upstream, exchange, header, request, status};

#[tokio::test]
async fn p1_a_host_that_is_none_of_ours_is_refused() {
    let server = TestServer::start().await.expect("servers");
    let rig = Rig::before_api(&server).await;
    let port = rig.address.port();
    let ours = ["localhost", "LocalHost", "localhost.", "127.0.0.1", "[::1]"].map(str::to_owned);
    let with_port = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{port}"));
    for host in ours.iter().chain(&with_port) {
        let answer = rig.send(format!("GET /crm/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(status(&answer), 200, "{host}: {answer}");
    }

    server.clear_requests();
    let others = [
        ("evil.example.com", 421),
        ("localhost.evil.example.com", 421),
        ("127.0.0.1.evil.example.com", 421),
        ("evil-localhost", 421),
        ("127.1", 421),
        ("2130706433", 421),
        ("0.0.0.0", 421),
        ("[::ffff:127.0.0.1]", 421),
        ("user@localhost", 400),
        ("localhost@evil.example.com", 400),
        ("local host", 400),
        ("localhost/", 400),
        ("localhost,evil.example.com", 421),
        ("", 400),
    ];
    for (host, expected) in others {
        let answer = rig.send(format!("GET /crm/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(status(&answer), expected, "{host:?}: {answer}");
    }
    let targets = [
        ("GET /crm/x HTTP/1.1\r\n", 400),
        ("GET /crm/x HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", 400),
        ("GET /crm/x HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.com\r\n", 400),
        ("GET http://evil.example.com/crm/x HTTP/1.1\r\nHost: localhost\r\n", 400),
        ("GET http://localhost/crm/x HTTP/1.1\r\nHost: evil.example.com\r\n", 400),
        ("GET http://evil.example.com/crm/x HTTP/1.1\r\nHost: evil.example.com\r\n", 421),
        ("GET http://a@localhost/crm/x HTTP/1.1\r\nHost: localhost\r\n", 400),
        ("GET https://localhost/crm/x HTTP/1.1\r\nHost: localhost\r\n", 400),
        ("GET ftp://localhost/crm/x HTTP/1.1\r\nHost: localhost\r\n", 400),
    ];
    for (head, expected) in targets {
        let answer = rig.send(format!("{head}Connection: close\r\n\r\n")).await;
        assert_eq!(status(&answer), expected, "{head:?}: {answer}");
    }
    assert_eq!(server.requests_to(Endpoint::Api).len(), 0, "none of these may go on");
}

#[tokio::test]
async fn p1_web_pages_are_refused() {
    let server = TestServer::start().await.expect("servers");
    let rig = Rig::before_api(&server).await;
    let own = format!("http://localhost:{}", rig.address.port());
    let cases = [
        ("Sec-Fetch-Mode: cors".to_owned(), 200),
        ("Referer: http://localhost/crm/before".to_owned(), 200),
        // An address that somebody typed, and what that redirects to.
        ("Sec-Fetch-Site: none".to_owned(), 403),
        // A page over plain http, from which no other of these comes to a host beyond loopback.
        ("Upgrade-Insecure-Requests: 1".to_owned(), 403),
        ("Sec-Fetch-Site:".to_owned(), 403),
        ("Sec-Fetch-Site: cross-site".to_owned(), 403),
        ("Sec-Fetch-Site: same-site".to_owned(), 403),
        // All upstreams are one origin to a browser.
        ("Sec-Fetch-Site: same-origin".to_owned(), 403),
        ("Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site".to_owned(), 403),
        ("Sec-Fetch-Site: NONE".to_owned(), 403),
        ("Origin: https://evil.example.com".to_owned(), 403),
        ("Origin: null".to_owned(), 403),
        (format!("Origin: {own}"), 403),
        ("Referer: https://evil.example.com/".to_owned(), 403),
        ("Referer: http://localhost.evil.example.com/crm/".to_owned(), 403),
        ("Referer: \u{1F608}".to_owned(), 403),
    ];
    for (line, expected) in &cases {
        for method in ["GET", "POST", "OPTIONS"] {
            let answer = rig.send(request(method, "/crm/x", &[line, "Content-Length: 0"], "")).await;
            assert_eq!(status(&answer), *expected, "{method}, {line}: {answer}");
            assert!(header(&answer, "access-control-allow-origin").is_empty(), "{answer}");
        }
    }
    let let_in = cases.iter().filter(|(_, status)| *status == 200).count() * 3;
    assert_eq!(server.requests_to(Endpoint::Api).len(), let_in, "a refused request went on");
}

#[tokio::test]
async fn p1_methods_that_tunnel_or_show_the_token_are_refused() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    let connect = "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\n\r\n";
    let answers = [
        rig.send(connect).await,
        rig.send(request("TRACE", "/crm/x", &[], "")).await,
        rig.send(request("TRACK", "/crm/x", &[], "")).await,
        rig.send(request("trace", "/crm/x", &[], "")).await,
        rig.send(request("Track", "/crm/x", &[], "")).await,
        rig.send(request("connect", "/crm/x", &[], "")).await,
    ];
    for answer in answers {
        assert_eq!(status(&answer), 405, "{answer}");
        assert_eq!(header(&answer, "allow"), ["GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"], "{answer}");
    }
    assert_eq!(upstream.requests().len(), 0);
    let answer = rig.send(request("REPORT", "/crm/x", &[], "")).await;
    assert_eq!(status(&answer), 200, "a method of its own goes through: {answer}");
}

#[tokio::test]
async fn p1_upgrades_are_refused_and_h2c_is_not_taken_up() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    for protocol in ["websocket", "h2c, websocket", "TLS/1.0", "connect-ip"] {
        let lines = ["Connection: Upgrade", &format!("Upgrade: {protocol}"), "Sec-WebSocket-Version: 13"];
        let answer = rig.get("/crm/x", &lines).await;
        assert_eq!(status(&answer), 501, "{protocol}: {answer}");
        assert!(answer.contains(r#""code":"upgrade""#), "{answer}");
    }
    assert_eq!(upstream.requests().len(), 0);

    // As Java's client begins.
    let lines = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB"];
    assert_eq!(status(&rig.get("/crm/x", &lines).await), 200);
    let seen = upstream.last();
    for name in ["upgrade", "http2-settings", "connection"] {
        assert!(header(&seen, name).is_empty(), "{seen}");
    }
}

#[tokio::test]
async fn p1_a_request_passes_through_one_proxy_once() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let (rig, other) = (Rig::before(&server, &upstream).await, Rig::before(&server, &upstream).await);
    let via = format!("Via: {}", header(&rig.get("/crm/x", &[]).await, "via")[0]);
    for line in [via.clone(), via.to_uppercase(), via.replace("Via: ", "Via: 1.1 before, "), format!("{via} (again)")] {
        let answer = rig.get("/crm/x", &[&line]).await;
        assert_eq!(status(&answer), 508, "{line}: {answer}");
    }
    assert_eq!(upstream.requests().len(), 1);
    let answer = exchange(other.address, request("GET", "/crm/x", &[&via], "").as_bytes()).await;
    assert_eq!(status(&answer), 200, "two proxies in a row are no loop: {answer}");
    assert_eq!(header(&upstream.last(), "via").len(), 2, "{}", upstream.last());
}

#[tokio::test]
async fn p1_unknown_expectations_are_refused() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    for expectation in ["200-ok", "100-continue, x", ""] {
        let answer = rig.get("/crm/x", &[&format!("Expect: {expectation}")]).await;
        assert_eq!(status(&answer), 417, "{expectation}: {answer}");
    }
    assert_eq!(upstream.requests().len(), 0);
}
