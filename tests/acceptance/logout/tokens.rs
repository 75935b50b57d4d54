//! OpenID Connect Back-Channel Logout 1.0.

use std::time::{Duration, UNIX_EPOCH};

use oauth_test_server::{Algorithm, TestKey};
use oauth_tokens::{ErrorKind, TokenClient};
use serde_json::{Value, json};
use tokio::time::advance;

use crate::id_token::{CLIENT, FORGER, ISSUER, KEY, NONCE, Provider, assert_refused, now, with};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn logout(now: u64) -> Value {
    json!({ "iss": ISSUER, "sub": "alice", "sid": "s1", "aud": CLIENT, "iat": now, "exp": now + 120, "jti": "j1",
        "events": { EVENT: {} } })
}

/// By a client that has seen none before.
async fn refused(raw: &str, why: &str) {
    assert_refused(Provider::new().client().verify_logout_token(raw).await, raw, why);
}

#[tokio::test(start_paused = true)]
async fn l4_whose_session_has_ended() {
    let now = now().await;
    let good = logout(now);
    let cases = [
        (json!({}), Some("s1"), Some("alice")),
        (json!({ "sub": null }), Some("s1"), None),
        (json!({ "sid": null }), None, Some("alice")),
        (json!({ "sid": "" }), None, Some("alice")),
        (json!({ "aud": [CLIENT] }), Some("s1"), Some("alice")),
        (json!({ "events": { EVENT: { "more": 1 }, "urn:other": 1 } }), Some("s1"), Some("alice")),
        (json!({ "iat": now - 110, "exp": now - 29 }), Some("s1"), Some("alice")),
        (json!({ "iat": now + 30 }), Some("s1"), Some("alice")),
    ];
    for (changes, sid, sub) in cases {
        let raw = KEY.sign(&with(&good, changes.clone()));
        let token = Provider::new().client().verify_logout_token(&raw).await;
        let token = token.unwrap_or_else(|error| panic!("{changes}: {error}"));
        assert_eq!((token.issuer(), token.session_id(), token.subject()), (ISSUER, sid, sub));
        assert_eq!(token.claim("jti"), Some(&json!("j1")));
        assert!(format!("{token:?}").contains("events") && !format!("{token:?}").contains("alice"), "{token:?}");
    }
    let header = json!({ "alg": "ES256", "kid": "2026-01" });
    for typ in [json!(null), json!("JWT"), json!("logout+jwt"), json!("Logout+JWT"), json!("application/logout+jwt")] {
        let raw = KEY.sign_with(&with(&header, json!({ "typ": typ })), &good);
        let token = Provider::new().client().verify_logout_token(&raw).await.expect("a good token");
        assert_eq!(token.issued_at(), UNIX_EPOCH + Duration::from_secs(now));
    }
    for typ in [json!("at+jwt"), json!("id_token+jwt"), json!("")] {
        refused(&KEY.sign_with(&with(&header, json!({ "typ": typ })), &good), "another kind of token").await;
    }
}

