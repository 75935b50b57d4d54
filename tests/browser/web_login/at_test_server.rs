//! Against the test server.

use std::time::Duration;

use axum::{Router, response::Html, routing::get};
use examples::web_login::LocalServers;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Application, begin, until_renewed};
use crate::browser::Browser;

async fn start() -> (LocalServers, Application) {
    let servers = LocalServers::start().await.expect("servers");
    let app = Application::at(&servers).await;
    (servers, app)
}

/// On the server's page: who it is, and yes.
async fn sign_in(browser: &Browser, user: &str) {
    browser.fill("input[name=username]", user).await;
    browser.fill("input[name=password]", "secret").await;
    browser.click("button[value=sign-in]").await;
    browser.click("button[value=allow]").await;
}

/// The application's own: ports make no difference, so the server's are there as well.
async fn cookies(browser: &Browser) -> Vec<Value> {
    let mut cookies = browser.cookies().await;
    cookies.retain(|cookie| cookie["name"].as_str().is_some_and(|name| !name.starts_with("oauth_test_server")));
    cookies.sort_by_key(|cookie| cookie["name"].to_string());
    cookies
}

async fn signed_in(browser: &Browser, app: &Application, user: &str) {
    begin(browser, app).await;
    sign_in(browser, user).await;
    browser.wait_for("Signed in").await;
}

#[tokio::test]
async fn l2_a_visit() {
    let (servers, app) = start().await;
    let browser = Browser::open().await;
    signed_in(&browser, &app, "alice").await;
    assert_eq!(browser.url().await, app.url("/"));
    assert_eq!(browser.text_at("#who").await, "Alice Example");
    assert_eq!(browser.text_at("#status").await, "200 OK");
    assert!(browser.text_at("#answer").await.contains("\"sub\": \"alice\""));

    // What the browser has: an id that no script can read, and nothing that is worth anything elsewhere. That somebody has just
    // signed in says nothing of whom.
    let cookies = cookies(&browser).await;
    let [session, just_signed_in] = &cookies[..] else { panic!("two cookies: {cookies:?}") };
    assert_eq!((&session["name"], &just_signed_in["name"]), (&json!("session"), &json!("signed-in")));
    assert_eq!(just_signed_in["value"], json!("1"));
    for cookie in &cookies {
        assert_eq!((&cookie["httpOnly"], &cookie["sameSite"]), (&json!(true), &json!("Lax")));
    }
    assert_eq!(browser.script("return document.cookie + localStorage.length + sessionStorage.length").await, "00");
    let token = servers.server.requests().iter().find_map(|request| request.bearer_token().map(str::to_owned));
    let source = browser.source().await;
    assert!(!source.contains(&token.expect("a call")) && !source.contains("eyJ"), "{source}");

    browser.click("#leave").await;
    if browser.url().await.starts_with(servers.server.issuer()) {
        browser.click("button[value=sign-out]").await;
    }
    browser.wait_for("You are signed out").await;
    assert_eq!(browser.url().await, app.url("/signed-out"));
    // The server's session has ended, too: it asks again.
    begin(&browser, &app).await;
    assert_eq!(browser.count("input[name=password]").await, 1);
}

#[tokio::test]
async fn l2_renewed_by_itself() {
    let (servers, app) = start().await;
    servers.server.set_token_lifetime(Some(Duration::from_secs(4)));
    let browser = Browser::open().await;
    signed_in(&browser, &app, "alice").await;
    assert_eq!(browser.text_at("#renewed").await, "Not since you signed in");
    until_renewed(&browser).await;
    assert_eq!(servers.server.counters().sign_ins, 1);
}

/// The tokens are dead right after the sign-in: to sign in again would not help, and goes round in circles.
#[tokio::test]
async fn l2_no_circles() {
    let (servers, app) = start().await;
    let browser = Browser::open().await;
    signed_in(&browser, &app, "alice").await;
    servers.server.revoke_all();
    browser.reload().await;
    browser.wait_for("Signing in again did not help").await;
    assert_eq!(browser.url().await, app.url("/problem?why=again"));
    // It is the user's to say so.
    browser.click("#go-on").await;
    browser.wait_for("Alice Example").await;
    assert_eq!(servers.server.counters().sign_ins, 1, "the server knew who it was");
}

