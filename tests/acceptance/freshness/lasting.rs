//! Tokens that must live for a while yet: for a long upload.

use futures_util::FutureExt;
use oauth_tokens::{Error, TokenCache};
use tests::source::{Answer, Source, settle, tokens};
use tokio::time::advance;

use super::{HOUR, ms, s};

async fn holding(lifetime: std::time::Duration) -> (Source, TokenCache) {
    let mut first = tokens("first", Some(lifetime));
    // Late, so that no renewal of the window's comes in between.
    first.refresh_in = Some(lifetime * 9 / 10);
    let mut first = Some(first);
    let source = Source::scripted(move |_| first.take().map_or(Answer::ByHand, |tokens| Answer::Now(Ok(tokens))));
    let cache = source.cache();
    cache.ready().await.expect("a first token");
    (source, cache)
}

#[tokio::test(start_paused = true)]
async fn f12_a_token_that_lives_too_short_is_renewed_and_waited_for() {
    let (source, cache) = holding(HOUR).await;
    // An hour less the skew of 10 s.
    advance(s(790)).await;
    let ample = cache.token_valid_for(s(2800)).now_or_never().expect("at once").expect("a token");
    assert_eq!((ample.secret(), source.fetches()), ("first", 1));

    let mut upload = Box::pin(cache.token_valid_for(s(2800)));
    advance(ms(1)).await;
    assert!(upload.as_mut().now_or_never().is_none(), "a tick too short");
    // Everybody else goes on with what there is.
    assert_eq!(cache.cached().expect("usable").secret(), "first");
    source.next().await.answer(Ok(tokens("second", Some(HOUR))));
    assert_eq!(upload.await.expect("a token").secret(), "second");
    assert_eq!(source.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn f8_while_renewing_fails_the_token_that_there_is_serves() {
    let (source, cache) = holding(HOUR).await;
    advance(s(2000)).await;
    let mut upload = Box::pin(cache.token_valid_for(s(2800)));
    assert!(upload.as_mut().now_or_never().is_none());
    source.next().await.answer(Err(Error::source_failed("down")));
    settle().await;
    assert_eq!(upload.await.expect("a token").secret(), "first");
    // The failure is remembered: nobody asks again at once.
    let next = cache.token_valid_for(s(2800)).await.expect("a token");
    assert_eq!((next.secret(), source.fetches()), ("first", 2));
}

#[tokio::test(start_paused = true)]
async fn f12_more_than_the_server_gives_does_not_renew_on_every_call() {
    let mut count = 0;
    let source = Source::scripted(move |_| {
        count += 1;
        Answer::Now(Ok(tokens(&format!("t{count}"), Some(s(60)))))
    });
    let cache = source.cache();
    // Four fifths of the 57 s that such a token is used.
    let mut last = cache.token_valid_for(HOUR).await.expect("a token");
    let mut renewals = 0;
    for _ in 0..6000 {
        advance(ms(100)).await;
        let token = cache.token_valid_for(HOUR).await.expect("a token");
        renewals += usize::from(token != last);
        last = token;
    }
    assert_eq!(source.fetches(), 1 + renewals);
    // Each serves for a fifth of its use: 11.4 s of the 600 s.
    assert!((50..=54).contains(&renewals), "{renewals} renewals in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn f9_a_server_that_gives_the_same_token_again_is_not_asked_on_every_call() {
    let source = Source::scripted(|_| Answer::Now(Ok(tokens("same", Some(s(60))))));
    let cache = source.cache();
    cache.ready().await.expect("a token");
    advance(s(30)).await;
    for _ in 0..1000 {
        assert_eq!(cache.token_valid_for(s(40)).await.expect("a token").secret(), "same");
    }
    assert!(source.fetches() <= 3, "{} fetches", source.fetches());
}

#[tokio::test(start_paused = true)]
async fn f12_a_token_without_a_lifetime_lasts() {
    let source = Source::issuing(None);
    let cache = source.cache();
    cache.ready().await.expect("a token");
    cache.token_valid_for(HOUR * 24 * 365).await.expect("a token");
    assert_eq!(source.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn f1_ten_thousand_uploads_at_once_make_one_request() {
    let (source, cache) = holding(HOUR).await;
    advance(s(2000)).await;
    let uploads: Vec<_> = (0..10_000)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.token_valid_for(s(2800)).await })
        })
        .collect();
    settle().await;
    source.next().await.answer(Ok(tokens("second", Some(HOUR))));
    for upload in uploads {
        assert_eq!(upload.await.expect("no panic").expect("a token").secret(), "second");
    }
    assert_eq!(source.fetches(), 2);
}
