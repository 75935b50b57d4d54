//! A renewal belongs to nobody: callers come and go, it completes. And nothing outlives its cache.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use oauth_tokens::{AccessToken, Error, TokenCache};
use tests::source::{Answer, Source, settle, tokens};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{advance, timeout},
};

use super::{HOUR, ms, s};

fn ask(cache: &TokenCache) -> JoinHandle<Result<AccessToken, Error>> {
    let cache = cache.clone();
    tokio::spawn(async move { cache.token().await })
}

#[tokio::test(start_paused = true)]
async fn f5_a_renewal_completes_though_every_caller_is_dropped() {
    let source = Source::by_hand();
    let cache = source.cache();
    let waiters: Vec<_> = (0..100).map(|_| ask(&cache)).collect();
    let fetch = source.next().await;
    for waiter in &waiters {
        waiter.abort();
    }
    assert!(join_all(waiters).await.into_iter().all(|waiter| waiter.is_err_and(|error| error.is_cancelled())));
    assert!(fetch.is_wanted());
    fetch.answer(Ok(tokens("t", Some(HOUR))));
    settle().await;
    assert_eq!(cache.cached().expect("a token").secret(), "t");
    assert_eq!(source.fetches(), 1);
}

/// Dropped when it was polled once, and when it was never polled.
#[tokio::test(start_paused = true)]
async fn f5_a_caller_that_is_dropped_after_one_poll_leaves_the_renewal_to_the_others() {
    let source = Source::by_hand();
    let cache = source.cache();
    drop(cache.token());
    assert!(cache.token().now_or_never().is_none());
    let fetch = source.next().await;
    let other = ask(&cache);
    settle().await;
    fetch.answer(Ok(tokens("t", Some(HOUR))));
    assert_eq!(other.await.expect("no panic").expect("a token").secret(), "t");
    assert_eq!(source.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn f5_a_caller_that_times_out_changes_nothing_for_the_others() {
    let source = Source::by_hand();
    let cache = source.cache();
    let patient = ask(&cache);
    let fetch = source.next().await;
    let impatient = join_all((1..=50).map(|deadline| timeout(ms(deadline * 10), cache.token()))).await;
    assert!(impatient.iter().all(Result::is_err));
    advance(s(9)).await;
    assert!(!patient.is_finished());
    fetch.answer(Ok(tokens("t", Some(HOUR))));
    assert_eq!(patient.await.expect("no panic").expect("a token").secret(), "t");
    assert_eq!(source.fetches(), 1);
}

/// The same for rejections: the one that began the renewal goes, the rest get the new token.
#[tokio::test(start_paused = true)]
async fn f5_a_rejection_that_is_dropped_leaves_its_renewal_to_the_others() {
    let source = Source::scripted(|number| match number {
        1 => Answer::Now(Ok(tokens("dead", Some(HOUR)))),
        _ => Answer::ByHand,
    });
    let cache = source.cache();
    let dead = cache.token().await.expect("a token");
    assert!(cache.renew_for("https://api.test", &dead).now_or_never().is_none());
    let fetch = source.next().await;
    let other = tokio::spawn({
        let (cache, dead) = (cache.clone(), dead.clone());
        async move { cache.renew_for("https://api.test", &dead).await }
    });
    settle().await;
    fetch.answer(Ok(tokens("new", Some(HOUR))));
    assert_eq!(other.await.expect("no panic").expect("another").secret(), "new");
    assert_eq!(source.fetches(), 2);
}

/// A caller whose own runtime was busy for longer than the token lives.
#[tokio::test(start_paused = true)]
async fn f5_a_caller_that_is_polled_late_never_gets_an_expired_token() {
    let source = Source::by_hand();
    let cache = source.cache();
    let mut late = Box::pin(cache.token());
    assert!(late.as_mut().now_or_never().is_none());
    source.next().await.answer(Ok(tokens("short", Some(s(5)))));
    settle().await;
    advance(s(6)).await;
    source.follow(|_| Answer::Now(Ok(tokens("new", Some(HOUR)))));
    assert_eq!(late.await.expect("a token").secret(), "new");
}

/// The same in the skew, where a token that has not expired would serve: by the time of the poll it has.
#[tokio::test(start_paused = true)]
async fn f5_a_caller_in_the_skew_that_is_polled_late_never_gets_an_expired_token() {
    let source = Source::issuing(Some(s(60)));
    let cache = source.cache();
    let old = cache.token().await.expect("a token");
    source.follow(|_| Answer::ByHand);
    advance(s(57)).await;
    let mut late = Box::pin(cache.token());
    assert!(late.as_mut().now_or_never().is_none());
    let fetch = source.next().await;
    advance(s(3)).await;
    let at_once = late.as_mut().now_or_never();
    assert!(at_once.is_none(), "{old:?} has expired: {at_once:?}");
    fetch.answer(Ok(tokens("new", Some(HOUR))));
    assert_eq!(late.await.expect("a token").secret(), "new");
}

/// A source that hangs is given up on; everybody hears of it at the same moment, and the fetch is dropped.
#[tokio::test(start_paused = true)]
async fn f5_a_source_that_hangs_is_given_up_on_within_its_deadline() {
    let source = Source::scripted(|_| Answer::Never);
    let cache = source.cache();
    let began = tokio::time::Instant::now();
    for outcome in join_all((0..20).map(|_| cache.token())).await {
        assert_eq!(outcome.expect_err("it hangs").kind(), oauth_tokens::ErrorKind::Timeout);
    }
    assert!((s(10)..=s(11)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!((source.fetches(), source.running()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn f13_a_token_that_nobody_asks_for_is_not_renewed() {
    for lifetime in [Some(s(1)), Some(s(60)), Some(HOUR), None] {
        let source = Source::issuing(lifetime);
        let cache = source.cache();
        cache.ready().await.expect("a token");
        settle().await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "no task waits for anything");
        for _ in 0..1000 {
            advance(s(600)).await;
            settle().await;
            // A look at the state is no use.
            let _ = (cache.status(), format!("{cache:?}"));
        }
        assert_eq!(source.fetches(), 1, "{lifetime:?}");
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    }
}

/// Nor after a failure: no retry is waiting for its time.
#[tokio::test(start_paused = true)]
async fn f13_a_failure_is_not_tried_again_by_itself() {
    let source = Source::scripted(|_| Answer::Now(Err(Error::source_failed("down"))));
    let cache = source.cache();
    assert!(cache.token().await.is_err());
    for _ in 0..1000 {
        advance(s(60)).await;
        settle().await;
    }
    assert_eq!(source.fetches(), 1);
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn f13_nothing_outlives_the_cache() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let clone = cache.clone();
    let token = cache.token().await.expect("a token");
    cache.renew(&token).await.expect("another");
    settle().await;
    assert_eq!(source.holders(), 2);
    drop(cache);
    assert_eq!(source.holders(), 2, "a clone is the cache still");
    drop(clone);
    assert_eq!(source.holders(), 1, "the test's own");
}

/// A renewal in flight may finish, so that a rotated token is saved; one that hangs goes with its deadline.
#[tokio::test(start_paused = true)]
async fn f13_a_renewal_in_flight_outlives_its_cache_only_to_its_deadline() {
    let source = Source::by_hand();
    let cache = source.cache();
    assert!(cache.token().now_or_never().is_none());
    let fetch = source.next().await;
    drop(cache);
    advance(s(9)).await;
    assert!(fetch.is_wanted(), "it may finish");
    assert_eq!(source.running(), 1);
    for _ in 0..4 {
        advance(ms(500)).await;
        settle().await;
    }
    assert!(!fetch.is_wanted());
    assert_eq!((source.running(), source.holders()), (0, 1));
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn f13_a_renewal_that_finishes_after_its_cache_leaves_nothing() {
    let source = Source::by_hand();
    let cache = source.cache();
    assert!(cache.token().now_or_never().is_none());
    let fetch = source.next().await;
    drop(cache);
    fetch.answer(Ok(tokens("t", Some(Duration::from_secs(60)))));
    settle().await;
    assert_eq!((source.running(), source.holders()), (0, 1));
}
