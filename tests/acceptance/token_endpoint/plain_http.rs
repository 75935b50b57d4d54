//! T1: https, or http to this very machine.

use oauth_test_server::TestServer;
use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, TokenSource};
use tests::canned::{Canned, token};

const ACCEPTED: [&str; 9] = [
    "https://id.example.com/token",
    "https://id.example.com:8443/tenant/token",
    "https://[2001:db8::1]:8443/token",
    "http://127.0.0.1:8080/token",
    "http://127.9.9.9/token",
    "http://127.255.255.254/token",
    "http://[::1]:8080/token",
    "http://localhost:5001/connect/token",
    "http://LOCALHOST/connect/token",
];

/// Plain http that leaves the machine, or that only looks as if it did not.
const PLAIN: [&str; 10] = [
    "http://id.example.com/token",
    "http://10.0.0.1/token",
    "http://128.0.0.1/token",
    "http://126.255.255.255/token",
    "http://0.0.0.0/token",
    "http://[::]/token",
    "http://[::2]/token",
    "http://localhost.example.com/token",
    "http://127.0.0.1.example.com/token",
    "http://notlocalhost/token",
];

/// No URL of an endpoint at all, or one that two readers could read differently.
const BAD: [&str; 27] = [
    "",
    "/",
    "/token",
    "id.example.com/token",
    "https://",
    "https:///token",
    "https:id.example.com",
    "ftp://id.example.com/token",
    "file:///etc/passwd",
    "ws://id.example.com",
    "javascript:alert(1)",
    "https://id.example.com/#fragment",
    "https://id.exa mple.com/token",
    "https://id.example.com/\u{7f}",
    "https://id.example.com/\r\nHost: evil.example",
    "https://id.exämple.com/token",
    "https://id.example.com\\@evil.example/token",
    "https://id.example.com:99999/token",
    "https://id.example.com:/token",
    "http://127.1/token",
    "https://127.1/token",
    "https://2130706433/token",
    "https://0x7f000001/token",
    "https://[::1/token",
    "https://[nonsense]/token",
    "https://[127.0.0.1]/token",
    "https://[::ffff:876.0.0.1]/token",
];

#[test]
fn t1_https_or_http_to_loopback_is_accepted() {
    let http = Canned::always(token("t")).http();
    for url in ACCEPTED {
        for built in [
            AuthorizationServer::via(http.clone()).token_endpoint(url),
            AuthorizationServer::via(http.clone()).issuer(url),
            AuthorizationServer::via(http.clone()).override_token_endpoint(url).issuer("https://id.test"),
        ] {
            assert!(built.is_ok(), "{url}: {built:?}");
        }
    }
}

#[test]
fn t1_other_urls_are_refused_when_the_server_is_built() {
    let http = Canned::always(token("t")).http();
    for url in PLAIN.into_iter().chain(BAD) {
        for built in [
            AuthorizationServer::via(http.clone()).token_endpoint(url),
            AuthorizationServer::via(http.clone()).issuer(url),
            AuthorizationServer::via(http.clone()).override_token_endpoint(url).issuer("https://id.test"),
            AuthorizationServer::token_endpoint(url),
            AuthorizationServer::issuer(url),
        ] {
            let error = built.expect_err(url);
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!error.is_transient(), "{url}");
        }
    }
    let error = AuthorizationServer::issuer("http://id.example.com").expect_err("plain http");
    assert!(error.to_string().contains("use https"), "{error}");
}

#[test]
fn t1_plain_http_elsewhere_is_allowed_by_a_loud_name_only() {
    let via = || AuthorizationServer::via(Canned::always(token("t")).http()).dangerously_allow_plain_http();
    for url in PLAIN {
        assert!(via().token_endpoint(url).is_ok(), "{url}");
    }
    for url in BAD {
        assert!(via().token_endpoint(url).is_err(), "{url:?} is no better with it");
    }
}

#[tokio::test]
async fn t1_localhost_over_a_service_of_the_callers_own() {
    let canned = Canned::always(token("t0k3n"));
    let server =
        AuthorizationServer::via(canned.http()).token_endpoint("http://localhost:5001/token").expect("loopback");
    let client = server.client("m2m", ClientAuth::none()).expect("a client");
    let tokens = client.client_credentials().fetch().await.expect("localhost is this machine here");
    assert_eq!(tokens.access_token.secret(), "t0k3n");
    assert_eq!(canned.urls(), ["http://localhost:5001/token"]);
}

#[tokio::test]
async fn t1_localhost_over_the_default_client_is_this_machine() {
    let server = TestServer::start().await.expect("sockets");
    let url = server.token_endpoint().replace("127.0.0.1", "localhost");
    let client = AuthorizationServer::token_endpoint(&url)
        .and_then(|server| server.client("m2m", ClientAuth::secret_basic("secret")))
        .expect("a client");
    client.client_credentials().fetch().await.expect("it connects to 127.0.0.1");
    assert_eq!(server.counters().tokens_issued, 1);
}
