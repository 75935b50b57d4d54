//! The server itself says that a sign-in has ended (OpenID Connect Back-Channel Logout 1.0).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use http::{Method, StatusCode};
use oauth_test_server::TestServer;
use oauth_tokens::{MemoryStore as TokenMemory, SharedStore};
use tests::store::{Mood, TestStore};
use tower_sessions::MemoryStore;

use super::{
    app,
    browser::{Answer, Browser},
    server, sign_in, start,
};

const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

async fn tell(browser: &Browser, token: &str) -> Answer {
    send(browser, format!("logout_token={token}")).await
}

/// As a server sends it: without cookies.
async fn send(browser: &Browser, body: String) -> Answer {
    let mut server = browser.clone();
    server.cookies.clear();
    let request = server.request(Method::POST, "/auth/backchannel-logout", &FORM, Body::from(body));
    server.exchange(request).await
}

/// A sign-in in a browser of its own at the server, and the name of its session there.
async fn signed_in(server: &TestServer, browser: &mut Browser, user: &str) -> String {
    let sid = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&sid);
    server.tamper_id_tokens(move |jwt| {
        let sid = jwt.claims.get("sid").and_then(|sid| sid.as_str()).expect("a session").to_owned();
        *heard.lock().unwrap_or_else(PoisonError::into_inner) = sid;
    });
    browser.sign_in(server, user).await;
    server.tamper_id_tokens(|_| ());
    sid.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[tokio::test(start_paused = true)]
async fn l2_a_session_ends_and_no_other() {
    let (server, _, router) = start();
    let [mut one, mut two, mut bob] = [(); 3].map(|()| Browser::new(&router));
    let sid = signed_in(&server, &mut one, "alice").await;
    signed_in(&server, &mut two, "alice").await;
    signed_in(&server, &mut bob, "bob").await;
    let token = server.logout_token("shop", Some("alice"), Some(&sid)).expect("a token");
    let answer = tell(&one, &token).await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, "no-store"));
    assert_eq!([one.who().await, two.who().await, bob.who().await], ["nobody", "hello alice", "hello bob"]);
    assert_eq!(one.session(), None);
    assert!(one.open("/orders").await.location().starts_with("/auth/login"));

    // The user without a session's name: everywhere.
    let token = server.logout_token("shop", Some("alice"), None).expect("a token");
    assert_eq!(tell(&one, &token).await.status, StatusCode::OK);
    assert_eq!([one.who().await, two.who().await, bob.who().await], ["nobody", "nobody", "hello bob"]);

    // Whoever signs in again is signed in.
    tokio::time::advance(Duration::from_secs(1)).await;
    one.sign_in(&server, "alice").await;
    assert_eq!(one.who().await, "hello alice");
}

/// The server names a session that the ID token did not name: it may be this one.
#[tokio::test(start_paused = true)]
async fn l2_a_sign_in_that_knows_no_session() {
    let (server, _, router) = start();
    let [mut one, mut two, mut bob] = [(); 3].map(|()| Browser::new(&router));
    signed_in(&server, &mut two, "alice").await;
    server.tamper_id_tokens(|jwt| {
        jwt.claims.remove("sid");
    });
    one.sign_in(&server, "alice").await;
    bob.sign_in(&server, "bob").await;
    let token = server.logout_token("shop", Some("alice"), Some("whichever")).expect("a token");
    assert_eq!(tell(&one, &token).await.status, StatusCode::OK);
    assert_eq!([one.who().await, two.who().await, bob.who().await], ["nobody", "hello alice", "hello bob"]);
    // Whoever signs in again is signed in.
    tokio::time::advance(Duration::from_secs(1)).await;
    one.sign_in(&server, "alice").await;
    assert_eq!(one.who().await, "hello alice");
}

/// Two processes with sessions and a token store in common.
#[tokio::test(start_paused = true)]
async fn l2_in_the_whole_fleet() {
    let server = server();
    let (sessions, store) = (MemoryStore::default(), SharedStore::new(TokenMemory::new()));
    let processes = [(); 2].map(|()| {
        let sign_in = sign_in(&server).store(&store).build().expect("settings");
        app(&server, &sign_in, sessions.clone())
    });
    let mut browser = Browser::new(&processes[0]);
    // Begun at one, and finished at the other.
    let callback = browser.go_to_server(&server, "alice", "/").await;
    browser.at(&processes[1]);
    browser.open(&callback).await.assert_leads_to("/");
    browser.at(&processes[0]);
    assert_eq!(browser.who().await, "hello alice");
    assert!(browser.open("/call").await.body.contains("alice"));
    let token = server.logout_token("shop", Some("alice"), None).expect("a token");
    assert_eq!(tell(&Browser::new(&processes[1]), &token).await.status, StatusCode::OK);
    assert_eq!(browser.who().await, "nobody");
}

