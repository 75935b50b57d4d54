//! Sign-in, sign-out, and whose tokens they are.

use futures_util::FutureExt as _;
use http::StatusCode;
use oauth_test_server::{Endpoint, Fault};
use oauth_tokens::{ErrorKind, Record, TokenPool, TokenStore as _, UserTokens};
use tests::{
    capture::Capture,
    store::{Call, Mood, TestStore},
    support::shown,
};
use tokio::time::{advance, sleep};

use super::{HOUR, client, process, requests, s, server, signed_in, user};

#[tokio::test(start_paused = true)]
async fn a_signed_in_user_has_the_token_that_came_along_and_then_renewed_ones() {
    let server = server();
    let users = UserTokens::new(client(&server));
    let tokens = signed_in(&server, Some(HOUR));
    let first = tokens.access_token.clone();
    users.sign_in(&user("alice"), tokens).await.expect("saved");
    assert_eq!(users.token(&user("alice")).await.expect("a token"), first);
    assert_eq!(requests(&server), 0);
    for lifetimes in 1..=5 {
        advance(HOUR).await;
        users.token(&user("alice")).await.expect("a token");
        assert_eq!(requests(&server), lifetimes);
    }
    assert_eq!(server.counters().refresh_reuse_detected, 0);
    assert_eq!(users.status().keys, 1);
    let pool: TokenPool<String> = (&users).into();
    assert!(pool.get(&user("alice")).expect("a cache").is_clone_of(&users.get(&user("alice")).expect("a cache")));
}

#[tokio::test(start_paused = true)]
async fn f14_a_users_token_never_serves_another() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    let mut seen = Vec::new();
    for name in ["alice", "bob", "Alice", "alice ", ""] {
        assert_eq!(users.token(&user(name)).await.expect_err("nobody").kind(), ErrorKind::SignInRequired, "{name:?}");
        users.sign_in(&user(name), signed_in(&server, Some(HOUR))).await.expect("saved");
        let token = users.token(&user(name)).await.expect("a token");
        assert!(!seen.contains(&token), "{name:?}");
        seen.push(token);
    }
    advance(HOUR).await;
    for name in ["alice", "bob", "Alice", "alice ", ""] {
        let token = process(&server, &store).token(&user(name)).await.expect("a token");
        assert!(!seen.contains(&token), "{name:?}");
        seen.push(token);
    }
    // Another client's users are others.
    let other = oauth_test_server::Client::new("other").secret("secret").grant_types(["refresh_token"]);
    server.set_client(other);
    let at = oauth_tokens::AuthorizationServer::via(oauth_tokens::HttpClient::new(server.authorization_service()));
    let other = at
        .issuer(server.issuer())
        .and_then(|at| at.client("other", oauth_tokens::ClientAuth::secret_basic("secret")))
        .expect("a client");
    let others = UserTokens::<String>::new(other).store(store);
    assert_eq!(others.token(&user("alice")).await.expect_err("nobody").kind(), ErrorKind::SignInRequired);
    assert_eq!(server.counters().refresh_reuse_detected, 0);
}

#[tokio::test(start_paused = true)]
async fn invalid_grant_ends_the_sign_in_with_a_typed_error_until_the_next_one() {
    let server = server();
    let store = TestStore::new();
    let (here, there) = (process(&server, &store), process(&server, &store));
    here.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    let held = here.get(&user("alice")).expect("a cache");
    held.token().await.expect("a token");
    server.revoke_all();
    advance(HOUR).await;
    for error in [held.token().await, here.token(&user("alice")).await, there.token(&user("alice")).await] {
        let error = error.expect_err("revoked");
        assert_eq!(error.kind(), ErrorKind::SignInRequired);
        assert!(!error.is_transient() && error.to_string().contains("sign in again"), "{error}");
    }
    assert_eq!(requests(&server), 2, "the one that failed is not repeated");
    assert_eq!(here.status().keys, 0, "the pool has forgotten the user");
    // Signed in at another process, or at this one: it counts at once, where the pool is asked.
    there.sign_in(&user("alice"), signed_in(&server, Some(HOUR))).await.expect("saved");
    let token = there.token(&user("alice")).await.expect("a token");
    assert_eq!(here.token(&user("alice")).await.expect("a token"), token);
    // Whoever holds a cache finds it out, too, after a sign-in here.
    here.sign_in(&user("alice"), signed_in(&server, Some(HOUR))).await.expect("saved");
    sleep(s(1)).await;
    held.token().await.expect("a token");
}

