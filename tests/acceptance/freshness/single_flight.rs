//! One dead token, one renewal, however many ask.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, StatusCode};
use http_body_util::Full;
use oauth_test_server::{Fault, TestServer};
use oauth_tokens::{AccessToken, Error, ErrorKind, TokenCache};
use tests::source::{Answer, Source, settle, token, tokens};
use tokio::{sync::Barrier, task::JoinHandle, time::advance};
use tower::ServiceExt;
use tower_oauth::{OAuthLayer, RetryOutcome};

use super::{HOUR, cache_of, s};

const MANY: usize = 10_000;

type Waiter = JoinHandle<Result<AccessToken, Error>>;

fn ask(cache: &TokenCache) -> Waiter {
    let cache = cache.clone();
    tokio::spawn(async move { cache.token().await })
}

fn reject(cache: &TokenCache, rejected: &AccessToken) -> Waiter {
    let (cache, rejected) = (cache.clone(), rejected.clone());
    tokio::spawn(async move { cache.renew_for("https://api.test", &rejected).await })
}

#[tokio::test(start_paused = true)]
async fn f1_ten_thousand_first_calls_make_one_token_request() {
    let source = Source::by_hand();
    let cache = source.cache();
    let waiters: Vec<Waiter> = (0..MANY).map(|_| ask(&cache)).collect();
    let fetch = source.next().await;
    settle().await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
    fetch.answer(Ok(tokens("t", Some(HOUR))));
    for waiter in join_all(waiters).await {
        assert_eq!(waiter.expect("no panic").expect("a token").secret(), "t");
    }
    assert_eq!(source.fetches(), 1);
    assert_eq!(cache.status().renewals, 1);
}

/// The same on several threads at once, against a server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f1_ten_thousand_first_calls_on_several_threads_make_one_token_request() {
    let server = TestServer::builder().build();
    let cache = cache_of(&server);
    let calls = (0..MANY).map(|_| ask(&cache));
    for answer in join_all(calls).await {
        answer.expect("no panic").expect("a token");
    }
    assert_eq!(server.counters().token_requests, 1);
}

#[tokio::test(start_paused = true)]
async fn f2_ten_thousand_rejections_of_one_token_make_one_renewal() {
    let source = Source::by_hand();
    let cache = source.cache();
    let first = ask(&cache);
    source.next().await.answer(Ok(tokens("dead", Some(HOUR))));
    let dead = first.await.expect("no panic").expect("a token");

    let waiters: Vec<Waiter> = (0..MANY).map(|_| reject(&cache, &dead)).collect();
    let fetch = source.next().await;
    settle().await;
    fetch.answer(Ok(tokens("new", Some(HOUR))));
    for waiter in join_all(waiters).await {
        assert_eq!(waiter.expect("no panic").expect("a token").secret(), "new");
    }
    assert_eq!(source.fetches(), 2);
}

/// The same on several threads, with nothing stepped: some come early, some late.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f2_ten_thousand_rejections_on_several_threads_make_one_renewal() {
    let server = TestServer::builder().build();
    let cache = cache_of(&server);
    let dead = cache.token().await.expect("a token");
    let together = Arc::new(Barrier::new(4));
    let tasks = (0..4).map(|_| {
        let (cache, dead, together) = (cache.clone(), dead.clone(), Arc::clone(&together));
        tokio::spawn(async move {
            together.wait().await;
            join_all((0..MANY / 4).map(|_| cache.renew_for("https://api.test", &dead))).await
        })
    });
    for answers in join_all(tasks).await {
        for answer in answers.expect("no panic") {
            assert_ne!(answer.expect("another token"), dead);
        }
    }
    assert_eq!(server.counters().token_requests, 2);
}

