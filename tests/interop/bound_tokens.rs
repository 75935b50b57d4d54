//! What a token that is bound to a key (DPoP, RFC 9449) is good for, and what it is not good for.

use http::{HeaderValue, Method, header::WWW_AUTHENTICATE};
use oauth_tokens::{
    AccessToken, Algorithm, ClientAuth, DpopKey, ErrorKind, SigningKey, TokenCache, TokenClient, TokenSource,
};
use serde_json::json;
use tower::ServiceExt;
use tower_oauth::{NotRetried, RetryOutcome};

use crate::{
    api::plain,
    client::of_machine,
    dpop::key,
    layer::{get, json_of, over_hyper},
    server::{RealServer, django, oidc},
    token_errors::assert_refused,
};

#[tokio::test]
async fn a_refresh_token_is_bound_to_the_key() {
    for name in ["nonce", "single_use"] {
        let server = oidc().realm(name);
        let key = key();
        let client = public(&server).dpop(key.clone());
        let first = sign_in(&server, &key).await;
        let tokens = client.refresh_token(&*first).cached().expect("a usable request");
        let mut token = tokens.token().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        for round in 0..3 {
            let response = over_hyper(&server, tokens.clone()).oneshot(get(&server.api("/things"))).await;
            let seen = json_of(response.expect("an answer")).await;
            assert_eq!((&seen["sub"], &seen["scheme"]), (&json!("alice"), &json!("DPoP")), "{name}: {seen}");
            // Each rotated token is bound as well.
            token = tokens.renew_for(&server.api(&round.to_string()), &token).await.expect("another token");
        }
    }
}

#[tokio::test]
async fn a_refresh_token_with_another_key_or_none() {
    let server = oidc();
    let key = key();
    let stolen = sign_in(server, &key).await;
    let error = public(server).dpop(self::key()).refresh_token(&*stolen).fetch().await.expect_err("another key");
    assert_refused(&error, "invalid_grant", 400);
    let error = public(server).refresh_token(&*stolen).fetch().await.expect_err("no key");
    assert_eq!(error.oauth().map(|oauth| oauth.status.as_u16()), Some(400), "{error}");
    assert!(!error.is_transient(), "{error}");
    assert!(!format!("{error} {error:?}").contains(&stolen), "{error:?}");

    // A key that is replaced takes the session with it: a new sign-in is needed, and the message says so.
    let tokens = public(server).dpop(key.clone()).refresh_token(&*stolen).cached().expect("a usable request");
    let token = tokens.token().await.expect("by its own key");
    key.replace(SigningKey::generate(Algorithm::Es256).expect("a key")).expect("a key");
    let error = tokens.renew_for(&server.api(""), &token).await.expect_err("another key");
    assert_refused(&error, "invalid_grant", 400);
    assert!(error.to_string().contains("sign in again"), "{error}");
}

