//! The nonces of either server (RFC 9449 sections 8 and 9).

use std::time::Duration;

use oauth_test_server::{Algorithm, Client, Fault, NoncePolicy, TestKey, TestServer};
use serde_json::json;

use super::*;
use crate::assertions::{self, asserting};

#[tokio::test(start_paused = true)]
async fn nonces_that_can_be_used_again() {
    let server =
        TestServer::builder().dpop().token_nonces(NoncePolicy::Reusable).api_nonces(NoncePolicy::Reusable).build();
    let key = TestKey::generate(Algorithm::EdDsa);
    let refused = request_token(&server, CLIENT_CREDENTIALS, &proof(&key, &for_token(&server))).await;
    refused.assert_error(400, "use_dpop_nonce");
    let nonce = refused.header("dpop-nonce").to_owned();
    assert!(!nonce.is_empty());
    let ask = async |nonce: &str| {
        request_token(&server, CLIENT_CREDENTIALS, &proof(&key, &with(for_token(&server), "nonce", nonce))).await
    };
    let mut token = String::new();
    for _ in 0..2 {
        let answer = ask(&nonce).await;
        assert_eq!((answer.status.as_u16(), answer.header("dpop-nonce")), (200, ""));
        token = answer.text("access_token");
    }
    ask("guessed").await.assert_error(400, "use_dpop_nonce");

    // The API has its own.
    let mut call = for_api(&server, &token);
    call["nonce"] = json!(nonce);
    let refused = request_api(&server, &token, &proof(&key, &call)).await;
    refused.assert_error(401, "use_dpop_nonce");
    assert!(refused.header("www-authenticate").starts_with("DPoP "));
    assert!(refused.header("www-authenticate").contains("error=\"use_dpop_nonce\""));
    let call = with(for_api(&server, &token), "nonce", refused.header("dpop-nonce"));
    assert_eq!(request_api(&server, &token, &proof(&key, &call)).await.status, 200);

    // Rotated: offered, and the last one is still good. Expired: not so.
    server.rotate_nonces();
    let answer = ask(&nonce).await;
    let new = answer.header("dpop-nonce").to_owned();
    assert_eq!(answer.status, 200);
    assert!(!new.is_empty() && new != nonce);
    assert_eq!(ask(&new).await.header("dpop-nonce"), "");
    server.expire_nonces();
    ask(&new).await.assert_error(400, "use_dpop_nonce");
    let counters = server.counters();
    assert_eq!((counters.token_nonce_challenges, counters.api_nonce_challenges), (3, 1));
    assert_eq!((counters.token_errors, counters.api_unauthorized), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn nonces_for_a_single_use() {
    let server =
        TestServer::builder().dpop().token_nonces(NoncePolicy::SingleUse).api_nonces(NoncePolicy::SingleUse).build();
    let key = TestKey::generate(Algorithm::EdDsa);
    let ask = async |nonce: &str, parameters: &str| {
        request_token(&server, parameters, &proof(&key, &with(for_token(&server), "nonce", nonce))).await
    };
    let first = ask("", CLIENT_CREDENTIALS).await;
    first.assert_error(400, "use_dpop_nonce");
    let spent = first.header("dpop-nonce").to_owned();
    let answer = ask(&spent, CLIENT_CREDENTIALS).await;
    assert_eq!(answer.status, 200);
    let next = answer.header("dpop-nonce").to_owned();
    ask(&spent, CLIENT_CREDENTIALS).await.assert_error(400, "use_dpop_nonce");
    // An error brings one too.
    let answer = ask(&next, "grant_type=password&client_id=m2m&client_secret=secret").await;
    answer.assert_error(400, "unsupported_grant_type");
    let answer = ask(answer.header("dpop-nonce"), CLIENT_CREDENTIALS).await;
    assert_eq!(answer.status, 200);

    let token = answer.text("access_token");
    let refused = request_api(&server, &token, &proof(&key, &for_api(&server, &token))).await;
    let mut nonce = refused.header("dpop-nonce").to_owned();
    for _ in 0..3 {
        let call = with(for_api(&server, &token), "nonce", nonce.as_str());
        let answer = request_api(&server, &token, &proof(&key, &call)).await;
        assert_eq!(answer.status, 200);
        assert_ne!(answer.header("dpop-nonce"), nonce);
        nonce = answer.header("dpop-nonce").to_owned();
    }

    server.set_api_nonces(NoncePolicy::None);
    server.set_token_nonces(NoncePolicy::None);
    let answer = request_api(&server, &token, &proof(&key, &for_api(&server, &token))).await;
    assert_eq!((answer.status.as_u16(), answer.header("dpop-nonce")), (200, ""));
    assert_eq!(ask("x", CLIENT_CREDENTIALS).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_nonce_challenge_spends_proof_and_assertion() {
    let client_key = TestKey::generate(Algorithm::Es256);
    let server = TestServer::builder()
        .dpop()
        .token_nonces(NoncePolicy::Reusable)
        .client(Client::new("m2m").key(&client_key))
        .build();
    let key = TestKey::generate(Algorithm::EdDsa);
    let assertion = || asserting(&client_key.sign(&assertions::claims(&server, "m2m")));
    let (first, claims) = (assertion(), for_token(&server));
    let refused = request_token(&server, &first, &proof(&key, &claims)).await;
    refused.assert_error(400, "use_dpop_nonce");
    let nonce = refused.header("dpop-nonce");

    let same_assertion = proof(&key, &with(for_token(&server), "nonce", nonce));
    request_token(&server, &first, &same_assertion).await.assert_error(401, "invalid_client");
    let same_jti = proof(&key, &with(claims, "nonce", nonce));
    request_token(&server, &assertion(), &same_jti).await.assert_error(400, "invalid_dpop_proof");
    let fresh = proof(&key, &with(for_token(&server), "nonce", nonce));
    assert_eq!(request_token(&server, &assertion(), &fresh).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_early_look_does_not_spend_the_proof() {
    let server = TestServer::builder().dpop().reject_early(true).api_nonces(NoncePolicy::SingleUse).build();
    let key = TestKey::generate(Algorithm::EdDsa);
    let token = bound_token(&server, &key).await;
    let refused = request_api(&server, &token, &proof(&key, &for_api(&server, &token))).await;
    refused.assert_error(401, "use_dpop_nonce");
    let nonce = refused.header("dpop-nonce");
    server.api_faults().push(1, Fault::Delay(Duration::from_secs(1)));
    let call = with(for_api(&server, &token), "nonce", nonce);
    assert_eq!(request_api(&server, &token, &proof(&key, &call)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn nonces_without_end() {
    let server = TestServer::builder().dpop().build();
    server.token_faults().push(1, Fault::UseDpopNonce("one".to_owned()));
    server.api_faults().push(1, Fault::UseDpopNonce("two".to_owned()));
    let answer = token(&server, CLIENT_CREDENTIALS).await;
    answer.assert_error(400, "use_dpop_nonce");
    assert_eq!(answer.header("dpop-nonce"), "one");
    let answer = api(&server, "any").await;
    answer.assert_error(401, "use_dpop_nonce");
    assert_eq!(answer.header("dpop-nonce"), "two");
    assert_eq!(answer.header("www-authenticate"), "DPoP error=\"use_dpop_nonce\"");
}
