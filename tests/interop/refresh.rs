//! Refresh tokens that are rotated on each use.

use std::{
    future::{pending, ready},
    sync::{Arc, Mutex},
};

use http::Response;
use oauth_tokens::{ErrorKind, RefreshToken, TokenSource};
use tokio::sync::Notify;
use tower::ServiceExt;
use tower_oauth::{NotRetried, RetryOutcome};

use crate::{
    against_both,
    layer::{get, over_hyper},
    server::RealServer,
    token_errors::assert_refused,
};

against_both!(
    t10_a_rotated_token_is_saved_before_the_new_access_token_is_used,
    t10_what_could_not_be_saved_is_saved_before_the_next_exchange,
    t7_a_token_used_before_is_refused_for_good,
    t7_a_refresh_token_of_nobody,
    t10_each_renewal_uses_what_the_last_one_brought,
    r8_a_revoked_session_is_the_callers_to_mend,
    a_token_that_goes_away_in_mid_call_is_good_or_bad_and_no_accident,
);

/// Of the servers that we test against: an API of theirs that looks a token up twice would answer 500 to a renewal in between.
async fn a_token_that_goes_away_in_mid_call_is_good_or_bad_and_no_accident(server: &RealServer) {
    let first = server.sign_in("refresh").await;
    let source = server.client("refresh").refresh_token(first);
    let current = Arc::new(Mutex::new(source.fetch().await.expect("a token").access_token));
    let callers = (0..4).map(|_| {
        let (current, url) = (Arc::clone(&current), server.api("/things"));
        tokio::spawn(async move {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            loop {
                let token = current.lock().expect("no panic").clone();
                let call = client.get(&url).header("authorization", token.authorization().clone());
                let status = call.send().await.expect("an answer").status().as_u16();
                assert!(matches!(status, 200 | 401), "{status}");
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    for _ in 0..30 {
        let renewed = source.fetch().await.expect("a token").access_token;
        *current.lock().expect("no panic") = renewed;
    }
    for caller in callers {
        assert!(!caller.is_finished(), "it met something else: {:?}", caller.await);
        caller.abort();
    }
}

type Saved = Arc<Mutex<Vec<String>>>;

/// A grant that begins with this token, and notes what it is to save.
fn noting(first: &str, saved: &Saved) -> RefreshToken {
    let saved = Arc::clone(saved);
    RefreshToken::new(first).on_rotation(move |token| {
        saved.lock().expect("no panic").push(token.to_string());
        ready(Ok(()))
    })
}

async fn t10_a_rotated_token_is_saved_before_the_new_access_token_is_used(server: &RealServer) {
    let first = server.sign_in("refresh").await;
    let saving = Arc::new(Notify::new());
    let grant = RefreshToken::new(&*first).on_rotation({
        let saving = Arc::clone(&saving);
        move |_| {
            saving.notify_one();
            pending()
        }
    });
    let tokens = server.client("refresh").grant(grant).cached().expect("a usable request");
    tokio::select! {
        token = tokens.token() => panic!("a token while its refresh token is not saved: {token:?}"),
        () = saving.notified() => {}
    }
    assert!(!tokens.status().usable && tokens.cached().is_none());

    let (second, saved) = (server.sign_in("refresh").await, Saved::default());
    let tokens = server.client("refresh").grant(noting(&second, &saved)).cached().expect("a usable request");
    let token = tokens.token().await.expect("a token");
    let rotated = saved.lock().expect("no panic").clone();
    assert_eq!(rotated.len(), 1);
    assert_ne!(rotated[0], second, "rotated");
    assert_eq!(server.call(&token).await.0, 200);
}

async fn t10_what_could_not_be_saved_is_saved_before_the_next_exchange(server: &RealServer) {
    let first = server.sign_in("refresh").await;
    let saved = Saved::default();
    let grant = RefreshToken::new(&*first).on_rotation({
        let saved = Arc::clone(&saved);
        move |token| {
            let mut saved = saved.lock().expect("no panic");
            saved.push(token.to_string());
            ready(if saved.len() == 1 { Err("the disk is full".into()) } else { Ok(()) })
        }
    });
    let request = server.client("refresh").grant(grant);
    let error = request.fetch().await.expect_err("not saved");
    assert_eq!(error.kind(), ErrorKind::Source, "{error}");
    assert!(error.is_transient(), "{error}");
    // The server has rotated; whoever begins again with the first token would lose everything.
    let tokens = request.fetch().await.expect("a token");
    assert_eq!(server.call(&tokens.access_token).await.0, 200);
    let saved = saved.lock().expect("no panic").clone();
    assert_eq!(saved.len(), 3, "tried, tried again, and the next one");
    assert_eq!(saved[0], saved[1]);
    assert_ne!(saved[1], saved[2]);
}

async fn t7_a_token_used_before_is_refused_for_good(server: &RealServer) {
    let first = server.sign_in("refresh").await;
    let saved = Saved::default();
    let tokens = server.client("refresh").grant(noting(&first, &saved)).cached().expect("a usable request");
    let token = tokens.token().await.expect("a token");
    assert_eq!(server.call(&token).await.0, 200);

    let thief = server.client("refresh").refresh_token(&*first);
    let error = thief.fetch().await.expect_err("used before");
    assert_refused(&error, "invalid_grant", 400);
    assert!(error.to_string().contains("sign in again"), "what to do: {error}");
    assert!(!format!("{error} {error:?}").contains(&first), "{error:?}");

    // Both servers then end the whole family (RFC 9700): the layer meets a 401, and can do nothing about it.
    let api = over_hyper(server, tokens);
    let response = api.oneshot(get(&server.api("/things"))).await.expect("an answer");
    assert_needs_a_sign_in(&response);
}

async fn t7_a_refresh_token_of_nobody(server: &RealServer) {
    let error = server.client("refresh").refresh_token("n0b0dys").fetch().await.expect_err("no such token");
    assert_refused(&error, "invalid_grant", 400);
    // A client that is not allowed this grant.
    let error = server.client("basic").refresh_token("n0b0dys").fetch().await.expect_err("not for this client");
    assert_refused(&error, if server.is_oidc() { "invalid_request" } else { "invalid_grant" }, 400);
}

async fn t10_each_renewal_uses_what_the_last_one_brought(server: &RealServer) {
    let first = server.sign_in("refresh").await;
    let saved = Saved::default();
    let tokens = server.client("refresh").grant(noting(&first, &saved)).cached().expect("a usable request");
    let mut token = tokens.token().await.expect("a token");
    for renewals in 1..=3 {
        let saved = saved.lock().expect("no panic").clone();
        assert_eq!(saved.len(), renewals, "each rotation is saved, once");
        assert_eq!(server.call(&token).await.0, 200);
        let renewed =
            tokens.renew_for(&format!("https://{renewals}.example.com"), &token).await.expect("another token");
        assert_ne!(renewed, token);
        token = renewed;
    }
    assert_eq!(server.call(&token).await.0, 200);
    assert_eq!(server.introspect(&token).await["client_id"], server.registered("refresh").id);
}

async fn r8_a_revoked_session_is_the_callers_to_mend(server: &RealServer) {
    let first = server.sign_in("refresh").await;
    let tokens = server.client("refresh").refresh_token(first).cached().expect("a usable request");
    let token = tokens.token().await.expect("a token");
    // Both servers end the refresh token with its access token.
    server.revoke("refresh", &token).await;
    let response = over_hyper(server, tokens).oneshot(get(&server.api("/things"))).await.expect("an answer");
    assert_needs_a_sign_in(&response);
}

fn assert_needs_a_sign_in<B>(response: &Response<B>) {
    assert_eq!(response.status(), 401, "the API's own answer");
    let Some(RetryOutcome::NotRetried(NotRetried::NotRenewed(why))) = response.extensions().get() else {
        panic!("{:?}", response.extensions().get::<RetryOutcome>());
    };
    assert_refused(why, "invalid_grant", 400);
    assert!(why.to_string().contains("sign in again"), "what to do: {why}");
}
