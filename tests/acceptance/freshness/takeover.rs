//! The runtime that drives a renewal ends or stands still: whoever waits takes over.
//!
//! A runtime of one thread that nobody drives stands still. The waiter's runtime has a paused clock, which jumps to the
//! next timer when all wait: no test waits for the 11 s.

use std::{future::Future, time::Duration};

use futures_util::{FutureExt, future::join_all};
use oauth_tokens::{ErrorKind, TokenCache};
use tests::source::{Answer, Fetch, Source, settle, tokens};
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, advance},
};

use super::{HOUR, TAKE_OVER, paused_runtime, runtime, s};

const API: &str = "https://api.test";

/// A renewal that a runtime has begun, and that waits for the test's answer.
fn begin(on: &Runtime, source: &Source, begin: impl Future<Output: Sized>) -> Fetch {
    on.block_on(async {
        assert!(begin.now_or_never().is_none());
        settle().await;
    });
    source.try_next().expect("the fetch has begun")
}

/// The first fetch waits for the test; those after it bring `token-2`, `token-3`, ...
fn first_by_hand() -> (Source, TokenCache) {
    let source = Source::scripted(|number| match number {
        1 => Answer::ByHand,
        _ => Answer::Now(Ok(tokens(&format!("token-{number}"), Some(HOUR)))),
    });
    let cache = source.cache();
    (source, cache)
}

/// `token-1` at once; the second fetch waits for the test.
fn second_by_hand() -> (Source, TokenCache) {
    let source = Source::scripted(|number| match number {
        2 => Answer::ByHand,
        _ => Answer::Now(Ok(tokens(&format!("token-{number}"), Some(HOUR)))),
    });
    let cache = source.cache();
    (source, cache)
}

#[test]
fn f5_when_the_runtime_of_a_renewal_ends_the_waiters_take_over_at_once() {
    let (source, cache) = first_by_hand();
    let (ends, waits) = (runtime(), paused_runtime());
    let fetch = begin(&ends, &source, cache.token());
    let mut waiters = Box::pin(join_all((0..100).map(|_| cache.token())));
    assert!(waits.block_on(async { waiters.as_mut().now_or_never() }).is_none());
    drop(ends);
    assert!(!fetch.is_wanted());
    waits.block_on(async {
        let began = Instant::now();
        for waiter in waiters.await {
            assert_eq!(waiter.expect("a token").secret(), "token-2");
        }
        assert_eq!(began.elapsed(), s(0), "nobody waits for a task that is gone");
    });
    assert_eq!(source.fetches(), 2, "one of them takes over");
}

/// A new caller finds the dead renewal, too.
#[test]
fn f13_after_the_runtime_of_a_renewal_has_ended_the_next_call_renews() {
    let (source, cache) = first_by_hand();
    let ends = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let fetch = ends.block_on(async {
        assert!(cache.token().now_or_never().is_none());
        source.next().await
    });
    ends.shutdown_background();
    let waits = runtime();
    assert_eq!(waits.block_on(cache.token()).expect("a token").secret(), "token-2");
    assert!(!fetch.is_wanted());
}

/// The same for a renewal that a rejection began: it has cured nothing, because it never ended.
#[test]
fn f5_when_the_runtime_of_a_rejections_renewal_ends_the_waiters_are_not_held() {
    let (source, cache) = second_by_hand();
    let (ends, waits) = (runtime(), paused_runtime());
    let dead = waits.block_on(cache.token()).expect("a token");
    let _fetch = begin(&ends, &source, cache.renew_for(API, &dead));
    let mut waiter = Box::pin(cache.renew_for(API, &dead));
    assert!(waits.block_on(async { waiter.as_mut().now_or_never() }).is_none());
    drop(ends);
    let renewed = waits.block_on(waiter);
    assert_eq!(renewed.expect("a waiter takes over").secret(), "token-3");
}

