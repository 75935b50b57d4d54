//! A sign-in belongs to the browser that opened it first: others on the machine, who read its address on a command line, get
//! nothing out of it, and end nothing.

use oauth_test_server::Endpoint;

use super::{Answer, Waiting, native, server, waiting, waiting_for};

impl Waiting {
    /// Name and value of the only cookie that the browser has.
    fn cookie(&self) -> (String, String) {
        let header = self.browser.header();
        let cookie = header.trim().strip_prefix("Cookie: ").expect("a cookie");
        let (name, value) = cookie.split_once('=').expect("a value");
        (name.to_owned(), value.to_owned())
    }

    /// Refused, as any callback is that does not belong here.
    fn is_refused(&self, answer: &Answer, what: &str) {
        assert_eq!((answer.status, answer.header("location")), (400, None), "{what:?} {answer:?}");
        assert!(answer.body.contains("This is not your sign-in"), "{what:?} {answer:?}");
        assert!(answer.header("set-cookie").is_none() && !self.run.is_finished(), "{what:?} {answer:?}");
    }
}

fn is_open_elsewhere(answer: &Answer) {
    assert_eq!((answer.status, answer.header("location")), (403, None), "{answer:?}");
    assert!(answer.header("set-cookie").is_none(), "{answer:?}");
    assert!(answer.body.contains("open in another browser already"), "{answer:?}");
    assert!(!answer.body.contains("http") && !answer.body.contains("state"), "{answer:?}");
}

#[tokio::test]
async fn l3_whoever_opens_it_second_gets_nothing() {
    let waiting = waiting().await;
    let target = waiting.target().await;
    for headers in ["", "Cookie: a=b\r\n"] {
        is_open_elsewhere(&waiting.get_with(waiting.start(), headers).await);
    }
    // The user opens it as often as they like.
    assert_eq!(waiting.target().await, target);
    waiting.goes_on_undisturbed().await;
}

/// It cannot be helped that somebody else is first; but the user sees it.
#[tokio::test]
async fn l3_the_user_sees_that_somebody_else_was_first() {
    let mut waiting = waiting().await;
    let mallorys = waiting.get_with(waiting.start(), "").await;
    assert_eq!(mallorys.status, 303);
    is_open_elsewhere(&waiting.get(waiting.start()).await);
    // Nor does the way back lead in, wherever the user got the state from.
    let page = mallorys.header("location").expect("a place");
    let back = waiting.server.browser().authorize(page, "ann").await.expect("the server's answer");
    let back = back.strip_prefix(&format!("http://{}", waiting.host())).expect("back to the listener").to_owned();
    let answer = waiting.get(&back).await;
    waiting.is_refused(&answer, "without the cookie");
    waiting.browser.keep(&mallorys);
    assert_eq!(waiting.get(&back).await.status, 303, "it was the cookie that was missing");
    waiting.end().await.expect("signed in");
}

#[tokio::test]
async fn l3_a_callback_needs_the_cookie() {
    let mut waiting = waiting().await;
    let back = waiting.signed_in_as("mallory").await;
    let (state, issuer) = (waiting.state().await, waiting.server.issuer().to_owned());
    let denied = format!("/callback?error=access_denied&state={state}&iss={issuer}");
    let (name, value) = waiting.cookie();
    let wrong = [
        String::new(),
        "Cookie:\r\n".to_owned(),
        "Cookie: =\r\n".to_owned(),
        format!("Cookie: {name}\r\n"),
        format!("Cookie: {name}=\r\n"),
        format!("Cookie: {value}\r\n"),
        format!("Cookie: ={value}\r\n"),
        format!("Cookie: {name}={name}\r\n"),
        format!("Cookie: {name}={state}\r\n"),
        format!("Cookie: {name}={value}x\r\n"),
        format!("Cookie: {name}={}\r\n", &value[..value.len() - 1]),
        format!("Cookie: {name}={}\r\n", value.to_ascii_uppercase()),
        format!("Cookie: {name}=\"{value}\"\r\n"),
        format!("Cookie: {name} = {value}\r\n"),
        format!("Cookie: x{name}={value}\r\n"),
        format!("Cookie: {name}x={value}\r\n"),
        format!("Cookie: {}={value}\r\n", name.to_ascii_uppercase()),
        format!("Cookie: sign-in={value}\r\n"),
        format!("Cookie: a=b;{name}={value}\r\n"),
        format!("Cookie: a=b, {name}={value}\r\n"),
        format!("Cookie: a={name}={value}\r\n"),
        format!("Cookie: a=b\r\nCookie: {name}={value}\r\n"),
        format!("Cookie: {name}={value}\r\nCookie: {name}={value}\r\n"),
        format!("X-Cookie: {name}={value}\r\n"),
    ];
    for headers in wrong {
        for path in [&back, &denied] {
            waiting.is_refused(&waiting.get_with(path, &headers).await, &headers);
        }
        is_open_elsewhere(&waiting.get_with(waiting.start(), &headers).await);
    }
    assert_eq!(waiting.server.counters().token_requests, 0, "nothing was redeemed");

    // Among what programs on other ports have set, by the same name even, and as no text.
    let others = "é".repeat(10_000);
    for headers in [
        format!("Cookie: {name}=theirs; a={others}; {name}={value}; b=c\r\n"),
        format!("cookie: {name}={value}; {name}=theirs\r\n"),
    ] {
        assert_eq!(waiting.get_with(waiting.start(), &headers).await.status, 303, "{headers}");
    }
    let back = waiting.signed_in_as("ann").await;
    let headers = format!("Cookie: a={others}; {name}={value}; b=c\r\n");
    assert_eq!(waiting.get_with(&back, &headers).await.header("location"), Some("/done"));
    assert_eq!(waiting.end().await.expect("signed in").id_token.expect("an ID token").subject(), "ann");
}

