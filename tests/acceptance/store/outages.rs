//! S2: a store is a help, never a need. Whatever becomes of it, tokens are fetched without it.

use std::time::Duration;

use oauth_test_server::{Endpoint, Fault, TestServer};
use oauth_tokens::{SharedStore, TokenCache};
use tests::{
    capture::Capture,
    store::{Call, Mood, TestStore},
};
use tokio::time::{Instant, sleep};

use super::{request_to, s};

fn requests(server: &TestServer) -> u64 {
    server.counters().requests_to(Endpoint::Token)
}

fn cache(server: &TestServer, store: &SharedStore) -> TokenCache {
    request_to(server).stored(store).cached().expect("a cache")
}

/// Whichever call fails, and in whichever way: there is a token, and soon.
#[tokio::test(start_paused = true)]
async fn s2_whatever_a_store_fails_at_there_is_a_token() {
    let calls = [Call::Load, Call::Replace, Call::Delete, Call::Lease, Call::Release];
    for mood in [Mood::Fails, Mood::Hangs, Mood::IsLost, Mood::Panics, Mood::Garbles] {
        for failing in calls {
            let server = TestServer::builder().build();
            let store = TestStore::new();
            store.set_each(move |call| if call == failing { mood } else { Mood::Works });
            let store = SharedStore::new(store);
            let tokens = cache(&server, &store);
            let began = Instant::now();
            let token = tokens.token().await.unwrap_or_else(|error| panic!("{failing:?} {mood:?}: {error}"));
            assert!(began.elapsed() <= Duration::from_millis(1100), "{failing:?} {mood:?}: {:?}", began.elapsed());
            let next = tokens.renew(&token).await.unwrap_or_else(|error| panic!("{failing:?} {mood:?}: {error}"));
            assert_ne!(next, token, "{failing:?} {mood:?}");
            assert_eq!(requests(&server), 2, "{failing:?} {mood:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s2_garbage_is_replaced() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    let token = cache(&server, &store.clone().into()).token().await.expect("a token");
    store.set(Mood::Garbles);
    let other = cache(&server, &store.clone().into()).token().await.expect("a token");
    assert_ne!(other, token);
    store.set(Mood::Works);
    assert_eq!(cache(&server, &store.into()).token().await.expect("a token"), other, "what took its place");
    assert_eq!(requests(&server), 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_half_a_second_once_and_not_for_each_token() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    store.set(Mood::Hangs);
    let shared = SharedStore::new(store.clone());
    let began = Instant::now();
    cache(&server, &shared).token().await.expect("a token");
    assert_eq!(began.elapsed(), Duration::from_millis(500));
    for _ in 0..100 {
        let began = Instant::now();
        cache(&server, &shared).token().await.expect("a token");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
    assert_eq!(store.calls().len(), 1);
    // It is asked again, more and more rarely: about once in ten seconds.
    for _ in 0..600 {
        sleep(s(1)).await;
        cache(&server, &shared).token().await.expect("a token");
    }
    let calls = store.calls().len();
    assert!((50..90).contains(&calls), "{calls} calls in ten minutes");
    // And it helps again soon after it works again.
    store.set(Mood::Works);
    sleep(s(10)).await;
    let asked = requests(&server);
    let tokens = [cache(&server, &shared).token().await, cache(&server, &shared).token().await];
    assert_eq!(tokens[0].as_ref().expect("a token"), tokens[1].as_ref().expect("a token"));
    assert_eq!(requests(&server), asked + 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_warning_however_many_tokens_it_concerns() {
    let server = TestServer::builder().build();
    let store = TestStore::new();
    let shared = SharedStore::new(store.clone());
    let captured = Capture::start();
    let warnings = || captured.lines().iter().filter(|line| line.starts_with("WARN") && line.contains("store")).count();
    // It flaps: what is loaded works, what is saved fails.
    store.set_each(|call| if call == Call::Replace { Mood::Fails } else { Mood::Works });
    for _ in 0..50 {
        cache(&server, &shared).token().await.expect("a token");
        sleep(s(3)).await;
    }
    assert_eq!(warnings(), 1);
    store.set(Mood::Works);
    for _ in 0..50 {
        cache(&server, &shared).token().await.expect("a token");
        sleep(s(3)).await;
    }
    store.set(Mood::Fails);
    for _ in 0..50 {
        cache(&server, &shared).token().await.expect("a token");
        sleep(s(3)).await;
    }
    assert_eq!(warnings(), 2, "another outage");
}

#[tokio::test(start_paused = true)]
async fn t3_all_of_it_ends_within_the_exchanges_deadline() {
    for mood in [Mood::Hangs, Mood::Works] {
        let server = TestServer::builder().build();
        server.token_faults().push_forever(Fault::Hang);
        let store = TestStore::new();
        store.set(mood);
        let tokens = cache(&server, &store.into());
        let began = Instant::now();
        let error = tokens.token().await.expect_err("a server that hangs");
        assert!(error.is_transient());
        assert!(began.elapsed() <= s(10), "{mood:?}: {:?}", began.elapsed());
    }
}

/// What the exchange brought at the last moment is not lost to a store that hangs then.
#[tokio::test(start_paused = true)]
async fn a_token_at_the_last_moment_is_not_lost_to_a_store_that_hangs() {
    let server = TestServer::builder().build();
    server.token_faults().push(2, Fault::Delay(Duration::from_millis(4_900)));
    server.token_faults().push(1, Fault::Delay(Duration::from_millis(1)));
    let store = TestStore::new();
    store.set_each(|call| if call == Call::Replace { Mood::Hangs } else { Mood::Works });
    let tokens = cache(&server, &store.into());
    tokens.token().await.expect("a token");
}
