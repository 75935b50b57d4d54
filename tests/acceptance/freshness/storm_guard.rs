//! F10, F11: when renewing does not end the 401s, it stops.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use oauth_test_server::{Fault, TestServer};
use oauth_tokens::{AccessToken, Error, ErrorKind, TokenCache};
use tests::source::{Answer, Source, settle, token, tokens};
use tokio::time::{Instant, advance};
use tower::ServiceExt;
use tower_oauth::{NotRetried, OAuthLayer, RetryOutcome};

use super::{HOUR, TICK, cache_of, ms, s};

const API: &str = "https://api.test";
const OTHER: &str = "https://other.test";

/// So long that no renewal of the window's comes in between.
const LIFETIME: Duration = s(24 * 3600);

async fn started() -> (Source, TokenCache) {
    let source = Source::issuing(Some(LIFETIME));
    let cache = source.cache();
    cache.ready().await.expect("a token");
    (source, cache)
}

/// The origin rejects the current token.
async fn reject(cache: &TokenCache, origin: &str) -> Result<AccessToken, Error> {
    cache.renew_for(origin, &cache.cached().expect("a token")).await
}

fn is_held(outcome: &Result<AccessToken, Error>) -> bool {
    matches!(outcome, Err(error) if error.kind() == ErrorKind::Held)
}

#[tokio::test(start_paused = true)]
async fn f10_a_just_renewed_token_that_is_rejected_is_held_for_5_s_up_to_5_minutes() {
    let (source, cache) = started().await;
    reject(&cache, API).await.expect("the first is renewed");
    for hold in [5, 10, 20, 40, 80, 160, 300, 300] {
        let before = source.fetches();
        let error = reject(&cache, API).await.expect_err("held at once");
        assert_eq!(error.kind(), ErrorKind::Held, "{hold}");
        assert!(error.to_string().contains(API) && error.is_transient(), "{error}");
        assert!(cache.cached().is_some(), "the token is served on");
        advance(s(hold) - TICK).await;
        assert!(is_held(&reject(&cache, API).await), "{hold}: a tick before");
        cache.renew_in_background(API, &cache.cached().expect("a token"));
        settle().await;
        assert_eq!(source.fetches(), before, "{hold}");
        advance(TICK).await;
        reject(&cache, API).await.expect("the back-off has ended");
        assert_eq!(source.fetches(), before + 1, "{hold}");
    }
}

/// The hold counts from when the renewed token could be tried, not from when it was asked for.
#[tokio::test(start_paused = true)]
async fn f10_the_hold_begins_when_the_renewal_ends() {
    let (source, cache) = started().await;
    source.follow(|_| Answer::ByHand);
    let waiter = tokio::spawn({
        let cache = cache.clone();
        async move { reject(&cache, API).await }
    });
    let fetch = source.next().await;
    advance(s(8)).await;
    fetch.answer(Ok(tokens("new", Some(LIFETIME))));
    waiter.await.expect("no panic").expect("another token");
    advance(s(5) - TICK).await;
    assert!(is_held(&reject(&cache, API).await));
}

#[tokio::test(start_paused = true)]
async fn f10_a_call_that_succeeds_with_the_new_token_releases_the_guard() {
    let (source, cache) = started().await;
    for round in 0..10 {
        reject(&cache, API).await.expect("renewed");
        assert!(is_held(&reject(&cache, API).await), "round {round}");
        cache.accepted(API, &cache.cached().expect("a token"));
    }
    assert_eq!(source.fetches(), 11);
    // Released means forgotten: the next hold is the first again.
    reject(&cache, API).await.expect("renewed");
    advance(s(5)).await;
    reject(&cache, API).await.expect("renewed");
}

#[tokio::test(start_paused = true)]
async fn f10_a_late_success_of_the_rejected_token_does_not_release_the_guard() {
    let (_, cache) = started().await;
    let dead = cache.cached().expect("a token");
    reject(&cache, API).await.expect("renewed");
    cache.accepted(API, &dead);
    assert!(is_held(&reject(&cache, API).await));
    // Nor does a success elsewhere.
    cache.accepted(OTHER, &cache.cached().expect("a token"));
    cache.accepted("https://never-seen.test", &cache.cached().expect("a token"));
    assert!(is_held(&reject(&cache, API).await));
}

/// Two generations back: a slow call from before all the trouble says nothing of the token that came last.
#[tokio::test(start_paused = true)]
async fn f10_a_late_success_of_a_still_older_token_does_not_release_the_guard() {
    let (_, cache) = started().await;
    let oldest = cache.cached().expect("a token");
    reject(&cache, API).await.expect("renewed");
    advance(s(5)).await;
    reject(&cache, API).await.expect("renewed, as the hold has ended");
    cache.accepted(API, &oldest);
    assert!(is_held(&reject(&cache, API).await), "only a success of the token that the renewal brought is a cure");
}

