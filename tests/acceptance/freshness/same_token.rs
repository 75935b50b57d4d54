//! F9: an answer with the same token as before is not a renewal.

use std::time::Duration;

use oauth_tokens::{ErrorKind, TokenCache};
use tests::source::{Answer, Source, settle, tokens};
use tokio::time::{Instant, advance};

use super::{HOUR, s};

const API: &str = "https://api.test";

/// A server that hands out one token for an hour at a time, and says each time how long it has left.
fn caching_server() -> Source {
    let mut issued: Option<(Instant, usize)> = None;
    Source::scripted(move |number| {
        let now = Instant::now();
        let (since, name) = match issued {
            Some((since, name)) if now - since < HOUR => (since, name),
            _ => *issued.insert((now, number)),
        };
        Answer::Now(Ok(tokens(&format!("token-{name}"), Some(HOUR - (now - since)))))
    })
}

#[tokio::test(start_paused = true)]
async fn f9_in_the_window_the_same_token_changes_nothing_and_is_asked_for_rarely() {
    let source = caching_server();
    let cache = source.cache();
    let token = cache.token().await.expect("a token");
    let until = Instant::now() + s(3590);
    advance(cache.status().refresh_in.expect("a token")).await;
    while Instant::now() < until {
        assert_eq!(cache.cached().as_ref(), Some(&token));
        assert_eq!(cache.status().renewals, 1, "that was no renewal");
        assert_eq!(cache.status().expires_in, Some(until - Instant::now()), "the expiry stays");
        advance(Duration::from_millis(500)).await;
    }
    // Full jitter over what is left, at most 2740 s: some ten. Without a pause there would be 5000.
    assert!((3..40).contains(&source.fetches()), "{} fetches", source.fetches());
    assert!(cache.status().last_error.is_none(), "nor is it an error");
}

/// Down to its last second the token is served as the server hands it out, and then the new one: no error in between.
#[tokio::test(start_paused = true)]
async fn f9_a_server_that_hands_out_a_token_to_its_very_end_loses_no_request() {
    let source = caching_server();
    let cache = source.cache();
    let began = Instant::now();
    let mut errors = 0;
    while began.elapsed() < 5 * HOUR {
        errors += usize::from(cache.token().await.is_err());
        advance(s(1)).await;
    }
    assert_eq!(errors, 0);
    assert!(source.fetches() < 5 * 100, "{} fetches", source.fetches());
}

#[tokio::test(start_paused = true)]
async fn f9_at_expiry_the_same_token_counts_if_the_server_gives_it_a_new_life() {
    let source = Source::scripted(|_| Answer::Now(Ok(tokens("t", Some(s(60))))));
    let cache = source.cache();
    let token = cache.token().await.expect("a token");
    advance(s(57)).await;
    assert!(cache.cached().is_none());
    assert_eq!(cache.token().await.expect("the server says that it lives"), token);
    assert_eq!(cache.status().expires_in, Some(s(57)));
    assert_eq!(source.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn f9_after_a_rejection_the_same_token_is_an_error_and_not_asked_for_again_at_once() {
    let source = Source::scripted(|_| Answer::Now(Ok(tokens("t", Some(HOUR)))));
    let cache = source.cache();
    let rejected = cache.token().await.expect("a token");
    let error = cache.renew_for(API, &rejected).await.expect_err("no other token");
    assert_eq!(error.kind(), ErrorKind::SameToken);
    assert!(error.is_transient());
    assert_eq!(source.fetches(), 2);
    for _ in 0..100 {
        assert!(cache.renew_for(API, &rejected).await.is_err());
        assert!(cache.cached().is_some(), "others may fare better with it");
    }
    assert_eq!(source.fetches(), 2);
    assert_eq!(cache.status().renewals, 1);
}

/// Over an hour of rejections: 5 s, 10 s, 20 s, ... 5 minutes between attempts.
#[tokio::test(start_paused = true)]
async fn f9_rejections_of_a_token_that_does_not_change_back_off() {
    let source = Source::scripted(|_| Answer::Now(Ok(tokens("t", None))));
    let cache = source.cache();
    let rejected = cache.token().await.expect("a token");
    for _ in 0..3600 {
        assert!(cache.renew_for(API, &rejected).await.is_err());
        advance(s(1)).await;
    }
    // The first; at 0, 5, 15, 35, 75, 155 and 315 s; then every 5 minutes.
    let expected = 1 + 7 + (3600 - 315) / 300;
    assert!((expected - 1..=expected + 1).contains(&source.fetches()), "{} fetches", source.fetches());
}

async fn use_for(cache: &TokenCache, during: Duration, every: Duration) {
    let began = Instant::now();
    while began.elapsed() < during {
        cache.token().await.expect("a token");
        advance(every).await;
        settle().await;
    }
}

/// A static token behind a source: hourly is often enough to look whether it has changed.
#[tokio::test(start_paused = true)]
async fn f9_the_same_token_without_a_lifetime_is_asked_for_hourly_and_not_every_few_seconds() {
    let source = Source::scripted(|_| Answer::Now(Ok(tokens("static", None))));
    let cache = source.cache();
    use_for(&cache, 10 * HOUR, s(10)).await;
    assert!(source.fetches() <= 12, "{} fetches in ten hours", source.fetches());
}

/// A `refresh_in` that comes with the same token says when to ask again, but not so late that the window is missed.
#[tokio::test(start_paused = true)]
async fn f9_with_refresh_in_the_same_token_is_asked_for_again_before_it_expires() {
    let source = Source::scripted(|_| {
        let mut tokens = tokens("t", Some(HOUR));
        tokens.refresh_in = Some(s(1800));
        Answer::Now(Ok(tokens))
    });
    let cache = source.cache();
    cache.ready().await.expect("a token");
    advance(s(3000)).await;
    assert!(cache.cached().is_some());
    settle().await;
    assert_eq!(source.fetches(), 2, "the server said: now");
    source.follow(|_| Answer::Now(Ok(tokens("new", Some(HOUR)))));
    advance(s(589)).await;
    assert!(cache.cached().is_some());
    settle().await;
    assert_eq!(source.fetches(), 3, "the last chance to renew without making anybody wait");
}
