//! Whose session, whose tokens, whose page.

use axum_oauth::SignIn;
use http::StatusCode;
use oauth_test_server::{Client, User};
use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient};
use tower_sessions::MemoryStore;

use super::{APP, app, browser::Browser, client, settings, sign_in, start, start_with};

#[tokio::test(start_paused = true)]
async fn l2_two_browsers() {
    let (server, _, router) = start();
    let [mut alice, mut bob, mut again] = [(); 3].map(|()| Browser::new(&router));
    alice.sign_in(&server, "alice").await;
    bob.sign_in(&server, "bob").await;
    again.sign_in(&server, "alice").await;
    for (browser, user) in [(&mut alice, "alice"), (&mut bob, "bob"), (&mut again, "alice")] {
        assert_eq!(browser.who().await, format!("hello {user}"));
        assert!(browser.open("/call").await.body.contains(&format!("\"sub\":\"{user}\"")));
    }
    // Two browsers of one user: each has tokens of its own.
    again.submit("/auth/logout").await;
    assert_eq!(alice.who().await, "hello alice");
    assert!(alice.open("/call").await.body.contains("\"sub\":\"alice\""));
}

/// A session store may be shared: who is signed in to one application is nobody at another.
#[tokio::test(start_paused = true)]
async fn l2_two_applications_over_one_session_store() {
    let server = settings().client(Client::new("admin").secret("s3cr3t").scopes(["openid"])).build();
    let sessions = MemoryStore::default();
    let shop = sign_in(&server).build().expect("settings");
    let at = AuthorizationServer::via(HttpClient::new(server.authorization_service())).issuer(server.issuer());
    let admin = at.and_then(|at| at.client("admin", ClientAuth::secret_basic("s3cr3t"))).expect("a client");
    let others = [
        SignIn::builder(admin, APP),
        SignIn::builder(client(&server), "https://other.test"),
        // Another process, with tokens of its own: this one cannot call anything for her.
        sign_in(&server),
    ];
    let mut browser = Browser::new(&app(&server, &shop, sessions.clone()));
    browser.sign_in(&server, "alice").await;
    for other in others {
        let mut there = browser.clone();
        there.at(&app(&server, &other.build().expect("settings"), sessions.clone()));
        assert_eq!(there.who().await, "nobody");
    }
    assert_eq!(browser.who().await, "hello alice");
}

/// Another user of the same browser gets nothing of the first one's.
#[tokio::test(start_paused = true)]
async fn l2_another_user_at_the_same_browser() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    browser.sign_in(&server, "alice").await;
    let before = browser.clone();
    browser.sign_in(&server, "bob").await;
    assert_eq!(browser.who().await, "hello bob");
    assert!(browser.open("/call").await.body.contains("\"sub\":\"bob\""));
    let mut before = before;
    assert_eq!(before.who().await, "nobody", "the session of before has ended");
}

/// What the application keeps in the session stays with whoever signs in, and with nobody else.
#[tokio::test(start_paused = true)]
async fn l2_whose_cart() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    assert_eq!(browser.open("/cart").await.body, "1");
    browser.sign_in(&server, "alice").await;
    assert_eq!(browser.open("/cart").await.body, "2");
    browser.sign_in(&server, "alice").await;
    assert_eq!(browser.open("/cart").await.body, "3");
    browser.sign_in(&server, "bob").await;
    assert_eq!(browser.open("/cart").await.body, "1");
    browser.submit("/auth/logout").await;
    assert_eq!(browser.open("/cart").await.body, "1");
}

#[tokio::test(start_paused = true)]
async fn l2_who_is_not_signed_in() {
    let (_, _, router) = start();
    const NAVIGATION: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    // What a request says; where it is led, or else it is answered 401.
    type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], Option<&'static str>);
    let cases: [Case; 8] = [
        ("GET", "/orders?x=1", &NAVIGATION, Some("/auth/login?return_to=/orders%3Fx%3D1")),
        ("POST", "/orders", &NAVIGATION, Some("/auth/login")),
        ("GET", "/orders", &[("sec-fetch-mode", "cors"), ("accept", "text/html")], None),
        ("GET", "/orders", &[("sec-fetch-mode", "no-cors")], None),
        ("GET", "/orders", &[("accept", "text/html,application/xhtml+xml")], Some("/auth/login?return_to=/orders")),
        ("GET", "/orders", &[("accept", "application/json")], None),
        ("GET", "/orders", &[("accept", "*/*")], None),
        ("GET", "/orders", &[], None),
    ];
    for (method, path, headers, location) in cases {
        let answer = Browser::new(&router).send(method.parse().expect("a method"), path, headers).await;
        match location {
            Some(location) => answer.assert_leads_to(location),
            None => {
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path} {headers:?}");
                assert_eq!(answer.header("content-type"), "application/problem+json");
                assert_eq!(answer.header("cache-control"), "no-store");
                assert!(answer.body.contains("\"status\":401"), "{}", answer.body);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l2_nothing_about_a_user_is_cached() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    assert_eq!(browser.open("/").await.header("cache-control"), "no-store", "it may be about somebody");
    browser.sign_in(&server, "alice").await;
    for path in ["/", "/orders", "/call"] {
        assert_eq!(browser.open(path).await.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn l2_claims() {
    let alice = || User::new("alice").claim("name", "Alice <b>").claim("email", "alice@example.com");
    // In the ID token, or at the userinfo endpoint only.
    for (settings, userinfo) in [(settings().user(alice()), false), (settings_without_claims().user(alice()), true)] {
        let (server, _, router) =
            start_with(settings.build(), |sign_in| if userinfo { sign_in.userinfo() } else { sign_in });
        let mut browser = Browser::new(&router);
        assert_eq!(browser.sign_in(&server, "alice").await.body, "hello Alice <b>", "{userinfo}");
    }
}

/// Userinfo that speaks of somebody else is refused; one that cannot be had is done without.
#[tokio::test(start_paused = true)]
async fn l2_userinfo_that_is_wrong() {
    let (server, _, router) = start_with(settings_without_claims().build(), |sign_in| sign_in.userinfo());
    let mut browser = Browser::new(&router);
    server.set_userinfo("sub", "mallory");
    let callback = browser.go_to_server(&server, "alice", "/").await;
    browser.open(&callback).await.assert_leads_to("/auth/problem?why=refused");
    assert_eq!(browser.who().await, "nobody");

    server.set_userinfo("sub", "alice");
    server.set_metadata("userinfo_endpoint", serde_json::Value::Null);
    let (_, _, router) = start_with(server.clone(), |sign_in| sign_in.userinfo());
    let mut browser = Browser::new(&router);
    browser.sign_in(&server, "alice").await;
    assert_eq!(browser.who().await, "hello alice");
}

fn settings_without_claims() -> oauth_test_server::Builder {
    super::registered(oauth_test_server::TestServer::builder())
}
