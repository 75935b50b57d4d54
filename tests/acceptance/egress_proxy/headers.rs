//! What ends at the proxy, and what it adds.

use oauth_test_server::TestServer;

use super::rig::{OK, Rig, Upstream, header, request, status};

#[tokio::test]
async fn p1_callers_credentials_end_here() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    let lines = [
        "Authorization: Bearer mine",
        "AUTHORIZATION: Basic bWluZQ==",
        "Proxy-Authorization: Bearer mine",
        "Proxy_Authorization: Bearer mine",
        "DPoP: mine",
        "Connection: authorization",
    ];
    assert_eq!(status(&rig.get("/crm/x", &lines).await), 200);
    let seen = upstream.last();
    assert!(!seen.contains("mine") && !seen.contains("bWluZQ"), "{seen}");
    let sent = header(&seen, "authorization");
    assert_eq!(sent.len(), 1, "{seen}");
    assert!(sent[0].starts_with("Bearer ") && sent[0].len() > 20, "{seen}");
}

#[tokio::test]
async fn p1_what_connection_names_ends_here() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    let lines = [
        "Connection: X-One ,x-two",
        "CONNECTION: ,, X-THREE,Host,Via,Content-Type, Authorization",
        "X-One: ends",
        "x-two: ends",
        "X-Three: ends",
        "X-Four: stays",
        "Content-Type: ends/here",
    ];
    let answer = rig.send(request("POST", "/crm/x", &[&lines[..], &["Content-Length: 4"]].concat(), "body")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let seen = upstream.last();
    assert!(!seen.contains("ends"), "{seen}");
    assert_eq!(header(&seen, "x-four"), ["stays"], "{seen}");
    // What the proxy writes itself, a caller cannot name away.
    assert_eq!(header(&seen, "authorization").len(), 1, "{seen}");
    assert_eq!(header(&seen, "host"), [upstream.origin.trim_start_matches("http://")], "{seen}");
    assert_eq!(header(&seen, "via").len(), 1, "{seen}");
    assert_eq!(header(&seen, "content-length"), ["4"], "{seen}");
    assert!(seen.ends_with("\r\n\r\nbody"), "{seen}");

    for value in ["x-one, \u{e9}", "x y", "x\u{b}", "(x)"] {
        let answer = rig.get("/crm/x", &[&format!("Connection: {value}"), "X: 1"]).await;
        assert_eq!(status(&answer), 400, "{value:?}: {answer}");
    }
    assert_eq!(upstream.requests().len(), 1, "what cannot be read may name anything");
}

#[tokio::test]
async fn p1_headers_of_a_connection_and_claims_of_callers_end_here() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    let names = [
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authenticate",
        "TE",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Client-Cert",
        "X_Forwarded_For",
        "x-forwarded_for",
        "X-Real-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Original-Host",
        "X-Host",
        "X-Client-IP",
        "True-Client-IP",
        "X-HTTP-Method-Override",
        "X_HTTP_Method_Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "Proxy",
    ];
    let lines: Vec<String> = names.iter().map(|name| format!("{name}: claimed")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).chain(["User-Agent: program/1"]).collect();
    assert_eq!(status(&rig.get("/crm/x", &lines).await), 200);
    let seen = upstream.last();
    assert!(!seen.contains("claimed"), "{seen}");
    assert_eq!(header(&seen, "user-agent"), ["program/1"], "{seen}");
    let via = header(&seen, "via");
    assert!(via.len() == 1 && via[0].starts_with("1.1 egress-proxy-"), "{seen}");
}

