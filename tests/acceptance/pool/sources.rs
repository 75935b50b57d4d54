//! How a pool comes by its sources.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use oauth_tokens::{Error, ErrorKind, TokenPool, TokenSet, TokenSource};
use tests::source::tokens;

use super::{HOUR, Issuer, key};

#[tokio::test(start_paused = true)]
async fn f14_a_source_that_remembers_nothing_is_made_for_each_fetch() {
    let issuer = Issuer::new();
    let pool = issuer.pool();
    let cache = pool.get(&key("acme")).expect("room");
    assert_eq!(issuer.made(), 1, "to see whether there is one");
    let first = cache.token().await.expect("a token");
    cache.renew(&first).await.expect("another");
    let made = issuer.made();
    assert!(made >= 3 && issuer.fetches_of("acme") == 2, "{made} made");
    for _ in 0..10 {
        pool.token(&key("acme")).await.expect("a token");
    }
    assert_eq!(issuer.made(), made, "none for a token that is there");
}

/// A source that counts for itself.
struct Counts(AtomicUsize);

impl TokenSource for Counts {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        let count = self.0.fetch_add(1, Relaxed);
        Ok(tokens(&format!("t{count}"), Some(HOUR)))
    }
}

#[tokio::test(start_paused = true)]
async fn f14_a_source_that_may_remember_something_is_kept_with_its_key() {
    let made = Arc::new(AtomicUsize::new(0));
    let pool = TokenPool::new({
        let made = Arc::clone(&made);
        move |_: &u8| {
            made.fetch_add(1, Relaxed);
            Ok(Counts(AtomicUsize::new(0)))
        }
    });
    let first = pool.token(&7).await.expect("a token");
    assert_eq!(first.secret(), "t0");
    let second = pool.get(&7).expect("room").renew(&first).await.expect("another");
    assert_eq!(second.secret(), "t1");
    assert_eq!(made.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn f14_no_source_for_a_key_is_an_error_for_that_key_alone() {
    let pool = TokenPool::new(|tenant: &u8| match tenant {
        0 => Err(Error::source_failed("there is no tenant 0").permanent()),
        _ => Ok(Counts(AtomicUsize::new(0))),
    });
    let error = pool.token(&0).await.expect_err("none");
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Source, "there is no tenant 0".to_owned()));
    assert_eq!(pool.status().keys, 0);
    pool.token(&1).await.expect("a token");
}

#[tokio::test(start_paused = true)]
async fn f14_a_function_that_panics_later_is_an_error_for_all_who_wait() {
    let calls = Arc::new(AtomicUsize::new(0));
    let issuer = Issuer::new();
    let pool = TokenPool::new({
        let (calls, issuer) = (Arc::clone(&calls), issuer.clone());
        move |_: &u8| {
            assert!(calls.fetch_add(1, Relaxed) == 0, "only the first time goes well");
            Ok(super::ForKey { issuer: issuer.clone(), name: key("x") })
        }
    });
    let cache = pool.get(&1).expect("the first time");
    assert_eq!(cache.token().await.expect_err("a panic").kind(), ErrorKind::Source);
    assert!(!cache.accepts_claims(), "no panic here either");
    assert_eq!(pool.status().failing, 1);
}
