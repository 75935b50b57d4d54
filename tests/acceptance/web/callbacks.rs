//! Callbacks that are refused: the user is told why, nobody is signed in, and no code is redeemed that was not asked for.

use std::time::Duration;

use http::{Method, StatusCode};
use oauth_test_server::{Endpoint, Fault};
use oauth_tokens::{BoxError, Lease, MemoryStore, Record, SharedStore, StoreKey, TokenStore};
use serde_json::Value;

use super::{Wrong, browser::Browser, server, start, start_with};

/// What becomes of the URL of a good callback on its way.
type Change = fn(&str) -> String;

#[tokio::test(start_paused = true)]
async fn l2_wrong_callbacks() {
    let cases: [(&str, Change, &str); 11] = [
        ("no parameters", |url| without_query(url).to_owned(), "refused"),
        ("no state", |url| without(url, "state"), "refused"),
        ("another state", |url| with(url, "state", "bm90LW91cnM"), "expired"),
        ("an empty state", |url| with(url, "state", ""), "refused"),
        ("two states", |url| format!("{url}&state=x"), "refused"),
        ("two codes", |url| format!("{url}&code=x"), "refused"),
        ("no code", |url| without(url, "code"), "refused"),
        ("another issuer", |url| with(url, "iss", "https%3A%2F%2Fevil.test"), "refused"),
        ("no issuer, though promised", |url| without(url, "iss"), "refused"),
        ("an access token", |url| format!("{url}&access_token=x"), "refused"),
        ("too long", |url| format!("{url}&x={}", "x".repeat(17_000)), "refused"),
    ];
    for (what, change, why) in cases {
        let (server, _, router) = start();
        let mut browser = Browser::new(&router);
        let callback = browser.go_to_server(&server, "alice", "/").await;
        let answer = browser.open(&change(&callback)).await;
        answer.assert_leads_to(&format!("/auth/problem?why={why}"));
        assert_eq!(server.counters().token_requests, 0, "{what}");
        assert_eq!(browser.session(), None, "{what}");
        assert_eq!(browser.who().await, "nobody", "{what}");
        let page = browser.open(answer.location()).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{what}");
        assert!(page.body.contains("href=\"/auth/login\""), "{what}: {}", page.body);
    }
}

#[tokio::test(start_paused = true)]
async fn l2_a_wrong_state_does_not_end_the_sign_in_that_is_under_way() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    let callback = browser.go_to_server(&server, "alice", "/orders").await;
    browser.open(&with(&callback, "state", "bm90LW91cnM")).await;
    browser.open(&callback).await.assert_leads_to("/orders");
}

#[tokio::test(start_paused = true)]
async fn l2_errors_of_the_server() {
    let cases: [(&str, Wrong, &str, u16); 6] = [
        ("denied", |server| server.set_authorization_error(Some("access_denied")), "denied", 403),
        ("login required", |server| server.set_authorization_error(Some("login_required")), "denied", 403),
        ("busy", |server| server.set_authorization_error(Some("temporarily_unavailable")), "unavailable", 200),
        ("misconfigured", |server| server.set_authorization_error(Some("unauthorized_client")), "failed", 200),
        (
            "a code that it refuses",
            |server| server.token_faults().push(9, Fault::oauth_error("invalid_grant")),
            "failed",
            200,
        ),
        ("an ID token for another", |server| server.tamper_id_tokens(|jwt| jwt.set_claim("aud", "x")), "refused", 400),
    ];
    for (what, wrong, why, status) in cases {
        let (server, _, router) = start();
        wrong(&server);
        let mut browser = Browser::new(&router);
        let callback = browser.go_to_server(&server, "alice", "/orders").await;
        let answer = browser.open(&callback).await;
        answer.assert_leads_to(&format!("/auth/problem?why={why}&return_to=/orders"));
        let page = browser.open(answer.location()).await;
        assert_eq!(page.status, status, "{what}");
        assert_eq!(page.location(), "", "{what}: a page, or it would go round in circles");
        // What is down for a moment is worth another look; all else, another sign-in.
        let way_on = if why == "unavailable" { "/orders" } else { "/auth/login?return_to=/orders" };
        assert!(page.body.contains(&format!("href=\"{way_on}\"")), "{what}: {}", page.body);
        assert_eq!(browser.who().await, "nobody", "{what}");
        assert!(browser.cookies.is_empty(), "{what}: {:?}", browser.cookies);
    }
}

#[tokio::test(start_paused = true)]
async fn l2_a_server_that_is_down_begins_nothing() {
    let (server, _, router) = start();
    server.discovery_faults().push_forever(Fault::Disconnect);
    let mut browser = Browser::new(&router);
    browser
        .open("/auth/login?return_to=/orders")
        .await
        .assert_leads_to("/auth/problem?why=unavailable&return_to=/orders");
}

#[tokio::test(start_paused = true)]
async fn l2_a_callback_is_good_once() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    let callback = browser.go_to_server(&server, "alice", "/").await;
    let before = browser.clone();
    browser.open(&callback).await.assert_leads_to("/");
    // With the cookies of before, too: whoever has a copy of the browser's profile.
    for mut browser in [browser, before] {
        browser.open(&callback).await.assert_leads_to("/auth/problem?why=expired");
    }
    assert_eq!(server.counters().token_requests, 1);
}