/// And for one that nobody waits for: the next rejection finds it gone.
#[test]
fn f5_after_the_runtime_of_a_rejections_renewal_has_ended_the_next_rejection_is_not_held() {
    let (source, cache) = second_by_hand();
    let (ends, waits) = (runtime(), runtime());
    let dead = waits.block_on(cache.token()).expect("a token");
    let _fetch = begin(&ends, &source, cache.renew_for(API, &dead));
    drop(ends);
    let renewed = waits.block_on(cache.renew_for(API, &dead));
    assert_eq!(renewed.expect("nothing has been renewed yet").secret(), "token-3");
}

#[test]
fn f5_when_the_runtime_of_a_renewal_stands_still_a_waiter_takes_over_after_the_deadline() {
    let (source, cache) = first_by_hand();
    let (still, waits) = (runtime(), paused_runtime());
    let fetch = begin(&still, &source, cache.token());
    waits.block_on(async {
        let began = Instant::now();
        for waiter in join_all((0..100).map(|_| cache.token())).await {
            assert_eq!(waiter.expect("a token").secret(), "token-2");
        }
        // Counted from when the renewal began, on the other runtime's clock.
        let took = began.elapsed();
        assert!(s(10) < took && took <= TAKE_OVER, "{took:?}");
    });
    assert_eq!(source.fetches(), 2, "one of a hundred takes over");

    // The runtime moves again: its renewal was superseded, and publishes nothing.
    fetch.answer(Ok(tokens("late", Some(HOUR))));
    still.block_on(settle());
    assert_eq!(source.running(), 0);
    assert_eq!(cache.cached().expect("a token").secret(), "token-2");
    assert_eq!(cache.status().renewals, 1);
    assert!(!cache.status().renewing);
}

/// Nor does a late error: it is not remembered against anybody.
#[test]
fn f5_a_superseded_renewal_that_fails_is_no_failure() {
    let (source, cache) = first_by_hand();
    let (still, waits) = (runtime(), paused_runtime());
    let fetch = begin(&still, &source, cache.token());
    waits.block_on(cache.token()).expect("a token");
    fetch.answer(Err(oauth_tokens::Error::source_failed("late")));
    still.block_on(settle());
    assert!(cache.status().last_error.is_none());
    assert_eq!(cache.cached().expect("a token").secret(), "token-2");
}

/// A renewal that a rejection began, on a runtime that stands still.
#[test]
fn f5_a_rejections_renewal_that_stands_still_is_taken_over() {
    let (source, cache) = second_by_hand();
    let (still, waits) = (runtime(), paused_runtime());
    let dead = waits.block_on(cache.token()).expect("a token");
    let fetch = begin(&still, &source, cache.renew_for(API, &dead));
    let renewed = waits.block_on(cache.renew_for(API, &dead));
    assert_eq!(renewed.expect("a waiter takes over").secret(), "token-3");
    fetch.answer(Ok(tokens("late", Some(HOUR))));
    still.block_on(settle());
    assert_eq!(cache.cached().expect("a token").secret(), "token-3");
}

/// Three in a row: a hold that grew from renewals that never ended would refuse the last.
#[test]
fn f5_renewals_that_stand_still_one_after_another_are_not_held_against_the_origin() {
    let source = Source::scripted(|number| match number {
        1 => Answer::Now(Ok(tokens("token-1", Some(HOUR)))),
        5 => Answer::Now(Ok(tokens("token-5", Some(HOUR)))),
        _ => Answer::ByHand,
    });
    let cache = source.cache();
    let dead = runtime().block_on(cache.token()).expect("a token");
    // Each in turn takes over from the one before, and then stands still itself.
    let mut idle = Vec::new();
    let mut now = Duration::ZERO;
    for fetches in 2..=4 {
        let still = paused_runtime();
        still.block_on(async {
            advance(now).await;
            assert!(cache.renew_for(API, &dead).now_or_never().is_none(), "fetch {fetches}");
            settle().await;
        });
        assert_eq!(source.fetches(), fetches);
        idle.push(still);
        now += TAKE_OVER;
    }
    let last = paused_runtime();
    let renewed = last.block_on(async {
        advance(now).await;
        cache.renew_for(API, &dead).await
    });
    assert_eq!(renewed.expect("not held").secret(), "token-5");
}

