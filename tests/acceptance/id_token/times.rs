//! Clocks that are apart, and sign-ins of long ago.

use std::time::{Duration, UNIX_EPOCH};

use oauth_tokens::ErrorKind;
use serde_json::json;
use tokio::time::advance;

use super::{CLIENT, ISSUER, KEY, NONCE, Provider, assert_refused, claims, now, verify, with};

/// A second to this side of each limit, and one to the other; the very limit is shown beside the code.
#[tokio::test(start_paused = true)]
async fn l4_thirty_seconds_of_tolerance() {
    let client = Provider::new().client();
    let now = now().await;
    let good = claims(now);
    let cases = [
        ("exp", now - 29, true),
        ("exp", now - 30, false),
        ("exp", now - 31, false),
        ("iat", now + 29, true),
        ("iat", now + 30, true),
        ("iat", now + 31, false),
        ("nbf", now + 29, true),
        ("nbf", now + 30, true),
        ("nbf", now + 31, false),
        ("auth_time", now + 30, true),
        ("auth_time", now + 31, false),
        // However long ago it was issued, or somebody signed in.
        ("iat", 1, true),
        ("nbf", 1, true),
        ("auth_time", 1, true),
        ("exp", 253_402_300_799, true),
    ];
    for (name, at, is_good) in cases {
        for at in [json!(at), json!(at as f64)] {
            let raw = KEY.sign(&with(&good, json!({ name: at })));
            assert_eq!(verify(&client, &raw).await.is_ok(), is_good, "{name} {at}");
        }
    }
    let raw = KEY.sign(&good);
    advance(Duration::from_secs(300 + 29)).await;
    verify(&client, &raw).await.expect("the last second");
    advance(Duration::from_secs(1)).await;
    assert_refused(verify(&client, &raw).await, &raw, "has expired");
}

#[tokio::test(start_paused = true)]
async fn l4_a_sign_in_may_be_so_old_and_no_older() {
    let client = Provider::new().client();
    let now = now().await;
    let good = claims(now);
    let minute = Duration::from_secs(60);
    let cases = [
        (json!({}), minute, Some("no `auth_time`")),
        (json!({}), Duration::MAX, Some("no `auth_time`")),
        (json!({ "auth_time": now }), Duration::ZERO, None),
        (json!({ "auth_time": now - 29 }), Duration::ZERO, None),
        (json!({ "auth_time": now - 30 }), Duration::ZERO, Some("longer ago")),
        (json!({ "auth_time": now - 31 }), Duration::ZERO, Some("longer ago")),
        (json!({ "auth_time": now - 89 }), minute, None),
        (json!({ "auth_time": now - 90 }), minute, Some("longer ago")),
        (json!({ "auth_time": now - 91 }), minute, Some("longer ago")),
        (json!({ "auth_time": 1 }), Duration::MAX, None),
        (json!({ "auth_time": now + 31 }), minute, Some("in the future")),
        (json!({ "auth_time": "now" }), minute, Some("no date")),
    ];
    for (changes, max_age, refused) in cases {
        let raw = KEY.sign(&with(&good, changes.clone()));
        let verified = client.verify_id_token(&raw).nonce(NONCE).max_age(max_age).verify().await;
        match refused {
            Some(why) => assert_refused(verified, &raw, why),
            None => drop(verified.unwrap_or_else(|error| panic!("{changes}: {error}"))),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l4_what_a_token_says_can_be_read() {
    let client = Provider::new().client();
    let now = now().await;
    let raw = KEY.sign(&with(
        &claims(now),
        json!({ "auth_time": now - 5, "sid": "s1", "acr": "urn:mfa", "email": "alice@example.com", "iat": now as f64 - 0.5 }),
    ));
    let token = verify(&client, &raw).await.expect("a good token");
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!((token.issuer(), token.subject(), token.as_str()), (ISSUER, "alice", raw.as_str()));
    assert_eq!(token.audiences().collect::<Vec<_>>(), [CLIENT]);
    assert_eq!((token.session_id(), token.acr()), (Some("s1"), Some("urn:mfa")));
    assert_eq!((token.auth_time(), token.expires_at()), (Some(at(now - 5)), at(now + 300)));
    assert_eq!(token.issued_at(), at(now) - Duration::from_millis(500));
    assert_eq!(token.claim("email"), Some(&json!("alice@example.com")));
    assert_eq!(token.claim("name"), None);
    let shown = format!("{token:?} {token:#?} {:?}", client.verify_id_token(&raw).nonce(NONCE));
    assert!(shown.contains("email") && shown.contains("auth_time"), "{shown}");
    for secret in ["alice", "s1\"", "urn:mfa", NONCE, ISSUER.trim_start_matches("https://id"), &raw[..20]] {
        assert!(!shown.replace(&format!("{:?}", client), "").contains(secret), "{secret}: {shown}");
    }
    let bad = client.verify_id_token("x").verify().await.expect_err("no JWT");
    assert_eq!(bad.kind(), ErrorKind::InvalidIdToken);
}