#[tokio::test(start_paused = true)]
async fn l2_tokens_that_end_nothing() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    let sid = signed_in(&server, &mut browser, "alice").await;
    let good = server.logout_token("shop", Some("alice"), Some(&sid)).expect("a token");
    let id_token = server.issue_id_token("shop", "alice").expect("a token");
    let bodies = [
        String::new(),
        "logout_token=".to_owned(),
        "logout_token=x".to_owned(),
        format!("logout_token={id_token}"),
        format!("logout_token={good}x"),
        format!("logout_token={good}&logout_token={good}"),
        format!("token={good}"),
        "x".repeat(100_000),
    ];
    for body in bodies {
        let answer = send(&browser, body.clone()).await;
        assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::BAD_REQUEST, "no-store"), "{body}");
        assert_eq!(browser.who().await, "hello alice", "{body}");
    }
    // And a page of another site cannot send one either, though that would take the server's key.
    let headers = [FORM[0], ("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
    let request =
        browser.request(Method::POST, "/auth/backchannel-logout", &headers, Body::from(format!("logout_token={good}")));
    assert_eq!(browser.clone().exchange(request).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.who().await, "hello alice");
    // Once, and not again.
    assert_eq!(tell(&browser, &good).await.status, StatusCode::OK);
    assert_eq!(tell(&browser, &good).await.status, StatusCode::BAD_REQUEST);
}

/// The store does not work for a moment: the token is not lost. Nor is it when the server hangs up.
#[tokio::test(start_paused = true)]
async fn l2_a_store_that_fails_for_a_moment() {
    let (server, store) = (server(), TestStore::new());
    let sign_in = sign_in(&server).store(SharedStore::new(store.clone())).build().expect("settings");
    let mut browser = Browser::new(&app(&server, &sign_in, MemoryStore::default()));
    for hangs_up in [false, true] {
        browser.sign_in(&server, "alice").await;
        let token = server.logout_token("shop", Some("alice"), None).expect("a token");
        store.set(Mood::Fails);
        let telling = tell(&browser, &token);
        let (told, ()) = tokio::join!(
            tokio::time::timeout(Duration::from_millis(if hangs_up { 50 } else { 60_000 }), telling),
            async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                store.set(Mood::Works);
            }
        );
        assert_eq!(told.map(|answer| answer.status).ok(), (!hangs_up).then_some(StatusCode::OK));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(browser.who().await, "nobody", "{hangs_up}");
    }
}

/// Longer than anybody waits: it is refused, and the server may bring the same token again.
#[tokio::test(start_paused = true)]
async fn l2_a_store_that_fails_for_long() {
    let (server, store) = (server(), TestStore::new());
    let sign_in = sign_in(&server).store(SharedStore::new(store.clone())).build().expect("settings");
    let mut browser = Browser::new(&app(&server, &sign_in, MemoryStore::default()));
    browser.sign_in(&server, "alice").await;
    let token = server.logout_token("shop", Some("alice"), None).expect("a token");
    store.set(Mood::Fails);
    assert_eq!(tell(&browser, &token).await.status, StatusCode::BAD_REQUEST);
    store.set(Mood::Works);
    assert_eq!(browser.who().await, "hello alice");
    assert_eq!(tell(&browser, &token).await.status, StatusCode::OK);
    assert_eq!(browser.who().await, "nobody");
}

/// Who can say whether somebody is still signed in? Nobody's page is shown meanwhile.
#[tokio::test(start_paused = true)]
async fn l2_a_store_that_does_not_work() {
    let (server, store) = (server(), TestStore::new());
    let sign_in = sign_in(&server).store(SharedStore::new(store.clone())).build().expect("settings");
    let mut browser = Browser::new(&app(&server, &sign_in, MemoryStore::default()));
    browser.sign_in(&server, "alice").await;
    for mood in [Mood::Fails, Mood::Hangs] {
        store.set(mood);
        for path in ["/", "/orders"] {
            assert_eq!(browser.open(path).await.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert_eq!(browser.fetch(path).await.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
        browser.open("/auth/login").await.assert_leads_to("/auth/problem?why=unavailable");
        store.set(Mood::Works);
        assert_eq!(browser.who().await, "hello alice");
    }
    // The sign-out ends the session at least.
    store.set(Mood::Fails);
    browser.submit("/auth/logout").await;
    store.set(Mood::Works);
    assert_eq!(browser.who().await, "nobody");
}
