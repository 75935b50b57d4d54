//! What others bring to the listener, by way of the user's own browser.

use reqwest::{Client, Response, Url};
use serde_json::Value;

use super::{Home, origin};
use crate::{browser::Browser, oidc, oidc::oidc};

/// A challenge whose verifier is the attacker's (RFC 7636, appendix B).
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[tokio::test]
async fn l3_a_wrong_state_and_a_replayed_callback_change_nothing() {
    let browser = Browser::open().await;
    // Somebody has signed in before, and the callback of then is known.
    let before = Home::at_oidc(false);
    let (tool, url) = before.start().await;
    browser.go(&url).await;
    oidc::sign_in(&browser, "ann").await;
    browser.wait_for("ann, shall").await;
    browser.visited("").await;
    oidc::allow(&browser).await;
    browser.wait_for("You are signed in").await;
    let callback = browser.visited(&format!("{}/callback?", origin(&url))).await.pop().expect("a callback");
    assert!(tool.end().await.0);
    browser.go("about:blank").await;

    let home = Home::at_oidc(false);
    let (tool, url) = home.start().await;
    browser.go(&url).await;
    browser.wait_for("ann, shall").await;
    let consent = browser.url().await;
    let old_query = callback.split_once('?').expect("a query").1;
    for query in [old_query, "code=stolen&state=guessed", "error=access_denied", "code=a&code=b"] {
        browser.go(&format!("{}/callback?{query}", origin(&url))).await;
        browser.wait_for("This is not your sign-in").await;
    }
    browser.screenshots("login-not-yours").await;
    // The user goes on where they were.
    browser.go(&consent).await;
    oidc::allow(&browser).await;
    browser.wait_for("You are signed in").await;
    let (successful, said) = tool.end().await;
    assert!(successful && said.contains("Signed in as ann."), "{said}");
}

#[tokio::test]
async fn l3_a_stolen_code_is_no_good_with_another_verifier() {
    let server = oidc();
    let browser = Browser::open().await;
    let home = Home::at_oidc(false);
    let (tool, url) = home.start().await;
    // The user's own browser is the first to open it; where it is sent to is known to who looks over the user's shoulder.
    browser.go(&url).await;
    let server_page = server.text("/authorization_endpoint").to_owned();
    let started = browser.visited(&server_page).await.pop().expect("the server's page");
    let started = Url::parse(&started).expect("a URL");
    let elsewhere = get(&url).await;
    assert!(elsewhere.status() == 403 && !elsewhere.headers().contains_key("location"), "{elsewhere:?}");
    let parameter = |name: &str| {
        let found = started.query_pairs().find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned()).expect("a parameter")
    };
    let state = parameter("state");

    // Mallory's code, for the same client and the same redirect URI: all is as it should be but for the challenge.
    let redirect_uri = parameter("redirect_uri");
    let mut request = Url::parse(&server_page).expect("a URL");
    request.query_pairs_mut().extend_pairs([
        ("client_id", home.client_id),
        ("redirect_uri", &redirect_uri),
        ("response_type", "code"),
        ("scope", "openid"),
        ("prompt", "consent"),
        ("state", "mallorys"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    browser.go(request.as_str()).await;
    oidc::sign_in(&browser, "mallory").await;
    browser.wait_for("mallory, shall").await;
    browser.visited("").await;
    oidc::allow(&browser).await;
    // It comes to the listener with Mallory's state, which is refused.
    browser.wait_for("This is not your sign-in").await;
    let callback = browser.visited(&format!("{redirect_uri}?")).await.pop().expect("a callback");
    let callback = Url::parse(&callback).expect("a URL");
    let (_, code) = callback.query_pairs().find(|(name, _)| name == "code").expect("a code");

    // Even with the right state it cannot be redeemed: not by another on this machine, who has no cookie, nor in this browser.
    let injected = format!("{redirect_uri}?code={code}&state={state}&iss={}", server.issuer());
    let refused = get(&injected).await;
    assert!(refused.status() == 400 && !refused.headers().contains_key("location"), "{refused:?}");
    browser.go(&injected).await;
    browser.wait_for("You are not signed in").await;
    browser.screenshots("login-failed").await;
    let (successful, said) = tool.end().await;
    assert!(!successful && said.contains("invalid_grant"), "{said}");
    assert!(!said.contains(&*code) && !said.contains(&state), "S1: {said}");
    let shown = browser.text().await;
    assert!(!shown.contains(&*code) && !shown.contains(&state), "S1: {shown}");

    // Nor by who has stolen a code of the tool's, and has no verifier.
    let http = Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
    for verifier in [None, Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXj")] {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", home.client_id),
            ("redirect_uri", &redirect_uri),
            ("code", &*code),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let body = Url::parse_with_params("http://form/", form).expect("a form").query().unwrap_or_default().to_owned();
        let request = http.post(server.text("/token_endpoint")).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer["error"], "invalid_grant", "{answer}");
    }
}

/// What another program on this machine gets.
async fn get(url: &str) -> Response {
    let none = reqwest::redirect::Policy::none();
    let http = Client::builder().no_proxy().pool_max_idle_per_host(0).redirect(none).build().expect("a client");
    http.get(url).send().await.expect("an answer")
}
