//! What a store may come back with: only what was saved for this very purpose, and has not had its use, is a token.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use oauth_test_server::{Endpoint, Fault, TestServer};
use oauth_tokens::{ErrorKind, Record, SharedStore, StoreKey, TokenCache, TokenStore};
use tests::store::{Call, Mood, TestStore};
use tokio::time::advance;

use super::{request_to, s};

fn requests(server: &TestServer) -> u64 {
    server.counters().requests_to(Endpoint::Token)
}

fn cache(server: &TestServer, store: &SharedStore) -> TokenCache {
    request_to(server).stored(store).cached().expect("a cache")
}

/// Where the tokens of the request are kept.
async fn key_of(server: &TestServer) -> StoreKey {
    let probe = TestStore::new();
    cache(server, &probe.clone().into()).token().await.expect("a token");
    probe.keys()[0].clone()
}

fn millis_after(moment: SystemTime, seconds: i64) -> i64 {
    let moment = moment.duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    i64::try_from(moment).expect("a moment") + seconds * 1000
}

#[tokio::test(start_paused = true)]
async fn s2_only_what_is_a_token_and_of_use_is_taken() {
    // Once, as the clock of the caches stands still.
    let now = SystemTime::now();
    let server = TestServer::builder().build();
    let key = key_of(&server).await;
    let issued = |seconds: i64, rest: &str| {
        format!(r#"{{"access_token":"kept","issued_at":{},{rest}}}"#, millis_after(now, seconds))
    };
    let hour = r#""expires_in":3600000"#;
    // What is in the record, and whether it is taken.
    let cases = [
        (issued(0, hour), true),
        (issued(-600, hour), true),
        (issued(-2_390, hour), true),
        (issued(-2_410, hour), false),
        (issued(-3_700, hour), false),
        (issued(-36_000, hour), false),
        // Clocks differ by seconds, not by minutes.
        (issued(30, hour), true),
        (issued(90, hour), false),
        (issued(36_000, hour), false),
        (issued(-100, r#""expires_in":0"#), false),
        // No cache would take it.
        (issued(0, r#""expires_in":50"#), false),
        (issued(0, r#""expires_in":18446744073709551615"#), true),
        (issued(0, r#""scope":"a""#), true),
        (issued(-4_000, r#""scope":"a""#), false),
        (issued(-100, r#""expires_in":3600000,"refresh_in":50000"#), false),
        (issued(-40, r#""expires_in":3600000,"refresh_in":50000"#), true),
        (issued(0, r#""expires_in":3600000,"jkt":"someone's key""#), false),
        (issued(0, r#""expires_in":3600000,"access_token":"twice""#), false),
        (format!(r#"{{"access_token":"kept",{hour}}}"#), false),
        (format!(r#"{{"access_token":"kept","issued_at":-1,{hour}}}"#), false),
        (format!(r#"{{"access_token":"kept","issued_at":18446744073709551615,{hour}}}"#), false),
        (issued(0, hour).replace("kept", ""), false),
        (issued(0, hour).replace("kept", "a b"), false),
        (issued(0, hour).replace("kept", "a\\r\\nb: c"), false),
        ("[]".to_owned(), false),
        (String::new(), false),
        ("\u{0}".to_owned(), false),
    ];
    for (content, is_taken) in cases {
        let store = TestStore::new();
        let record = Record { version: 1, expires_at: None, content: content.clone().into_bytes().into() };
        assert!(store.memory().replace(&key, None, &record).await.expect("a store"));
        let token = cache(&server, &store.clone().into()).token().await.expect("a token, in any case");
        assert_eq!(token.secret() == "kept", is_taken, "{content}");
        if !is_taken {
            let next = cache(&server, &store.into()).token().await.expect("a token");
            assert_eq!(next, token, "it took the place of {content}");
        }
    }
}

/// Between a look and the lease, another process has renewed the token.
#[tokio::test(start_paused = true)]
async fn with_the_lease_in_hand_the_store_is_looked_at_again() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    let token = cache(&server, &store.clone().into()).token().await.expect("a token");
    let key = store.keys()[0].clone();
    let record = store.memory().load(&key).await.expect("a store").expect("a record");
    store.memory().delete(&key, record.version).await.expect("a store");
    store.set_each({
        let store = store.clone();
        move |call| {
            if call == Call::Lease {
                let saved = store.memory().replace(&key, None, &record).now_or_never();
                assert!(saved.expect("at once").is_ok());
            }
            Mood::Works
        }
    });
    assert_eq!(cache(&server, &store.clone().into()).token().await.expect("a token"), token);
    assert_eq!((requests(&server), store.count(Call::Release)), (1, 2), "and the lease is given back");
}

#[tokio::test(start_paused = true)]
async fn s3_the_same_token_again_is_not_saved_again() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    let tokens = cache(&server, &store.clone().into());
    let dead = tokens.token().await.expect("a token");
    server.token_faults().push_forever(Fault::SameToken);
    assert_eq!(tokens.renew(&dead).await.expect_err("the same").kind(), ErrorKind::SameToken);
    let key = store.keys()[0].clone();
    assert!(store.memory().load(&key).await.expect("a store").is_none(), "it was rejected");
}

/// The token was deleted, no other one is to be had, and the store comes back with it.
#[tokio::test(start_paused = true)]
async fn s3_a_deleted_token_that_comes_back_before_there_is_another_is_not_read() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    let shared = SharedStore::new(store.clone());
    let tokens = cache(&server, &shared);
    let dead = tokens.token().await.expect("a token");
    let key = store.keys()[0].clone();
    let lost = store.memory().load(&key).await.expect("a store").expect("a record");
    server.token_faults().push_forever(Fault::oauth_error("temporarily_unavailable"));
    tokens.renew(&dead).await.expect_err("the server is down");
    assert!(store.memory().replace(&key, None, &lost).await.expect("a store"));
    cache(&server, &shared).token().await.expect_err("the server is down, and the token was rejected");
    server.token_faults().clear();
    advance(s(60)).await;
    assert_ne!(cache(&server, &shared).token().await.expect("a token"), dead);
}

/// F8: at the very end of its use, a token is no longer handed out: the new one is waited for.
#[tokio::test(start_paused = true)]
async fn f8_a_token_at_the_end_of_its_use_is_not_handed_out() {
    let server = TestServer::builder().token_lifetime(Some(s(60))).build();
    let store = TestStore::new();
    let old = cache(&server, &store.clone().into()).token().await.expect("a token");
    let key = store.keys()[0].clone();
    // 57 s are its use.
    advance(std::time::Duration::from_millis(56_900)).await;
    let lease = store.memory().lease(&key, s(12)).await.expect("a store").expect("the lease");
    tokio::spawn({
        let store = store.clone();
        async move {
            tokio::time::sleep(s(1)).await;
            store.memory().release(&key, &lease).await
        }
    });
    let new = cache(&server, &store.into()).token().await.expect("a token");
    assert_ne!(new, old);
    assert_eq!(requests(&server), 2);
}

/// A server that names no lifetime, and tenants that come and go: the store is not to grow for ever.
#[tokio::test(start_paused = true)]
async fn s2_records_of_tokens_without_a_lifetime_expire_after_two_hours() {
    let canned =
        tests::canned::Canned::always(tests::canned::json(200, r#"{"access_token":"a","token_type":"Bearer"}"#));
    let client = oauth_tokens::AuthorizationServer::via(canned.http())
        .token_endpoint("https://id.test/token")
        .and_then(|server| server.client("m2m", oauth_tokens::ClientAuth::secret_basic("secret")))
        .expect("a client");
    let store = TestStore::new();
    client.client_credentials().stored(store.clone()).cached().expect("a cache").token().await.expect("a token");
    let key = store.keys()[0].clone();
    advance(s(2 * 3600 - 60)).await;
    assert!(store.memory().load(&key).await.expect("a store").is_some());
    advance(s(120)).await;
    assert!(store.memory().load(&key).await.expect("a store").is_none());
}
