//! D5: endpoints other than the token endpoint, where the caller says.

use http::StatusCode;
use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind};
use tests::canned::{Canned, metadata, status};

use super::{ISSUER, TOKEN_ENDPOINT};

fn answering() -> Canned {
    Canned::new(|request| match request.uri().path().contains("/.well-known/") {
        true => metadata(ISSUER, TOKEN_ENDPOINT),
        false => status(StatusCode::OK),
    })
}

#[tokio::test]
async fn d5_any_endpoint_may_be_overridden_by_name() {
    let inside = "http://127.0.0.1:8080/revoke";
    let canned = answering();
    let builder = || AuthorizationServer::via(canned.http()).override_endpoint("revocation_endpoint", inside);
    for server in [builder().issuer(ISSUER), builder().token_endpoint(TOKEN_ENDPOINT)] {
        let server = server.expect("a server");
        let client = server.client("m2m", ClientAuth::secret_basic("secret")).expect("a client");
        client.revoke("t0k3n").await.expect("an answer");
    }
    assert_eq!(canned.urls(), [inside, inside], "nothing is discovered for it");
}

#[tokio::test]
async fn d3_an_endpoint_that_nothing_names_is_an_error_that_says_how_to() {
    let canned = answering();
    let servers = [
        AuthorizationServer::via(canned.http()).issuer(ISSUER).expect("a server"),
        AuthorizationServer::via(canned.http()).token_endpoint(TOKEN_ENDPOINT).expect("a server"),
    ];
    for server in servers {
        let client = server.client("m2m", ClientAuth::none()).expect("a client");
        let error = client.revoke("t0k3n").await.expect_err("where?");
        assert_eq!(error.kind(), ErrorKind::MissingEndpoint);
        assert!(error.to_string().contains("revocation_endpoint") && error.to_string().contains("override"), "{error}");
    }
}

#[test]
fn t1_an_overridden_endpoint_is_https_or_loopback() {
    for url in ["http://id.test/revoke", "ftp://id.test/revoke", "/revoke", "https://ann:pa55word@id.test/revoke"] {
        let builder = AuthorizationServer::via(answering().http()).override_endpoint("revocation_endpoint", url);
        assert!(!format!("{builder:?}").contains("pa55word"));
        let error = builder.issuer(ISSUER).expect_err(url);
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains("revocation endpoint"), "{error}");
        assert!(!format!("{error:?}").contains("pa55word"), "{error:?}");
    }
}