#[tokio::test]
async fn p1_an_upstreams_connection_is_not_the_callers() {
    let server = TestServer::start().await.expect("servers");
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Inner\r\nX-Inner: ends\r\n\
                  Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nAlt-Svc: h3=\":443\"\r\nUpgrade: h2\r\n\
                  Proxy-Status: egress-proxy; error=destination_unavailable\r\nETag: \"7\"\r\nVia: 1.1 theirs\r\n\r\nok";
    let upstream = Upstream::start(answer).await;
    let rig = Rig::before(&server, &upstream).await;
    let answer = rig.get("/crm/x", &[]).await;
    for name in ["x-inner", "keep-alive", "proxy-authenticate", "alt-svc", "proxy-status", "upgrade"] {
        assert!(header(&answer, name).is_empty(), "{name}: {answer}");
    }
    assert_eq!(header(&answer, "connection"), ["close"], "as the caller asked: {answer}");
    assert_eq!(header(&answer, "etag"), ["\"7\""], "{answer}");
    assert_eq!(header(&answer, "via").len(), 2, "{answer}");
    assert!(!answer.contains("Bearer"), "{answer}");

    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: (x)\r\n\r\nok";
    let upstream = Upstream::start(answer).await;
    let rig = Rig::before(&server, &upstream).await;
    let answer = rig.get("/crm/x", &[]).await;
    assert!(status(&answer) == 502 && answer.contains("bad_response"), "{answer}");
}

#[tokio::test]
async fn p1_cookies_pass_only_where_that_is_allowed() {
    let server = TestServer::start().await.expect("servers");
    let answer =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nSet-Cookie2: e=f\r\n\r\nok";
    let upstream = Upstream::start(answer).await;
    for (cookies, sent, set) in [(false, vec![], vec![]), (true, vec!["a=b"], vec!["a=b", "c=d"])] {
        let rig = Rig::start(&server, &upstream.origin, |settings| {
            assert!(!settings.upstreams[0].cookies, "only by name");
            settings.upstreams[0].cookies = cookies;
        });
        let answer = rig.await.get("/crm/x", &["Cookie: a=b"]).await;
        assert_eq!((status(&answer), header(&answer, "set-cookie")), (200, set), "{cookies}: {answer}");
        assert_eq!(header(&upstream.last(), "cookie"), sent, "{cookies}: {}", upstream.last());
    }
}

#[tokio::test]
async fn p1_trailers_come_through_and_no_header_comes_as_a_trailer() {
    let server = TestServer::start().await.expect("servers");
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie, Proxy-Status\r\n\r\n2\r\nok\r\n\
                  0\r\nX-Sum: 9\r\nSet-Cookie: theirs\r\nProxy-Status: theirs\r\n\r\n";
    let upstream = Upstream::start(answer).await;
    let rig = Rig::before(&server, &upstream).await;
    let lines = ["Transfer-Encoding: chunked", "TE: trailers", "Trailer: X-Sum, Authorization, X-Forwarded-For, DPoP"];
    let body =
        "4\r\nbody\r\n0\r\nX-Sum: 7\r\nAuthorization: Bearer mine\r\nX-Forwarded-For: mine\r\nDPoP: mine\r\n\r\n";
    let answer = rig.send(request("POST", "/crm/x", &lines, body)).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains("0\r\nx-sum: 9\r\n"), "{answer}");
    assert!(!answer.contains("theirs"), "{answer}");
    let seen = upstream.last();
    assert!(seen.contains("0\r\nx-sum: 7\r\n"), "{seen}");
    assert!(!seen.contains("mine"), "{seen}");
    assert_eq!(header(&seen, "te"), ["trailers"], "{seen}");
    assert_eq!(header(&seen, "connection"), ["te"], "{seen}");
}

#[tokio::test]
async fn p1_an_options_goes_as_far_as_it_may() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    let answer = rig.send(request("OPTIONS", "/crm/x", &["Max-Forwards: 0"], "")).await;
    assert_eq!((status(&answer), header(&answer, "allow").len()), (204, 1), "{answer}");
    assert_eq!(upstream.requests().len(), 0);
    assert_eq!(status(&rig.send(request("OPTIONS", "/crm/x", &["Max-Forwards: 3"], "")).await), 200);
    assert_eq!(header(&upstream.last(), "max-forwards"), ["2"]);
}
