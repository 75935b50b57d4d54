//! Users who come to any process of a fleet.

use futures_util::future::join_all;
use oauth_test_server::Fault;
use oauth_tokens::{ErrorKind, TokenStore, UserTokens};
use tests::store::TestStore;
use tokio::time::{Instant, advance, sleep};

use super::{HOUR, process, requests, s, server, signed_in, user};

#[tokio::test(start_paused = true)]
async fn one_process_renews_a_users_tokens_at_a_time() {
    let server = server();
    server.token_faults().push_forever(Fault::Delay(s(2)));
    let store = TestStore::new();
    let fleet: Vec<UserTokens<String>> = (0..8).map(|_| process(&server, &store)).collect();
    let names: Vec<String> = (0..20).map(|number| format!("user {number}")).collect();
    for name in &names {
        fleet[0].sign_in(name, signed_in(&server, None)).await.expect("saved");
    }
    for lifetime in 1..=3 {
        let everybody = fleet.iter().flat_map(|users| names.iter().map(move |name| users.token(name)));
        let tokens: Vec<_> = join_all(everybody).await.into_iter().map(|token| token.expect("a token")).collect();
        for (number, token) in tokens.iter().enumerate() {
            assert_eq!(*token, tokens[number % names.len()], "one token for each user, in all processes");
        }
        assert_eq!(requests(&server), lifetime * names.len() as u64);
        advance(HOUR).await;
    }
    assert_eq!(server.counters().refresh_reuse_detected, 0);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_renewed_once_for_all() {
    let server = server();
    server.token_faults().push_forever(Fault::Delay(s(2)));
    let store = TestStore::new();
    let fleet: Vec<UserTokens<String>> = (0..8).map(|_| process(&server, &store)).collect();
    let tokens = signed_in(&server, Some(HOUR));
    let dead = tokens.access_token.clone();
    fleet[0].sign_in(&user("alice"), tokens).await.expect("saved");
    let renewals = fleet.iter().map(async |users| {
        let cache = users.get(&user("alice"))?;
        let token = cache.token().await?;
        cache.renew(&token).await
    });
    for renewed in join_all(renewals).await {
        assert_ne!(renewed.expect("another"), dead);
    }
    assert_eq!((requests(&server), server.counters().refresh_reuse_detected), (1, 0));
}

/// S3: also when renewing it fails.
#[tokio::test(start_paused = true)]
async fn s3_a_rejected_token_is_not_read_back_when_it_cannot_be_renewed() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    let tokens = signed_in(&server, Some(HOUR));
    let dead = tokens.access_token.clone();
    users.sign_in(&user("alice"), tokens).await.expect("saved");
    let cache = users.get(&user("alice")).expect("a cache");
    cache.token().await.expect("a token");
    server.token_faults().push_forever(Fault::oauth_error("temporarily_unavailable"));
    cache.renew(&dead).await.expect_err("the server is down");
    process(&server, &store).token(&user("alice")).await.expect_err("not the rejected one");
    server.token_faults().clear();
    let token = process(&server, &store).token(&user("alice")).await.expect("a token");
    assert_ne!(token, dead);
    assert_eq!(server.counters().refresh_reuse_detected, 0);
}

/// A process that ended with the lease in hand: the others wait for it to end, and serve what is valid meanwhile.
#[tokio::test(start_paused = true)]
async fn a_lease_that_nobody_gives_back_ends_by_itself() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    let key = store.keys()[0].clone();
    assert!(store.memory().lease(&key, s(16)).await.expect("a store").is_some());
    let began = Instant::now();
    let error = users.token(&user("alice")).await.expect_err("somebody else renews");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Store, true));
    assert!((s(9)..=s(10)).contains(&began.elapsed()), "{:?}", began.elapsed());
    sleep(s(9)).await;
    users.token(&user("alice")).await.expect("a token");
    assert_eq!((requests(&server), server.counters().refresh_reuse_detected), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_of_one_user_are_one_renewal() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    let name = user("alice");
    for token in join_all((0..10_000).map(|_| users.token(&name))).await {
        token.expect("a token");
    }
    assert_eq!(requests(&server), 1);
}
