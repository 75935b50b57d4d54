//! How long a failure is remembered: transient 1 s up to 10 s, permanent 30 s up to 5 minutes, or as the server says.
//!
//! Up to a quarter of each pause is jitter.

use std::{path::PathBuf, time::Duration};

use http::StatusCode;
use oauth_test_server::{Client, Fault, TestServer};
use oauth_tokens::{AuthorizationServer, ClientAuth, Error, HttpClient, Secret, TokenCache};
use tests::source::{Answer, Source, settle, tokens};
use tokio::time::advance;

use super::{HOUR, TICK, refusal, s};

fn failing(error: &Error) -> (Source, TokenCache) {
    let error = error.clone();
    let source = Source::scripted(move |_| Answer::Now(Err(error.clone())));
    let cache = source.cache();
    (source, cache)
}

/// Asks, and expects that the answer is a remembered error: no new fetch.
async fn is_remembered(source: &Source, cache: &TokenCache) -> bool {
    let before = source.fetches();
    assert!(cache.token().await.is_err());
    source.fetches() == before
}

/// Each pause: nobody asks before three quarters of it, and somebody may at its end.
async fn check_pauses(error: &Error, pauses: &[u64]) {
    let (source, cache) = failing(error);
    assert!(!is_remembered(&source, &cache).await);
    for pause in pauses {
        let pause = s(*pause);
        assert!(is_remembered(&source, &cache).await, "{pause:?}: at once");
        advance(pause * 3 / 4 - TICK).await;
        assert!(is_remembered(&source, &cache).await, "{pause:?}: a tick before three quarters");
        advance(pause / 4 + TICK).await;
        assert!(!is_remembered(&source, &cache).await, "{pause:?}: at its end");
    }
    assert_eq!(source.fetches(), pauses.len() + 1);
}

#[tokio::test(start_paused = true)]
async fn f7_transient_errors_are_remembered_for_1_s_up_to_10_s() {
    check_pauses(&Error::source_failed("down"), &[1, 2, 4, 8, 10, 10, 10]).await;
}

#[tokio::test(start_paused = true)]
async fn f7_permanent_errors_are_remembered_for_30_s_up_to_5_minutes() {
    let codes = [
        "invalid_client",
        "invalid_grant",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_request",
        "invalid_target",
    ];
    for code in codes {
        check_pauses(&refusal(Fault::oauth_error(code)).await, &[30, 60, 120, 240, 300, 300]).await;
    }
    check_pauses(&refusal(Fault::oauth_error("temporarily_unavailable")).await, &[1, 2, 4, 8, 10, 10]).await;
    check_pauses(&refusal(Fault::Empty(StatusCode::FORBIDDEN)).await, &[1, 2, 4, 8, 10, 10]).await;
}

#[tokio::test(start_paused = true)]
async fn f7_a_success_ends_the_growth_of_the_pauses() {
    let down = Error::source_failed("down");
    let (source, cache) = failing(&down);
    for pause in [1, 2, 4, 8, 10] {
        assert!(cache.token().await.is_err());
        advance(s(pause)).await;
    }
    source.follow(|_| Answer::Now(Ok(tokens("t", Some(s(60))))));
    cache.token().await.expect("a token");
    assert!(cache.status().last_error.is_none());
    source.follow(move |_| Answer::Now(Err(down.clone())));
    advance(s(60)).await;
    assert!(!is_remembered(&source, &cache).await);
    advance(s(1)).await;
    assert!(!is_remembered(&source, &cache).await, "the first pause again");
}

/// T11: what the server asks for is honoured to the tick, capped at 5 minutes, and slept by nobody.
#[tokio::test(start_paused = true)]
async fn f7_retry_after_is_honoured_and_capped() {
    // (what the server says, how long nobody asks; less than the pause of its own is no less)
    let cases = [("120", 120), ("7", 7), ("300", 300), ("86400", 300), ("99999999999999999999", 300)];
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        for (value, seconds) in cases {
            let error = refusal(Fault::StatusWithRetryAfter(status, value.to_owned())).await;
            assert_eq!(error.retry_after(), Some(s(seconds)));
            let (source, cache) = failing(&error);
            for round in 0..3 {
                assert!(!is_remembered(&source, &cache).await, "{value}: round {round}");
                advance(s(seconds) - TICK).await;
                assert!(is_remembered(&source, &cache).await, "{value}: a tick before, round {round}");
                advance(TICK).await;
            }
        }
    }
}

