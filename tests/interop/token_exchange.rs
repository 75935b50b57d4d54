//! Token exchange (RFC 8693): a service that acts for those who call it.

use oauth_tokens::{
    Error, ErrorKind, Secret, SecurityToken, TokenClient, TokenExchange, TokenRequest, TokenSource, TokenType,
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
async fn impersonation_the_token_is_as_the_users_own() {
    let server = oidc();
    let alice = user_token(server, "alice").await;
    let tokens = exchanger(server).token_exchange(SecurityToken::access_token(&*alice));
    let set = tokens.fetch().await.expect("a token");
    assert_eq!(set.issued_token_type, Some(TokenType::ACCESS_TOKEN));
    assert_eq!(set.scope.as_deref(), Some("api api:read"), "all of the subject's");
    assert_ne!(set.access_token.secret(), alice);

    let seen = called(server, tokens).await;
    assert_eq!((&seen["sub"], &seen["client_id"]), (&json!("alice"), &json!("exchanger")), "{seen}");
    assert!(seen["act"].is_null(), "{seen}");
}

#[tokio::test]
async fn delegation_names_who_acts() {
    let server = oidc();
    let client = exchanger(server);
    // We are the actor, with a token of our own that a cache keeps fresh.
    let ourselves = client.client_credentials().scope("api").cached().expect("a usable request");
    let subject = SecurityToken::access_token(user_token(server, "bob").await);
    let request = client.token_exchange(subject).actor(&ourselves);
    let first = request.fetch().await.expect("a token");
    let seen = called(server, request).await;
    assert_eq!((&seen["sub"], &seen["act"]), (&json!("bob"), &json!({"sub": "exchanger"})), "{seen}");
    assert_eq!(ourselves.status().renewals, 1, "one token of ours for all exchanges");

    // The next service does the same: whoever acted before is still named.
    let request = client.token_exchange(&first.access_token).actor(&ourselves);
    let seen = called(server, request).await;
    assert_eq!(seen["act"], json!({"sub": "exchanger", "act": {"sub": "exchanger"}}), "{seen}");
}

#[tokio::test]
async fn a_dead_actor_token_is_renewed_and_the_exchange_tried_again() {
    let server = oidc();
    let client = exchanger(server);
    let ourselves = client.client_credentials().scope("api").cached().expect("a usable request");
    let dead = ourselves.token().await.expect("a token");
    client.revoke(dead.secret()).await.expect("revoked");
    let subject = SecurityToken::access_token(user_token(server, "bob").await);
    let seen = called(server, client.token_exchange(subject).actor(&ourselves)).await;
    assert_eq!(seen["act"], json!({"sub": "exchanger"}), "{seen}");
    assert_eq!(ourselves.status().renewals, 2);
}

#[tokio::test]
async fn narrowed_to_a_scope_a_resource_or_an_audience() {
    let server = oidc();
    let request = async || {
        let subject = SecurityToken::access_token(user_token(server, "alice").await);
        exchanger(server).token_exchange(subject)
    };
    let less = request().await.scope("api").cached().expect("a usable request");
    let response = over_hyper(server, less).oneshot(get(&server.api("/read/this"))).await.expect("an answer");
    assert_eq!(response.status(), 403, "the subject may, this token may not");

    let jwt = request().await.resource(server.text("/resources/jwt"));
    assert_eq!(jwt.fetch().await.expect("a token").access_token.secret().split('.').count(), 3, "a JWT");
    let seen = called(server, request().await.resource(server.text("/resources/jwt"))).await;
    assert_eq!((&seen["aud"], &seen["sub"]), (&json!(server.text("/resources/jwt")), &json!("alice")), "{seen}");

    request().await.audience("https://downstream.test/").fetch().await.expect("a known audience");
    let unknown =
        [request().await.audience("https://elsewhere.test/"), request().await.resource("https://elsewhere.test/")];
    for request in unknown {
        assert_refused(&request.fetch().await.expect_err("unknown"), "invalid_target", 400);
    }
    let little = server.admin("user-token?sub=alice&scope=api", "access_token").await;
    let more = exchanger(server).token_exchange(SecurityToken::access_token(little)).scope("api:read");
    assert_refused(&more.fetch().await.expect_err("more than the subject may"), "invalid_scope", 400);
}

#[tokio::test]
async fn a_jwt_to_be_handed_in_elsewhere_is_no_credential() {
    let server = oidc();
    let subject = SecurityToken::access_token(user_token(server, "alice").await);
    let request = exchanger(server).token_exchange(subject).requested_token_type(TokenType::JWT);
    let issued = request.issue().await.expect("a JWT");
    assert_eq!(issued.issued_token_type, Some(TokenType::JWT));
    assert_eq!(issued.token.split('.').count(), 3);
    assert!(!format!("{issued:?}").contains(&*issued.token), "{issued:?}");

    // T5: `token_type` N_A.
    let error = request.fetch().await.expect_err("nothing that can be sent");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{error}");
    let error = request.cached().expect("a usable request").token().await.expect_err("nothing that can be sent");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{error}");
}

#[tokio::test]
async fn a_partners_jwt_from_a_file() {
    let (server, folder) = (oidc(), TempFolder::new());
    let file = folder.write("jwt", server.admin("assertion?sub=carol", "assertion").await);
    let request = exchanger(server).token_exchange(SecurityToken::jwt(Secret::file(&file))).scope("api");
    let tokens = request.cached().expect("a usable request");
    let api = over_hyper(server, tokens.clone());
    let call = async || {
        let response = api.clone().oneshot(get(&server.api("/things"))).await.expect("an answer");
        assert_eq!(response.status(), 200);
        let retried = matches!(response.extensions().get(), Some(RetryOutcome::Retried));
        (json_of(response).await["sub"].as_str().expect("a subject").to_owned(), retried)
    };
    assert_eq!(call().await, ("carol".to_owned(), false));

    // The next exchange reads what is there by then.
    folder.write("jwt", server.admin("assertion?sub=dave", "assertion").await);
    exchanger(server).revoke(tokens.token().await.expect("a token").secret()).await.expect("revoked");
    assert_eq!(call().await, ("dave".to_owned(), true));
}

#[tokio::test]
async fn a_subject_or_an_actor_that_is_refused() {
    let server = oidc();
    let client = exchanger(server);
    let alice = user_token(server, "alice").await;
    let subject = || SecurityToken::access_token(&*alice);
    let saml = SecurityToken::saml2("PHNhbWw+");
    let refused: [(&str, TokenRequest<TokenExchange>); 5] = [
        ("nobody's token", client.token_exchange(SecurityToken::access_token("n0b0dys.t0k3n"))),
        ("by another type", client.token_exchange(SecurityToken::jwt(&*alice))),
        ("a type that is not known", client.token_exchange(saml)),
        ("nobody's actor", client.token_exchange(subject()).actor(SecurityToken::access_token("n0b0dys.t0k3n"))),
        ("a type that is not issued", client.token_exchange(subject()).requested_token_type(TokenType::SAML2)),
    ];
    for (what, request) in refused {
        let error = request.fetch().await.expect_err(what);
        assert_refused(&error, "invalid_request", 400);
        assert_hides(&error, &[&alice, "n0b0dys.t0k3n", "PHNhbWw+"]);
    }
    server.client_by_issuer("frontend").revoke(&*alice).await.expect("revoked");
    let error = client.token_exchange(subject()).fetch().await.expect_err("revoked");
    assert_refused(&error, "invalid_request", 400);

    let elsewhere = server.client("basic").token_exchange(SecurityToken::access_token("n0b0dys.t0k3n"));
    let error = elsewhere.fetch().await.expect_err("a client that may not exchange");
    assert_refused(&error, "invalid_request", 400);
    assert!(error.to_string().contains("grant type is not allowed"), "{error}");
}

#[tokio::test]
async fn exchanged_for_a_token_bound_to_our_key() {
    let server = oidc().realm("single_use");
    let key = crate::dpop::key();
    let subject = SecurityToken::access_token(user_token(&server, "alice").await);
    let seen = called(&server, exchanger(&server).dpop(key.clone()).token_exchange(subject)).await;
    assert_eq!((&seen["sub"], &seen["cnf"]["jkt"]), (&json!("alice"), &json!(key.thumbprint())), "{seen}");
}

fn exchanger(server: &RealServer) -> TokenClient {
    server.client_by_issuer("exchange")
}

/// What a caller would send us.
async fn user_token(server: &RealServer, user: &str) -> String {
    server.admin(&format!("user-token?sub={user}"), "access_token").await
}

/// What the API makes of a call with these tokens.
async fn called(server: &RealServer, request: TokenRequest<TokenExchange>) -> Value {
    let tokens = request.cached().expect("a usable request");
    let response = over_hyper(server, tokens).oneshot(get(&server.api("/things"))).await.expect("an answer");
    assert_eq!(response.status(), 200);
    json_of(response).await
}

fn assert_hides(error: &Error, secrets: &[&str]) {
    for secret in secrets {
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
}
