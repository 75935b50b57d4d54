//! T10: refresh tokens rotate, and none is lost.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use oauth_test_server::{Endpoint, Fault};
use oauth_tokens::{Error, ErrorKind, RefreshToken, TokenSource};
use tests::{
    canned::{Canned, json},
    support::eventually,
};
use tokio::{sync::Semaphore, time::advance};

use super::{app_client, app_server, client_at};

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().expect("a log").push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("a log").clone()
    }
}

/// A server whose answers carry these refresh tokens, one after another; none for an empty text. It notes each request.
fn answering(log: &Log, rotated: &[&str]) -> Canned {
    let (log, count) = (log.clone(), Mutex::new(0));
    let rotated: Vec<String> = rotated.iter().map(|&token| token.to_owned()).collect();
    Canned::new(move |request| {
        let body = String::from_utf8_lossy(request.body());
        log.note(format!("sent {}", body.rsplit('=').next().unwrap_or_default()));
        let mut count = count.lock().expect("a count");
        *count += 1;
        let mut answer = serde_json::json!({ "access_token": format!("a{count}"), "token_type": "Bearer" });
        answer["expires_in"] = 60.into();
        if let Some(token) = rotated.get(*count - 1).filter(|token| !token.is_empty()) {
            answer["refresh_token"] = token.as_str().into();
        }
        json(200, answer.to_string())
    })
}

#[tokio::test]
async fn t10_the_form_that_arrives() {
    let log = Log::default();
    let canned = answering(&log, &[]);
    client_at(&canned).refresh_token("r 1/+").scope("api").fetch().await.expect("a token");
    assert_eq!(canned.bodies(), ["grant_type=refresh_token&refresh_token=r%201%2F%2B&scope=api"]);
}

#[tokio::test]
async fn t10_rotated_tokens_are_used_and_saved_in_turn() {
    let server = app_server();
    let log = Log::default();
    let grant = RefreshToken::new(server.issue_refresh_token("app", "api")).on_rotation({
        let log = log.clone();
        move |token| {
            log.note(token.as_str());
            async { Ok(()) }
        }
    });
    let request = app_client(&server).grant(grant);
    for _ in 0..4 {
        request.fetch().await.expect("a token");
    }
    assert_eq!(server.counters().refresh_reuse_detected, 0);
    let sent: Vec<_> =
        server.requests_to(Endpoint::Token).iter().filter_map(|r| r.form_value("refresh_token")).collect();
    assert_eq!(sent[1..], log.all()[..3], "each was saved, and redeemed next");
    assert_eq!(log.all().len(), 4);
}

