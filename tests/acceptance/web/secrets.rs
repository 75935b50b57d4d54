//! S1: a whole visit, at the most verbose level.

use http::header;
use oauth_test_server::Endpoint;
use tests::{capture::Capture, support::shown};

use super::{browser::Browser, start};

#[tokio::test(start_paused = true)]
async fn s1_a_whole_visit() {
    let capture = Capture::start();
    let (server, sign_in, router) = start();
    let mut browser = Browser::new(&router);
    let mut secrets = Vec::new();

    let login = browser.open("/auth/login?return_to=/orders").await;
    secrets.extend(browser.cookies.values().cloned());
    let callback = server.authorize(login.location(), "alice").await.expect("a callback");
    for part in ["code=", "state="] {
        let value = callback.split(part).nth(1).and_then(|rest| rest.split('&').next()).expect("a parameter");
        secrets.push(value.to_owned());
    }
    let done = browser.open(&callback).await;
    secrets.push(browser.session().expect("a session").to_owned());
    browser.open("/call").await;
    tokio::time::advance(std::time::Duration::from_secs(7200)).await;
    browser.open("/call").await;
    browser.open(&callback).await;
    browser.open(&callback.replace("code=", "code=x")).await;
    let out = browser.submit("/auth/logout").await;
    let hint = out.location().split("id_token_hint=").nth(1).and_then(|rest| rest.split('&').next()).expect("a hint");
    secrets.push(hint.to_owned());

    for request in server.requests() {
        for name in ["code", "code_verifier", "refresh_token", "token", "nonce"] {
            secrets.extend(request.form_value(name));
        }
        secrets.extend(request.bearer_token().map(str::to_owned));
    }
    assert!(server.requests_to(Endpoint::Api).len() >= 2 && secrets.len() > 10, "{}", secrets.len());
    secrets.sort();
    secrets.dedup();

    let error = oauth_tokens::Callback::from_query("state=x&state=y").expect_err("two states");
    let said = [capture.text(), format!("{sign_in:?} {router:?}"), shown(&error)].concat();
    // Neither to the next page, nor to any after it.
    let told = format!("{:?}{:?}", done.headers.get(header::LOCATION), done.body);
    for secret in secrets.iter().filter(|secret| secret.len() > 3) {
        assert!(!said.contains(secret.as_str()), "a secret shows: {secret}");
        assert!(!told.contains(secret.as_str()), "a secret is told: {secret}");
    }
}
