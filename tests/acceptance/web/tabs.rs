//! Several sign-ins of one browser side by side.

use http::Method;

use super::{
    browser::{Browser, NAVIGATION},
    start,
};

#[tokio::test(start_paused = true)]
async fn l2_two_tabs() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    let first = browser.go_to_server(&server, "alice", "/orders").await;
    let second = browser.go_to_server(&server, "alice", "/call").await;
    browser.open(&second).await.assert_leads_to("/call");
    browser.open(&first).await.assert_leads_to("/orders");
    assert_eq!(browser.who().await, "hello alice");
    assert!(browser.open("/call").await.body.contains("alice"));
}

/// What a browser keeps is bounded, and what it lost is of no use any more to whoever finds it.
#[tokio::test(start_paused = true)]
async fn l2_at_most_eight() {
    let (server, _, router) = start();
    // In the order in which they were set, as browsers send them.
    let mut cookies: Vec<(String, String)> = Vec::new();
    let mut callbacks = Vec::new();
    for _ in 0..12 {
        let mut headers = NAVIGATION.to_vec();
        let header = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        headers.push(("cookie", &header));
        let answer = Browser::new(&router).send(Method::GET, "/auth/login", &headers).await;
        for cookie in answer.cookies() {
            let (name, rest) = cookie.split_once('=').expect("a cookie");
            let value = rest.split(';').next().unwrap_or_default();
            cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        assert!(cookies.len() <= 8, "{}", cookies.len());
        callbacks.push(server.authorize(answer.location(), "alice").await.expect("a callback"));
    }
    let mut browser = Browser::new(&router);
    browser.cookies.extend(cookies);
    browser.open(&callbacks[3]).await.assert_leads_to("/auth/problem?why=expired");
    for callback in &callbacks[4..] {
        browser.open(callback).await.assert_leads_to("/");
    }
}
