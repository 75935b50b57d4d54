//! D3 and D5: which endpoints of the metadata are used.

use oauth_test_server::{Endpoint, TestServer};
use oauth_tokens::{AuthorizationServer, ErrorKind, HttpClient, TokenSource};
use serde_json::{Value, json};
use tests::{
    canned::{self, Canned, metadata, token},
    support::shown,
};

use super::{client_of, server_at};

/// A server whose metadata name this token endpoint, and which answers a token to everything else.
fn naming(issuer: &'static str, endpoint: Value) -> Canned {
    Canned::new(move |request| match request.uri().path().contains("/.well-known/") {
        true => canned::json(200, json!({ "issuer": issuer, "token_endpoint": endpoint }).to_string()),
        false => token("t0k3n"),
    })
}

#[tokio::test]
async fn d3_missing_and_invalid_endpoints_are_distinct_errors() {
    let canned = Canned::always(canned::json(200, r#"{"issuer":"https://id.test"}"#));
    let server = server_at(&canned, "https://id.test").expect("an issuer");
    let error = client_of(&server).client_credentials().fetch().await.expect_err("no endpoint");
    assert_eq!(error.kind(), ErrorKind::MissingEndpoint);
    let text = error.to_string();
    assert!(text.contains("`token_endpoint`") && text.contains("override"), "{text}");
    let found = server.metadata().await.expect("metadata");
    assert_eq!(found.endpoint("revocation_endpoint").expect_err("not named").kind(), ErrorKind::MissingEndpoint);

    let invalid = [
        json!(""),
        json!(7),
        json!(["https://id.test/token"]),
        json!("/token"),
        json!("id.test/token"),
        json!("ftp://id.test/token"),
        json!("https://"),
        json!("https://id.test/token#x"),
        json!("https://id.te st/token"),
        json!("https://id.test\\@evil.test/token"),
        json!("https://id.tést/token"),
        json!("https://ann:pa55word@id.test/token"),
    ];
    for endpoint in invalid {
        let canned = naming("https://id.test", endpoint.clone());
        let server = server_at(&canned, "https://id.test").expect("an issuer");
        let error = client_of(&server).client_credentials().fetch().await.expect_err("invalid");
        assert_eq!(error.kind(), ErrorKind::InvalidEndpoint, "{endpoint}: {error}");
        assert!(!shown(&error).contains("pa55word"), "userinfo is not shown: {error}");
        assert_eq!(canned.requests().len(), 1, "nothing was sent there: {endpoint}");
    }
}

#[tokio::test]
async fn d5_an_https_issuer_names_neither_http_nor_loopback() {
    let refused = [
        "http://id.test/token",
        "http://10.0.0.1/token",
        "http://127.0.0.1:8080/token",
        "http://localhost/token",
        "http://[::1]/token",
        "https://127.0.0.1/token",
        "https://127.9.9.9:8443/token",
        "https://localhost/token",
        "https://LocalHost/token",
        "https://[::1]:8443/token",
        "https://[::ffff:127.0.0.1]/token",
        // Spellings of this machine that some resolver or URL parser knows.
        "https://127.1/token",
        "https://2130706433/token",
        "https://0x7f.0.0.1/token",
        "https://0x7f000001/token",
        "https://0177.0.0.1/token",
        "https://127.0.0.1./token",
        "https://localhost./token",
        "https://id.localhost/token",
        "https://0.0.0.0/token",
        "https://[::]/token",
    ];
    for endpoint in refused {
        for dangerously in [false, true] {
            let canned = naming("https://id.test", endpoint.into());
            let mut builder = AuthorizationServer::via(canned.http());
            if dangerously {
                // Whoever allows plain http does not allow an https server to send us there.
                builder = builder.dangerously_allow_plain_http();
            }
            let server = builder.issuer("https://id.test").expect("an issuer");
            let error = client_of(&server).client_credentials().fetch().await.expect_err(endpoint);
            assert_eq!(error.kind(), ErrorKind::InvalidEndpoint, "{endpoint}");
            assert_eq!(canned.requests().len(), 1, "nothing was sent there: {endpoint}");
        }
    }
}

/// What only looks like this machine, and other hosts of the same server, is nobody's business.
#[tokio::test]
async fn d5_other_https_endpoints_are_fine_and_so_is_loopback_for_a_loopback_issuer() {
    let fine = [
        ("https://id.test", "https://id.test/token"),
        ("https://id.test", "https://token.id.test:8443/v1"),
        ("https://id.test", "https://localhost.id.test/token"),
        ("https://id.test", "https://10.0.0.1/token"),
        ("https://127.0.0.1:5001", "https://127.0.0.1:5001/token"),
        ("https://localhost:5001", "https://127.0.0.1:5001/token"),
        ("http://127.0.0.1:5001", "http://127.0.0.1:5001/token"),
        ("http://127.0.0.1:5001", "https://id.test/token"),
    ];
    for (issuer, endpoint) in fine {
        let canned = naming(issuer, endpoint.into());
        let server = server_at(&canned, issuer).expect("an issuer");
        let fetched = client_of(&server).client_credentials().fetch().await;
        fetched.unwrap_or_else(|error| panic!("{issuer} {endpoint}: {error}"));
        assert_eq!(canned.urls().last().map(String::as_str), Some(endpoint));
    }
    // A loopback https issuer does not downgrade to http, a plain one does not lead out of this machine in plain text.
    for (issuer, endpoint) in
        [("https://127.0.0.1:5001", "http://127.0.0.1:5001/token"), ("http://127.0.0.1:5001", "http://id.test/token")]
    {
        let server = server_at(&naming(issuer, endpoint.into()), issuer).expect("an issuer");
        let error = client_of(&server).client_credentials().fetch().await.expect_err(endpoint);
        assert_eq!(error.kind(), ErrorKind::InvalidEndpoint);
    }
}

#[tokio::test]
async fn d5_an_endpoint_is_overridden_by_name() {
    for inside in ["http://127.0.0.1:8080/token", "https://localhost/token", "https://keycloak.svc.cluster.local/token"]
    {
        let canned = naming("https://id.test", "https://id.test/token".into());
        let server = AuthorizationServer::via(canned.http())
            .override_token_endpoint(inside)
            .issuer("https://id.test")
            .expect("a server");
        client_of(&server).client_credentials().fetch().await.expect("a token");
        assert_eq!(canned.urls(), [inside], "nothing is discovered for it");
        // What is not overridden is still discovered.
        assert_eq!(
            server.metadata().await.expect("metadata").endpoint("token_endpoint").ok().as_deref(),
            Some("https://id.test/token")
        );
    }
    // Plain http beyond this machine is allowed by its own name only.
    let build = |builder: oauth_tokens::AuthorizationServerBuilder| {
        builder.override_token_endpoint("http://keycloak.svc.cluster.local/token").issuer("https://id.test")
    };
    let via = || AuthorizationServer::via(Canned::always(token("t")).http());
    assert_eq!(build(via()).expect_err("plain http").kind(), ErrorKind::Config);
    let server = build(via().dangerously_allow_plain_http()).expect("allowed by name");
    client_of(&server).client_credentials().fetch().await.expect("a token");
}

#[tokio::test]
async fn d5_overriding_helps_a_server_that_names_no_endpoint() {
    let server = TestServer::builder().issuer("https://id.test").build();
    server.set_metadata("token_endpoint", Value::Null);
    let http = HttpClient::new(server.authorization_service());
    let by_issuer = AuthorizationServer::via(http.clone()).issuer("https://id.test").expect("a server");
    let error = client_of(&by_issuer).client_credentials().fetch().await.expect_err("no endpoint");
    assert_eq!(error.kind(), ErrorKind::MissingEndpoint);
    let overridden = AuthorizationServer::via(http)
        .override_token_endpoint("https://id.test/token")
        .issuer("https://id.test")
        .expect("a server");
    client_of(&overridden).client_credentials().fetch().await.expect("a token");
    assert_eq!(server.requests_to(Endpoint::Token).len(), 1);
}

/// A setting that changes nothing is a mistake of somebody's, and is told.
#[test]
fn d5_settings_of_discovery_make_no_sense_for_a_token_endpoint() {
    let via = || AuthorizationServer::via(Canned::always(metadata("https://id.test", "https://id.test/token")).http());
    let overridden = via().override_token_endpoint("https://other.test/token").token_endpoint("https://id.test/token");
    assert_eq!(overridden.expect_err("two token endpoints").kind(), ErrorKind::Config);
    let accepting = via().accept_metadata_issuer("https://other.test").token_endpoint("https://id.test/token");
    assert_eq!(accepting.expect_err("there are no metadata").kind(), ErrorKind::Config);
}

#[tokio::test]
async fn d3_a_server_by_its_token_endpoint_has_no_metadata() {
    let canned = Canned::always(token("t"));
    let server = AuthorizationServer::via(canned.http()).token_endpoint("https://id.test/token").expect("a server");
    assert_eq!(server.metadata().await.expect_err("none").kind(), ErrorKind::MissingEndpoint);
    assert!(canned.requests().is_empty());
}