/// Retry-After holds for the background too: the token serves on, and nobody asks.
#[tokio::test(start_paused = true)]
async fn f7_retry_after_is_honoured_in_the_window() {
    let error = refusal(Fault::StatusWithRetryAfter(StatusCode::TOO_MANY_REQUESTS, "120".to_owned())).await;
    let source = Source::issuing(None);
    let cache = source.cache();
    cache.ready().await.expect("a token");
    source.follow(move |_| Answer::Now(Err(error.clone())));
    advance(cache.status().refresh_in.expect("a token")).await;
    for (step, fetches) in [(Duration::ZERO, 2), (s(120) - TICK, 2), (TICK, 3)] {
        advance(step).await;
        assert!(cache.cached().is_some());
        settle().await;
        assert_eq!(source.fetches(), fetches);
    }
}

#[tokio::test(start_paused = true)]
async fn f7_a_changed_credential_ends_the_waiting_after_a_permanent_error() {
    let (source, cache) = failing(&refusal(Fault::oauth_error("invalid_client")).await);
    for _ in 0..4 {
        assert!(cache.token().await.is_err());
        advance(s(300)).await;
    }
    assert!(cache.token().await.is_err());
    assert_eq!(source.fetches(), 5);
    for _ in 0..100 {
        assert!(is_remembered(&source, &cache).await, "the same credential");
        advance(s(1)).await;
    }
    source.change_credential();
    // It is looked for once a second at most.
    advance(s(1)).await;
    assert!(!is_remembered(&source, &cache).await, "another credential");
    // And the pauses begin anew.
    advance(s(30)).await;
    assert!(!is_remembered(&source, &cache).await);
}

/// The credential that was refused is the one of when the exchange began, not of when it ended.
#[tokio::test(start_paused = true)]
async fn f7_a_credential_that_changes_during_the_exchange_is_not_taken_for_the_refused_one() {
    let refused = refusal(Fault::oauth_error("invalid_client")).await;
    let source = Source::by_hand();
    source.change_credential();
    let cache = source.cache();
    let waiter = tokio::spawn({
        let cache = cache.clone();
        async move { cache.token().await }
    });
    let fetch = source.next().await;
    // Somebody rotates the secret after it was read for this exchange.
    source.change_credential();
    fetch.answer(Err(refused));
    assert!(waiter.await.expect("no panic").is_err());
    source.follow(|_| Answer::Now(Ok(tokens("t", Some(HOUR)))));
    advance(s(2)).await;
    let token = cache.token().await;
    assert!(token.is_ok(), "the new secret was never tried, yet: {token:?}");
}

/// The same with a real secret in a file, which somebody corrects.
#[tokio::test(start_paused = true)]
async fn f7_a_corrected_secret_file_is_tried_within_a_second_or_so() {
    let file = SecretFile::new("wrong");
    let server = TestServer::builder().client(Client::new("m2m").secret("right").scopes(["api"])).build();
    let cache = AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .token_endpoint(&server.token_endpoint())
        .and_then(|at| at.client("m2m", ClientAuth::secret_basic(Secret::file(&file.0))))
        .and_then(|client| client.client_credentials().cached())
        .expect("a cache");
    let error = cache.token().await.expect_err("the wrong secret");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_client"));
    advance(s(2)).await;
    assert!(cache.token().await.is_err());
    assert_eq!(server.counters().token_requests, 1);
    file.write("the-right-one-is: right");
    server.set_secret("m2m", "the-right-one-is: right");
    advance(s(2)).await;
    cache.token().await.expect("the secret is right now");
    assert_eq!(server.counters().token_requests, 2);
}

struct SecretFile(PathBuf);

impl SecretFile {
    fn new(secret: &str) -> Self {
        let file = Self(std::env::temp_dir().join(format!("tower-oauth-freshness-{}", std::process::id())));
        file.write(secret);
        file
    }

    fn write(&self, secret: &str) {
        std::fs::write(&self.0, secret).expect("a file");
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Somebody who is polled late finds that the token has had its use, and that it cannot be renewed: it serves all the same.
#[tokio::test(start_paused = true)]
async fn f8_a_late_caller_is_served_by_what_is_valid_still() {
    let source = Source::by_hand();
    let cache = source.cache();
    let mut late = std::pin::pin!(cache.token());
    assert!(futures_util::poll!(late.as_mut()).is_pending());
    source.next().await.answer(Ok(tokens("token-1", Some(s(60)))));
    settle().await;
    advance(s(58)).await;
    assert!(futures_util::poll!(late.as_mut()).is_pending(), "a renewal, as it is past its use");
    source.next().await.answer(Err(Error::source_failed("down")));
    settle().await;
    assert_eq!(late.await.expect("valid for 2 s").secret(), "token-1");
}
