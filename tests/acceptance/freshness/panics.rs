//! A panicking source is an error for all, once; the next try works.

use futures_util::future::join_all;
use oauth_tokens::{Error, ErrorKind, TokenCache, TokenSet, TokenSource, source_fn};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use tests::source::{Answer, Source, tokens};
use tokio::time::advance;

use super::{HOUR, s};

/// All twenty waiters get the same error, and for a moment so does everybody else.
async fn check_that_a_panic_is_one_error(cache: &TokenCache, fetches: impl Fn() -> usize) {
    let outcomes = join_all((0..20).map(|_| cache.token())).await;
    for outcome in outcomes {
        let error = outcome.expect_err("the source panics");
        assert_eq!(error.kind(), ErrorKind::Source);
        assert!(error.to_string().contains("panicked"), "{error}");
        assert!(error.is_transient());
    }
    assert!(cache.token().await.is_err());
    assert_eq!(fetches(), 1, "one exchange for all");
}

#[tokio::test(start_paused = true)]
async fn f6_a_source_that_panics_is_an_error_for_all_and_the_next_try_works() {
    let source = Source::scripted(|number| match number {
        1 => Answer::Panic,
        _ => Answer::Now(Ok(tokens("t", Some(HOUR)))),
    });
    let cache = source.cache();
    check_that_a_panic_is_one_error(&cache, || source.fetches()).await;
    advance(s(1)).await;
    assert_eq!(cache.token().await.expect("a token").secret(), "t");
}

/// An async function that panics before it makes its future.
#[tokio::test(start_paused = true)]
async fn f6_a_source_that_panics_before_its_future_is_no_different() {
    let calls = Arc::new(AtomicUsize::new(0));
    let cache = TokenCache::new(source_fn({
        let calls = Arc::clone(&calls);
        move || {
            assert!(calls.fetch_add(1, SeqCst) > 0, "the source panics, as the test told it to");
            std::future::ready(Ok(tokens("t", Some(HOUR))))
        }
    }));
    check_that_a_panic_is_one_error(&cache, || calls.load(SeqCst)).await;
    advance(s(1)).await;
    assert_eq!(cache.token().await.expect("a token").secret(), "t");
}

/// A token that is valid outlives a source that panics.
#[tokio::test(start_paused = true)]
async fn f8_a_source_that_panics_in_the_window_fails_no_request() {
    let source = Source::issuing(Some(s(60)));
    let cache = source.cache();
    let token = cache.token().await.expect("a token");
    source.follow(|_| Answer::Panic);
    advance(s(54)).await;
    for _ in 0..29 {
        assert_eq!(cache.token().await.expect("valid still"), token);
        advance(s(3) / 30).await;
    }
    assert_eq!(cache.status().last_error.expect("the panic").kind(), ErrorKind::Source);
}

/// A source that cannot even say whether its credential has changed.
struct NoFingerprint(Arc<AtomicUsize>);

impl TokenSource for NoFingerprint {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        self.0.fetch_add(1, SeqCst);
        Err(Error::source_failed("the source panicked"))
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        panic!("the fingerprint panics, as the test told it to")
    }
}

#[tokio::test(start_paused = true)]
async fn f6_a_fingerprint_that_panics_is_none() {
    let calls = Arc::new(AtomicUsize::new(0));
    let cache = TokenCache::new(NoFingerprint(Arc::clone(&calls)));
    check_that_a_panic_is_one_error(&cache, || calls.load(SeqCst)).await;
}
