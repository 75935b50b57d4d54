//! A fleet that shares a store: one token request where each process would make its own.

use std::time::Duration;

use futures_util::future::join_all;
use oauth_test_server::{Endpoint, Fault, TestServer};
use oauth_tokens::{SharedStore, TokenCache, TokenStore};
use tests::store::{Call, Mood, TestStore};
use tokio::time::{Instant, advance, sleep};

use super::{request_to, s};

const PROCESSES: usize = 8;

/// A process of its own: its cache, and its own way to the store.
fn process(server: &TestServer, store: &TestStore) -> TokenCache {
    request_to(server).stored(SharedStore::new(store.clone())).cached().expect("a cache")
}

fn fleet(server: &TestServer, store: &TestStore) -> Vec<TokenCache> {
    (0..PROCESSES).map(|_| process(server, store)).collect()
}

fn requests(server: &TestServer) -> u64 {
    server.counters().requests_to(Endpoint::Token)
}

async fn all_of(fleet: &[TokenCache]) -> Vec<String> {
    let tokens = join_all(fleet.iter().map(TokenCache::token)).await;
    tokens.into_iter().map(|token| token.expect("a token").secret().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn eight_processes_make_one_token_request_a_lifetime() {
    let server = TestServer::builder().build();
    server.token_faults().push_forever(Fault::Delay(s(1)));
    let store = TestStore::new();
    let fleet = fleet(&server, &store);
    let first = all_of(&fleet).await;
    assert!(first.iter().all(|token| *token == first[0]), "one token for all");
    assert_eq!(requests(&server), 1);
    // Calls all along: each process renews in the background, at a moment of its own.
    let began = Instant::now();
    while began.elapsed() < s(10 * 3600) {
        all_of(&fleet).await;
        sleep(s(7)).await;
    }
    let renewals = requests(&server);
    assert!((14..=16).contains(&renewals), "one each 40 to 42.5 minutes, not {renewals}");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_process_makes_none_and_renews_when_the_whole_lifetime_says_so() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    let token = process(&server, &store).token().await.expect("a token");
    advance(s(1200)).await;
    let restarted = process(&server, &store);
    assert_eq!(restarted.token().await.expect("a token"), token);
    assert_eq!(requests(&server), 1);
    let status = restarted.status();
    let (expires, refresh) = (status.expires_in.expect("a lifetime"), status.refresh_in.expect("a moment"));
    assert!((s(2389)..=s(2390)).contains(&expires), "an hour less twenty minutes and the skew: {expires:?}");
    assert!((s(1199)..=s(1350)).contains(&refresh), "at 40 to 42.5 minutes of its life: {refresh:?}");
    // Past the moment at which it is due, a cold process renews it.
    advance(s(1400)).await;
    assert_ne!(process(&server, &store).token().await.expect("a token"), token);
    assert_eq!(requests(&server), 2);
    // An expired one is none.
    advance(s(3600)).await;
    process(&server, &store).token().await.expect("a token");
    assert_eq!(requests(&server), 3);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_all_see_rejected_is_renewed_once_and_never_read_back() {
    let server = TestServer::builder().build();
    server.token_faults().push_forever(Fault::Delay(s(1)));
    let store = TestStore::new();
    let fleet = fleet(&server, &store);
    let dead = fleet[0].token().await.expect("a token");
    all_of(&fleet).await;
    let renewed = join_all(fleet.iter().map(|process| process.renew(&dead))).await;
    for token in &renewed {
        assert_ne!(*token.as_ref().expect("another token"), dead);
    }
    assert_eq!(requests(&server), 2, "one renewal for eight");
    assert_eq!(store.count(Call::Delete), 1, "deleted by the first; the others found none");
    // A late one takes the new one, and so does a cold one.
    let late = process(&server, &store);
    assert_eq!(&late.token().await.expect("a token"), renewed[0].as_ref().expect("a token"));
    assert_eq!(requests(&server), 2);
}

#[tokio::test(start_paused = true)]
async fn s3_a_rejected_token_that_comes_back_is_not_read() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    let shared = SharedStore::new(store.clone());
    let cache = || request_to(&server).stored(&shared).cached().expect("a cache");
    let tokens = cache();
    let dead = tokens.token().await.expect("a token");
    let key = store.keys()[0].clone();
    let lost = store.memory().load(&key).await.expect("a store").expect("a record");
    let renewed = tokens.renew(&dead).await.expect("another");
    // The store forgot its newest writes, as after a fail-over to a replica that lagged behind.
    let newer = store.memory().load(&key).await.expect("a store").expect("a record");
    assert!(newer.version > lost.version);
    assert!(store.memory().delete(&key, newer.version).await.expect("a store"));
    assert!(store.memory().replace(&key, None, &lost).await.expect("a store"));
    let next = cache().token().await.expect("a token");
    assert!(next != dead && next != renewed, "not what was rejected");
    assert_eq!(requests(&server), 3);
    let repaired = store.memory().load(&key).await.expect("a store").expect("a record");
    assert!(repaired.version > newer.version, "and it takes the old one's place");
}

#[tokio::test(start_paused = true)]
async fn s3_a_rejected_token_that_could_not_be_deleted_is_not_read() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    let shared = SharedStore::new(store.clone());
    let cache = || request_to(&server).stored(&shared).cached().expect("a cache");
    for mood in [Mood::Fails, Mood::Hangs, Mood::Panics] {
        store.set(Mood::Works);
        sleep(s(60)).await;
        let tokens = cache();
        let dead = tokens.token().await.expect("a token");
        store.set(mood);
        let renewed = tokens.renew(&dead).await.expect("another, without the store");
        assert_ne!(renewed, dead, "{mood:?}");
        store.set(Mood::Works);
        sleep(s(60)).await;
        assert_ne!(cache().token().await.expect("a token"), dead, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn s2_a_slow_process_never_overwrites_a_newer_token() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    let slow = process(&server, &store);
    server.token_faults().push(1, Fault::Delay(Duration::from_millis(4_900)));
    let slow_token = tokio::spawn(async move { slow.token().await });
    sleep(Duration::from_millis(10)).await;
    // Another one waits for four seconds, and then helps itself.
    let began = Instant::now();
    let impatient = process(&server, &store).token().await.expect("a token");
    assert!((s(4)..s(5)).contains(&began.elapsed()), "{:?}", began.elapsed());
    // Meanwhile somebody saves a newer record.
    let key = store.keys()[0].clone();
    let record = super::record(u64::MAX >> 11, "newer");
    assert!(store.memory().replace(&key, None, &record).await.expect("a store"));
    let slow_token = slow_token.await.expect("no panic").expect("a token, all the same");
    assert_ne!(slow_token, impatient);
    let there = store.memory().load(&key).await.expect("a store").expect("a record");
    assert_eq!(there.version, record.version, "the newer one stays");
}

#[tokio::test(start_paused = true)]
async fn who_crashed_with_the_lease_keeps_the_others_for_seconds_only() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    let key = {
        let probe = process(&server, &store);
        let token = probe.token().await.expect("a token");
        let key = store.keys()[0].clone();
        // As if the record were gone, and somebody had the lease who is not there any more.
        let record = store.memory().load(&key).await.expect("a store").expect("a record");
        store.memory().delete(&key, record.version).await.expect("a store");
        assert!(store.memory().lease(&key, s(12)).await.expect("a store").is_some());
        drop(token);
        key
    };
    let began = Instant::now();
    let token = process(&server, &store).token().await.expect("a token");
    assert!((s(4)..s(5)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert!(store.memory().load(&key).await.expect("a store").is_none(), "who has no lease saves nothing");
    advance(s(12)).await;
    let next = process(&server, &store);
    assert_ne!(next.token().await.expect("a token"), token);
    assert!(store.memory().load(&key).await.expect("a store").is_some(), "the lease is over");
}

#[tokio::test(start_paused = true)]
async fn while_another_one_renews_the_token_that_there_is_serves() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    let token = process(&server, &store).token().await.expect("a token");
    advance(s(3400)).await;
    let key = store.keys()[0].clone();
    assert!(store.memory().lease(&key, s(12)).await.expect("a store").is_some(), "another one's");
    let cold = process(&server, &store);
    let began = Instant::now();
    assert_eq!(cold.token().await.expect("a token"), token);
    assert!(began.elapsed() < s(1), "nobody waits: {:?}", began.elapsed());
    assert_eq!(requests(&server), 1);
    // It comes back for the new one, and does not ask at each call meanwhile.
    let calls = store.calls().len();
    for _ in 0..100 {
        cold.token().await.expect("a token");
    }
    tests::source::settle().await;
    assert!(store.calls().len() < calls + 5, "{} calls", store.calls().len() - calls);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_is_asked_no_more_often_than_without_a_store() {
    let server = TestServer::builder().build();
    server.token_faults().push_forever(Fault::oauth_error("invalid_client"));
    let store = TestStore::new();
    let fleet = fleet(&server, &store);
    let errors = join_all(fleet.iter().map(TokenCache::token)).await;
    assert!(errors.iter().all(|error| error.as_ref().is_err_and(|error| error.oauth().is_some())));
    assert_eq!(requests(&server), PROCESSES as u64, "one each: a failure is nothing to share");
    server.token_faults().clear();
    sleep(s(60)).await;
    all_of(&fleet).await;
    assert_eq!(requests(&server), PROCESSES as u64 + 1);
}

/// F12: what is fetched counts from when the fetch began, however long others were waited for.
#[tokio::test(start_paused = true)]
async fn f12_a_short_token_that_was_waited_for_lives_as_long_as_any() {
    let server = TestServer::builder().token_lifetime(Some(s(3))).build();
    let probe = TestStore::new();
    process(&server, &probe).token().await.expect("a token");
    let store = TestStore::new();
    let held = store.memory().lease(&probe.keys()[0], s(12)).await.expect("a store").expect("the lease");
    let (memory, key) = (store.clone(), probe.keys()[0].clone());
    tokio::spawn(async move {
        sleep(Duration::from_millis(3_500)).await;
        memory.memory().release(&key, &held).await
    });
    let cache = process(&server, &store);
    cache.token().await.expect("a token");
    let left = cache.status().expires_in.expect("a lifetime");
    // The skew is of what it lives and of what was waited.
    assert!((Duration::from_millis(2_600)..=s(3)).contains(&left), "{left:?}");
    // And so does one that another process brings after a while.
    sleep(s(3)).await;
    server.token_faults().push_forever(Fault::Delay(s(1)));
    let [renewing, waiting] = [process(&server, &store), process(&server, &store)];
    let (renewed, waited) = tokio::join!(renewing.token(), waiting.token());
    assert_eq!(renewed.expect("a token"), waited.expect("a token"));
}
