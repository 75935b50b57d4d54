//! Where a sign-in leads (open redirects).

use std::time::Duration;

use oauth_test_server::Fault;

use super::{browser::Browser, start};

#[tokio::test(start_paused = true)]
async fn l2_nobody_is_sent_elsewhere() {
    let (_, sign_in, router) = start();
    let bad = [
        "https://evil.test",
        "//evil.test",
        "///evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "/%5cevil.test",
        "/%2fevil.test",
        "evil.test",
        "javascript:alert(1)",
        "",
        "/\tevil",
        "/x/..//evil.test",
        "/./x",
        "@evil.test",
        "https:evil.test",
        // Ours: it would never end.
        "/auth/login",
        "/auth/callback?x",
        "/auth",
        "/AUTH/login",
        "/%61uth/login",
        "/auth/logout",
    ];
    for path in bad {
        let mut browser = Browser::new(&router);
        let encoded: String = path.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = browser.open(&format!("/auth/login?return_to={encoded}")).await;
        answer.assert_leads_to("/auth/problem?why=link");
        assert!(browser.cookies.is_empty());
        assert_eq!(sign_in.login_path(path), "/auth/login", "{path}");
        let page = browser.open(&format!("/auth/problem?why=denied&return_to={encoded}")).await;
        assert!(page.body.contains("href=\"/auth/login\""), "{path}: {}", page.body);
    }
    let mut browser = Browser::new(&router);
    browser.open("/auth/login?return_to=/a&return_to=/b").await.assert_leads_to("/auth/problem?why=link");
    browser
        .open(&format!("/auth/login?return_to=/{}", "x".repeat(3000)))
        .await
        .assert_leads_to("/auth/problem?why=link");
}

#[tokio::test(start_paused = true)]
async fn l2_users_come_back_to_where_they_were() {
    let (server, _, router) = start();
    for path in ["/orders", "/orders?x=1&y=%2F2", "/authors", "/orders?next=https://evil.test"] {
        let mut browser = Browser::new(&router);
        let answer = browser.open(path).await;
        assert!(answer.location().starts_with("/auth/login?return_to=/"), "{path}: {}", answer.location());
        let answer = browser.open(answer.location()).await;
        let callback = server.authorize(answer.location(), "alice").await.expect("a callback");
        browser.open(&callback).await.assert_leads_to(path);
    }
}

/// A path that is there, and that no link may lead to: a browser takes it for another host.
#[tokio::test(start_paused = true)]
async fn l2_a_page_at_an_odd_path() {
    let (server, _, router) = start();
    for path in ["//evil.test/", "//evil.test", "/%2fevil.test", "/\\evil.test"] {
        let mut browser = Browser::new(&router);
        browser.open(path).await.assert_leads_to("/auth/login");
        browser.sign_in(&server, "alice").await;
        server.token_faults().push_forever(Fault::Disconnect);
        tokio::time::advance(Duration::from_secs(7200)).await;
        let page = browser.open(path).await;
        assert!(page.body.contains("href=\"/\"") && !page.body.contains("evil"), "{path}: {}", page.body);
        server.token_faults().clear();
    }
}

/// Whatever stands in the address of the page, it is text of ours.
#[tokio::test(start_paused = true)]
async fn l3_the_page_for_problems_repeats_nothing() {
    let (_, _, router) = start();
    for query in [
        "why=%3Cscript%3E",
        "why=denied&return_to=/%22%3E%3Cscript%3E",
        "why=denied&x=%3Cscript%3E",
        "",
        "why",
        "why=link&why=denied",
    ] {
        let page = Browser::new(&router).open(&format!("/auth/problem?{query}")).await;
        assert!(!page.body.contains("script"), "{query}: {}", page.body);
        assert!(page.header("content-security-policy").contains("default-src 'none'"));
        assert!(page.status.is_client_error(), "{query}");
    }
}