#[tokio::test(start_paused = true)]
async fn other_errors_of_the_server_end_no_sign_in() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    let faults = [
        Fault::oauth_error("invalid_client"),
        Fault::oauth_error("temporarily_unavailable"),
        Fault::OAuthError { status: StatusCode::TOO_MANY_REQUESTS, error: "invalid_grant".into(), description: None },
        Fault::Status(StatusCode::INTERNAL_SERVER_ERROR),
        Fault::Html(StatusCode::FORBIDDEN),
        Fault::Disconnect,
    ];
    for fault in faults {
        server.token_faults().clear();
        server.token_faults().push_forever(fault.clone());
        let error = users.token(&user("alice")).await.expect_err("a fault");
        assert_ne!(error.kind(), ErrorKind::SignInRequired, "{fault:?}");
        sleep(s(400)).await;
    }
    server.token_faults().clear();
    users.token(&user("alice")).await.expect("still signed in");
}

#[tokio::test(start_paused = true)]
async fn to_forget_deletes_and_revokes() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.forget(&user("nobody")).await.expect("nothing to do");
    users.sign_in(&user("alice"), signed_in(&server, Some(HOUR))).await.expect("saved");
    users.sign_in(&user("bob"), signed_in(&server, Some(HOUR))).await.expect("saved");
    users.token(&user("alice")).await.expect("a token");
    users.forget(&user("alice")).await.expect("forgotten");
    let revoked: Vec<_> =
        server.requests_to(Endpoint::Revocation).iter().filter_map(|r| r.form_value("token_type_hint")).collect();
    assert_eq!(revoked, ["refresh_token", "access_token"]);
    assert_eq!(users.token(&user("alice")).await.expect_err("forgotten").kind(), ErrorKind::SignInRequired);
    users.token(&user("bob")).await.expect("another user");
    assert_eq!(requests(&server), 0);

    // The revocation fails: it is said, and the user is forgotten all the same.
    server.faults(Endpoint::Revocation).push_forever(Fault::oauth_error("invalid_request"));
    assert!(users.forget(&user("bob")).await.is_err());
    assert_eq!(users.token(&user("bob")).await.expect_err("forgotten").kind(), ErrorKind::SignInRequired);

    // The store fails: nothing is forgotten, and that is said, too.
    users.sign_in(&user("carol"), signed_in(&server, Some(HOUR))).await.expect("saved");
    store.set(Mood::Fails);
    assert_eq!(users.forget(&user("carol")).await.expect_err("not deleted").kind(), ErrorKind::Store);
    store.set(Mood::Works);
    process(&server, &store).token(&user("carol")).await.expect("still signed in");
}

/// Others save tokens of the user all the time: that nothing was deleted is said.
#[tokio::test(start_paused = true)]
async fn to_forget_nothing_is_an_error_when_there_is_something() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, Some(HOUR))).await.expect("saved");
    let key = store.keys()[0].clone();
    store.set_each({
        let store = store.clone();
        move |call| {
            if call == Call::Delete {
                let there = store.memory().load(&key).now_or_never().expect("at once").expect("a store");
                let there = there.expect("a record");
                let newer = Record { version: there.version + 1, ..there.clone() };
                let saved = store.memory().replace(&key, Some(there.version), &newer).now_or_never();
                assert!(saved.expect("at once").expect("a store"));
            }
            Mood::Works
        }
    });
    assert_eq!(users.forget(&user("alice")).await.expect_err("not deleted").kind(), ErrorKind::Store);
    assert_eq!(server.counters().revocations, 0, "and nothing is revoked");
    store.set(Mood::Works);
    users.token(&user("alice")).await.expect("still signed in");
    users.forget(&user("alice")).await.expect("forgotten");
    assert_eq!(users.token(&user("alice")).await.expect_err("forgotten").kind(), ErrorKind::SignInRequired);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_revokes_nothing_is_no_reason_to_keep_a_user() {
    let server = server();
    server.set_metadata("revocation_endpoint", serde_json::Value::Null);
    let users = UserTokens::new(client(&server));
    users.sign_in(&user("alice"), signed_in(&server, Some(HOUR))).await.expect("saved");
    users.forget(&user("alice")).await.expect("forgotten");
    assert_eq!(users.token(&user("alice")).await.expect_err("forgotten").kind(), ErrorKind::SignInRequired);
}

