//! What the cache says of itself is true at every stage.

use futures_util::FutureExt;
use oauth_tokens::{Error, TokenCache};
use tests::source::{Answer, Source, settle, tokens};
use tokio::time::advance;

use super::{HOUR, ms, s};

#[tokio::test(start_paused = true)]
async fn f13_the_status_is_true_at_every_stage() {
    let source = Source::by_hand();
    let cache = source.cache();

    let status = cache.status();
    assert!(!status.usable && !status.renewing && status.last_error.is_none(), "nothing yet: {status:?}");
    assert_eq!((status.expires_in, status.refresh_in, status.renewals), (None, None, 0));
    settle().await;
    assert_eq!(source.fetches(), 0, "a look starts nothing");

    assert!(cache.token().now_or_never().is_none());
    let status = cache.status();
    assert!(!status.usable && status.renewing, "the first is under way: {status:?}");

    source.next().await.answer(Ok(tokens("t", Some(s(60)))));
    settle().await;
    let status = cache.status();
    assert!(status.usable && !status.renewing && status.last_error.is_none(), "there: {status:?}");
    assert_eq!((status.expires_in, status.renewals), (Some(s(57)), 1));
    let refresh_in = status.refresh_in.expect("a token");

    advance(s(4)).await;
    let status = cache.status();
    assert_eq!((status.expires_in, status.refresh_in), (Some(s(53)), Some(refresh_in - s(4))), "time passes");

    advance(s(50)).await;
    assert_eq!(cache.status().refresh_in, Some(s(0)));
    assert!(!cache.status().renewing, "due, but nobody has asked");
    assert!(cache.cached().is_some());
    assert!(cache.status().renewing && cache.status().usable, "in the window");

    source.next().await.answer(Err(Error::source_failed("down")));
    settle().await;
    let status = cache.status();
    assert!(status.usable && !status.renewing, "failed, and usable still: {status:?}");
    assert_eq!(status.last_error.expect("an error").to_string(), "down");
    assert_eq!(status.renewals, 1);

    advance(s(3)).await;
    let status = cache.status();
    assert!(!status.usable, "expired: {status:?}");
    assert_eq!((status.expires_in, status.refresh_in), (Some(s(0)), Some(s(0))));

    assert!(cache.token().now_or_never().is_none());
    source.next().await.answer(Ok(tokens("new", None)));
    settle().await;
    let status = cache.status();
    assert!(status.usable && status.last_error.is_none(), "well again: {status:?}");
    assert_eq!((status.expires_in, status.renewals), (None, 2), "no lifetime");
}

/// A renewal that nobody drives any more is not shown as one that runs.
#[tokio::test(start_paused = true)]
async fn f13_the_status_shows_no_renewal_that_is_over() {
    let source = Source::scripted(|_| Answer::Never);
    let cache = source.cache();
    assert!(cache.token().now_or_never().is_none());
    settle().await;
    assert!(cache.status().renewing);
    for _ in 0..11 {
        advance(s(1)).await;
        settle().await;
    }
    assert!(!cache.status().renewing);
    assert!(cache.status().last_error.is_some());
}

#[tokio::test(start_paused = true)]
async fn f13_readiness_waits_for_a_usable_token() {
    let source = Source::by_hand();
    let cache = source.cache();
    let ready = tokio::spawn({
        let cache = cache.clone();
        async move { cache.ready().await }
    });
    source.next().await.answer(Err(Error::source_failed("down")));
    assert_eq!(ready.await.expect("no panic").expect_err("not ready").to_string(), "down");
    advance(s(1)).await;
    let ready = tokio::spawn({
        let cache = cache.clone();
        async move { cache.ready().await }
    });
    source.next().await.answer(Ok(tokens("t", Some(HOUR))));
    ready.await.expect("no panic").expect("ready");
    assert!(cache.ready().now_or_never().expect("at once").is_ok());
}

#[tokio::test(start_paused = true)]
async fn f13_a_fixed_token_is_ready_at_once_and_needs_no_runtime() {
    let cache = TokenCache::fixed("t0k3n").expect("a token");
    std::thread::spawn(move || {
        assert_eq!(cache.token().now_or_never().expect("at once").expect("a token").secret(), "t0k3n");
        assert!(cache.status().usable && cache.status().expires_in.is_none());
    })
    .join()
    .expect("no panic");
    advance(ms(1)).await;
}
