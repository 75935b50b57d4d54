//! The default client over real sockets: T2 (redirects), TLS with a root of one's own, and who is not there.

use std::error::Error as _;

use bytes::Bytes;
use http::{Response, header::LOCATION};
use oauth_test_server::{Fault, TestServer};
use oauth_tokens::{AuthorizationServer, ClientAuth, Error, ErrorKind, HttpClient, TokenSource};

fn redirect(status: u16, location: &str) -> Fault {
    Fault::Raw(Response::builder().status(status).header(LOCATION, location).body(Bytes::new()).expect("a response"))
}

async fn fetch(http: HttpClient, issuer: &str) -> Result<(), Error> {
    let server = AuthorizationServer::via(http).issuer(issuer)?;
    let client = server.client("m2m", ClientAuth::secret_post("secret"))?;
    client.client_credentials().fetch().await.map(drop)
}

#[tokio::test]
async fn t2_token_requests_never_follow_redirects() {
    let (server, thief) = (TestServer::start().await.expect("sockets"), TestServer::start().await.expect("sockets"));
    let clients = || {
        let eager = |builder: reqwest::ClientBuilder| builder.redirect(reqwest::redirect::Policy::limited(5));
        [HttpClient::reqwest(), HttpClient::configured(eager)]
    };
    for status in [301, 302, 303, 307, 308] {
        for (http, location) in clients()
            .into_iter()
            .flat_map(|http| [(http.clone(), thief.token_endpoint()), (http, server.token_endpoint())])
        {
            server.token_faults().push(1, redirect(status, &location));
            let error = fetch(http, server.issuer()).await.expect_err("a redirect is no token");
            assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{status}");
            assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
            assert!(error.to_string().contains("redirects"), "{error}");
            assert!(server.token_faults().is_empty());
        }
    }
    assert_eq!(thief.counters(), Default::default(), "nobody else was asked anything");
    assert_eq!(server.counters().token_requests, 20, "one request each");
}

#[tokio::test]
async fn t2_discovery_never_follows_redirects() {
    let (server, thief) = (TestServer::start().await.expect("sockets"), TestServer::start().await.expect("sockets"));
    for status in [301, 302, 303, 307, 308] {
        for location in [format!("{}/.well-known/openid-configuration", thief.issuer()), "/elsewhere".to_owned()] {
            server.discovery_faults().push(2, redirect(status, &location));
            let error = fetch(HttpClient::reqwest(), server.issuer()).await.expect_err("a redirect is no metadata");
            assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{status}");
            assert!(error.to_string().contains("redirects"), "{error}");
            server.discovery_faults().clear();
        }
    }
    assert_eq!(thief.counters(), Default::default(), "nobody else was asked anything");
    assert_eq!((server.counters().token_requests, server.counters().unknown_requests), (0, 0));
}

#[tokio::test]
async fn sockets_a_root_certificate_of_ones_own_is_enough_for_tls() {
    let server = TestServer::builder().tls().start().await.expect("sockets");
    let root = server.ca_certificate_pem().expect("a root").to_owned();
    assert!(server.issuer().starts_with("https://"));

    let error = fetch(HttpClient::reqwest(), server.issuer()).await.expect_err("nobody knows that root");
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(
        error.is_transient() && error.to_string().contains("with_root_certificates"),
        "it says what to do: {error}"
    );
    assert!(error.source().is_some_and(|cause| cause.is::<reqwest::Error>()), "{error:?}");
    assert_eq!(server.counters().token_requests, 0);

    let http = HttpClient::with_root_certificates(root.as_bytes()).expect("a root");
    fetch(http.clone(), server.issuer()).await.expect("a token over TLS");
    // A bundle of several, with text around them.
    let other = TestServer::builder().tls().start().await.expect("sockets");
    let bundle = format!("# two roots\n{}\n{root}", other.ca_certificate_pem().expect("a root"));
    let both = HttpClient::with_root_certificates(bundle.as_bytes()).expect("roots");
    fetch(both.clone(), server.issuer()).await.expect("the second root");
    fetch(both, other.issuer()).await.expect("the first root");
    fetch(http, other.issuer()).await.expect_err("another root is not trusted");
}

#[tokio::test]
async fn sockets_nothing_listens_and_the_error_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/token", listener.local_addr().expect("an address"));
    drop(listener);
    let client = AuthorizationServer::token_endpoint(&url)
        .and_then(|server| server.client("m2m", ClientAuth::none()))
        .expect("a client");
    let error = client.client_credentials().fetch().await.expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Transport);
    let text = error.to_string();
    assert!(error.is_transient() && text.contains(&url) && text.contains("nothing listens"), "{text}");
}

#[tokio::test]
async fn sockets_broken_connections_are_tried_again() {
    let server = TestServer::start().await.expect("sockets");
    server.token_faults().push(1, Fault::Disconnect);
    server.token_faults().push(1, Fault::CloseMidBody(http::StatusCode::OK));
    fetch(HttpClient::reqwest(), server.issuer()).await.expect("the third attempt");
    assert_eq!(server.counters().token_requests, 3);
}
