//! What the servers refuse, and what a user of ours is told then.

use http::StatusCode;
use oauth_tokens::{AuthorizationServer, ClientAuth, Error, ErrorKind, Exchange, Form, Grant, TokenSet, TokenSource};

use crate::{against_both, server::RealServer};

against_both!(
    t7_a_wrong_secret,
    t7_an_unknown_client,
    t7_a_scope_that_the_client_may_not_have,
    t7_an_unknown_scope,
    t7_an_unknown_grant,
    t7_a_resource_that_will_not_do,
    t8_raw_basic_where_a_server_decodes,
    t2_a_redirecting_token_url,
    t5_a_url_that_is_no_token_endpoint,
);

async fn t7_a_wrong_secret(server: &RealServer) {
    for role in ["basic", "odd_post"] {
        let id = server.registered(role).id;
        for auth in [ClientAuth::secret_basic("not-the-Secret/+%"), ClientAuth::secret_post("not-the-Secret/+%")] {
            let client = server.by_token_endpoint().client(id, auth).expect("a usable client");
            let error = client.client_credentials().fetch().await.expect_err("a wrong secret");
            assert_refused(&error, "invalid_client", 401);
            let message = error.to_string();
            assert!(message.contains(&format!("{id:?}")), "which client: {message}");
            assert!(message.contains(server.token_endpoint()), "where: {message}");
            assert!(message.contains("check the client id and the secret"), "what to do: {message}");
            assert!(!format!("{error} {error:?}").contains("not-the-Secret"), "{error:?}");
        }
    }
}

async fn t7_an_unknown_client(server: &RealServer) {
    let client =
        server.by_token_endpoint().client("nobody", ClientAuth::secret_basic("s3cr3t")).expect("a usable client");
    let error = client.client_credentials().fetch().await.expect_err("an unknown client");
    assert_refused(&error, "invalid_client", 401);
}

async fn t7_a_scope_that_the_client_may_not_have(server: &RealServer) {
    let error = server.request("basic").scope("api:write").fetch().await.expect_err("a scope of others");
    assert_refused(&error, "invalid_scope", 400);
    let oauth = error.oauth().expect("an OAuth error");
    if server.is_oidc() {
        assert_eq!(oauth.field("scope"), Some("api:write"), "a vendor's field is kept");
        assert!(oauth.description.is_some());
    }
    assert!(error.to_string().contains("check that the server knows the scopes"), "{error}");
}

async fn t7_an_unknown_scope(server: &RealServer) {
    let asked = server.client("basic").client_credentials().scope("nonsense").fetch().await;
    if server.is_oidc() {
        // It leaves out what it does not know, and says nothing.
        assert_eq!(asked.expect("a token").scope, None);
    } else {
        assert_refused(&asked.expect_err("an unknown scope"), "invalid_scope", 400);
    }
}

async fn t7_an_unknown_grant(server: &RealServer) {
    let error = server.client("basic").grant(Carrier).fetch().await.expect_err("an unknown grant");
    assert_refused(&error, "unsupported_grant_type", 400);
}

/// A grant that no server knows.
struct Carrier;

impl Grant for Carrier {
    fn grant_type(&self) -> &str {
        "urn:example:grant-type:carrier-pigeon"
    }

    async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        exchange.send(Form::new().with("ring", "42")).await
    }
}

async fn t7_a_resource_that_will_not_do(server: &RealServer) {
    if server.is_oidc() {
        let unknown = server.request("basic").resource("https://unknown.example.com/");
        assert_refused(&unknown.fetch().await.expect_err("an unknown resource"), "invalid_target", 400);
        let both = server.request("basic").resource(server.text("/resources/jwt"));
        let both = both.resource(server.text("/resources/opaque"));
        let error = both.fetch().await.expect_err("one resource too many");
        assert_refused(&error, "invalid_target", 400);
        assert!(error.to_string().contains("only a single resource"), "the server's description: {error}");
    } else {
        let relative = server.request("basic").resource("urn:");
        match relative.fetch().await {
            Ok(tokens) => assert_eq!(server.call(&tokens.access_token).await.0, 401, "bound to something else"),
            Err(error) => assert_refused(&error, "invalid_target", 400),
        }
    }
}

async fn t8_raw_basic_where_a_server_decodes(server: &RealServer) {
    let auth = ClientAuth::secret_basic_raw("per%cent");
    let client = server.by_token_endpoint().client(server.registered("basic").id, auth).expect("a usable client");
    let error = client.client_credentials().fetch().await.expect_err("nothing that can be decoded");
    if server.is_oidc() {
        assert_refused(&error, "invalid_request", 400);
    } else {
        assert_refused(&error, "invalid_client", 401);
    }
}

async fn t2_a_redirecting_token_url(server: &RealServer) {
    let known = server.registered("basic");
    let slash_wrong = match server.token_endpoint().strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{}/", server.token_endpoint()),
    };
    let there = AuthorizationServer::token_endpoint(&slash_wrong).expect("loopback may be http");
    let client = there.client(known.id, ClientAuth::secret_basic(known.secret)).expect("a usable client");
    let asked = client.client_credentials().fetch().await;
    if server.is_oidc() {
        asked.expect("it takes both");
    } else {
        let error = asked.expect_err("a redirect to where the slash is");
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{error}");
        assert_eq!(error.status(), Some(StatusCode::MOVED_PERMANENTLY), "{error}");
        assert!(error.is_transient(), "somebody may mend the server");
        let message = error.to_string();
        assert!(message.contains("redirects of token requests are never followed"), "{message}");
        assert!(message.contains("text/html"), "T7: the content type: {message}");
    }
}

async fn t5_a_url_that_is_no_token_endpoint(server: &RealServer) {
    let known = server.registered("basic");
    // The API does not take Basic, and there is nothing at all at the other.
    for (url, status) in [(server.api("/token"), 401), (format!("{}/nothing-here", server.issuer()), 404)] {
        let there = AuthorizationServer::token_endpoint(&url).expect("loopback may be http");
        let client = there.client(known.id, ClientAuth::secret_basic(known.secret)).expect("a usable client");
        let error = client.client_credentials().fetch().await.expect_err("no token endpoint");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status), "{error}");
        assert!(error.is_transient(), "{error}");
        assert!(error.to_string().contains(&format!("HTTP {status}")), "{error}");
    }
}

/// An OAuth error of a known code: kept whole, permanent, and named in the message.
pub(crate) fn assert_refused(error: &Error, code: &str, status: u16) {
    assert_eq!(error.kind(), ErrorKind::OAuth, "{error}");
    let oauth = error.oauth().expect("an OAuth error");
    assert_eq!((oauth.code.as_str(), oauth.status.as_u16()), (code, status), "{error}");
    assert!(!error.is_transient(), "waiting does not help: {error}");
    assert!(error.to_string().contains(code), "{error}");
}
