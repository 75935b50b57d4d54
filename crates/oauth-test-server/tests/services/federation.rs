//! Assertions that somebody else has signed: workload identity federation and SPIFFE.

use std::time::Duration;

use oauth_test_server::{Algorithm, Client, ClientAuthMethod, TestKey, TestServer, TrustedIssuer};
use serde_json::{Value, json};

use super::assertions::{asserting, with, without};
use super::*;

const CLUSTER: &str = "https://cluster.test";
const WORKLOAD: &str = "system:serviceaccount:ns:app";

fn server(key: &TestKey) -> TestServer {
    TestServer::builder()
        .trusted_issuer(TrustedIssuer::new(CLUSTER).key(key))
        .client(Client::new("app").federated(CLUSTER, WORKLOAD).scopes(["api"]))
        .client(Client::new("twin").federated(CLUSTER, "system:serviceaccount:ns:twin"))
        .build()
}

/// A token as a cluster makes them: long-lived, without a `jti`, its audience an array.
fn workload_token(server: &TestServer) -> Value {
    let now = server.unix_time().as_secs();
    json!({ "iss": CLUSTER, "sub": WORKLOAD, "aud": [server.issuer()], "iat": now, "exp": now + 3600 })
}

fn refused(answer: &Answer, why: &str) {
    answer.assert_error(401, "invalid_client");
    assert_eq!(answer.text("error_description"), why);
}

#[tokio::test(start_paused = true)]
async fn a_token_from_a_file_is_used_again_and_again() {
    let key = TestKey::generate(Algorithm::Rs256);
    let server = server(&key);
    let assertion = key.sign(&workload_token(&server));
    for parameters in [asserting(&assertion), format!("{}&client_id=app", asserting(&assertion))] {
        let answer = token(&server, &parameters).await;
        assert_eq!(answer.status, 200);
        let access = api(&server, &answer.text("access_token")).await;
        assert_eq!(access.text("client_id"), "app");
    }
    let recorded = &server.requests()[0];
    assert_eq!(recorded.client_auth, Some(ClientAuthMethod::FederatedJwt));
    assert_eq!(recorded.client_id.as_deref(), Some("app"));

    let twin = format!("{}&client_id=twin", asserting(&assertion));
    refused(&token(&server, &twin).await, "no client is registered for the assertion's iss and sub");
    tokio::time::advance(Duration::from_secs(3600)).await;
    refused(&token(&server, &asserting(&assertion)).await, "the JWT is expired");
}

#[tokio::test(start_paused = true)]
async fn every_claim_is_looked_at() {
    let key = TestKey::generate(Algorithm::Es256);
    let server = server(&key);
    let good = || workload_token(&server);
    let now = server.unix_time().as_secs();
    for (claims, why) in [
        (good(), ""),
        (with(good(), "aud", server.issuer()), ""),
        (with(good(), "iss", "https://evil.test"), "unknown client"),
        (
            with(good(), "sub", "system:serviceaccount:ns:other"),
            "no client is registered for the assertion's iss and sub",
        ),
        (without(good(), "sub"), "no client is registered for the assertion's iss and sub"),
        (with(good(), "aud", json!([server.issuer(), "x"])), "the JWT must have one aud"),
        (with(good(), "aud", server.token_endpoint()), "the JWT's aud is another"),
        (with(good(), "exp", now), "the JWT is expired"),
        (without(good(), "exp"), "the JWT has no exp"),
        (with(good(), "nbf", now + 61), "the JWT is not yet valid"),
    ] {
        let answer = token(&server, &asserting(&key.sign(&claims))).await;
        if why.is_empty() {
            assert_eq!(answer.status, 200, "{claims}");
        } else {
            refused(&answer, why);
        }
    }
    let forged = TestKey::generate(Algorithm::Es256).without_key_id().sign(&good());
    refused(&token(&server, &asserting(&forged)).await, "the JWT's signature does not verify");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_has_its_own_audience_and_may_be_strict() {
    let key = TestKey::generate(Algorithm::Es256);
    let server = server(&key);
    let strict = TrustedIssuer::new(CLUSTER).key(&key).audience("api://exchange").single_use();
    server.trust_issuer(strict);
    let claims = with(with(workload_token(&server), "aud", "api://exchange"), "jti", "1");
    let assertion = asserting(&key.sign(&claims));
    assert_eq!(token(&server, &assertion).await.status, 200);
    refused(&token(&server, &assertion).await, "the JWT's jti was used before");
    let without_id = asserting(&key.sign(&without(claims.clone(), "jti")));
    refused(&token(&server, &without_id).await, "the JWT has no jti");
    let usual = asserting(&key.sign(&with(claims, "aud", server.issuer())));
    refused(&token(&server, &usual).await, "the JWT's aud is another");

    // Its keys change: what the old ones have signed is no good.
    server.trust_issuer(TrustedIssuer::new(CLUSTER).key(&TestKey::generate(Algorithm::Es256)));
    let old = asserting(&key.sign(&workload_token(&server)));
    refused(&token(&server, &old).await, "no registered key fits the JWT's kid and alg");
}

const SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

#[tokio::test(start_paused = true)]
async fn spiffe_ids() {
    let key = TestKey::generate(Algorithm::Es256);
    let server = TestServer::builder()
        .trusted_issuer(TrustedIssuer::new("spiffe://example.org").key(&key))
        .client(Client::new("app").spiffe_id("spiffe://example.org/app"))
        .build();
    let now = server.unix_time().as_secs();
    let good = || json!({ "sub": "spiffe://example.org/app", "aud": [server.issuer()], "exp": now + 300 });
    let request = |kind: &str, claims: &Value| {
        let assertion = key.sign(claims);
        format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}")
    };
    for _ in 0..2 {
        assert_eq!(token(&server, &request(SPIFFE, &good())).await.status, 200);
    }
    assert_eq!(server.requests()[0].client_auth, Some(ClientAuthMethod::SpiffeJwt));
    let with_id = format!("{}&client_id=app", request(SPIFFE, &good()));
    assert_eq!(token(&server, &with_id).await.status, 200);

    for (claims, why) in [
        (with(good(), "sub", "spiffe://example.org/other"), "no client is registered for the SPIFFE ID"),
        (with(good(), "sub", "app"), "the assertion's sub is no SPIFFE ID"),
        (with(good(), "sub", "spiffe://example.org"), "the assertion's sub is no SPIFFE ID"),
        (with(good(), "sub", "spiffe:///app"), "the assertion's sub is no SPIFFE ID"),
        (with(good(), "aud", "https://other.test"), "the JWT's aud is another"),
        (with(good(), "exp", now), "the JWT is expired"),
    ] {
        refused(&token(&server, &request(SPIFFE, &claims)).await, why);
    }
    let other_id = format!("{}&client_id=other", request(SPIFFE, &good()));
    refused(&token(&server, &other_id).await, "client_id is not the one of the assertion");
    // The type says what it is.
    let usual = request(super::assertions::TYPE, &with(good(), "iss", "spiffe://example.org"));
    refused(&token(&server, &usual).await, "no client is registered for the assertion's iss and sub");

    // The trust domain vouches for its own only.
    server.set_client(Client::new("app").spiffe_id("spiffe://evil.test/app"));
    let foreign = request(SPIFFE, &with(good(), "sub", "spiffe://evil.test/app"));
    refused(&token(&server, &foreign).await, "the JWT's issuer is not trusted");
}