#[tokio::test]
async fn t10_the_old_one_is_kept_when_none_comes_back() {
    let log = Log::default();
    let saves = log.clone();
    let grant = RefreshToken::new("r1").on_rotation(move |token| {
        saves.note(format!("saved {}", token.as_str()));
        async { Ok(()) }
    });
    // Nothing, the same again, an empty one: each keeps what there is.
    let request = client_at(&answering(&log, &["", "r1", "", "r2", ""])).grant(grant);
    for _ in 0..6 {
        request.fetch().await.expect("a token");
    }
    assert_eq!(log.all(), ["sent r1", "sent r1", "sent r1", "sent r1", "saved r2", "sent r2", "sent r2"]);

    let canned = Canned::always(json(200, r#"{"access_token":"a","token_type":"Bearer","refresh_token":""}"#));
    let request = client_at(&canned).refresh_token("r1");
    request.fetch().await.expect("a token");
    request.fetch().await.expect("a token");
    assert!(canned.bodies()[1].ends_with("refresh_token=r1"), "an empty one is none");
}

#[tokio::test(start_paused = true)]
async fn t10_saved_before_the_access_token_is_used() {
    let log = Log::default();
    let gate = Arc::new(Semaphore::new(0));
    let grant = RefreshToken::new("r1").on_rotation({
        let (log, gate) = (log.clone(), gate.clone());
        move |token| {
            log.note(format!("saving {}", token.as_str()));
            let gate = gate.clone();
            async move {
                gate.acquire().await?.forget();
                Ok(())
            }
        }
    });
    let tokens = client_at(&answering(&log, &["r2"])).grant(grant).cached().expect("a request");
    let waiting = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    eventually("saving has begun", || log.all().len() == 2).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(tokens.cached().is_none() && !waiting.is_finished(), "not used before it is saved");
    gate.add_permits(1);
    assert_eq!(waiting.await.expect("no panic").expect("a token").secret(), "a1");
    assert_eq!(log.all(), ["sent r1", "saving r2"]);
}

/// A grant whose saving fails while `failing` says so.
fn failing_saves(log: &Log, failing: &Arc<Mutex<bool>>) -> RefreshToken {
    let (log, failing) = (log.clone(), failing.clone());
    RefreshToken::new("r1").on_rotation(move |token| {
        let failed = *failing.lock().expect("a flag");
        log.note(format!("{} {}", if failed { "lost" } else { "saved" }, token.as_str()));
        async move { if failed { Err("the disk is full".into()) } else { Ok(()) } }
    })
}

#[tokio::test(start_paused = true)]
async fn t10_a_save_that_fails_is_tried_again_first() {
    let log = Log::default();
    let failing = Arc::new(Mutex::new(true));
    let request = client_at(&answering(&log, &["r2", "r3"])).grant(failing_saves(&log, &failing));
    let tokens = request.cached().expect("a request");

    let error = tokens.token().await.expect_err("it could not be saved");
    assert_eq!(error.kind(), ErrorKind::Source);
    assert!(error.is_transient());
    assert_eq!(std::error::Error::source(&error).map(ToString::to_string).as_deref(), Some("the disk is full"));
    assert!(tokens.cached().is_none(), "the access token is not used");

    advance(Duration::from_secs(10)).await;
    tokens.token().await.expect_err("still not saved");
    assert_eq!(log.all(), ["sent r1", "lost r2", "lost r2"], "nothing is redeemed meanwhile");

    *failing.lock().expect("a flag") = false;
    advance(Duration::from_secs(10)).await;
    assert_eq!(tokens.token().await.expect("a token").secret(), "a2");
    assert_eq!(log.all()[3..], ["saved r2", "sent r2", "saved r3"]);
}

#[tokio::test(start_paused = true)]
async fn t10_a_caller_that_goes_away_while_saving_loses_nothing() {
    let log = Log::default();
    let saves = Arc::new(Mutex::new(0));
    let grant = RefreshToken::new("r1").on_rotation({
        let (log, saves) = (log.clone(), saves.clone());
        move |token| {
            log.note(format!("saving {}", token.as_str()));
            let mut saves = saves.lock().expect("a count");
            *saves += 1;
            if *saves == 1 { std::future::pending().boxed() } else { std::future::ready(Ok(())).boxed() }
        }
    });
    let request = client_at(&answering(&log, &["r2", "r3"])).grant(grant);
    tokio::time::timeout(Duration::from_secs(1), request.fetch()).await.expect_err("saving hangs");
    request.fetch().await.expect("a token");
    assert_eq!(log.all(), ["sent r1", "saving r2", "saving r2", "sent r2", "saving r3"]);
}

#[tokio::test(start_paused = true)]
async fn t10_exchanges_of_one_refresh_token_happen_one_at_a_time() {
    let server = app_server();
    server.token_faults().push_forever(Fault::Delay(Duration::from_millis(100)));
    let request = app_client(&server).refresh_token(server.issue_refresh_token("app", "api"));
    let results = join_all((0..20).map(|_| request.fetch())).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let mut sent: Vec<_> =
        server.requests_to(Endpoint::Token).iter().filter_map(|r| r.form_value("refresh_token")).collect();
    assert_eq!((server.counters().refresh_reuse_detected, sent.len()), (0, 20));
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 20, "no refresh token was sent twice");
}

#[tokio::test(start_paused = true)]
async fn t10_a_token_that_rotated_is_kept_though_the_access_token_is_expired() {
    let log = Log::default();
    let canned = Canned::sequence([
        json(200, r#"{"access_token":"a1","token_type":"Bearer","expires_in":0,"refresh_token":"r2"}"#),
        json(200, r#"{"access_token":"a2","token_type":"Bearer","expires_in":60}"#),
    ]);
    let failing = Arc::new(Mutex::new(false));
    let tokens = client_at(&canned).grant(failing_saves(&log, &failing)).cached().expect("a request");
    tokens.token().await.expect_err("expired");
    assert_eq!(log.all(), ["saved r2"]);
    advance(Duration::from_secs(10)).await;
    tokens.token().await.expect("a token");
    assert!(canned.bodies()[1].ends_with("refresh_token=r2"), "{:?}", canned.bodies());
}

#[tokio::test(start_paused = true)]
async fn t10_a_refresh_token_that_is_dead_is_permanent_and_says_what_to_do() {
    let server = app_server();
    let request = app_client(&server).refresh_token(server.issue_refresh_token("app", "api"));
    server.revoke_all();
    let error: Error = request.fetch().await.expect_err("revoked");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_grant"));
    assert!(!error.is_transient() && error.to_string().contains("sign in again"), "{error}");
    assert_eq!(server.counters().token_requests, 1);
}
