//! T10 and S2: rotated refresh tokens are saved before they are used, and none is lost, whatever the store does.

use std::time::Duration;

use oauth_test_server::Fault;
use oauth_tokens::{ErrorKind, UserTokens};
use tests::{
    canned::{Canned, json},
    store::{Call, Mood, TestStore},
};
use tokio::time::{Instant, advance, sleep};

use super::{HOUR, process, requests, s, server, signed_in, user};

/// A rotated refresh token that could not be saved: no access token is used, nothing is exchanged, and it is saved later.
#[tokio::test(start_paused = true)]
async fn t10_an_unsaved_refresh_token_is_kept_and_saved_before_the_next_exchange() {
    for mood in [Mood::Fails, Mood::Hangs, Mood::IsLost, Mood::Panics] {
        for outage in [s(3), s(600)] {
            let server = server();
            let store = TestStore::new();
            let users = process(&server, &store).capacity(1);
            users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
            store.set_each(move |call| if call == Call::Replace { mood } else { Mood::Works });
            let renewed = users.token(&user("alice")).await;
            if mood != Mood::IsLost {
                let error = renewed.expect_err("not saved");
                assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Store, true), "{mood:?}");
            }
            // Other users take her place in the pool, and what she has is kept all the same.
            assert!(users.token(&user("bob")).await.is_err());
            sleep(outage).await;
            let _ = users.token(&user("alice")).await;
            assert_eq!(requests(&server), 1, "{mood:?}: no exchange before it is saved");
            store.set(Mood::Works);
            sleep(s(12)).await;
            let token = users.token(&user("alice")).await.unwrap_or_else(|error| panic!("{mood:?}: {error}"));
            if outage < s(60) {
                assert_eq!(requests(&server), 1, "{mood:?}: the access token that came with it");
                assert_eq!(process(&server, &store).token(&user("alice")).await.expect("a token"), token);
            }
            advance(HOUR).await;
            process(&server, &store).token(&user("alice")).await.expect("renewed elsewhere");
            assert_eq!(server.counters().refresh_reuse_detected, 0, "{mood:?}");
        }
    }
}

/// Saving goes on by itself: another process is not to come upon the old refresh token.
#[tokio::test(start_paused = true)]
async fn t10_saving_goes_on_when_nobody_asks() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    store.set_each(|call| if call == Call::Replace { Mood::Fails } else { Mood::Works });
    users.token(&user("alice")).await.expect_err("not saved");
    // The lease is kept meanwhile.
    let elsewhere = process(&server, &store).token(&user("alice")).await.expect_err("somebody else's");
    assert_eq!((elsewhere.kind(), elsewhere.is_transient()), (ErrorKind::Store, true));
    store.set(Mood::Works);
    sleep(s(2)).await;
    process(&server, &store).token(&user("alice")).await.expect("what was saved");
    assert_eq!((requests(&server), server.counters().refresh_reuse_detected), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn t10_the_old_one_is_kept_when_none_comes_back() {
    let answer = r#"{"access_token":"a","token_type":"Bearer","expires_in":60}"#;
    let canned = Canned::always(json(200, answer));
    let client = oauth_tokens::AuthorizationServer::via(canned.http())
        .token_endpoint("https://id.test/token")
        .and_then(|server| server.client("app", oauth_tokens::ClientAuth::none()))
        .expect("a client");
    let users = UserTokens::new(client).resource("https://api.test/");
    let server = server();
    let mut tokens = signed_in(&server, None);
    tokens.refresh_token = Some("r1".to_owned().into());
    users.sign_in(&user("alice"), tokens).await.expect("saved");
    for _ in 0..3 {
        users.token(&user("alice")).await.expect("a token");
        advance(s(60)).await;
    }
    let expected = "grant_type=refresh_token&refresh_token=r1&resource=https%3A%2F%2Fapi.test%2F&client_id=app";
    assert_eq!(canned.bodies(), [expected; 3]);
}

/// A store that fails is no reason to redeem a refresh token: what is valid serves, else the error is transient.
#[tokio::test(start_paused = true)]
async fn s2_without_the_lease_nothing_is_redeemed() {
    for failing in [Call::Load, Call::Lease] {
        for mood in [Mood::Fails, Mood::Hangs, Mood::Panics] {
            let server = server();
            let store = TestStore::new();
            let users = process(&server, &store);
            let tokens = signed_in(&server, Some(HOUR));
            let first = tokens.access_token.clone();
            users.sign_in(&user("alice"), tokens).await.expect("saved");
            assert_eq!(users.token(&user("alice")).await.expect("a token"), first);
            store.set_each(move |call| if call == failing { mood } else { Mood::Works });
            advance(HOUR - s(60)).await;
            for _ in 0..20 {
                assert_eq!(users.token(&user("alice")).await.expect("what is valid"), first, "{failing:?} {mood:?}");
                sleep(s(2)).await;
            }
            if failing == Call::Lease {
                let cold = process(&server, &store).token(&user("alice")).await.expect("what is valid in the store");
                assert_eq!(cold, first);
            }
            advance(s(60)).await;
            let error = users.token(&user("alice")).await.expect_err("nothing valid");
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Store, true), "{failing:?} {mood:?}");
            assert_eq!(requests(&server), 0);
            store.set(Mood::Works);
            sleep(s(30)).await;
            users.token(&user("alice")).await.expect("a token");
        }
    }
}