#[tokio::test(start_paused = true)]
async fn l4_logout_tokens_that_are_none() {
    let now = now().await;
    let good = logout(now);
    let cases = [
        (json!({ "iss": null }), "no `iss`"),
        (json!({ "iss": "https://other.test" }), "`iss` is not the server's"),
        (json!({ "aud": null }), "no `aud`"),
        (json!({ "aud": "other" }), "`aud` is not this client"),
        (json!({ "aud": [CLIENT, "other"] }), "`aud` names others"),
        (json!({ "azp": "other" }), "`azp` is not this client"),
        (json!({ "iat": null }), "no `iat`"),
        (json!({ "iat": "now" }), "`iat` is no date"),
        (json!({ "iat": now + 31 }), "`iat` is in the future"),
        (json!({ "exp": null }), "no `exp`"),
        (json!({ "exp": now - 30 }), "has expired"),
        // However long it says that it lives.
        (json!({ "iat": now - 3600 - 30, "exp": now + 3600 }), "has expired"),
        (json!({ "nbf": now + 31 }), "`nbf` is in the future"),
        (json!({ "jti": null }), "no `jti`"),
        (json!({ "jti": "" }), "`jti` is empty"),
        (json!({ "jti": 7 }), "`jti` is not a string"),
        (json!({ "events": null }), "do not name a logout"),
        (json!({ "events": {} }), "do not name a logout"),
        (json!({ "events": EVENT }), "do not name a logout"),
        (json!({ "events": [EVENT] }), "do not name a logout"),
        (json!({ "events": { EVENT: null } }), "do not name a logout"),
        (json!({ "events": { EVENT: "x" } }), "do not name a logout"),
        (json!({ "events": { "urn:other": {} } }), "do not name a logout"),
        (json!({ "nonce": NONCE }), "has a `nonce`"),
        (json!({ "nonce": 7 }), "has a `nonce`"),
        (json!({ "sub": null, "sid": null }), "neither a session"),
        (json!({ "sub": null, "sid": "" }), "neither a session"),
        (json!({ "sub": "" }), "`sub` is empty"),
        (json!({ "sub": 7 }), "`sub` is not a string"),
        (json!({ "sub": "s".repeat(256) }), "longer than 255"),
        (json!({ "sid": 7 }), "`sid` is not a string"),
    ];
    for (changes, why) in cases {
        refused(&KEY.sign(&with(&good, changes)), why).await;
    }
    let with_null = good.to_string().replace(r#""jti""#, r#""nonce":null,"jti""#);
    let with_null: Value = serde_json::from_str(&with_null).expect("JSON");
    refused(&KEY.sign(&with_null), "has a `nonce`").await;
    refused(&FORGER.sign(&good), "signature is not of").await;
    refused(&TestKey::hmac("secret").sign(&good), "not signed by an algorithm").await;
    refused(&TestKey::generate(Algorithm::Es384).sign(&good), "no key").await;
    refused("eyJhbGciOiJub25lIn0.e30.", "not signed by an algorithm").await;
    refused("logout", "no JWT").await;
}

async fn take(client: &TokenClient, claims: &Value) -> Result<(), ErrorKind> {
    match client.verify_logout_token(&KEY.sign(claims)).await {
        Ok(token) => {
            token.taken();
            Ok(())
        }
        Err(error) => {
            assert!(error.to_string().contains("was taken before"), "{error}");
            Err(error.kind())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l4_a_logout_token_is_taken_once() {
    let provider = Provider::new();
    let client = provider.client();
    let good = logout(now().await);
    let again = Err(ErrorKind::InvalidIdToken);
    // What is refused for another reason does not count as taken.
    let forged = FORGER.sign(&good);
    assert_refused(client.verify_logout_token(&forged).await, &forged, "signature");
    let broken = KEY.sign(&with(&good, json!({ "nonce": "n" })));
    assert_refused(client.verify_logout_token(&broken).await, &broken, "nonce");

    assert_eq!(take(&client, &good).await, Ok(()));
    assert_eq!(take(&client, &good).await, again);
    // By its `jti`, not by its text; and by all that were made of the client.
    assert_eq!(take(&client, &with(&good, json!({ "sub": "bob" }))).await, again);
    assert_eq!(take(&client.clone(), &good).await, again);
    assert_eq!(take(&client.id_token_algorithm(oauth_tokens::Algorithm::Es256), &good).await, again);
    assert_eq!(take(&client, &with(&good, json!({ "jti": "j2" }))).await, Ok(()));
    // Another client has not seen it.
    assert_eq!(take(&provider.client(), &good).await, Ok(()));

    // Until it would not be taken for its age.
    advance(Duration::from_secs(120 + 29)).await;
    assert_eq!(take(&client, &good).await, again);
    advance(Duration::from_secs(1)).await;
    let raw = KEY.sign(&good);
    assert_refused(client.verify_logout_token(&raw).await, &raw, "has expired");
    let start = now().await;
    let long = with(&logout(start), json!({ "exp": start + 7200 }));
    assert_eq!(take(&client, &long).await, Ok(()));
    advance(Duration::from_secs(3600 + 29)).await;
    assert_eq!(take(&client, &long).await, again);
    advance(Duration::from_secs(1)).await;
    let raw = KEY.sign(&long);
    assert_refused(client.verify_logout_token(&raw).await, &raw, "has expired");
}

/// What could not be done may be tried again; while it is under way, nobody else does it.
#[tokio::test(start_paused = true)]
async fn l4_a_logout_that_failed_may_come_again() {
    let client = Provider::new().client();
    let raw = KEY.sign(&logout(now().await));
    for _ in 0..3 {
        let token = client.verify_logout_token(&raw).await.expect("not taken yet");
        assert_refused(client.verify_logout_token(&raw).await, &raw, "is being taken");
        drop(token);
    }
    client.verify_logout_token(&raw).await.expect("not taken yet").taken();
    assert_refused(client.verify_logout_token(&raw).await, &raw, "was taken before");
}

/// Two at once: one of them is the first.
#[tokio::test(start_paused = true)]
async fn l4_of_many_that_come_at_once_one_is_taken() {
    let client = Provider::new().client();
    let raw = KEY.sign(&logout(now().await));
    let all = (0..50).map(|_| client.verify_logout_token(&raw));
    let taken = futures_util::future::join_all(all).await;
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn l4_when_the_memory_is_full_the_next_to_expire_is_forgotten() {
    let provider = Provider::new();
    let key = oauth_test_server::TestKey::generate(Algorithm::EdDsa);
    provider.set_keys([key.public_jwk()]);
    let client = provider.client();
    let start = now().await;
    let token = |number: u64| {
        let exp = start + if number == 7 { 60 } else { 120 };
        key.sign(&with(&logout(start), json!({ "jti": format!("j{number}"), "exp": exp })))
    };
    for number in 0..10_000 {
        client.verify_logout_token(&token(number)).await.unwrap_or_else(|error| panic!("{number}: {error}")).taken();
    }
    for number in [0, 7, 9_999] {
        assert!(client.verify_logout_token(&token(number)).await.is_err(), "{number}");
    }
    // None is refused for lack of room.
    client.verify_logout_token(&token(10_000)).await.expect("one more").taken();
    for number in [0, 9_999, 10_000] {
        assert!(client.verify_logout_token(&token(number)).await.is_err(), "{number}");
    }
    client.verify_logout_token(&token(7)).await.expect("the one that is forgotten").taken();
}