#[tokio::test(start_paused = true)]
async fn l2_of_two_callbacks_at_once_one_counts() {
    let (server, _, router) =
        start_with(server(), |sign_in| sign_in.store(SharedStore::new(Elsewhere(MemoryStore::new()))));
    let mut browser = Browser::new(&router);
    let callback = browser.go_to_server(&server, "alice", "/").await;
    let mut copies: Vec<_> = (0..16).map(|_| browser.clone()).collect();
    let answers = futures_util::future::join_all(copies.iter_mut().map(|browser| browser.open(&callback))).await;
    let signed_in = answers.iter().filter(|answer| answer.location() == "/").count();
    let refused = answers.iter().filter(|answer| answer.location() == "/auth/problem?why=expired").count();
    assert_eq!((signed_in, refused), (1, 15));
    assert_eq!(server.counters().token_requests, 1);
}

#[tokio::test(start_paused = true)]
async fn l2_a_stolen_callback_is_of_no_use_in_another_browser() {
    let (server, _, router) = start();
    let (mut victim, mut thief) = (Browser::new(&router), Browser::new(&router));
    let callback = victim.go_to_server(&server, "alice", "/").await;
    // Not even with a sign-in of the thief's own under way.
    thief.go_to_server(&server, "mallory", "/").await;
    thief.open(&callback).await.assert_leads_to("/auth/problem?why=expired");
    // Nor with a cookie of the right name: its value is the victim's secret.
    let name = victim.cookies.keys().next().expect("a cookie").clone();
    for value in ["x".to_owned(), thief.cookies.values().next().expect("a cookie").clone()] {
        let mut forger = thief.clone();
        forger.cookies.insert(name.clone(), value);
        forger.open(&callback).await.assert_leads_to("/auth/problem?why=expired");
    }
    assert_eq!(thief.who().await, "nobody");
    // And the victim can go on.
    victim.open(&callback).await.assert_leads_to("/");
    assert_eq!(victim.who().await, "hello alice");
}

/// A store that lets others go on between two of its calls, as any does that is elsewhere.
struct Elsewhere(MemoryStore);

impl TokenStore for Elsewhere {
    async fn load(&self, key: &StoreKey) -> Result<Option<Record>, BoxError> {
        let loaded = self.0.load(key).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        loaded
    }

    async fn replace(&self, key: &StoreKey, expected: Option<u64>, record: &Record) -> Result<bool, BoxError> {
        self.0.replace(key, expected, record).await
    }

    async fn delete(&self, key: &StoreKey, expected: u64) -> Result<bool, BoxError> {
        self.0.delete(key, expected).await
    }

    async fn lease(&self, key: &StoreKey, time: Duration) -> Result<Option<Lease>, BoxError> {
        self.0.lease(key, time).await
    }

    async fn release(&self, key: &StoreKey, lease: &Lease) -> Result<(), BoxError> {
        self.0.release(key, lease).await
    }
}

/// Login CSRF: the thief wants the victim to use the thief's account.
#[tokio::test(start_paused = true)]
async fn l2_nobody_is_signed_in_as_somebody_else() {
    let (server, _, router) = start();
    let (mut victim, mut thief) = (Browser::new(&router), Browser::new(&router));
    victim.sign_in(&server, "alice").await;
    let callback = thief.go_to_server(&server, "mallory", "/").await;
    victim.open(&callback).await.assert_leads_to("/auth/problem?why=expired");
    assert_eq!(victim.who().await, "hello alice");
}

#[tokio::test(start_paused = true)]
async fn l2_ten_minutes() {
    for (seconds, location) in [(599, "/"), (601, "/auth/problem?why=expired")] {
        let (server, _, router) = start();
        let mut browser = Browser::new(&router);
        let answer = browser.open("/auth/login").await;
        tokio::time::advance(Duration::from_secs(seconds)).await;
        let callback = server.authorize(answer.location(), "alice").await.expect("a callback");
        let answer = browser.open(&callback).await;
        assert_eq!(answer.location(), location, "{seconds}");
    }
}

/// A mail scanner that looks whether a link is alive, and a page that has the callback as an image.
#[tokio::test(start_paused = true)]
async fn l2_what_is_no_visit_uses_nothing_up() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    let callback = browser.go_to_server(&server, "alice", "/").await;
    let image = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
    let mut visitor = browser.clone();
    assert_eq!(visitor.send(Method::HEAD, &callback, &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(visitor.send(Method::GET, &callback, &image).await.status, StatusCode::FORBIDDEN);
    assert_eq!(visitor.send(Method::POST, &callback, &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(visitor.send(Method::HEAD, "/auth/login", &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(visitor.send(Method::GET, "/auth/login", &image).await.status, StatusCode::FORBIDDEN);
    browser.open(&callback).await.assert_leads_to("/");
}

/// The server is another one than the sign-in was begun at, by its own word (mix-up).
#[tokio::test(start_paused = true)]
async fn l2_another_server_answers() {
    let (server, _, router) = start();
    server.set_authorization_response("iss", Value::from("https://evil.test"));
    let mut browser = Browser::new(&router);
    let callback = browser.go_to_server(&server, "alice", "/").await;
    browser.open(&callback).await.assert_leads_to("/auth/problem?why=refused");
    assert_eq!(server.requests_to(Endpoint::Token).len(), 0);
}

fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

fn without(url: &str, name: &str) -> String {
    let (path, query) = url.split_once('?').expect("a query");
    let left: Vec<_> = query.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect();
    format!("{path}?{}", left.join("&"))
}

fn with(url: &str, name: &str, value: &str) -> String {
    format!("{}&{name}={value}", without(url, name))
}