/// What a renewal brings after the sign-out is not used, and not left behind at the server.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_ends_after_the_sign_out_brings_nothing_back() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    server.token_faults().push(1, Fault::Delay(s(2)));
    let renewal = tokio::spawn({
        let users = users.clone();
        async move { users.token(&user("alice")).await }
    });
    sleep(s(1)).await;
    // The server's answer is on its way, so the refresh token is none that it could revoke.
    server.faults(Endpoint::Revocation).push(2, Fault::Delay(s(3)));
    users.forget(&user("alice")).await.expect("forgotten");
    renewal.await.expect("no panic").expect_err("forgotten");
    sleep(s(5)).await;
    assert_eq!(users.token(&user("alice")).await.expect_err("forgotten").kind(), ErrorKind::SignInRequired);
    assert_eq!(server.counters().revocations, 4, "what was issued since, too");
}

#[tokio::test(start_paused = true)]
async fn a_new_sign_in_takes_the_place_of_a_renewal_of_the_old_one() {
    let server = server();
    let store = TestStore::new();
    let users = process(&server, &store);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    server.token_faults().push(1, Fault::Delay(s(2)));
    let renewal = tokio::spawn({
        let users = users.clone();
        async move { users.token(&user("alice")).await }
    });
    sleep(s(1)).await;
    let anew = signed_in(&server, Some(HOUR));
    let token = anew.access_token.clone();
    users.sign_in(&user("alice"), anew).await.expect("saved");
    let error = renewal.await.expect("no panic").expect_err("superseded");
    assert!(error.is_transient(), "{error}");
    assert_eq!(users.token(&user("alice")).await.expect("a token"), token);
    assert_eq!(process(&server, &store).token(&user("alice")).await.expect("a token"), token);
    assert_eq!(server.counters().revocations, 0, "it may be the same session");
    advance(HOUR).await;
    users.token(&user("alice")).await.expect("renewed by the new refresh token");
}

#[tokio::test(start_paused = true)]
async fn without_a_refresh_token_the_user_signs_in_again_when_the_token_is_used_up() {
    let server = server();
    let users = UserTokens::new(client(&server));
    let mut tokens = signed_in(&server, Some(HOUR));
    tokens.refresh_token = None;
    let token = tokens.access_token.clone();
    users.sign_in(&user("alice"), tokens).await.expect("saved");
    assert_eq!(users.token(&user("alice")).await.expect("a token"), token);
    advance(HOUR - s(300)).await;
    assert_eq!(users.token(&user("alice")).await.expect("a token"), token, "in its window, it is still used");
    advance(s(300)).await;
    assert_eq!(users.token(&user("alice")).await.expect_err("used up").kind(), ErrorKind::SignInRequired);
    assert_eq!(requests(&server), 0);
}

#[tokio::test(start_paused = true)]
async fn s1_nothing_shows_who_the_users_are_or_what_they_have() {
    let server = server();
    let captured = Capture::start();
    let store = TestStore::new();
    let users = process(&server, &store);
    let tokens = signed_in(&server, None);
    let secrets = [
        tokens.access_token.secret().to_owned(),
        tokens.refresh_token.as_ref().expect("one").to_string(),
        "alice@example.com".to_owned(),
    ];
    users.sign_in(&user("alice@example.com"), tokens).await.expect("saved");
    let renewed = users.token(&user("alice@example.com")).await.expect("a token");
    store.set(Mood::Fails);
    let cache = users.get(&user("alice@example.com")).expect("a cache");
    let mut text = shown(&cache.renew(&renewed).await.expect_err("the store is down"));
    store.set(Mood::Works);
    server.revoke_all();
    advance(HOUR).await;
    text += &shown(&users.token(&user("alice@example.com")).await.expect_err("revoked"));
    text += &format!("{users:?} {:#?} {:?}", users.status(), store.keys());
    text += &captured.text();
    for secret in secrets.iter().map(String::as_str).chain([renewed.secret()]) {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