/// While the renewal is under way nothing of it can have succeeded yet.
#[tokio::test(start_paused = true)]
async fn f10_a_success_during_the_renewal_does_not_release_the_guard() {
    let (source, cache) = started().await;
    let oldest = cache.cached().expect("a token");
    cache.renew_for(OTHER, &oldest).await.expect("another token");
    source.follow(|_| Answer::ByHand);
    let waiter = tokio::spawn({
        let cache = cache.clone();
        async move { reject(&cache, API).await }
    });
    let fetch = source.next().await;
    // Of an older token, and of the rejected one, which is the current one still.
    cache.accepted(API, &oldest);
    cache.accepted(API, &cache.cached().expect("a token"));
    fetch.answer(Ok(tokens("new", Some(LIFETIME))));
    waiter.await.expect("no panic").expect("another token");
    assert!(is_held(&reject(&cache, API).await));
}

#[tokio::test(start_paused = true)]
async fn f10_long_after_a_hold_has_ended_it_is_forgotten() {
    // (the hold that follows, how long after the end of a hold of 5 s)
    for (later, hold) in [(s(300), s(10)), (s(300) + TICK, s(5))] {
        let (_, cache) = started().await;
        reject(&cache, API).await.expect("renewed");
        advance(s(5) + later).await;
        reject(&cache, API).await.expect("renewed");
        advance(hold - TICK).await;
        assert!(is_held(&reject(&cache, API).await), "{later:?}");
        advance(TICK).await;
        reject(&cache, API).await.expect("renewed");
    }
}

/// A renewal that fails says nothing of the origin: it is not held for it.
#[tokio::test(start_paused = true)]
async fn f10_a_failed_renewal_holds_nobody() {
    let (source, cache) = started().await;
    source.follow(|_| Answer::Now(Err(Error::source_failed("down"))));
    for pause in [1, 2, 4, 8] {
        assert_eq!(reject(&cache, API).await.expect_err("down").kind(), ErrorKind::Source);
        advance(s(pause)).await;
    }
    source.follow(|number| Answer::Now(Ok(tokens(&format!("token-{number}"), Some(LIFETIME)))));
    reject(&cache, API).await.expect("renewed");
    advance(s(5)).await;
    reject(&cache, API).await.expect("the first hold is 5 s");
}

#[tokio::test(start_paused = true)]
async fn f10_the_guard_is_kept_for_each_origin_and_each_cache() {
    let (_, cache) = started().await;
    reject(&cache, API).await.expect("renewed");
    assert!(is_held(&reject(&cache, API).await));
    reject(&cache, OTHER).await.expect("another origin is not held");
    let (_, another) = started().await;
    reject(&another, API).await.expect("another cache is not held");
}

/// The guard holds only what a rejection wants: first tokens, expired ones and the window go their own way.
#[tokio::test(start_paused = true)]
async fn f10_a_held_origin_keeps_no_token_from_being_renewed_in_time() {
    let (source, cache) = started().await;
    reject(&cache, API).await.expect("renewed");
    assert!(is_held(&reject(&cache, API).await));
    advance(LIFETIME - s(600)).await;
    assert!(cache.cached().is_some());
    settle().await;
    assert_eq!(source.fetches(), 3);
}

/// F11: 200s alternate with 401s, so that nothing is ever held; the budget is 20 at once, then one every 3 s.
#[tokio::test(start_paused = true)]
async fn f11_rejections_that_alternate_with_successes_have_a_budget() {
    let (source, cache) = started().await;
    let mut renewed = 0;
    while reject(&cache, API).await.is_ok() {
        cache.accepted(API, &cache.cached().expect("a token"));
        renewed += 1;
        assert!(renewed <= 20, "there is no budget");
    }
    assert_eq!(renewed, 20);
    let error = reject(&cache, API).await.expect_err("spent");
    assert_eq!(error.kind(), ErrorKind::Held);
    assert!(error.to_string().contains("budget"), "{error}");

    advance(s(3) - ms(1)).await;
    assert!(is_held(&reject(&cache, API).await), "a moment before");
    advance(ms(2)).await;
    reject(&cache, API).await.expect("one more");
    cache.accepted(API, &cache.cached().expect("a token"));
    assert!(is_held(&reject(&cache, API).await), "and only one");

    // Over ten minutes: 20 a minute, however often it is asked.
    let (before, began) = (source.fetches(), Instant::now());
    while began.elapsed() < s(600) {
        if reject(&cache, API).await.is_ok() {
            cache.accepted(API, &cache.cached().expect("a token"));
        }
        advance(ms(100)).await;
    }
    let caused = source.fetches() - before;
    assert!((190..=201).contains(&caused), "{caused} in ten minutes");
    // What was not spent is kept, up to 20.
    advance(HOUR / 2).await;
    let mut renewed = 0;
    while reject(&cache, API).await.is_ok() {
        cache.accepted(API, &cache.cached().expect("a token"));
        renewed += 1;
        assert!(renewed <= 20, "what is kept has no end");
    }
    assert_eq!(renewed, 20);
}

