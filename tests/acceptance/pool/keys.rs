//! One cache a key, and never another's token.

use std::collections::HashSet;

use futures_util::future::join_all;
use oauth_tokens::{AccessToken, ErrorKind, TokenPool, TokenSet, source_fn};
use tests::source::settle;

use super::{Issuer, key};

#[tokio::test(start_paused = true)]
async fn f1_ten_thousand_cold_callers_of_a_thousand_keys_make_a_thousand_requests() {
    let issuer = Issuer::closed();
    let pool = issuer.pool();
    let calls = (0..10_000).map(|caller| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let name = format!("tenant{}", caller % 1000);
            let token = pool.token(&name).await.expect("a token");
            assert_eq!(token.secret(), format!("{name}-1"), "never another's");
        })
    });
    let calls: Vec<_> = calls.collect();
    settle().await;
    issuer.open();
    for call in join_all(calls).await {
        call.expect("no panic");
    }
    assert_eq!(issuer.fetches(), 1000);
    assert_eq!(pool.status().keys, 1000);
}

#[tokio::test(start_paused = true)]
async fn f14_keys_that_differ_share_nothing_and_equal_ones_all() {
    let issuer = Issuer::new();
    let pool = issuer.pool();
    let (acme, again, other) = (pool.get(&key("acme")), pool.get(&key("acme")), pool.get(&key("Acme")));
    let (acme, again, other) = (acme.expect("room"), again.expect("room"), other.expect("room"));
    assert!(acme.is_clone_of(&again) && !acme.is_clone_of(&other));
    let token = acme.token().await.expect("a token");
    assert_eq!(token.secret(), "acme-1");
    assert_eq!(other.token().await.expect("a token").secret(), "Acme-1");
    assert_eq!(pool.clone().token(&key("acme")).await.expect("a token"), token, "clones share all");

    // A rejection of one renews that one.
    let renewed = acme.renew_for("https://api.example.com", &token).await.expect("another");
    assert_eq!(renewed.secret(), "acme-2");
    assert_eq!(issuer.fetches_of("Acme"), 1);
}

#[tokio::test(start_paused = true)]
async fn f14_extra_scopes_make_another_key_whatever_their_order() {
    let issuer = Issuer::new();
    let pool = issuer.pool();
    let scoped = |scopes: &[&str]| {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        pool.get_scoped(&key("acme"), &scopes).expect("room")
    };
    let both = scoped(&["write", "admin"]);
    assert!(both.is_clone_of(&scoped(&["admin", "write"])));
    assert!(both.is_clone_of(&scoped(&["admin", "write", "admin"])));
    assert!(scoped(&[]).is_clone_of(&pool.get(&key("acme")).expect("room")));
    for other in [&[][..], &["admin"], &["admin write"], &["admin", "write", "x"]] {
        assert!(!both.is_clone_of(&scoped(other)), "{other:?}");
    }
    assert_eq!(both.token().await.expect("a token").secret(), "acme+admin+write-1");
    assert_eq!(pool.token(&key("acme")).await.expect("a token").secret(), "acme-1");

    assert!(pool.forget(&key("acme")), "with whatever scopes");
    assert!(!pool.forget(&key("acme")));
    assert_eq!(pool.status().keys, 0);
    assert!(!both.is_clone_of(&scoped(&["admin", "write"])), "a new one");
    assert_eq!(both.token().await.expect("a token").secret(), "acme+admin+write-1", "who holds it can use it");
}

#[tokio::test(start_paused = true)]
async fn f14_a_source_that_cannot_ask_for_more_scopes_says_so() {
    let pool = TokenPool::new(|_: &u32| Ok(source_fn(|| async { Ok(TokenSet::new(AccessToken::bearer("t0k3n")?)) })));
    assert!(pool.get(&1).is_ok());
    let error = pool.get_scoped(&1, &[key("admin")]).expect_err("no such thing");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!error.is_transient());
    assert_eq!(pool.status().keys, 1, "what is refused takes no room");
}

#[test]
fn s1_a_pool_shows_no_key() {
    let pool = Issuer::new().pool();
    pool.get(&key("alice@example.com")).expect("room");
    assert_eq!(format!("{pool:?}"), "TokenPool { keys: 1, capacity: 10000, .. }");
}

#[test]
fn f14_many_threads_at_one_key_get_one_cache() {
    let issuer = Issuer::new();
    let pool = issuer.pool();
    for round in 0..100 {
        let name = format!("tenant{round}");
        let caches: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| pool.get(&name).expect("room"))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(caches.iter().all(|cache| cache.is_clone_of(&caches[0])));
    }
    assert_eq!(pool.status().keys, 100);
    assert_eq!(pool.status().evicted, 0);
}

#[test]
fn f15_many_threads_never_make_it_grow() {
    let issuer = Issuer::new();
    let pool = issuer.pool().capacity(100);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..2000 {
                    pool.get(&format!("tenant{}", (round * 31 + thread * 17) % 1000)).expect("room");
                }
            });
        }
    });
    let status = pool.status();
    assert_eq!(status.keys, 100);
    // What it counts is what it holds.
    assert!(format!("{pool:?}").contains("keys: 100,"), "{pool:?}");
    let held: HashSet<_> = (0..1000).filter(|tenant| pool.forget(&format!("tenant{tenant}"))).collect();
    assert_eq!(held.len(), 100);
    assert!(format!("{pool:?}").contains("keys: 0,"), "{pool:?}");
}
