//! Signing out: here, at the server, and in the server's own session.

use axum::Router;
use http::StatusCode;
use oauth_test_server::{Endpoint, Fault};
use serde_json::Value;
use tower_sessions::MemoryStore;

use super::{Wrong, app, browser::Browser, server, sign_in, start, start_with};

#[tokio::test(start_paused = true)]
async fn l2_a_user_signs_out() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    // The user's browser at the server, which keeps its session there.
    let mut at_server = server.browser();
    let login = browser.open("/auth/login").await;
    let callback = at_server.authorize(login.location(), "alice").await.expect("a callback");
    browser.open(&callback).await;
    let session = browser.session().expect("a session").to_owned();

    let answer = browser.submit("/auth/logout").await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::SEE_OTHER, "no-store"));
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let url = answer.location().to_owned();
    assert!(url.starts_with(&server.end_session_endpoint()) && url.contains("id_token_hint="), "{url}");
    assert_eq!(browser.who().await, "nobody");
    assert_eq!(browser.session(), None, "the cookie is taken back");
    let revoked = server.requests_to(Endpoint::Revocation);
    assert!(
        revoked.iter().any(|request| request.form_value("token_type_hint").as_deref() == Some("refresh_token")),
        "{revoked:?}"
    );

    // The server ends its session, and sends the user to our page.
    let back = at_server.end_session(&url).await.expect("no page of its own").expect("somewhere");
    assert_eq!(back, "https://shop.test/auth/signed-out");
    let page = browser.open(&back).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("You are signed out"), "{}", page.body);
    let sign_ins = server.counters().sign_ins;
    let login = browser.open("/auth/login").await;
    at_server.authorize(login.location(), "alice").await.expect("a callback");
    assert_eq!(server.counters().sign_ins, sign_ins + 1, "the server asks again");

    // Whoever has kept the cookie has nothing.
    let mut thief = Browser::new(&router);
    thief.cookies.insert("__Host-session".to_owned(), session);
    assert_eq!(thief.who().await, "nobody");
}

#[tokio::test(start_paused = true)]
async fn l2_whatever_fails_at_the_server_the_user_is_signed_out() {
    let cases: [(&str, Wrong); 4] = [
        ("no such endpoint", |server| server.set_metadata("end_session_endpoint", Value::Null)),
        ("no revocation", |server| server.set_metadata("revocation_endpoint", Value::Null)),
        ("revocation fails", |server| {
            server.faults(Endpoint::Revocation).push_forever(Fault::Status(StatusCode::INTERNAL_SERVER_ERROR))
        }),
        ("revocation hangs", |server| server.faults(Endpoint::Revocation).push_forever(Fault::Hang)),
    ];
    for (what, wrong) in cases {
        let (server, _, router) = start_with(server(), |sign_in| sign_in.signed_out_page("/bye"));
        wrong(&server);
        let mut browser = Browser::new(&router);
        browser.sign_in(&server, "alice").await;
        let before = tokio::time::Instant::now();
        let answer = browser.submit("/auth/logout").await;
        assert!(before.elapsed() <= std::time::Duration::from_secs(2), "{what}");
        match what {
            "no such endpoint" => answer.assert_leads_to("/bye"),
            _ => assert!(answer.location().contains("shop.test%2Fbye"), "{what}: {}", answer.location()),
        }
        assert_eq!(browser.who().await, "nobody", "{what}");
        assert!(browser.open("/call").await.location().starts_with("/auth/login"), "{what}");
    }
}

/// Some servers put all of a user's groups into it, and no proxy takes so long an address.
#[tokio::test(start_paused = true)]
async fn l2_a_big_id_token_stays_out_of_the_address() {
    for (groups, has_hint) in [(100, true), (8000, false)] {
        let (server, _, router) = start();
        server.tamper_id_tokens(move |jwt| jwt.set_claim("groups", "x".repeat(groups)));
        let mut browser = Browser::new(&router);
        browser.sign_in(&server, "alice").await;
        let answer = browser.submit("/auth/logout").await;
        let url = answer.location();
        assert!(url.starts_with(&server.end_session_endpoint()) && url.contains("client_id=shop"), "{url}");
        assert!(url.contains("post_logout_redirect_uri=") && url.len() < 4096, "{url}");
        assert_eq!(url.contains("id_token_hint="), has_hint, "{url}");
        assert_eq!(browser.who().await, "nobody");
    }
}

/// Who was not signed in is signed out, and nobody is bothered.
#[tokio::test(start_paused = true)]
async fn l2_signing_out_twice() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    browser.submit("/auth/logout").await.assert_leads_to("/auth/signed-out");
    browser.sign_in(&server, "alice").await;
    browser.submit("/auth/logout").await;
    browser.submit("/auth/logout").await.assert_leads_to("/auth/signed-out");
}

/// The browser is closed at once: it happens all the same.
#[tokio::test(start_paused = true)]
async fn l2_nobody_waits_for_the_answer() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    browser.sign_in(&server, "alice").await;
    server.faults(Endpoint::Revocation).push(1, Fault::Delay(std::time::Duration::from_secs(1)));
    let mut copy = browser.clone();
    let gone = tokio::time::timeout(std::time::Duration::from_millis(1), browser.submit("/auth/logout")).await;
    assert!(gone.is_err(), "it should have been dropped");
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(copy.who().await, "nobody");
    assert!(server.requests_to(Endpoint::Revocation).len() >= 2, "the tokens are revoked");
}

/// A request that is under way writes the session back that was deleted meanwhile: its record is there, and nobody is signed in.
#[tokio::test(start_paused = true)]
async fn l2_a_session_that_comes_back() {
    let server = server();
    let sessions = MemoryStore::default();
    let sign_in = sign_in(&server).build().expect("settings");
    let slow: Router = Router::new()
        .route(
            "/slow",
            axum::routing::get(|session: tower_sessions::Session| async move {
                session.insert("cart", 1).await.expect("a store");
                tokio::time::sleep(std::time::Duration::from_secs(60)).await;
                "done"
            }),
        )
        .layer(sign_in.sessions(sessions.clone()));
    let router = app(&server, &sign_in, sessions).merge(slow);
    for signs_in_again in [false, true] {
        let mut browser = Browser::new(&router);
        browser.sign_in(&server, "alice").await;
        let mut thief = browser.clone();
        let (slow, ()) = tokio::join!(thief.open("/slow"), async {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            if signs_in_again {
                browser.sign_in(&server, "alice").await;
            } else {
                browser.submit("/auth/logout").await;
            }
        });
        assert_eq!(slow.body, "done");
        assert!(thief.session().is_some(), "the record is there again");
        assert_eq!(thief.who().await, "nobody", "{signs_in_again}");
    }
}
