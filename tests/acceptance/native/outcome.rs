//! What the program and the person in front of the browser are told.

use oauth_test_server::Fault;
use oauth_tokens::{ErrorKind, Prompt};

use super::{Answer, native, server, waiting, waiting_for};

/// What every page says to a browser.
fn is_safe(answer: &Answer) {
    let policy = answer.header("content-security-policy").expect("a policy");
    for part in ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, expected) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(answer.header(name), Some(expected), "{answer:?}");
    }
    let html = answer.body.to_ascii_lowercase();
    assert!(!html.contains("<script") && !html.contains("javascript:") && !html.contains("http"), "{answer:?}");
}

#[tokio::test]
async fn l1_the_browser_goes_to_the_server_and_comes_back() {
    let server = server();
    let sign_in = native(&server).application("acme <1.0>").prompt(Prompt::CONSENT).login_hint("ann");
    let mut waiting = waiting_for(server, sign_in).await;
    let target = waiting.target().await;
    for part in ["code_challenge_method=S256", "prompt=consent", "login_hint=ann", "client_id=native"] {
        assert!(target.contains(part), "{target}");
    }
    // What others on the machine see on a command line is none of the sign-in's secrets, and does not lead to them any more:
    // see `one_browser`.
    let state = waiting.state().await;
    assert!(!waiting.url.contains(&state) && !waiting.url.contains('?'), "{}", waiting.url);

    let back = waiting.signed_in_as("ann").await;
    let answer = waiting.get(&back).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/done")));
    is_safe(&answer);
    let answer = waiting.get("/done").await;
    is_safe(&answer);
    assert!(answer.body.contains("You are signed in") && answer.body.contains("acme &lt;1.0&gt;"), "{answer:?}");
    let signed_in = waiting.end().await.expect("signed in");
    assert_eq!(signed_in.id_token.as_ref().expect("an ID token").subject(), "ann");
    assert_eq!(signed_in.scope(), "api openid");
}

#[tokio::test]
async fn l1_it_does_not_wait_long_for_a_browser_that_is_gone() {
    let mut waiting = waiting().await;
    let back = waiting.signed_in_as("ann").await;
    assert_eq!(waiting.get(&back).await.status, 303);
    // Nobody fetches the last page.
    waiting.end().await.expect("signed in all the same");
}

#[tokio::test]
async fn l1_the_answer_may_come_as_a_form() {
    let server = server();
    let sign_in = native(&server).form_post();
    let mut waiting = waiting_for(server, sign_in).await;
    assert!(waiting.target().await.contains("response_mode=form_post"));
    let back = waiting.signed_in_as("ann").await;
    let (path, form) = back.split_once('?').expect("a query");
    let answer = waiting.post(path, "application/x-www-form-urlencoded; charset=utf-8", form).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/done")), "{answer:?}");
    waiting.get("/done").await;
    waiting.end().await.expect("signed in");
}

#[tokio::test]
async fn l3_the_user_says_no() {
    let mut waiting = waiting().await;
    let back = waiting.denied().await;
    assert_eq!(waiting.get(&back).await.status, 303);
    let answer = waiting.get("/done").await;
    is_safe(&answer);
    assert!(answer.body.contains("You are not signed in") && answer.body.contains("not granted"), "{answer:?}");
    let error = waiting.end().await.expect_err("no");
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
    assert_eq!(waiting.server.counters().token_requests, 0);
}

#[tokio::test]
async fn l3_what_the_server_says_is_text() {
    let waiting = waiting().await;
    let (state, issuer) = (waiting.state().await, waiting.server.issuer().to_owned());
    let said = "%3Cscript%3Ealert(1)%3C/script%3E%3Cimg%20src%3Dx%20onerror%3D%22alert(1)%22%3E'";
    let back = format!("/callback?error=server_error&error_description={said}&state={state}&iss={issuer}");
    assert_eq!(waiting.get(&back).await.status, 303);
    let answer = waiting.get("/done").await;
    assert!(answer.body.contains("You are not signed in"), "{answer:?}");
    assert!(!answer.body.contains("<script") && !answer.body.contains("<img"), "{answer:?}");
    assert!(answer.body.contains("&lt;script&gt;"), "it is shown all the same: {answer:?}");
    assert!(!answer.body.contains(&state), "{answer:?}");
}

#[tokio::test]
async fn l3_a_code_that_cannot_be_redeemed_is_an_error_on_both_sides() {
    let mut waiting = waiting().await;
    waiting.server.token_faults().push(1, Fault::Disconnect);
    let back = waiting.signed_in_as("ann").await;
    assert_eq!(waiting.get(&back).await.status, 303);
    let answer = waiting.get("/done").await;
    assert!(answer.body.contains("You are not signed in"), "{answer:?}");
    let error = waiting.end().await.expect_err("not redeemed");
    assert_eq!(waiting.server.counters().token_requests, 1, "{error}");
    let code = back.split("code=").nth(1).and_then(|rest| rest.split('&').next()).expect("a code");
    assert!(!answer.body.contains(code) && !format!("{error:?}").contains(code), "S1");
}

#[tokio::test]
async fn l2_a_callback_of_another_issuer_ends_it_without_redeeming() {
    for iss in ["", "&iss=https://evil.example"] {
        let mut waiting = waiting().await;
        let state = waiting.state().await;
        let answer = waiting.get(&format!("/callback?code=c&state={state}{iss}")).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/done")), "{iss}: {answer:?}");
        let error = waiting.end().await.expect_err("a mix-up");
        assert_eq!(error.kind(), ErrorKind::InvalidCallback, "{iss}: {error}");
        assert_eq!(waiting.server.counters().token_requests, 0, "{iss}");
    }
}
