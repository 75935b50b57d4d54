//! What becomes of the tokens of a device: a cache that goes on with the refresh token.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use oauth_tokens::{AccessToken, ErrorKind, RefreshToken, TokenSet};
use tests::canned::{Canned, json, token};
use tokio::time::advance;

use super::{
    TOKEN,
    device::{refused, started},
    m2m, value,
};

fn issued(access: &str, refresh: &str, expires_in: u64) -> http::Response<bytes::Bytes> {
    let refresh = if refresh.is_empty() { String::new() } else { format!(r#","refresh_token":"{refresh}""#) };
    json(200, format!(r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":{expires_in}{refresh}}}"#))
}

#[tokio::test(start_paused = true)]
async fn device_tokens_are_cached_and_renewed_by_the_refresh_token() {
    let canned = Canned::sequence([
        started("5", "600"),
        refused("authorization_pending"),
        issued("a1", "r1", 100),
        issued("a2", "r2", 100),
        issued("a3", "", 100),
    ]);
    let mut device = m2m(&canned).device_authorization().scope("offline_access").begin().await.expect("a code");
    let tokens = device.cached().await.expect("tokens");
    for _ in 0..3 {
        assert_eq!(tokens.token().await.expect("a token").secret(), "a1");
    }
    assert_eq!(canned.requests().len(), 3, "the access token that came along serves first");

    advance(Duration::from_secs(100)).await;
    assert_eq!(tokens.token().await.expect("a token").secret(), "a2");
    advance(Duration::from_secs(100)).await;
    assert_eq!(tokens.token().await.expect("a token").secret(), "a3");
    let sent: Vec<_> = canned.requests().iter().filter_map(|request| value(request, "refresh_token")).collect();
    assert_eq!(sent, ["r1", "r2"], "rotated");
}

/// An API that rejects the first access token gets another one, by the refresh token.
#[tokio::test(start_paused = true)]
async fn device_tokens_are_renewed_when_they_are_rejected() {
    let canned = Canned::sequence([started("5", "600"), issued("a1", "r1", 100), issued("a2", "", 100)]);
    let mut device = m2m(&canned).device_authorization().begin().await.expect("a code");
    let tokens = device.cached().await.expect("tokens");
    let first = tokens.token().await.expect("a token");
    assert_eq!(tokens.renew(&first).await.expect("another").secret(), "a2");
}

fn tokens(access: &str, refresh: Option<&str>, expires_in: Option<u64>) -> TokenSet {
    let mut tokens = TokenSet::new(AccessToken::bearer(access).expect("a token"));
    tokens.expires_in = expires_in.map(Duration::from_secs);
    tokens.refresh_token = refresh.map(|refresh| refresh.to_owned().into());
    tokens
}

/// T10: the first refresh token is saved like a rotated one, before the access token is used.
#[tokio::test(start_paused = true)]
async fn t10_the_first_refresh_token_is_saved_before_its_access_token_is_used() {
    let canned = Canned::always(issued("a2", "r2", 100));
    let saved: Arc<Mutex<Vec<String>>> = Arc::default();
    let full = Arc::new(Mutex::new(true));
    let grant = RefreshToken::from(tokens("a1", Some("r1"), Some(100))).on_rotation({
        let (saved, full) = (saved.clone(), full.clone());
        move |new| {
            let (saved, full) = (saved.clone(), full.clone());
            async move {
                if *full.lock().expect("a flag") {
                    return Err("the disk is full".into());
                }
                saved.lock().expect("a list").push(new.to_string());
                Ok(())
            }
        }
    });
    let cache = m2m(&canned).grant(grant).cached().expect("a request");
    assert_eq!(cache.token().await.expect_err("not saved").kind(), ErrorKind::Source);
    *full.lock().expect("a flag") = false;
    advance(Duration::from_secs(1)).await;
    assert_eq!(cache.token().await.expect("a token").secret(), "a1");
    assert!(canned.requests().is_empty());
    advance(Duration::from_secs(99)).await;
    assert_eq!(cache.token().await.expect("a token").secret(), "a2");
    assert_eq!(*saved.lock().expect("a list"), ["r1", "r2"]);
}

#[tokio::test(start_paused = true)]
async fn refresh_token_of_a_token_set_serves_the_access_token_for_what_is_left_of_it() {
    // Lifetime, age when it is first used, what is used.
    let cases = [
        (Some(100), 0, "a1"),
        (Some(100), 99, "a1"),
        (Some(100), 100, "a2"),
        (Some(100), 101, "a2"),
        (None, 1_000_000, "a1"),
        (Some(0), 0, "a2"),
    ];
    for (lifetime, age, expected) in cases {
        let canned = Canned::always(token("a2"));
        let cache = m2m(&canned).refresh_token(tokens("a1", Some("r1"), lifetime)).cached().expect("a request");
        advance(Duration::from_secs(age)).await;
        assert_eq!(cache.token().await.expect("a token").secret(), expected, "{lifetime:?} {age}");
        let left = cache.status().expires_in;
        if let (Some(lifetime), "a1") = (lifetime, expected) {
            assert!(left.is_some_and(|left| left <= Duration::from_secs(lifetime - age)), "{left:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refresh_token_that_did_not_come_is_asked_for_when_it_is_needed() {
    let canned = Canned::always(token("never"));
    for refresh in [None, Some("")] {
        let cache = m2m(&canned).refresh_token(tokens("a1", refresh, Some(100))).cached().expect("a request");
        assert_eq!(cache.token().await.expect("a token").secret(), "a1");
        advance(Duration::from_secs(100)).await;
        let error = cache.token().await.expect_err("used up");
        assert!(!error.is_transient() && error.to_string().contains("sign in again"), "{error}");
    }
    assert!(canned.requests().iter().all(|request| request.uri() != TOKEN));
}
