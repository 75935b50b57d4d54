//! The JWT bearer grant (RFC 7523, section 2.1): somebody else vouches for a user.

use std::time::Duration;

use oauth_tokens::{
    Algorithm, ClientAuth, JwtBearer, Secret, SignedAssertion, SigningKey, TokenClient, TokenRequest, TokenSource,
};
use serde_json::{Value, json};
use tests::support::TempFolder;
use tower::ServiceExt;
use tower_oauth::RetryOutcome;

use crate::{
    layer::{get, json_of, over_hyper},
    server::{RealServer, oidc},
    token_errors::assert_refused,
};

#[tokio::test]
async fn an_assertion_as_a_value_is_good_once() {
    let server = oidc();
    let assertion = vouch(server, "alice").await;
    let request = client(server).jwt_bearer(&*assertion).scope("api api:read");
    let tokens = request.fetch().await.expect("a token");
    let (status, seen) = server.call(&tokens.access_token).await;
    assert_eq!((status.as_u16(), &seen["sub"]), (200, &json!("alice")), "{seen}");
    assert_eq!(seen["client_id"], server.registered("jwt_bearer").id, "{seen}");

    let error = request.fetch().await.expect_err("used before");
    assert_refused(&error, "invalid_grant", 400);
    assert!(!format!("{error} {error:?}").contains(&assertion), "{error:?}");
}

#[tokio::test]
async fn t15_assertions_from_a_file_and_a_function() {
    let (server, folder) = (oidc(), TempFolder::new());
    let file = folder.write("assertion", vouch(server, "bob").await);
    let from_file = client(server).jwt_bearer(Secret::file(&file)).scope("api");
    from_file.fetch().await.expect("a token");
    assert_refused(&from_file.fetch().await.expect_err("used before"), "invalid_grant", 400);
    folder.write("assertion", vouch(server, "bob").await);
    assert_eq!(called(server, from_file).await["sub"], "bob");

    let from_function = client(server).jwt_bearer(Secret::from_fn(|| async { Ok(vouch(oidc(), "carol").await) }));
    for _ in 0..2 {
        from_function.fetch().await.expect("a token");
    }
}

#[tokio::test]
async fn our_own_signature_renews_as_often_as_it_takes() {
    let server = oidc();
    let key = partners_key(server);
    let pem = SigningKey::file(server.text("/partner/key_pem")).with_key_id(server.text("/partner/kid"));
    // The issuer, or the token endpoint: this server takes both.
    let assertions = [
        SignedAssertion::new(key, server.text("/partner/issuer"), server.issuer()).lifetime(Duration::from_secs(300)),
        SignedAssertion::new(pem, server.text("/partner/issuer"), server.token_endpoint()),
    ];
    for assertion in assertions {
        let request = client(server).jwt_bearer(assertion.subject("dave").claim("tenant", 42)).scope("api");
        let tokens = request.cached().expect("a usable request");
        let api = over_hyper(server, tokens.clone());
        for round in 0..3 {
            let response = api.clone().oneshot(get(&server.api("/things"))).await.expect("an answer");
            assert_eq!(response.status(), 200);
            let retried = matches!(response.extensions().get(), Some(RetryOutcome::Retried));
            assert_eq!(retried, round > 0);
            assert_eq!(json_of(response).await["sub"], "dave");
            let token = tokens.token().await.expect("a token");
            client(server).revoke(token.secret()).await.expect("revoked");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_assertion() {
    let server = oidc();
    let issuer = server.text("/partner/issuer");
    let other_server = oidc().realm("nonce");
    let nobodys = SigningKey::generate(Algorithm::Es256).expect("a key").with_key_id(server.text("/partner/kid"));
    let wrong = [
        (
            "for another server",
            SignedAssertion::new(partners_key(server), issuer, other_server.issuer()).subject("alice"),
        ),
        (
            "of another issuer",
            SignedAssertion::new(partners_key(server), "https://elsewhere.test", server.issuer()).subject("alice"),
        ),
        ("by another key", SignedAssertion::new(nobodys, issuer, server.issuer()).subject("alice")),
        ("of nobody", SignedAssertion::new(partners_key(server), issuer, server.issuer())),
        (
            "not good yet",
            SignedAssertion::new(partners_key(server), issuer, server.issuer())
                .subject("alice")
                .claim("nbf", 32_503_680_000_u64),
        ),
    ];
    for (what, assertion) in wrong {
        let error = client(server).jwt_bearer(assertion).fetch().await.expect_err(what);
        assert_refused(&error, "invalid_grant", 400);
    }
    let error = server.client("basic").jwt_bearer(vouch(server, "alice").await).fetch().await;
    assert_refused(&error.expect_err("a client that may not"), "invalid_request", 400);
    // This server wants to know who hands it in, whoever signed.
    let unknown = server.client_by("jwt_bearer", ClientAuth::omitted()).jwt_bearer(vouch(server, "alice").await);
    let error = unknown.fetch().await.expect_err("no client");
    assert!(matches!(error.oauth().expect("an OAuth error").status.as_u16(), 400 | 401), "{error}");
}

/// An assertion is good once, and a proof with a nonce is another request: it needs another assertion.
#[tokio::test]
async fn our_own_signature_where_nonces_are_required() {
    for name in ["nonce", "single_use"] {
        let server = oidc().realm(name);
        let key = crate::dpop::key();
        let assertion = SignedAssertion::new(partners_key(&server), server.text("/partner/issuer"), server.issuer());
        let request = client(&server).dpop(key.clone()).jwt_bearer(assertion.subject("erin"));
        let seen = called(&server, request.scope("api")).await;
        assert_eq!((&seen["sub"], &seen["cnf"]["jkt"]), (&json!("erin"), &json!(key.thumbprint())), "{name}: {seen}");
    }
}

fn client(server: &RealServer) -> TokenClient {
    server.client_by_issuer("jwt_bearer")
}

fn partners_key(server: &RealServer) -> SigningKey {
    let jwk = std::fs::read_to_string(server.text("/partner/key_jwk")).expect("a file");
    SigningKey::from_jwk(&jwk).expect("a key")
}

/// The partner's word for a user.
async fn vouch(server: &RealServer, user: &str) -> String {
    server.admin(&format!("assertion?sub={user}"), "assertion").await
}

/// What the API makes of a call with these tokens.
async fn called(server: &RealServer, request: TokenRequest<JwtBearer>) -> Value {
    let tokens = request.cached().expect("a usable request");
    let response = over_hyper(server, tokens).oneshot(get(&server.api("/things"))).await.expect("an answer");
    assert_eq!(response.status(), 200);
    json_of(response).await
}