/// Whoever waits may be dropped: the renewal goes on, and what it rotated is saved.
#[tokio::test(start_paused = true)]
async fn t10_a_renewal_belongs_to_nobody() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    server.token_faults().push(1, Fault::Delay(s(8)));
    let waiting = tokio::time::timeout(s(1), users.token(&user("alice"))).await;
    assert!(waiting.is_err());
    drop(users);
    sleep(s(10)).await;
    let began = Instant::now();
    process(&server, &store).token(&user("alice")).await.expect("a token");
    assert!(began.elapsed() < Duration::from_millis(10));
    assert_eq!((requests(&server), server.counters().refresh_reuse_detected), (1, 0));
}

/// An older record, which a store may come back with, holds a refresh token that was used already.
#[tokio::test(start_paused = true)]
async fn s2_an_older_record_is_not_redeemed_again() {
    use oauth_tokens::TokenStore as _;

    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    let key = store.keys()[0].clone();
    let old = store.memory().load(&key).await.expect("a store").expect("a record");
    users.token(&user("alice")).await.expect("a token");
    let new = store.memory().load(&key).await.expect("a store").expect("a record");
    assert!(store.memory().delete(&key, new.version).await.expect("a store"));
    assert!(store.memory().replace(&key, None, &old).await.expect("a store"));
    advance(HOUR).await;
    assert_eq!(users.token(&user("alice")).await.expect_err("lost").kind(), ErrorKind::SignInRequired);
    assert_eq!((requests(&server), server.counters().refresh_reuse_detected), (1, 0));
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    users.token(&user("alice")).await.expect("signed in again");
}

/// Somebody else had the lease for long, and the exchange ends after everybody's patience: what it rotated is saved all the same.
#[tokio::test(start_paused = true)]
async fn t10_a_renewal_that_outlasts_its_cache_is_saved() {
    use oauth_tokens::TokenStore as _;

    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    let key = store.keys()[0].clone();
    let lease = store.memory().lease(&key, s(8)).await.expect("a store");
    assert!(lease.is_some());
    server.token_faults().push(1, Fault::Delay(s(5)));
    let error = users.token(&user("alice")).await.expect_err("too late");
    assert!(error.is_transient(), "{error}");
    sleep(s(5)).await;
    process(&server, &store).token(&user("alice")).await.expect("what was saved");
    assert_eq!((requests(&server), server.counters().refresh_reuse_detected), (1, 0));
}

/// To sign out fails with the store: the refresh token that only this process has is kept, since nothing is forgotten.
#[tokio::test(start_paused = true)]
async fn t10_a_sign_out_that_fails_loses_no_rotated_refresh_token() {
    for failing in [Call::Load, Call::Delete] {
        let server = server();
        let store = TestStore::new();
        let users = process(&server, &store);
        users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
        store.set_each(|call| if call == Call::Replace { Mood::Fails } else { Mood::Works });
        users.token(&user("alice")).await.expect_err("not saved");
        store.set_each(move |call| if [Call::Replace, failing].contains(&call) { Mood::Fails } else { Mood::Works });
        assert_eq!(users.forget(&user("alice")).await.expect_err("not deleted").kind(), ErrorKind::Store);
        store.set(Mood::Works);
        sleep(s(20)).await;
        users.token(&user("alice")).await.expect("still signed in");
        assert_eq!((requests(&server), server.counters().refresh_reuse_detected), (1, 0), "{failing:?}");
    }
}