#[tokio::test(start_paused = true)]
async fn f11_one_origin_never_starves_another() {
    let (_, cache) = started().await;
    let spend = async |origin: &str| {
        let mut renewed = 0;
        while reject(&cache, origin).await.is_ok() {
            cache.accepted(origin, &cache.cached().expect("a token"));
            renewed += 1;
            assert!(renewed <= 20, "there is no budget");
        }
        renewed
    };
    assert_eq!(spend(API).await, 20);
    // Another comes later, and has its share all the same: half.
    assert_eq!(spend(OTHER).await, 10);
    // From here on each gets one every 6 s, whoever asks more often.
    let (mut first, mut second) = (0, 0);
    for _ in 0..600 {
        first += spend(API).await;
        advance(ms(500)).await;
        first += spend(API).await;
        second += spend(OTHER).await;
        advance(ms(500)).await;
    }
    assert!((95..=101).contains(&first), "{first}");
    assert!((95..=101).contains(&second), "{second}");
}

/// However many origins there are, in the long run they share 20 a minute.
#[tokio::test(start_paused = true)]
async fn f11_a_hundred_origins_share_the_budget() {
    let (source, cache) = started().await;
    let origins: Vec<String> = (0..100).map(|number| format!("https://api-{number}.test")).collect();
    let round = async |during: Duration| {
        let (before, began) = (source.fetches(), Instant::now());
        while began.elapsed() < during {
            for origin in &origins {
                if reject(&cache, origin).await.is_ok() {
                    cache.accepted(origin, &cache.cached().expect("a token"));
                }
            }
            advance(s(1)).await;
        }
        source.fetches() - before
    };
    // At once no more than three minutes' worth, however many they are.
    assert!(round(s(1)).await <= 60);
    round(s(300)).await;
    let caused = round(s(1200)).await;
    assert!((300..=500).contains(&caused), "{caused} in twenty minutes");
}

/// The whole way: an API that answers 401 whatever it is sent.
#[tokio::test(start_paused = true)]
async fn f10_an_api_that_rejects_every_token_makes_few_token_requests() {
    let server = TestServer::builder().keep_requests(0).build();
    server.api_faults().push_forever(Fault::unauthorized());
    let uri = server.api_url("/").parse::<http::Uri>().expect("a url");
    let origin = format!("{}://{}", uri.scheme_str().expect("a scheme"), uri.authority().expect("a host"));
    let layer = OAuthLayer::new(origin.as_str(), cache_of(&server)).expect("a layer");
    let api = tower::Layer::layer(&layer, server.api_service());
    let mut not_renewed = 0;
    for _ in 0..600 {
        let request = Request::get(server.api_url("/things")).body(Full::<Bytes>::default()).expect("a request");
        let response = api.clone().oneshot(request).await.expect("a response");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        if let Some(RetryOutcome::NotRetried(NotRetried::NotRenewed(error))) = response.extensions().get() {
            assert_eq!(error.kind(), ErrorKind::Held);
            not_renewed += 1;
        }
        advance(ms(500)).await;
    }
    // The first; then at 0, 5, 15, 35, 75 and 155 s.
    assert_eq!(server.counters().token_requests, 7);
    assert_eq!(not_renewed, 600 - 6);
}

/// A token that this cache never had cannot engage anything.
#[tokio::test(start_paused = true)]
async fn f10_acceptance_without_a_rejection_is_nothing() {
    let (source, cache) = started().await;
    cache.accepted(API, &token("never-seen"));
    cache.accepted(API, &cache.cached().expect("a token"));
    reject(&cache, API).await.expect("renewed");
    assert!(is_held(&reject(&cache, API).await));
    assert_eq!(source.fetches(), 2);
}

/// Whatever names there are: 60 at once, and not one more.
#[tokio::test(start_paused = true)]
async fn f11_the_budget_of_a_cache_is_absolute() {
    let (source, cache) = started().await;
    for number in 0..1000 {
        let origin = format!("https://api-{number}.test");
        if reject(&cache, &origin).await.is_ok() {
            cache.accepted(&origin, &cache.cached().expect("a token"));
        }
    }
    assert_eq!(source.fetches(), 1 + 60);
}
