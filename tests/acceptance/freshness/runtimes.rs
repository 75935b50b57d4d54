//! One cache, several runtimes: with and without timers, alive and gone.

use std::{
    future::Future,
    pin::Pin,
    sync::{LazyLock, mpsc},
    thread::{self, JoinHandle},
};

use futures_util::FutureExt;
use oauth_tokens::{ErrorKind, TokenCache, source_fn};
use tests::source::{Answer, Source, settle, tokens};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

use super::{HOUR, paused_runtime, runtime, s};

fn runtime_without_timers() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

/// Polls a future once on a runtime, and leaves both alone after that.
fn poll_once<F: Future>(runtime: &Runtime, future: Pin<&mut F>) -> Option<F::Output> {
    runtime.block_on(async { future.now_or_never() })
}

/// Runs on a thread of its own; the test fails when it hangs.
fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> impl FnOnce() -> T {
    let (done, wait) = mpsc::channel();
    let thread: JoinHandle<()> = thread::spawn(move || {
        let _ = done.send(work());
    });
    move || {
        let outcome = wait.recv_timeout(s(20)).expect("it ends, without a panic");
        thread.join().expect("no panic");
        outcome
    }
}

#[test]
fn f5_without_a_runtime_there_is_a_typed_error_and_no_panic() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let error = cache.token().now_or_never().expect("at once").expect_err("no runtime");
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    assert!(error.to_string().contains("tokio runtime"), "{error}");
    let elsewhere = tests::source::token("rejected");
    let error = cache.renew(&elsewhere).now_or_never().expect("at once").expect_err("no runtime");
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    cache.renew_in_background("https://api.test", &elsewhere);
    assert!(cache.ready().now_or_never().expect("at once").is_err());
    assert!(cache.cached().is_none());
    assert!(!cache.status().renewing);
    assert_eq!(source.fetches(), 0);

    // It is nothing to be remembered: with a runtime all is well.
    assert_eq!(runtime().block_on(cache.token()).expect("a token").secret(), "token-1");
    // And what is in memory needs none.
    assert_eq!(cache.token().now_or_never().expect("at once").expect("a token").secret(), "token-1");
}

/// In the window a call without a runtime is served, and begins nothing.
#[test]
fn f8_in_the_window_no_runtime_is_needed() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let paused = paused_runtime();
    paused.block_on(async {
        cache.token().await.expect("a token");
        tokio::time::advance(s(3400)).await;
    });
    // The clock is this runtime's only inside it; a guard enters it without running anything.
    let guard = paused.enter();
    assert!(cache.cached().is_some());
    drop(guard);
    assert!(cache.cached().is_some());
}

#[test]
fn f5_a_runtime_without_timers_is_a_typed_error() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let error = runtime_without_timers().block_on(cache.token()).expect_err("no timers");
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    assert!(error.to_string().contains("enable_time"), "{error}");
}

/// One runtime's want of timers is no failure of the source's: other runtimes do not hear of it.
#[test]
fn f13_a_runtime_without_timers_spoils_nothing_for_another() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let without = runtime_without_timers();
    without.block_on(async {
        assert_eq!(cache.token().await.expect_err("no timers").kind(), ErrorKind::NoRuntime);
        settle().await;
    });
    let token = runtime().block_on(cache.token());
    assert_eq!(token.expect("this runtime has timers").secret(), "token-1");
}

/// The same for a renewal that nobody waits for, in the window and after a rejection.
#[test]
fn f13_a_background_renewal_on_a_runtime_without_timers_spoils_nothing() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let dead = runtime().block_on(cache.token()).expect("a token");
    runtime_without_timers().block_on(async {
        cache.renew_in_background("https://api.test", &dead);
        settle().await;
    });
    let renewed = runtime().block_on(cache.renew_for("https://api.test", &dead));
    assert_eq!(renewed.expect("this runtime has timers").secret(), "token-2");
}

/// Calls from where nothing can be renewed, however many, leave the renewal of the window to those who can.
#[test]
fn f8_calls_without_timers_in_the_window_keep_nobody_from_renewing() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let with = paused_runtime();
    let without = Builder::new_current_thread().start_paused(true).build().expect("a runtime");
    with.block_on(cache.ready()).expect("a token");
    let into_the_window = async {
        tokio::time::advance(s(3400)).await;
        for _ in 0..100 {
            assert!(cache.cached().is_some());
        }
        settle().await;
    };
    without.block_on(into_the_window);
    assert_eq!(source.fetches(), 1);
    with.block_on(async {
        tokio::time::advance(s(3400)).await;
        assert!(cache.cached().is_some());
        settle().await;
    });
    assert_eq!(source.fetches(), 2, "the first call that can renew does");
}

/// Nor does anybody wait for what was begun there.
#[test]
fn f13_nothing_is_begun_on_a_runtime_without_timers() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let dead = runtime().block_on(cache.token()).expect("a token");
    let without = runtime_without_timers();
    without.block_on(async { cache.renew_in_background("https://api.test", &dead) });
    assert!(!cache.status().renewing);
    paused_runtime().block_on(async {
        let began = Instant::now();
        let renewed = cache.renew_for("https://api.test", &dead).await;
        assert_eq!(renewed.expect("another token").secret(), "token-2");
        assert_eq!(began.elapsed(), s(0));
    });
}