/// Saving does not end before the outage does, and then nobody has to ask for it.
#[tokio::test(start_paused = true)]
async fn t10_saving_outlasts_a_long_outage() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    store.set_each(|call| if call == Call::Replace { Mood::Fails } else { Mood::Works });
    users.token(&user("alice")).await.expect_err("not saved");
    sleep(2 * HOUR).await;
    let tried = store.count(Call::Replace);
    sleep(s(300)).await;
    let more = store.count(Call::Replace) - tried;
    assert!((5..=20).contains(&more), "{more} times in 300 s: one task, and not often");
    store.set(Mood::Works);
    sleep(s(31)).await;
    process(&server, &store).token(&user("alice")).await.expect("renewed elsewhere");
    assert_eq!(server.counters().refresh_reuse_detected, 0);
}

/// As many as are kept at most: they were given up by none, so renewals go on when the store works.
#[tokio::test(start_paused = true)]
async fn t10_users_who_never_come_back_do_not_stop_renewals_for_good() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    let names: Vec<String> = (0..1_001).map(|number| format!("user {number}")).collect();
    for name in &names {
        users.sign_in(name, signed_in(&server, None)).await.expect("saved");
    }
    store.set_each(|call| if call == Call::Replace { Mood::Fails } else { Mood::Works });
    for name in &names[..1_000] {
        users.token(name).await.expect_err("not saved");
    }
    let error = users.token(&names[1_000]).await.expect_err("too many");
    assert!(error.to_string().contains("too many"), "{error}");
    sleep(s(600)).await;
    store.set(Mood::Works);
    sleep(s(31)).await;
    users.token(&names[1_000]).await.expect("there is room again");
    assert_eq!(server.counters().refresh_reuse_detected, 0);
}

/// What is older than any sign-in is not saved any more.
#[tokio::test(start_paused = true)]
async fn saving_ends_when_the_sign_in_is_too_old() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store).idle(s(600));
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    store.set_each(|call| if call == Call::Replace { Mood::Fails } else { Mood::Works });
    users.token(&user("alice")).await.expect_err("not saved");
    sleep(s(700)).await;
    let tried = store.count(Call::Replace);
    sleep(HOUR).await;
    assert_eq!(store.count(Call::Replace), tried);
}

/// Nor when nobody has the users any more: a minute later, nothing runs on behind them.
#[tokio::test(start_paused = true)]
async fn saving_ends_a_minute_after_the_last_clone() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    store.set_each(|call| if call == Call::Replace { Mood::Fails } else { Mood::Works });
    users.token(&user("alice")).await.expect_err("not saved");
    drop(users);
    let tried = store.count(Call::Replace);
    sleep(s(100)).await;
    let minute = store.count(Call::Replace);
    assert!(minute > tried + 30, "{minute}");
    sleep(HOUR).await;
    assert_eq!(store.count(Call::Replace), minute);
}

/// Two caches of a user in one process: the second one waited for the lease while the first one's renewal could not be saved.
#[tokio::test(start_paused = true)]
async fn t10_a_waiting_cache_does_not_redeem_what_was_rotated_and_not_saved() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    store.set_each(|call| if call == Call::Replace { Mood::Fails } else { Mood::Works });
    server.token_faults().push(1, Fault::Delay(s(8)));
    let first = users.get(&user("alice")).expect("a cache");
    users.pool().forget(&user("alice"));
    let second = users.get(&user("alice")).expect("another cache");
    assert!(!first.is_clone_of(&second));
    let first = tokio::spawn(async move { first.token().await });
    sleep(Duration::from_millis(7_600)).await;
    second.token().await.expect_err("not saved");
    first.await.expect("no panic").expect_err("not saved");
    sleep(s(20)).await;
    assert_eq!((requests(&server), server.counters().refresh_reuse_detected), (1, 0));
    assert!(store.count(Call::Lease) > 10, "it waited");
    store.set(Mood::Works);
    sleep(s(30)).await;
    users.token(&user("alice")).await.expect("saved by now");
    assert_eq!((requests(&server), server.counters().refresh_reuse_detected), (1, 0));
}