/// A renewal of the window: nobody waits for it, and the calls after the deadline begin another.
#[test]
fn f8_a_background_renewal_that_stands_still_is_begun_anew() {
    let (source, cache) = second_by_hand();
    let (still, lives) = (paused_runtime(), paused_runtime());
    lives.block_on(cache.ready()).expect("a token");
    // The two clocks are apart by as much as it took to make the runtimes.
    still.block_on(async {
        advance(s(3400)).await;
        assert!(cache.cached().is_some());
        settle().await;
        assert_eq!(source.fetches(), 2);
    });
    lives.block_on(async {
        advance(s(3400)).await;
        for _ in 0..100 {
            assert_eq!(cache.cached().expect("valid still").secret(), "token-1");
            settle().await;
        }
        assert_eq!(source.fetches(), 2, "it is another runtime's to finish");
        assert!(cache.status().renewing);
        advance(TAKE_OVER + s(1)).await;
        assert!(!cache.status().renewing);
        assert_eq!(cache.cached().expect("valid still").secret(), "token-1");
        settle().await;
        assert_eq!(source.fetches(), 3);
        assert_eq!(cache.cached().expect("a token").secret(), "token-3");
    });
}

/// When its runtime has ended there is nothing to wait for: the next call begins another.
#[test]
fn f13_a_background_renewal_whose_runtime_has_ended_is_begun_anew() {
    let (source, cache) = second_by_hand();
    let (ends, lives) = (paused_runtime(), paused_runtime());
    lives.block_on(cache.ready()).expect("a token");
    ends.block_on(async {
        advance(s(3400)).await;
        assert!(cache.cached().is_some());
        settle().await;
    });
    assert_eq!(source.running(), 1);
    drop(ends);
    assert!(!cache.status().renewing, "nobody drives it");
    lives.block_on(async {
        // What was begun a moment ago may have its pause, but not the 11 s of one that stands still.
        advance(s(3402)).await;
        assert_eq!(cache.cached().expect("valid still").secret(), "token-1");
        settle().await;
        assert_eq!(cache.cached().expect("a token").secret(), "token-3");
    });
}

/// A caller that has timed out on the runtime that lives takes nothing over, and the next caller does.
#[test]
fn f5_the_next_caller_takes_over_when_nobody_waits() {
    let (source, cache) = first_by_hand();
    let (still, waits) = (runtime(), paused_runtime());
    let _fetch = begin(&still, &source, cache.token());
    waits.block_on(async {
        let impatient = tokio::time::timeout(s(5), cache.token()).await;
        assert!(impatient.is_err());
        advance(TAKE_OVER).await;
        settle().await;
        assert_eq!(source.fetches(), 1, "nobody has asked");
        assert!(cache.token().now_or_never().is_none(), "a renewal of its own");
        settle().await;
        assert_eq!(cache.cached().expect("a token").secret(), "token-2");
    });
}

/// When everything stands still again and again, a waiter ends all the same.
#[test]
fn f5_a_waiter_gives_up_in_the_end() {
    let source = Source::scripted(|_| Answer::Never);
    let cache = source.cache();
    let (still, waits) = (runtime(), paused_runtime());
    still.block_on(async {
        assert!(cache.token().now_or_never().is_none());
        settle().await;
    });
    waits.block_on(async {
        let outcome = tokio::time::timeout(s(60), cache.token()).await.expect("it ends");
        assert_eq!(outcome.expect_err("nothing answers").kind(), ErrorKind::Timeout);
    });
}
