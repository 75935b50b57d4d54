//! Authorization details (RFC 9396): what a token is good for, in more words than a scope has.

use oauth_tokens::{ClientCredentials, TokenRequest, TokenSource};
use serde_json::{Value, json};

use crate::server::{RealServer, oidc};

#[tokio::test]
async fn what_was_asked_for_is_granted_and_reaches_the_api() {
    let server = oidc();
    let details = json!([
        {"type": "payment", "amount": "123.50", "currency": "EUR", "to": {"name": "Ärzte & Söhne", "iban": "DE02…"}},
        {"type": "payment", "amount": "1", "actions": ["initiate", "status"]},
    ]);
    for resource in ["/resources/jwt", "/resources/opaque"] {
        let tokens = request(server, "rar", details.clone()).resource(server.text(resource)).fetch().await;
        let tokens = tokens.unwrap_or_else(|error| panic!("{resource}: {error}"));
        assert_eq!(tokens.authorization_details.as_ref(), Some(&details), "{resource}");
        let (status, seen) = server.call(&tokens.access_token).await;
        assert_eq!((status.as_u16(), &seen["authorization_details"]), (200, &details), "{resource}: {seen}");
    }
    let opaque = request(server, "rar", details.clone()).resource(server.text("/resources/opaque")).fetch().await;
    let token = opaque.expect("a token").access_token;
    let known = server.client_by_issuer("api").introspect(token.secret()).await.expect("an answer");
    assert_eq!(known.get("authorization_details"), Some(&details));
}

#[tokio::test]
async fn what_is_not_granted() {
    let server = oidc();
    let payment = json!([{"type": "payment", "amount": "1"}]);
    let refused = [
        ("an unknown type", "rar", json!([{"type": "dance", "amount": "1"}]), "invalid_authorization_details"),
        ("no amount", "rar", json!([{"type": "payment"}]), "invalid_authorization_details"),
        ("a client that may not", "basic", payment.clone(), "invalid_authorization_details"),
    ];
    for (what, role, details, code) in refused {
        let request = request(server, role, details).resource(server.text("/resources/opaque"));
        let error = request.fetch().await.expect_err(what);
        let oauth = error.oauth().expect("an OAuth error");
        assert_eq!((oauth.code.as_str(), oauth.status.as_u16()), (code, 400), "{what}: {error}");
    }
    let error = request(server, "rar", payment).fetch().await.expect_err("no resource that the details are for");
    assert_eq!(error.oauth().expect("an OAuth error").code, "invalid_target", "{error}");
}

fn request(server: &RealServer, role: &str, details: Value) -> TokenRequest<ClientCredentials> {
    server.client(role).client_credentials().scope("api").authorization_details(details)
}