#[tokio::test]
async fn a_replaced_key_is_for_the_next_token() {
    let server = oidc().realm("single_use");
    let key = key();
    let tokens = of_machine(&server.client("dpop").dpop(key.clone())).cached().expect("a usable request");
    let api = over_hyper(&server, tokens.clone());
    let call = async || {
        let response = api.clone().oneshot(get(&server.api("/things"))).await.expect("an answer");
        assert_eq!(response.status(), 200, "{:?}", response.headers().get(WWW_AUTHENTICATE));
        json_of(response).await["cnf"]["jkt"].as_str().expect("a thumbprint").to_owned()
    };
    let old = key.thumbprint();
    assert_eq!(call().await, old);
    key.replace(SigningKey::generate(Algorithm::EdDsa).expect("a key")).expect("a key");
    assert_ne!(key.thumbprint(), old);
    assert_eq!(call().await, old, "what was issued before keeps its key");
    server.revoke("dpop", &tokens.token().await.expect("a token")).await;
    assert_eq!(call().await, key.thumbprint());
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token() {
    let server = oidc();
    let tokens = of_machine(&server.client("dpop").dpop(key())).cached().expect("a usable request");
    let token = tokens.token().await.expect("a token");
    assert_eq!(token.authorization().to_str().expect("text"), format!("DPoP {}", token.secret()));

    let url = server.api("/things");
    let bearer = HeaderValue::from_str(&format!("Bearer {}", token.secret())).expect("a header");
    let proof = async |token: &AccessToken, method, url: &str| {
        token.proof(&method, url, None).expect("a bound token").await.expect("a proof")
    };
    let own = token.authorization();
    // Another token of the same client's, by another key.
    let other = of_machine(&server.client("dpop").dpop(key())).fetch().await.expect("a token").access_token;
    let spent = proof(&token, Method::GET, &url).await;
    let tries = [
        ("as it should be", own, Some(spent.clone()), None),
        ("as a bearer token", &bearer, None, Some("invalid_token")),
        (
            "as a bearer token, with a proof",
            &bearer,
            Some(proof(&token, Method::GET, &url).await),
            Some("invalid_token"),
        ),
        ("without a proof", own, None, Some("invalid_dpop_proof")),
        ("with a proof that was used", own, Some(spent), Some("invalid_dpop_proof")),
        ("with another method's", own, Some(proof(&token, Method::PUT, &url).await), Some("invalid_dpop_proof")),
        (
            "with another URL's",
            own,
            Some(proof(&token, Method::GET, &server.api("/else")).await),
            Some("invalid_dpop_proof"),
        ),
        ("with another token's", own, Some(proof(&other, Method::GET, &url).await), Some("invalid_dpop_proof")),
    ];
    for (how, authorization, proof, error) in tries {
        let mut request = plain().get(&url).header("authorization", authorization);
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        let response = request.send().await.expect("an answer");
        let challenge = response.headers().get(WWW_AUTHENTICATE).map(|value| value.to_str().expect("text").to_owned());
        let expected = error.map(|error| format!(r#"error="{error}""#));
        match (&challenge, &expected) {
            (None, None) => assert_eq!(response.status(), 200, "{how}"),
            (Some(challenge), Some(expected)) => {
                assert!(challenge.starts_with("DPoP ") && challenge.contains(expected), "{how}: {challenge}");
            }
            _ => panic!("{how}: {challenge:?}"),
        }
    }
}

/// Whoever puts the token of another into a program of their own.
#[tokio::test]
async fn a_found_token_is_of_no_use() {
    let server = oidc();
    let token = of_machine(&server.client("dpop").dpop(key())).fetch().await.expect("a token").access_token;
    let found = TokenCache::fixed(token.secret()).expect("a token");
    let response = over_hyper(server, found).oneshot(get(&server.api("/things"))).await.expect("an answer");
    assert_eq!(response.status(), 401);
    let outcome = response.extensions().get();
    assert!(matches!(outcome, Some(RetryOutcome::NotRetried(NotRetried::NotRenewed(_)))), "{outcome:?}");
}

#[tokio::test]
async fn a_client_that_must_prove_possession_and_does_not() {
    for server in [oidc(), &oidc().realm("nonce")] {
        let error = server.request("dpop").fetch().await.expect_err("no proof");
        assert_refused(&error, "invalid_grant", 400);
    }
    // Who need not, gets a bearer token; the API that wants proofs refuses it.
    let server = oidc().realm("nonce");
    let tokens = server.tokens("basic");
    let response = over_hyper(&server, tokens.clone()).oneshot(get(&server.api("/things"))).await.expect("an answer");
    assert_eq!(response.status(), 401);
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().expect("text");
    assert!(challenge.starts_with("DPoP "), "{challenge}");
    assert_eq!(tokens.status().renewals, 2, "one more was tried, and no third");
}

/// A server that has never heard of it answers with a bearer token.
#[tokio::test]
async fn t14_a_bearer_token_where_a_bound_one_was_asked_for() {
    let server = django();
    let request = of_machine(&server.client("basic").dpop(key()));
    let error = request.fetch().await.expect_err("not bound");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{error}");
    let message = error.to_string();
    assert!(message.contains("not bound to the key") && message.contains("supports DPoP"), "{message}");

    let tokens = request.cached().expect("a usable request");
    let error = over_hyper(server, tokens).oneshot(get(&server.api("/things"))).await.expect_err("no token to send");
    let error: &tower_oauth::Error = error.downcast_ref().expect("ours");
    assert_eq!(error.kind(), tower_oauth::ErrorKind::NoToken, "{error}");
}

/// A client without a secret.
fn public(server: &RealServer) -> TokenClient {
    server.client_by("dpop_refresh", ClientAuth::none())
}

/// A refresh token that is bound to this key.
async fn sign_in(server: &RealServer, key: &DpopKey) -> String {
    let id = server.of_client("dpop_refresh", "id");
    server.admin(&format!("refresh-token?client_id={id}&jkt={}", key.thumbprint()), "refresh_token").await
}
