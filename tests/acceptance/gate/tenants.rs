//! What one tenant, or one user, gets for an answer is no reason to refuse another.

use bytes::Bytes;
use futures_util::{FutureExt, future::join_all};
use http::{Response, StatusCode};
use oauth_tokens::ErrorKind;
use tests::{canned, source::settle};
use tokio::time::{Instant, advance};

use super::{Mood, Server, caches_of, fetch, ms, s, unavailable};

/// Answers that speak of whoever asked, and of nobody else; and whether the server has surely made them itself, not a filter in
/// front of it.
fn of_one_tenant() -> Vec<(Response<Bytes>, bool)> {
    let token = |token: &str, kind: &str| {
        canned::json(200, format!(r#"{{"access_token":"{token}","token_type":"{kind}","expires_in":3600}}"#))
    };
    let limited = |mut answer: Response<Bytes>| {
        answer.headers_mut().insert("retry-after", "120".parse().expect("a value"));
        answer
    };
    let too_large = " ".repeat(1024 * 1024 + 1);
    vec![
        (canned::status(StatusCode::PAYLOAD_TOO_LARGE), false),
        (canned::status(StatusCode::FORBIDDEN), false),
        (canned::status(StatusCode::UNAUTHORIZED), false),
        (canned::status(StatusCode::URI_TOO_LONG), false),
        (canned::json(403, too_large.clone()), false),
        (canned::json(200, too_large), false),
        // Not what a token is answered with, though it looks like one.
        (canned::json(201, r#"{"access_token":"t0k3n","token_type":"Bearer"}"#), false),
        (canned::status(StatusCode::NO_CONTENT), false),
        // To the sign-in page, as for a client that is locked.
        (canned::status(StatusCode::FOUND), false),
        (canned::status(StatusCode::TOO_MANY_REQUESTS), false),
        (limited(canned::status(StatusCode::TOO_MANY_REQUESTS)), false),
        (limited(canned::json(429, r#"{"error":"slow_down"}"#)), false),
        (canned::json(429, r#"{"error":"temporarily_unavailable"}"#), false),
        (token(&"x".repeat(16 * 1024 + 1), "Bearer"), true),
        (token("t0k3n", "N_A"), true),
        (token("t0k3n", "DPoP"), true),
        (canned::json(200, "{}"), true),
        (canned::json(401, r#"{"error":"invalid_client"}"#), true),
        (canned::json(400, r#"{"error":"a_code_of_its_own"}"#), true),
    ]
}

/// What of an answer belongs into a message.
fn shown(answer: &Response<Bytes>) -> String {
    let body = String::from_utf8_lossy(answer.body());
    format!("{} {:.60?} {} bytes", answer.status(), body.trim(), body.len())
}

/// Ten keys ask as often as they may, for a minute; a healthy one comes at any time, also after hours of silence.
#[tokio::test(start_paused = true)]
async fn f15_a_tenant_whose_answers_are_of_no_use_shuts_nobody_out() {
    for (answer, _) in of_one_tenant() {
        let server = Server::new(Mood::Answers(answer.clone()));
        let client = server.client();
        let broken = caches_of(&client, 10);
        for second in 0..60 {
            server.is(Mood::Answers(answer.clone()));
            for ended in join_all(broken.iter().map(|cache| cache.token())).await {
                let error = ended.expect_err("of no use");
                assert_ne!(error.kind(), ErrorKind::ServerUnavailable, "{} after {second} s: {error}", shown(&answer));
            }
            // Rarely: it is not this success that keeps the gate open.
            if second % 20 == 19 {
                server.is(Mood::Well(s(0)));
                let healthy = fetch(&client).await;
                assert!(healthy.is_ok(), "{} after {second} s: {healthy:?}", shown(&answer));
            }
            advance(s(1)).await;
        }
        assert!(server.requests() >= 10 + 3, "{}", shown(&answer));
    }
}

/// A single user of a tenant, without a cache and so without a back-off.
#[tokio::test(start_paused = true)]
async fn f15_a_user_who_tries_again_and_again_shuts_nobody_out() {
    for (answer, _) in of_one_tenant() {
        let server = Server::new(Mood::Answers(answer.clone()));
        let client = server.client();
        for _ in 0..100 {
            let error = fetch(&client).await.expect_err("of no use");
            assert_ne!(error.kind(), ErrorKind::ServerUnavailable, "{}: {error}", shown(&answer));
        }
        server.is(Mood::Well(s(0)));
        fetch(&client).await.expect("a token");
    }
}

/// A token that is of no use shows that the server is alive; what may come from a filter in front of it does not.
#[tokio::test(start_paused = true)]
async fn f15_only_what_the_server_says_itself_opens_the_gate() {
    for (answer, is_of_server) in of_one_tenant() {
        let server = Server::new(unavailable(None));
        let client = server.client();
        join_all(caches_of(&client, 5).iter().map(|cache| cache.token())).await;
        advance(s(1)).await;
        server.is(Mood::Answers(answer.clone()));
        let probe = fetch(&client).await.expect_err("of no use");
        assert_ne!(probe.kind(), ErrorKind::ServerUnavailable, "{}", shown(&answer));
        let next = fetch(&client).await.expect_err("of no use");
        // Full jitter: the next probe may be due at once, but hardly ten of them.
        let mut refused = next.kind() == ErrorKind::ServerUnavailable;
        for _ in 0..10 {
            refused |= fetch(&client).await.expect_err("of no use").kind() == ErrorKind::ServerUnavailable;
        }
        assert_eq!(refused, !is_of_server, "{}", shown(&answer));
    }
}

/// F7: though the gate stays open for them, each key has its own back-off, however many wait for its token; and there are 64
/// at once at most.
#[tokio::test(start_paused = true)]
async fn f15_whoever_refuses_all_keys_sees_each_of_them_rarely_whatever_the_load() {
    const KEYS: usize = 300;
    let limited = |seconds: &str| {
        let mut answer = canned::status(StatusCode::TOO_MANY_REQUESTS);
        answer.headers_mut().insert("retry-after", seconds.parse().expect("a value"));
        answer
    };
    // After 0, 0.75, 2.25, 5.25 and 11.25 s, then every 7.5 s, each at the earliest.
    let by_itself = 7 * KEYS;
    // (answer, at most so many requests in 30 s, calls of each key at a time)
    let cases = [
        (canned::status(StatusCode::FORBIDDEN), by_itself, 1),
        (canned::status(StatusCode::TOO_MANY_REQUESTS), by_itself, 1),
        (canned::status(StatusCode::TOO_MANY_REQUESTS), by_itself, 10),
        (limited("0"), by_itself, 10),
        (limited("14"), 3 * KEYS, 10),
        (limited("120"), KEYS, 10),
    ];
    for (answer, at_most, calls) in cases {
        let server = Server::new(Mood::Answers(answer.clone()));
        let caches = caches_of(&server.client(), KEYS);
        let began = Instant::now();
        while began.elapsed() < s(30) {
            for cache in &caches {
                for _ in 0..calls {
                    let _ = cache.token().now_or_never();
                }
            }
            settle().await;
            advance(ms(250)).await;
        }
        let requests = server.requests();
        assert!((KEYS..=at_most).contains(&requests), "{} with {calls} calls: {requests}", shown(&answer));
        assert!(server.most_under_way() <= 64, "{}", shown(&answer));
    }
}
