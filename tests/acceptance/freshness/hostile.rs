//! What a server or a source of the caller's own may say to do harm.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use oauth_test_server::TestServer;
use oauth_tokens::{Error, ErrorKind, TokenCache};
use serde_json::json;
use tests::source::{Answer, Source, settle, tokens};
use tokio::time::{Instant, advance};
use tracing_subscriber::layer::SubscriberExt;

use super::{HOUR, cache_of, ms, runtime, s};

fn giving(expires_in: Option<Duration>, refresh_in: Option<Duration>) -> Source {
    Source::scripted(move |number| {
        let mut tokens = tokens(&format!("token-{number}"), expires_in);
        tokens.refresh_in = refresh_in;
        Answer::Now(Ok(tokens))
    })
}

/// No panic on any input: the longest and the shortest durations there are.
#[tokio::test(start_paused = true)]
async fn f12_durations_of_any_length_panic_nowhere() {
    let durations = [None, Some(Duration::ZERO), Some(Duration::from_nanos(1)), Some(HOUR), Some(Duration::MAX)];
    for expires_in in durations {
        for refresh_in in durations {
            let source = giving(expires_in, refresh_in);
            let cache = source.cache();
            let outcome = cache.token().await;
            let what = format!("{expires_in:?} {refresh_in:?}: {outcome:?}");
            assert_eq!(source.fetches(), 1, "{what}");
            match expires_in {
                // Nothing that could be used, however often it is fetched.
                Some(lifetime) if lifetime < ms(1) => {
                    assert_eq!(outcome.expect_err(&what).kind(), ErrorKind::InvalidResponse);
                }
                _ => assert!(outcome.is_ok(), "{what}"),
            }
            let _ = cache.status();
        }
    }
}

/// A `refresh_in` of nothing, or next to nothing, leaves a token that is renewed on every call.
#[tokio::test(start_paused = true)]
async fn f12_a_refresh_in_of_zero_does_not_renew_on_every_call() {
    for expires_in in [Some(HOUR), None] {
        for refresh_in in [Duration::ZERO, ms(1), ms(100)] {
            let source = giving(expires_in, Some(refresh_in));
            let cache = source.cache();
            for _ in 0..600 {
                cache.token().await.expect("a token");
                advance(ms(100)).await;
            }
            // A minute of use. Once a second would still be often.
            let fetches = source.fetches();
            assert!(fetches <= 61, "{expires_in:?}, refresh_in {refresh_in:?}: {fetches} renewals for 600 calls");
        }
    }
}

/// Tokens that live for next to nothing are an error that is remembered: they would be fetched for every call.
#[tokio::test(start_paused = true)]
async fn f12_tokens_of_a_microsecond_are_not_fetched_for_every_call() {
    let source = giving(Some(Duration::from_micros(1)), None);
    let cache = source.cache();
    for _ in 0..100 {
        assert_eq!(cache.token().await.expect_err("no use").kind(), ErrorKind::InvalidResponse);
    }
    assert_eq!(source.fetches(), 1);
}

/// The same from a real answer.
#[tokio::test(start_paused = true)]
async fn f12_a_server_that_says_refresh_in_zero_is_not_asked_on_every_call() {
    let server = TestServer::builder().build();
    server.set_token_response("refresh_in", json!(0));
    let cache = cache_of(&server);
    for _ in 0..100 {
        cache.token().await.expect("a token");
        settle().await;
    }
    assert!(server.counters().token_requests <= 2, "{} token requests", server.counters().token_requests);
}

/// Jitter never pushes the background renewal past the expiry: then everybody would wait for it.
#[tokio::test(start_paused = true)]
async fn f12_the_background_renewal_is_due_before_the_token_expires() {
    for refresh_in in [s(3400), s(3550), s(3580), s(3585), s(3589)] {
        for _ in 0..50 {
            let source = giving(Some(HOUR), Some(refresh_in));
            let cache = source.cache();
            cache.ready().await.expect("a token");
            let status = cache.status();
            assert!(status.refresh_in < status.expires_in, "refresh_in {refresh_in:?}: {status:?}");
        }
    }
}

/// A token that is expired on arrival is an error, remembered like any other, and replaces nothing.
#[tokio::test(start_paused = true)]
async fn f12_a_token_that_is_expired_on_arrival_is_not_used() {
    let source = giving(Some(s(60)), None);
    let cache = source.cache();
    let valid = cache.token().await.expect("a token");
    source.follow(|_| Answer::Now(Ok(tokens("expired", Some(Duration::ZERO)))));
    let began = Instant::now();
    while began.elapsed() < s(56) {
        assert_eq!(cache.token().await.expect("the old one is valid"), valid);
        advance(ms(500)).await;
    }
    advance(s(10)).await;
    assert_eq!(cache.token().await.expect_err("expired").kind(), ErrorKind::InvalidResponse);
    let before = source.fetches();
    for _ in 0..100 {
        assert!(cache.token().await.is_err());
    }
    assert_eq!(source.fetches(), before);
}

/// A log that looks at the cache, as a health page or an exporter with a token of its own may, meets no lock.
#[test]
fn f5_a_subscriber_may_look_at_the_cache_while_it_logs() {
    struct Looks(Arc<Mutex<Option<TokenCache>>>);

    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Looks {
        fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            if let Ok(cache) = self.0.lock()
                && let Some(cache) = &*cache
            {
                let _ = (cache.status(), cache.cached());
            }
        }
    }

    let (ended, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let source = Source::scripted(|_| Answer::Now(Err(Error::source_failed("down"))));
        let cache = source.cache();
        let subscriber = tracing_subscriber::registry().with(Looks(Arc::new(Mutex::new(Some(cache.clone())))));
        let outcome = tracing::subscriber::with_default(subscriber, || runtime().block_on(cache.token()));
        let _ = ended.send(outcome);
    });
    let outcome = wait.recv_timeout(s(10)).expect("no deadlock");
    assert_eq!(outcome.expect_err("down").to_string(), "down");
}