#[tokio::test]
async fn l3_a_callback_before_any_start_is_refused() {
    for posts in [false, true] {
        let server = server();
        let sign_in = if posts { native(&server).form_post() } else { native(&server) };
        let sign_in = sign_in.pushed();
        let waiting = waiting_for(server, sign_in).await;
        // Who could know it, if not the server?
        let pushed = waiting.server.requests_to(Endpoint::PushedAuthorization);
        let state = pushed[0].form_value("state").expect("a state");
        let query = format!("code=c&state={state}&iss={}", waiting.server.issuer());
        let answer = waiting.get(&format!("/callback?{query}")).await;
        waiting.is_refused(&answer, "a query");
        if posts {
            let answer = waiting.post("/callback", "application/x-www-form-urlencoded", &query).await;
            waiting.is_refused(&answer, "a form");
        }
        waiting.goes_on_undisturbed().await;
    }
}

#[tokio::test]
async fn l3_nothing_is_posted_unless_it_was_asked_for() {
    let waiting = waiting().await;
    let back = waiting.signed_in_as("mallory").await;
    let (path, form) = back.split_once('?').expect("a query");
    for path in [path, &back] {
        let answer = waiting.post(path, "application/x-www-form-urlencoded", form).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")), "{answer:?}");
    }
    waiting.goes_on_undisturbed().await;

    let server = server();
    let sign_in = native(&server).form_post();
    let waiting = waiting_for(server, sign_in).await;
    let answer = waiting.send(&format!("PUT /callback HTTP/1.1\r\nHost: {}\r\n\r\n", waiting.host())).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST")), "{answer:?}");
    waiting.goes_on_undisturbed().await;
}

/// Browsers send a cookie to all ports of a host.
#[tokio::test]
async fn l3_two_sign_ins_in_one_browser_do_not_disturb_each_other() {
    let (one, mut other) = (waiting().await, waiting().await);
    other.browser = one.browser.clone();
    let (back, others_back) = (one.signed_in_as("ann").await, other.signed_in_as("bob").await);
    assert_eq!(one.browser.0.lock().expect("a lock").len(), 2, "names differ");
    for (waiting, back) in [(&one, &others_back), (&other, &back)] {
        let answer = waiting.get(back).await;
        waiting.is_refused(&answer, "the other's callback");
    }
    let browser = one.browser.clone();
    one.ends_well(&back, "ann").await;
    assert_eq!(browser.0.lock().expect("a lock").len(), 1, "its own cookie is gone");
    other.ends_well(&others_back, "bob").await;
    assert_eq!(browser.header(), "", "nothing is left behind");
}

#[tokio::test]
async fn l3_the_cookie_is_for_this_browser_alone() {
    let waiting = waiting().await;
    let answer = waiting.get(waiting.start()).await;
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    let (name, value) = waiting.cookie();
    assert_eq!(
        cookie,
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax"),
        "and no longer than the browser runs"
    );
    assert!(name.starts_with("sign-in-") && value.len() == 43, "{cookie}");
    assert!(!waiting.url.contains(&value) && !answer.header("location").expect("a place").contains(&value), "{cookie}");
    assert!(waiting.get(waiting.start()).await.header("set-cookie").is_none(), "it is said once");
    waiting.goes_on_undisturbed().await;
}