#[tokio::test]
async fn l2_two_users_side_by_side() {
    let (_servers, app) = start().await;
    let [alice, bob] = Browser::open_two().await;
    signed_in(&alice, &app, "alice").await;
    signed_in(&bob, &app, "bob").await;
    for (browser, user) in [(&alice, "alice"), (&bob, "bob")] {
        browser.reload().await;
        assert!(browser.text_at("#answer").await.contains(&format!("\"sub\": \"{user}\"")));
    }
    alice.click("#leave").await;
    alice.wait_for("signed out").await;
    bob.reload().await;
    assert_eq!(bob.text_at("#who").await, "Bob Sample");
}

/// The application is not there when the server sends the user back. Somebody reads the address over the user's shoulder.
#[tokio::test]
async fn l2_a_code_that_was_stolen_and_one_that_comes_again() {
    let (_servers, mut app) = start().await;
    let [user, thief] = Browser::open_two().await;
    begin(&user, &app).await;
    begin(&thief, &app).await;
    app.stop().await;
    sign_in(&user, "alice").await;
    let callback = user.url_with("code=").await;
    assert!(callback.starts_with(&app.url("/auth/callback?")), "{callback}");
    app.go_on().await;

    thief.go(&callback).await;
    thief.wait_for("This sign-in is no longer valid").await;
    thief.go(&app.url("/")).await;
    assert_eq!(thief.count("#enter").await, 1);

    user.go(&callback).await;
    user.wait_for("Alice Example").await;
    user.go(&callback).await;
    user.wait_for("This sign-in is no longer valid").await;
    // The address is clean, and whoever was signed in is so still, after another restart as well.
    assert_eq!(user.url().await, app.url("/problem?why=expired"));
    app.stop().await;
    app.go_on().await;
    user.go(&app.url("/")).await;
    assert_eq!(user.text_at("#status").await, "200 OK");
    assert_eq!(user.text_at("#who").await, "Alice Example");
}

#[tokio::test]
async fn l2_a_wrong_state_and_a_no() {
    let (servers, app) = start().await;
    let browser = Browser::open().await;
    servers.server.set_authorization_response("state", "bm90LW91cnM");
    begin(&browser, &app).await;
    sign_in(&browser, "alice").await;
    browser.wait_for("This sign-in is no longer valid").await;
    servers.server.set_authorization_response("state", Value::Null);
    begin(&browser, &app).await;
    browser.wait_for("This sign-in was refused").await;

    let (_servers, app) = start().await;
    begin(&browser, &app).await;
    browser.click("button[value=cancel]").await;
    browser.wait_for("You were not signed in").await;
    assert_eq!(browser.url().await, app.url("/problem?why=denied"));
    browser.click("#go-on").await;
    sign_in(&browser, "alice").await;
    browser.wait_for("Alice Example").await;
}

#[tokio::test]
async fn l2_the_server_ends_it() {
    let (servers, app) = start().await;
    let browser = Browser::open().await;
    signed_in(&browser, &app, "alice").await;
    assert_eq!(servers.server.end_sessions("alice"), 1);
    servers.server.backchannel_logouts_delivered(1).await;
    browser.reload().await;
    assert_eq!(browser.count("#enter").await, 1);
    assert_eq!(cookies(&browser).await, [json!(null); 0]);
}

/// A page at another port: the same site to a browser, which sends the cookie.
#[tokio::test]
async fn l2_another_page_cannot_sign_out() {
    let (_servers, app) = start().await;
    let browser = Browser::open().await;
    signed_in(&browser, &app, "alice").await;
    let page =
        format!("<!doctype html><form method=post action=\"{}\"><button>Win</button></form>", app.url("/auth/logout"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let foreign = format!("http://{}/", listener.local_addr().expect("an address"));
    let router = Router::new().route("/", get(|| async { Html(page) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    browser.go(&foreign).await;
    browser.click("button").await;
    browser.wait_for("This request came from another site").await;
    browser.go(&app.url("/")).await;
    assert_eq!(browser.text_at("#who").await, "Alice Example");
}
