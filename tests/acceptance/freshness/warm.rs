//! A token that is kept warm is there before anybody asks, and its task ends with its cache (F13).

use oauth_tokens::{Error, ErrorKind};
use tests::source::{Answer, Source, settle, tokens};
use tokio::{runtime::Builder, time::advance};

use super::{HOUR, s};

#[tokio::test(start_paused = true)]
async fn f13_a_warm_token_is_renewed_though_nobody_asks() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    cache.keep_warm().expect("a runtime");
    settle().await;
    assert_eq!(source.fetches(), 1, "the first at once");
    for hour in 0..48 {
        for _ in 0..60 {
            advance(s(60)).await;
            settle().await;
            assert!(cache.status().usable, "hour {hour}");
        }
    }
    // Each lives for 40 to 42.5 minutes before it is renewed, the first perhaps for less.
    assert!((67..=74).contains(&source.fetches()), "{} in two days", source.fetches());
}

#[tokio::test(start_paused = true)]
async fn f13_the_task_ends_with_the_last_clone() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    cache.keep_warm().expect("a runtime");
    settle().await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let with_it = tasks();
    let clone = cache.clone();
    drop(cache);
    settle().await;
    assert_eq!(tasks(), with_it, "a clone lives");
    drop(clone);
    settle().await;
    assert_eq!(tasks(), with_it - 1);
    assert_eq!(source.holders(), 1, "nobody holds the source any more but this test");
    advance(HOUR * 10).await;
    assert_eq!(source.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn f13_to_keep_it_warm_twice_is_to_keep_it_warm() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..10 {
        cache.keep_warm().expect("a runtime");
    }
    settle().await;
    assert_eq!(tasks(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn f7_while_the_server_is_down_a_warm_cache_asks_as_rarely_as_any() {
    let source = Source::scripted(|_| Answer::Now(Err(Error::source_failed("down"))));
    let cache = source.cache();
    cache.keep_warm().expect("a runtime");
    for _ in 0..600 {
        advance(s(1)).await;
        settle().await;
    }
    // 1, 2, 4, 8, then every 10 s, less a quarter at most.
    assert!((60..=85).contains(&source.fetches()), "{} in ten minutes", source.fetches());
    source.follow(|_| Answer::Now(Ok(tokens("t", Some(HOUR)))));
    for _ in 0..10 {
        advance(s(1)).await;
        settle().await;
    }
    assert!(cache.status().usable, "well again, and nobody asked");
}

#[tokio::test(start_paused = true)]
async fn f7_a_permanent_error_is_retried_rarely_and_never_for_the_last_time() {
    let source = Source::scripted(|_| Answer::Now(Err(Error::source_failed("no such client").permanent())));
    let cache = source.cache();
    cache.keep_warm().expect("a runtime");
    for _ in 0..60 {
        advance(s(60)).await;
        settle().await;
    }
    assert!((11..=22).contains(&source.fetches()), "{} in an hour", source.fetches());
    source.follow(|_| Answer::Now(Ok(tokens("t", Some(HOUR)))));
    for _ in 0..5 {
        advance(s(61)).await;
        settle().await;
    }
    assert!(cache.status().usable, "well again");
}

#[test]
fn f13_without_a_runtime_it_is_a_typed_error() {
    let cache = Source::issuing(Some(HOUR)).cache();
    assert_eq!(cache.keep_warm().expect_err("no runtime").kind(), ErrorKind::NoRuntime);
}

#[test]
fn f13_it_survives_a_runtime_that_goes_away() {
    let paused = || Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let first = paused();
    first.block_on(async {
        cache.keep_warm().expect("a runtime");
        settle().await;
    });
    drop(first);
    assert_eq!(source.fetches(), 1);

    let second = paused();
    second.block_on(async {
        // Nobody drives it here yet: a call that finds the token in its window takes over.
        advance(s(3400)).await;
        settle().await;
        assert_eq!(source.fetches(), 1);
        cache.token().await.expect("a token");
        settle().await;
        assert_eq!(source.fetches(), 2);
        advance(s(3400)).await;
        settle().await;
        assert_eq!(source.fetches(), 3, "and nobody has asked for this one");
    });
}
