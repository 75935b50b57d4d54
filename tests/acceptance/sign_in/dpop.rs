//! Codes that are bound to a key (RFC 9449, section 10), and tokens that are (T14).

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use oauth_tokens::{Algorithm, DpopKey, ErrorKind, SigningKey};
use tests::canned;

use super::{REDIRECT, approved, begin, finish, forms_at, generous, metadata, public, server, value};

const BOUND: &str = r#"{"access_token":"t1","token_type":"DPoP","expires_in":60}"#;

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256).expect("a key")
}

fn dpop_key() -> DpopKey {
    DpopKey::new(key()).expect("a signer that tells its public key")
}

/// Wants a nonce of its own once.
fn with_nonce(request: &Request<Bytes>) -> Response<Bytes> {
    let proof = request.headers()["dpop"].to_str().expect("a proof");
    let claims = proof.split('.').nth(1).expect("claims");
    let claims = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, claims).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    if claims["nonce"] == "n-1" {
        return canned::json(200, BOUND);
    }
    let mut response = canned::json(400, r#"{"error":"use_dpop_nonce"}"#);
    response.headers_mut().insert("dpop-nonce", HeaderValue::from_static("n-1"));
    response
}

#[tokio::test]
async fn t14_the_code_is_bound_to_the_key_and_so_is_the_token() {
    let key = dpop_key();
    for pushed in [false, true] {
        let canned = server(metadata(), with_nonce);
        let client = public(&canned).dpop(key.clone());
        let mut request = client.sign_in(REDIRECT);
        if pushed {
            request = request.pushed();
        }
        let begun = begin(&request).await.expect("begun");
        let forms = forms_at(&canned, "/par");
        let jkt = if pushed { value(&forms[0], "dpop_jkt") } else { begun.get("dpop_jkt") };
        assert_eq!(jkt, Some(key.thumbprint().as_str()));
        let query = approved(&begun.pending);
        let signed_in = finish(&client, begun.pending, &query).await.expect("tokens");
        assert!(signed_in.tokens.access_token.is_bound());
        let redeemed = forms_at(&canned, "/token");
        let codes: Vec<_> = redeemed.iter().map(|form| value(form, "code")).collect();
        // The first answer said that nothing was taken in; it is no redemption.
        assert!(codes.len() <= 2 && codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    }
}

#[tokio::test]
async fn t14_a_bearer_token_for_a_bound_code_is_refused() {
    let canned = generous();
    let client = public(&canned).dpop(dpop_key());
    let begun = begin(&client.sign_in(REDIRECT)).await.expect("begun");
    let query = approved(&begun.pending);
    let error = finish(&client, begun.pending, &query).await.expect_err("a bearer token");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(error.to_string().contains("not bound to the key"), "{error}");
    assert_eq!(forms_at(&canned, "/token").len(), 1);

    let canned = server(metadata(), |_| canned::json(200, BOUND));
    let client = public(&canned);
    let begun = begin(&client.sign_in(REDIRECT)).await.expect("begun");
    assert_eq!(begun.get("dpop_jkt"), None);
    let query = approved(&begun.pending);
    let error = finish(&client, begun.pending, &query).await.expect_err("a bound token");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn l2_another_key_cannot_finish() {
    let (key, canned) = (dpop_key(), server(metadata(), |_| canned::json(200, BOUND)));
    let client = public(&canned).dpop(key.clone());
    let bound = begin(&client.sign_in(REDIRECT)).await.expect("begun").pending;
    let unbound = begin(&public(&canned).sign_in(REDIRECT)).await.expect("begun").pending;
    let cases = [(public(&canned), &bound), (public(&canned).dpop(dpop_key()), &bound), (client.clone(), &unbound)];
    for (other, pending) in cases {
        let error = finish(&other, pending.clone(), &approved(pending)).await.expect_err("another key");
        assert_eq!(error.kind(), ErrorKind::InvalidCallback, "{other:?}");
    }
    assert!(forms_at(&canned, "/token").is_empty());
    finish(&client, bound.clone(), &approved(&bound)).await.expect("its own key");
    key.replace(super::dpop::key()).expect("a key");
    let error = finish(&client, bound.clone(), &approved(&bound)).await.expect_err("the key was replaced");
    assert_eq!(error.kind(), ErrorKind::InvalidCallback);
}
