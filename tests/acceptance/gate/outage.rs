//! The server is down, and thousands of keys want tokens.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use http::StatusCode;
use oauth_tokens::{ErrorKind, TokenCache};
use tests::{canned, source::settle};
use tokio::time::{Instant, advance, sleep};

use super::{Mood, Server, caches_of, ms, s, too_large, unavailable};

const KEYS: usize = 10_000;
/// Enough to show the rest.
const FEWER: usize = 3000;

/// Every key calls once a second.
async fn load(caches: &[TokenCache], during: Duration) {
    let began = Instant::now();
    while began.elapsed() < during {
        for cache in caches {
            let _ = cache.token().now_or_never();
        }
        for _ in 0..4 {
            settle().await;
            advance(ms(250)).await;
        }
        settle().await;
    }
}

/// F15, F7: whatever the load, and however the server is down, it is asked a few times.
#[tokio::test(start_paused = true)]
async fn f15_ten_thousand_keys_on_a_dead_server_make_few_requests() {
    // (keys, how it is down, at most so many requests before that is known, at most so many in the 20 s from then on)
    let cases = [
        // 15 attempts, and those that began meanwhile; then probes every 2.5 s on average: 30 would be an odd chance.
        (KEYS, unavailable(None), 15 + 64, 30),
        (FEWER, Mood::Answers(canned::status(StatusCode::REQUEST_TIMEOUT)), 5 + 64, 30),
        (FEWER, too_large(StatusCode::INTERNAL_SERVER_ERROR), 15 + 64, 30),
        (FEWER, Mood::Answers(canned::json(400, r#"{"error":"temporarily_unavailable"}"#)), 5 + 64, 30),
        (FEWER, unavailable(Some("60")), 5 + 64, 0),
        // Each probe takes its 5 s besides.
        (KEYS, Mood::Hangs, 64, 64 + 4),
    ];
    for (keys, mood, at_first, later) in cases {
        let server = Server::new(mood.clone());
        let caches = caches_of(&server.client(), keys);
        load(&caches, s(2)).await;
        let first = server.requests();
        assert!(first <= at_first && first > 0, "{mood:?}: {first} requests at first");
        // A thousand of them go on for long enough.
        load(&caches[..1000], s(20)).await;
        let then = server.requests() - first;
        assert!(then <= later, "{mood:?}: {then} requests in 20 s");
        assert!(then > 0 || later == 0, "{mood:?}: it is asked now and then");
        assert!(server.most_under_way() <= 64, "{mood:?}");
    }
}

/// Up again, everybody has a token soon, and the server has not more to bear at once than ever.
#[tokio::test(start_paused = true)]
async fn f15_after_the_outage_all_get_tokens_without_a_stampede() {
    // (how it was down, how long the next probe may take to begin)
    let cases = [
        (unavailable(None), s(5)),
        (unavailable(Some("6")), s(6)),
        // One that hangs on, which is pause enough.
        (Mood::Hangs, s(5)),
    ];
    for (mood, probed) in cases {
        let server = Server::new(mood.clone());
        let caches = caches_of(&server.client(), FEWER);
        load(&caches, s(30)).await;
        let before = server.requests();
        server.is(Mood::Well(ms(20)));
        let began = Instant::now();
        let mut waited = join_all(caches.iter().map(|cache| async {
            while cache.token().await.is_err() {
                sleep(ms(100)).await;
            }
            began.elapsed()
        }))
        .await;
        waited.sort();
        // Whoever was refused remembers that for a second at most, however long the outage; then it is 64 every 20 ms.
        let nearly_all = waited[FEWER * 99 / 100];
        assert!(nearly_all < probed + s(1) + s(1), "{mood:?}: {nearly_all:?}");
        // Those few that the server was asked for in vain, again and again, have a back-off of their own.
        let all = waited[FEWER - 1];
        assert!(all < probed.max(s(10)) + s(1), "{mood:?}: {all:?}");
        assert_eq!(server.requests() - before, FEWER, "{mood:?}: one request for each");
        assert!(server.most_under_way() <= 64, "{mood:?}");
    }
}

/// What those are told who are not let through: typed, transient, in words of their own, and at once.
#[tokio::test(start_paused = true)]
async fn f15_whoever_is_not_let_through_is_told_why_at_once() {
    let secret_of_another = "the account of alice@example.com is locked";
    let body = format!(r#"{{"error":"server_error","error_description":"{secret_of_another}"}}"#);
    let server = Server::new(Mood::Answers(canned::json(500, body)));
    let client = server.client();
    assert!(join_all(caches_of(&client, 5).iter().map(|cache| cache.token())).await.iter().all(Result::is_err));
    let requests = server.requests();
    assert_eq!(requests, 15);

    let began = Instant::now();
    let error = caches_of(&client, 1)[0].token().await.expect_err("not let through");
    assert_eq!((server.requests(), began.elapsed()), (requests, s(0)));
    assert_eq!(error.kind(), ErrorKind::ServerUnavailable);
    assert!(error.is_transient() && error.retry_after().is_none());
    assert!(error.oauth().is_none() && error.status().is_none(), "that was another's answer");
    let shown = tests::support::shown(&error);
    assert!(shown.contains("HTTP 500") && shown.contains("https://id.test/token"), "{shown}");
    assert!(!shown.contains("alice"), "{shown}");
}

/// F6: an exchange that was under way keeps what the server said to it.
#[tokio::test(start_paused = true)]
async fn f15_an_exchange_that_is_not_let_through_again_ends_with_its_own_error() {
    let server = Server::new(unavailable(None));
    let caches = caches_of(&server.client(), 15);
    for ended in join_all(caches.iter().map(|cache| cache.token())).await {
        let error = ended.expect_err("down");
        assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE), "{error}");
    }
    assert!(server.requests() < 25, "{} requests: one each, and a few probes within 300 ms", server.requests());
}

/// A server that asked to be left alone is, by all.
#[tokio::test(start_paused = true)]
async fn t11_all_keys_heed_what_the_server_asked_a_few() {
    let until = s(120);
    let server = Server::new(unavailable(Some("120")));
    let client = server.client();
    join_all(caches_of(&client, 5).iter().map(|cache| cache.token())).await;
    assert_eq!(server.requests(), 5);
    let began = Instant::now();
    server.is(Mood::Well(s(0)));
    let error = caches_of(&client, 1)[0].token().await.expect_err("not let through");
    assert_eq!(error.retry_after(), Some(until));
    advance(until - ms(1)).await;
    assert!(caches_of(&client, 1)[0].token().await.is_err());
    assert_eq!(server.requests(), 5);
    advance(ms(1)).await;
    caches_of(&client, 1)[0].token().await.expect("a token");
    assert_eq!(began.elapsed(), until);
}
