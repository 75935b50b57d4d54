//! Servers that are known by their issuer only.

use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, HttpClient, TokenSource};

use crate::{against_both, server::RealServer};

against_both!(
    d1_discovery_by_issuer,
    d1_discovery_where_only_rfc_8414_is_served,
    d2_another_name_for_the_host,
    d2_a_trailing_slash,
    d3_no_metadata_there,
);

async fn d1_discovery_by_issuer(server: &RealServer) {
    // At django the issuer has a path.
    let found = AuthorizationServer::issuer(server.issuer()).expect("loopback may be http");
    let metadata = found.metadata().await.expect("metadata");
    assert_eq!(metadata.issuer(), server.issuer());
    assert_eq!(metadata.endpoint("token_endpoint").expect("named"), server.token_endpoint());
    assert_gives_tokens(server, &found).await;
}

async fn d1_discovery_where_only_rfc_8414_is_served(server: &RealServer) {
    if server.is_oidc() {
        return; // It serves the same at both places.
    }
    // Beside its own path, the toolkit speaks for the host as a whole, by RFC 8414 only.
    let host = server.issuer().strip_suffix("/o").expect("a path");
    let found = AuthorizationServer::issuer(host).expect("loopback may be http");
    assert_eq!(found.metadata().await.expect("metadata").issuer(), host);
    assert_gives_tokens(server, &found).await;
}

async fn d2_another_name_for_the_host(server: &RealServer) {
    let alias = server.issuer().replace("127.0.0.1", "localhost");
    let found = AuthorizationServer::issuer(&alias).expect("loopback may be http");
    if !server.is_oidc() {
        // The toolkit takes on whatever name it is called by.
        assert_eq!(found.metadata().await.expect("metadata").issuer(), alias);
        assert_gives_tokens(server, &found).await;
        return;
    }
    let error = found.metadata().await.expect_err("it speaks for 127.0.0.1");
    assert_eq!(error.kind(), ErrorKind::IssuerMismatch, "{error}");
    let message = error.to_string();
    assert!(message.contains(server.issuer()) && message.contains(&alias), "both names: {message}");
    let known = server.registered("basic");
    let client = found.client(known.id, ClientAuth::secret_basic(known.secret)).expect("a usable client");
    let error = client.client_credentials().fetch().await.expect_err("no secret for a server like this");
    assert_eq!(error.kind(), ErrorKind::IssuerMismatch, "{error}");

    let accepted = AuthorizationServer::via(HttpClient::reqwest()).accept_metadata_issuer(server.issuer());
    assert_gives_tokens(server, &accepted.issuer(&alias).expect("loopback may be http")).await;
}

async fn d2_a_trailing_slash(server: &RealServer) {
    let slashed = format!("{}/", server.issuer());
    let found = AuthorizationServer::issuer(&slashed).expect("loopback may be http");
    let error = found.metadata().await.expect_err("a slash too many");
    assert_eq!(error.kind(), ErrorKind::IssuerMismatch, "{error}");
    let accepted = AuthorizationServer::via(HttpClient::reqwest()).accept_metadata_issuer(server.issuer());
    assert_gives_tokens(server, &accepted.issuer(&slashed).expect("loopback may be http")).await;
}

async fn d3_no_metadata_there(server: &RealServer) {
    if !server.is_oidc() {
        return; // It takes any path behind the well-known one for the issuer's.
    }
    let elsewhere = format!("{}/nobody/here", server.issuer());
    let found = AuthorizationServer::issuer(&elsewhere).expect("loopback may be http");
    let error = found.metadata().await.expect_err("nothing is served there");
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{error}");
    assert!(error.to_string().contains("404"), "{error}");
}

async fn assert_gives_tokens(server: &RealServer, found: &AuthorizationServer) {
    let known = server.registered("basic");
    let client = found.client(known.id, ClientAuth::secret_basic(known.secret)).expect("a usable client");
    let tokens = client.client_credentials().scope("api").fetch().await.expect("a token");
    assert_eq!(server.call(&tokens.access_token).await.0, 200);
}
