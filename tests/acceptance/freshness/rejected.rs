//! Rejections that wait for nobody, and those that meet a renewal on its way.

use oauth_tokens::ErrorKind;
use tests::source::{Answer, Source, settle, token, tokens};
use tokio::time::advance;

use super::{HOUR, s};

const API: &str = "https://api.test";

#[tokio::test(start_paused = true)]
async fn r10_a_rejection_in_the_background_renews_for_the_next_call() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let dead = cache.token().await.expect("a token");
    for _ in 0..10 {
        cache.renew_in_background(API, &dead);
    }
    settle().await;
    assert_eq!(cache.cached().expect("a token").secret(), "token-2");
    cache.renew_in_background(API, &dead);
    settle().await;
    assert_eq!(source.fetches(), 2);
}

/// The renewal of the window, under way when a 401 comes, is the one that the 401 waits for.
#[tokio::test(start_paused = true)]
async fn f2_a_rejection_joins_the_renewal_of_the_window() {
    let source = Source::scripted(|number| match number {
        1 => Answer::Now(Ok(tokens("t", Some(s(60))))),
        _ => Answer::ByHand,
    });
    let cache = source.cache();
    let dead = cache.token().await.expect("a token");
    advance(s(55)).await;
    assert!(cache.cached().is_some());
    let fetch = source.next().await;
    let waiter = tokio::spawn({
        let (cache, dead) = (cache.clone(), dead.clone());
        async move { cache.renew_for(API, &dead).await }
    });
    settle().await;
    fetch.answer(Ok(tokens("new", Some(HOUR))));
    assert_eq!(waiter.await.expect("no panic").expect("another").secret(), "new");
    assert_eq!(source.fetches(), 2);

    // The guard counts only what a rejection began: this one is the origin's first.
    let renewed = tokio::spawn({
        let cache = cache.clone();
        async move { cache.renew_for(API, &token("new")).await }
    });
    source.next().await.answer(Ok(tokens("newer", Some(HOUR))));
    assert_eq!(renewed.await.expect("no panic").expect("another").secret(), "newer");
}

/// Rule 6: what a rejection could not renew is still served, to its expiry.
#[tokio::test(start_paused = true)]
async fn f8_a_rejected_token_that_cannot_be_renewed_is_served_on() {
    let source = Source::scripted(|number| match number {
        1 => Answer::Now(Ok(tokens("t", Some(HOUR)))),
        _ => Answer::Now(Err(oauth_tokens::Error::source_failed("down"))),
    });
    let cache = source.cache();
    let rejected = cache.token().await.expect("a token");
    assert_eq!(cache.renew_for(API, &rejected).await.expect_err("down").kind(), ErrorKind::Source);
    assert_eq!(cache.token().await.expect("still served"), rejected);
    // Nor does the next rejection ask the server again at once.
    for _ in 0..100 {
        assert_eq!(cache.renew_for(API, &rejected).await.expect_err("remembered").to_string(), "down");
    }
    assert_eq!(source.fetches(), 2);
}

/// In the skew, with the server down: the current token is another than the rejected one, and has not expired.
#[tokio::test(start_paused = true)]
async fn f8_a_late_rejection_in_the_skew_takes_the_current_token_when_renewing_fails() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let first = cache.token().await.expect("a token");
    let second = cache.renew_for(API, &first).await.expect("another");
    source.follow(|_| Answer::Now(Err(oauth_tokens::Error::source_failed("down"))));
    advance(s(3595)).await;
    assert_eq!(cache.renew_for(API, &first).await.expect("valid still"), second);
    advance(s(5)).await;
    assert!(cache.renew_for(API, &first).await.is_err(), "expired");
}

/// A cache that has nothing yet: a token that it never gave out was rejected.
#[tokio::test(start_paused = true)]
async fn f3_a_rejection_before_the_first_token_fetches_it() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    assert_eq!(cache.renew_for(API, &token("old")).await.expect("a token").secret(), "token-1");
    assert_eq!(source.fetches(), 1);
}

/// What expired needs no rejection to be renewed: a late 401 of an older token finds no guard in its way.
#[tokio::test(start_paused = true)]
async fn f10_a_late_rejection_of_an_older_token_is_not_held_when_the_current_one_has_expired() {
    let source = Source::issuing(Some(s(60)));
    let cache = source.cache();
    let first = cache.token().await.expect("a token");
    let mut current = first.clone();
    // Renewing cures nothing: the origin is held, for longer than the current token lives.
    for hold in [5, 10, 20, 40, 80] {
        current = cache.renew_for(API, &current).await.expect("another");
        assert_eq!(cache.renew_for(API, &current).await.expect_err("held").kind(), ErrorKind::Held);
        if hold < 80 {
            advance(s(hold)).await;
        }
    }
    advance(s(57)).await;
    assert!(cache.cached().is_none(), "the current token has expired");
    let fresh = cache.renew_for(API, &first).await.expect("what anybody else would get now");
    assert_ne!(fresh, current);
}

#[tokio::test(start_paused = true)]
async fn f9_a_fixed_token_cannot_be_renewed() {
    let cache = oauth_tokens::TokenCache::fixed("t0k3n").expect("a token");
    let rejected = cache.token().await.expect("a token");
    assert_eq!(cache.renew(&rejected).await.expect_err("there is no other").kind(), ErrorKind::SameToken);
    advance(HOUR * 24 * 365).await;
    assert_eq!(cache.cached().expect("a token").secret(), "t0k3n");
    assert_eq!(cache.status().renewals, 0);
}
