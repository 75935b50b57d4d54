//! What the plain pages say, and to whom.

use http::StatusCode;

use super::{browser::Browser, start, start_with};

const PROBLEMS: [&str; 11] = [
    "denied",
    "expired",
    "refused",
    "failed",
    "unavailable",
    "again",
    "link",
    "signedin",
    "foreign",
    "unknown",
    "something-else",
];

/// Anybody can make the link, and proxies count failures.
#[tokio::test(start_paused = true)]
async fn l3_a_page_about_a_failure_is_none() {
    let (_, _, router) = start();
    for why in PROBLEMS {
        let page = Browser::new(&router).open(&format!("/auth/problem?why={why}")).await;
        assert!(page.body.contains("<h1>"), "{why}: {}", page.body);
        assert!(page.status == StatusCode::OK || page.status.is_client_error(), "{why}: {}", page.status);
        assert_ne!(page.status, StatusCode::UNAUTHORIZED, "{why}");
    }
}

/// RFC 9110, section 15.5.2.
#[tokio::test(start_paused = true)]
async fn l3_who_is_unauthorized_is_told_how_to_get_in() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    let answer = browser.fetch("/orders").await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (StatusCode::UNAUTHORIZED, "Session"));
    browser.sign_in(&server, "alice").await;
    server.token_faults().push_forever(oauth_test_server::Fault::oauth_error("invalid_grant"));
    server.api_faults().push_forever(oauth_test_server::Fault::challenge("Bearer error=\"invalid_token\""));
    for answer in [browser.open("/call").await, browser.fetch("/call").await] {
        assert_eq!((answer.status, answer.header("www-authenticate")), (StatusCode::UNAUTHORIZED, "Session"));
    }
}

/// A link to the page says nothing about whoever follows it.
#[tokio::test(start_paused = true)]
async fn l3_who_is_signed_in_is_not_told_otherwise() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    assert!(browser.open("/auth/signed-out").await.body.contains("You are signed out"));
    browser.sign_in(&server, "alice").await;
    let page = browser.open("/auth/signed-out").await;
    assert_eq!((page.status, page.header("cache-control")), (StatusCode::OK, "no-store"));
    assert!(page.body.contains("You are signed in") && !page.body.contains("signed out<"), "{}", page.body);
    assert_eq!(browser.who().await, "hello alice");
    browser.submit("/auth/logout").await;
    assert!(browser.open("/auth/signed-out").await.body.contains("You are signed out"));
}

/// Nor does a sign-in lead to such a page, wherever the application has it.
#[tokio::test(start_paused = true)]
async fn l2_no_sign_in_leads_to_a_page_about_one() {
    let (server, sign_in, router) =
        start_with(super::server(), |sign_in| sign_in.problem_page("/oh/no").signed_out_page("/bye"));
    for path in ["/oh/no", "/bye", "/bye/", "/BYE", "/b%79e", "/bye?x", "/oh/no?why=again"] {
        let encoded = path.replace('%', "%25").replace('?', "%3f");
        let answer = Browser::new(&router).open(&format!("/auth/login?return_to={encoded}")).await;
        answer.assert_leads_to("/oh/no?why=link");
        assert_eq!(sign_in.login_path(path), "/auth/login", "{path}");
    }
    for path in ["/", "/byes", "/oh", "/oh/nos"] {
        let callback = Browser::new(&router).go_to_server(&server, "alice", path).await;
        assert!(callback.contains("code="), "{path}: {callback}");
    }
}

/// The start page may be the one that signed-out users come to.
#[tokio::test(start_paused = true)]
async fn l2_sign_ins_lead_to_the_start_page_all_the_same() {
    let (server, _, router) = start_with(super::server(), |sign_in| sign_in.signed_out_page("/"));
    let mut browser = Browser::new(&router);
    let login = browser.open("/auth/login").await;
    let callback = server.authorize(login.location(), "alice").await.expect("a callback");
    browser.open(&callback).await.assert_leads_to("/");
}

/// "Try again" leads to a page of the application's.
#[tokio::test(start_paused = true)]
async fn l2_a_problem_leads_on_to_pages_only() {
    let (_, _, router) = start();
    for (path, link) in [("/orders?x=1%26y=2", "/orders?x=1&amp;y=2"), ("/auth/login", "/"), ("//evil.test", "/")] {
        let page = Browser::new(&router).open(&format!("/auth/problem?why=unavailable&return_to={path}")).await;
        assert!(page.body.contains(&format!("href=\"{link}\">Try again")), "{path}: {}", page.body);
    }
}
