//! The authorization server is down: the requests to it are bounded, and what is valid serves on.

use std::time::Duration;

use futures_util::FutureExt;
use http::StatusCode;
use oauth_test_server::{Fault, TestServer};
use oauth_tokens::{Error, TokenCache};
use tests::source::{Answer, Source, settle, tokens};
use tokio::time::{Instant, advance};

use super::{HOUR, TICK, cache_of, ms, s};

const API: &str = "https://api.test";

/// Calls a hundred times, ten times a second.
async fn load(cache: &TokenCache, during: Duration) {
    let began = Instant::now();
    while began.elapsed() < during {
        for _ in 0..100 {
            // Most meet a remembered error; the first begins an exchange, which the time that passes ends.
            let _ = cache.token().now_or_never();
        }
        advance(ms(100)).await;
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn f7_while_the_server_is_down_ten_minutes_of_load_make_few_requests() {
    // (how it is down, at most so many exchanges in 600 s, requests for each)
    let cases = [
        // 0.75, 1.5, 3, 6 s, then at least 7.5 s between exchanges.
        (Fault::Status(StatusCode::INTERNAL_SERVER_ERROR), 5 + 80, 3),
        (Fault::Disconnect, 5 + 80, 3),
        (Fault::Html(StatusCode::FORBIDDEN), 5 + 80, 1),
        (Fault::Garbage, 5 + 80, 1),
        (Fault::oauth_error("temporarily_unavailable"), 5 + 80, 1),
        // 22.5, 45, 90, 180 s, then 225 s.
        (Fault::oauth_error("invalid_client"), 6, 1),
        (Fault::StatusWithRetryAfter(StatusCode::SERVICE_UNAVAILABLE, "60".to_owned()), 11, 1),
        // Each exchange takes its 10 s, with two attempts of 5 s.
        (Fault::Hang, 600 / 10, 2),
    ];
    for (fault, exchanges, each) in cases {
        let server = TestServer::builder().keep_requests(0).build();
        server.token_faults().push_forever(fault.clone());
        let cache = cache_of(&server);
        load(&cache, s(600)).await;
        let requests = server.counters().token_requests;
        assert!(requests <= exchanges * each, "{fault:?}: {requests} requests");
        assert!(requests >= 3, "{fault:?}: {requests} requests: it is tried again");
        // Back up again, it is noticed within the longest pause.
        server.token_faults().clear();
        for _ in 0..2 {
            advance(s(300)).await;
            settle().await;
        }
        cache.token().await.expect("a token");
    }
}

/// F7, with the rejections of several origins on top: what is remembered holds for all.
#[tokio::test(start_paused = true)]
async fn f7_rejections_while_the_server_is_down_make_no_more_requests_than_calls() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let dead = cache.token().await.expect("a token");
    source.follow(|_| Answer::Now(Err(Error::source_failed("down"))));
    for _ in 0..6000 {
        for origin in ["https://a.test", "https://b.test", "https://c.test"] {
            assert!(cache.renew_for(origin, &dead).await.is_err());
        }
        advance(ms(100)).await;
    }
    assert!((30..=1 + 85).contains(&source.fetches()), "{} fetches in ten minutes", source.fetches());
    // A failure says nothing of the origin: back up again, none is held.
    source.follow(|number| Answer::Now(Ok(tokens(&format!("token-{number}"), Some(HOUR)))));
    advance(s(10)).await;
    cache.renew_for("https://a.test", &dead).await.expect("another token");
}

#[tokio::test(start_paused = true)]
async fn f8_failing_renewals_fail_no_request_up_to_the_very_expiry() {
    for lifetime in [s(1), s(5), s(60), HOUR] {
        let source = Source::issuing(Some(lifetime));
        let cache = source.cache();
        let token = cache.token().await.expect("a token");
        source.follow(|_| Answer::Now(Err(Error::source_failed("down"))));
        let expiry = Instant::now() + lifetime;
        advance(cache.status().refresh_in.expect("a token")).await;
        while Instant::now() < expiry - TICK {
            if cache.status().usable {
                assert_eq!(cache.token().now_or_never().expect("at once").expect("a token"), token);
            } else {
                // In the skew a call waits for the renewal; when it fails, the token serves all the same.
                assert_eq!(cache.token().await.expect("not expired yet"), token, "{lifetime:?}");
            }
            settle().await;
            advance((lifetime / 500).min(expiry - TICK - Instant::now())).await;
        }
        assert_eq!(cache.token().await.expect("the last tick"), token, "{lifetime:?}");
        assert!(source.fetches() > 1, "{lifetime:?}: it was tried");
        advance(TICK).await;
        assert_eq!(cache.token().await.expect_err("expired").to_string(), "down", "{lifetime:?}");
    }
}

/// The same when the server does not say no, but nothing at all.
#[tokio::test(start_paused = true)]
async fn f8_renewals_that_hang_fail_no_request_up_to_the_very_expiry() {
    for lifetime in [s(60), HOUR] {
        let source = Source::issuing(Some(lifetime));
        let cache = source.cache();
        let token = cache.token().await.expect("a token");
        source.follow(|_| Answer::Never);
        let expiry = Instant::now() + lifetime;
        advance(cache.status().expires_in.expect("a lifetime")).await;
        let served = cache.token().await;
        assert_eq!(served.expect("it was valid when it was asked for"), token, "{lifetime:?}");
        assert!(Instant::now() < expiry, "{lifetime:?}: handed out too late to be of use");
    }
}

/// Full jitter over all that is left of the token, half an hour at most: neither in step, nor ever in a hurry.
#[tokio::test(start_paused = true)]
async fn f7_background_renewals_are_spread_over_what_is_left_of_the_token() {
    const STEP: Duration = s(1);
    let fleet: Vec<(Source, TokenCache)> = (0..200)
        .map(|_| {
            let source = Source::issuing(Some(s(86400)));
            let cache = source.cache();
            (source, cache)
        })
        .collect();
    for (source, cache) in &fleet {
        cache.ready().await.expect("a token");
        source.follow(|_| Answer::Now(Err(Error::source_failed("down"))));
    }
    // In the window of each, with 3140 s to go.
    advance(s(83_250)).await;
    for _ in 0..3139 {
        for (_, cache) in &fleet {
            assert!(cache.cached().is_some());
        }
        advance(STEP).await;
    }
    let gaps: Vec<Duration> = fleet
        .iter()
        .map(|(source, _)| {
            let begun = source.begun();
            begun[2] - begun[1]
        })
        .collect();
    let (least, most) = (*gaps.iter().min().expect("some"), *gaps.iter().max().expect("some"));
    assert!(most <= s(1800) + STEP, "{most:?}");
    assert!(least < s(180) && most > s(1620), "{least:?} to {most:?}");
    let tries = fleet.iter().map(|(source, _)| source.fetches() - 1);
    let (least, most) = (tries.clone().min().expect("some"), tries.max().expect("some"));
    // About the logarithm of the time that was left, in steps.
    assert!(least >= 2 && most <= 25, "{least} to {most} tries");
}

/// A permanent error is not asked about every few seconds in the window, either.
#[tokio::test(start_paused = true)]
async fn f7_a_permanent_error_in_the_window_is_tried_rarely() {
    let refused = super::refusal(Fault::oauth_error("invalid_client")).await;
    let source = Source::issuing(Some(s(86400)));
    let cache = source.cache();
    cache.ready().await.expect("a token");
    source.follow(move |_| Answer::Now(Err(refused.clone())));
    advance(s(86100)).await;
    for _ in 0..280 {
        assert!(cache.cached().is_some());
        advance(s(1)).await;
    }
    // At 0, then after 22.5 to 30 s, 45 to 60 s, 90 to 120 s.
    assert!((4..=5).contains(&source.fetches()), "{} fetches", source.fetches());
    assert!(cache.renew_for(API, &cache.cached().expect("a token")).await.is_err());
}

/// A source of one's own says what it knows: that waiting is no use, or how long the server asked to wait.
#[tokio::test(start_paused = true)]
async fn f7_a_sources_own_word_on_when_to_ask_again_counts() {
    type Case = (fn() -> Error, Duration, Duration);
    let cases: [Case; 4] = [
        (|| Error::source_failed("no"), ms(700), s(1)),
        (|| Error::source_failed("no").permanent(), s(22), s(30)),
        (|| Error::source_failed("no").wait_at_least(s(60)), s(59), s(75)),
        (|| Error::source_failed("no").wait_at_least(s(86400)), s(299), s(375)),
    ];
    for (number, (error, early, late)) in cases.into_iter().enumerate() {
        let source = Source::scripted(move |_| Answer::Now(Err(error())));
        let cache = source.cache();
        assert_eq!(cache.token().await.expect_err("no").is_transient(), number != 1);
        advance(early).await;
        assert!(cache.token().await.is_err());
        assert_eq!(source.fetches(), 1, "case {number}: not yet");
        advance(late - early).await;
        assert!(cache.token().await.is_err());
        assert_eq!(source.fetches(), 2, "case {number}: due");
    }
}
