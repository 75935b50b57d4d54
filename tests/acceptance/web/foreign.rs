//! What other sites make a browser send (CSRF).

use http::{Method, StatusCode};

use super::{APP, browser::Browser, start};

type Header = (&'static str, &'static str);

const NAVIGATE: [Header; 2] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];

#[tokio::test(start_paused = true)]
async fn l2_requests_for_other_sites() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    browser.sign_in(&server, "alice").await;
    // What the request says of where it comes from; whether it may change anything, and whether it may sign out.
    let cases: [(&[Header], bool, bool); 15] = [
        (&[("sec-fetch-site", "same-origin")], true, true),
        (&[("sec-fetch-site", "same-origin"), ("origin", "null")], true, true),
        (&[("sec-fetch-site", "none")], true, true),
        (&[("sec-fetch-site", "same-site")], false, false),
        (&[("sec-fetch-site", "cross-site")], false, false),
        (&[("sec-fetch-site", "cross-site"), ("origin", APP)], false, false),
        (&[("sec-fetch-site", "nonsense")], false, false),
        (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false, false),
        (&[("origin", APP)], true, true),
        (&[("origin", "https://shop.test:8443")], false, false),
        (&[("origin", "http://shop.test")], false, false),
        (&[("origin", "https://evil.test")], false, false),
        (&[("origin", "null")], false, false),
        (&[("origin", APP), ("origin", "https://evil.test")], false, false),
        // No browser: it may, but there is no form of ours that it could have used.
        (&[], true, false),
    ];
    for (says, may_change, may_sign_out) in cases {
        let headers: Vec<_> = says.iter().chain(&NAVIGATE).copied().collect();
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = browser.clone().send(method.clone(), "/orders", &headers).await;
            let is_refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(!is_refused, may_change, "{method} {says:?}: {}", answer.status);
        }
        let mut copy = browser.clone();
        let answer = copy.send(Method::POST, "/auth/logout", &headers).await;
        assert_eq!(answer.status == StatusCode::SEE_OTHER, may_sign_out, "{says:?}: {}", answer.status);
        if may_sign_out {
            browser.sign_in(&server, "alice").await;
        } else {
            assert_eq!(copy.who().await, "hello alice", "{says:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l2_nothing_is_changed_by_a_get() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    browser.sign_in(&server, "alice").await;
    assert_eq!(browser.open("/auth/logout").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(browser.who().await, "hello alice");
    // A WebSocket of a page at another host of the same domain, to which the cookie goes.
    let socket = [("sec-fetch-site", "same-site"), ("upgrade", "websocket"), ("connection", "upgrade")];
    assert_eq!(browser.send(Method::GET, "/orders", &socket).await.status, StatusCode::FORBIDDEN);
    // A link from elsewhere: the page is shown, as it should be.
    let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let answer = browser.send(Method::GET, "/orders", &link).await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, "no-store"));
}