/// A handle to a runtime that has gone is entered still: a typed error, and the next runtime works.
#[test]
fn f5_a_runtime_that_has_shut_down_is_a_typed_error() {
    for multi_thread in [false, true] {
        let gone = if multi_thread {
            Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
        } else {
            runtime()
        };
        let handle = gone.handle().clone();
        drop(gone);
        let source = Source::issuing(Some(HOUR));
        let cache = source.cache();
        {
            let _entered = handle.enter();
            let outcome = cache.token().now_or_never().expect("at once");
            assert!(outcome.is_err(), "nobody can have fetched");
        }
        assert_eq!(source.fetches(), 0);
        assert!(!cache.status().renewing);
        assert_eq!(runtime().block_on(cache.token()).expect("a token").secret(), "token-1");
    }
}

#[test]
fn f5_a_waiter_dropped_on_another_runtime_changes_nothing() {
    let source = Source::by_hand();
    let cache = source.cache();
    let (renews, waits) = (runtime(), runtime());
    let mut first = Box::pin(cache.token());
    assert!(poll_once(&renews, first.as_mut()).is_none());
    let mut second = Box::pin(cache.token());
    assert!(poll_once(&waits, second.as_mut()).is_none());
    drop(second);
    drop(waits);
    let fetch = renews.block_on(source.next());
    fetch.answer(Ok(tokens("t", Some(HOUR))));
    assert_eq!(renews.block_on(first).expect("a token").secret(), "t");
    assert_eq!(source.fetches(), 1);
}

/// A renewal that one runtime drives is awaited on another, both on threads of their own.
#[test]
fn f5_waiters_on_other_runtimes_share_the_renewal() {
    let source = Source::by_hand();
    let cache = source.cache();
    let first = on_thread({
        let cache = cache.clone();
        move || runtime().block_on(cache.token())
    });
    let fetch = runtime().block_on(source.next());
    let (waiting, all_wait) = mpsc::channel();
    let others: Vec<_> = (0..4)
        .map(|_| {
            let (cache, waiting) = (cache.clone(), waiting.clone());
            on_thread(move || {
                let runtime = runtime();
                let mut token = Box::pin(cache.token());
                assert!(poll_once(&runtime, token.as_mut()).is_none());
                waiting.send(()).expect("the test waits");
                runtime.block_on(token)
            })
        })
        .collect();
    for _ in 0..4 {
        all_wait.recv_timeout(s(20)).expect("it waits");
    }
    fetch.answer(Ok(tokens("t", Some(HOUR))));
    assert_eq!(first().expect("a token").secret(), "t");
    for other in others {
        assert_eq!(other().expect("a token").secret(), "t");
    }
    assert_eq!(source.fetches(), 1);
}

static CALLS: LazyLock<Source> = LazyLock::new(|| Source::issuing(Some(HOUR)));
static CACHE: LazyLock<TokenCache> = LazyLock::new(|| CALLS.cache());

/// A cache in a static: runtimes come and go, one of them in the middle of a renewal.
#[test]
fn f13_a_cache_in_a_static_outlives_its_runtimes() {
    let first = runtime();
    let token = first.block_on(CACHE.token()).expect("a token");
    drop(first);
    assert_eq!(runtime().block_on(CACHE.token()).expect("a token"), token);

    CALLS.follow(|_| Answer::Never);
    let ends = runtime();
    assert!(poll_once(&ends, Box::pin(CACHE.renew(&token)).as_mut()).is_none());
    ends.block_on(settle());
    assert_eq!(CALLS.running(), 1);
    drop(ends);
    assert_eq!(CALLS.running(), 0);
    assert_eq!(runtime().block_on(CACHE.token()).expect("it is valid still"), token);

    CALLS.follow(|number| Answer::Now(Ok(tokens(&format!("token-{number}"), Some(HOUR)))));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            on_thread(|| {
                let runtime = runtime();
                (0..100).map(|_| runtime.block_on(CACHE.token()).expect("a token")).last()
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread() == Some(token.clone())));
}

/// What is awaited from within a runtime's own shutdown is an error, not a panic.
#[test]
fn f5_a_first_call_during_a_shutdown_ends() {
    struct AsksWhenDropped(TokenCache);

    impl Drop for AsksWhenDropped {
        fn drop(&mut self) {
            let outcome = self.0.token().now_or_never();
            assert!(!matches!(outcome, Some(Ok(_))), "nobody can have fetched");
        }
    }

    let cache = TokenCache::new(source_fn(|| std::future::ready(Ok(tokens("t", Some(HOUR))))));
    let ends = runtime();
    let asks = AsksWhenDropped(cache.clone());
    ends.spawn(async move {
        let _asks = asks;
        std::future::pending::<()>().await;
    });
    ends.block_on(settle());
    drop(ends);
    assert_eq!(runtime().block_on(cache.token()).expect("a token").secret(), "t");
}