/// The whole way: ten thousand requests, all answered 401, all retried with one new token.
#[tokio::test(start_paused = true)]
async fn f2_ten_thousand_requests_answered_401_make_one_token_request() {
    let server = TestServer::builder().keep_requests(0).build();
    let cache = cache_of(&server);
    let origin = server.api_url("/").parse::<http::Uri>().expect("a url");
    let origin = format!("{}://{}", origin.scheme_str().expect("a scheme"), origin.authority().expect("a host"));
    let api = OAuthLayer::new(origin.as_str(), cache.clone()).expect("a layer");
    let api = tower::Layer::layer(&api, server.api_service());
    cache.ready().await.expect("a token");
    server.revoke_access_tokens();

    let calls = (0..MANY).map(|_| {
        let request = Request::get(server.api_url("/things")).body(Full::<Bytes>::default()).expect("a request");
        api.clone().oneshot(request)
    });
    for response in join_all(calls).await {
        let response = response.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        assert!(matches!(response.extensions().get(), Some(RetryOutcome::Retried)));
    }
    assert_eq!(server.counters().token_requests, 2);
    assert_eq!(server.counters().api_unauthorized, MANY as u64);
}

#[tokio::test(start_paused = true)]
async fn f3_a_late_rejection_of_an_older_token_takes_the_new_one() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let first = cache.token().await.expect("a token");
    let second = cache.renew(&first).await.expect("another token");
    for origin in ["", "https://api.test", "https://other.test"] {
        assert_eq!(cache.renew_for(origin, &first).await.expect("the new one"), second);
        cache.renew_in_background(origin, &first);
    }
    // One that this cache never had is not its current one, either.
    assert_eq!(cache.renew(&token("from-elsewhere")).await.expect("the current one"), second);
    // Nor do ten thousand of them.
    let late = (0..MANY).map(|_| cache.renew_for("https://api.test", &first));
    assert!(join_all(late).await.into_iter().all(|token| token.is_ok_and(|token| token == second)));
    settle().await;
    assert_eq!(source.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn f4_ten_late_rejections_one_after_another_make_one_renewal() {
    let source = Source::issuing(Some(HOUR));
    let cache = source.cache();
    let dead = cache.token().await.expect("a token");
    for _ in 0..10 {
        assert_eq!(cache.renew_for("https://api.test", &dead).await.expect("another").secret(), "token-2");
        advance(s(7)).await;
    }
    assert_eq!(source.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn f6_twenty_waiters_share_one_exchange_and_its_error() {
    let server = TestServer::builder().build();
    server.token_faults().push_forever(Fault::oauth_error("invalid_client"));
    let cache = cache_of(&server);
    let answers = join_all((0..20).map(|_| ask(&cache))).await;
    let errors: Vec<Error> =
        answers.into_iter().map(|answer| answer.expect("no panic").expect_err("refused")).collect();
    assert_eq!(server.counters().token_requests, 1);
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::OAuth);
        assert_eq!(error.to_string(), cache.status().last_error.expect("the error").to_string());
    }
}

/// A server that stumbles gets the exchange's own three attempts, once for all.
#[tokio::test(start_paused = true)]
async fn f6_the_attempts_of_one_exchange_are_shared_too() {
    let server = TestServer::builder().build();
    server.token_faults().push_forever(Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let cache = cache_of(&server);
    let began = tokio::time::Instant::now();
    let answers = join_all((0..20).map(|_| ask(&cache))).await;
    assert!(answers.into_iter().all(|answer| answer.expect("no panic").is_err()));
    assert_eq!(server.counters().token_requests, 3);
    assert!(began.elapsed() < s(2), "none waits for another's turn: {:?}", began.elapsed());
}

/// Callers of all kinds share what is in flight, and one error is everybody's.
#[tokio::test(start_paused = true)]
async fn f6_first_calls_and_rejections_share_a_failing_renewal() {
    let source = Source::scripted(|number| match number {
        1 => Answer::Now(Ok(tokens("t", Some(s(60))))),
        _ => Answer::ByHand,
    });
    let cache = source.cache();
    let dead = cache.token().await.expect("a token");
    advance(s(60)).await;
    let mut waiters: Vec<Waiter> = (0..10).map(|_| ask(&cache)).collect();
    waiters.extend((0..10).map(|_| reject(&cache, &dead)));
    let fetch = source.next().await;
    settle().await;
    fetch.answer(Err(Error::source_failed("the vault is sealed")));
    for waiter in join_all(waiters).await {
        assert_eq!(waiter.expect("no panic").expect_err("an error").to_string(), "the vault is sealed");
    }
    assert_eq!(source.fetches(), 2);
}
