//! Who is asked, when, and how a session ends.

use oauth_test_server::Delivery;
use serde_json::json;

use super::*;

const AFTER: &str = "https://app.test/bye";

#[tokio::test(start_paused = true)]
async fn who_is_signed_in_is_asked_only_if_need_be() {
    let server = TestServer::builder().client(app()).session_lifetime(Duration::from_secs(3600)).build();
    let mut browser = server.browser();
    // What is asked, after how many seconds; whether the user signs in; whether the user is asked to agree.
    for (seconds, parameters, signs_in, agrees) in [
        (0, "scope=openid", true, true),
        (0, "scope=openid", false, false),
        (0, "scope=openid&prompt=none", false, false),
        (0, "scope=openid+api", false, true),
        (0, "scope=api", false, false),
        (0, "scope=openid&prompt=consent", false, true),
        (0, "scope=openid&prompt=login", true, false),
        (0, "scope=openid&prompt=select_account", true, false),
        (0, "scope=openid&prompt=login+consent", true, true),
        (0, "scope=openid&max_age=0", true, false),
        (60, "scope=openid&max_age=60", false, false),
        (1, "scope=openid&max_age=60", true, false),
        (0, "scope=openid&acr_values=gold+silver", true, false),
        (0, "scope=openid&acr_values=silver+gold", false, false),
        (3599, "scope=openid", false, false),
        (1, "scope=openid", true, false),
    ] {
        advance(Duration::from_secs(seconds)).await;
        let before = server.counters();
        let callback = browser.authorize(&url(&server, parameters), "alice").await.unwrap();
        assert!(parameter(&callback, "code").is_some(), "{parameters} {callback}");
        let after = server.counters();
        let done = (after.sign_ins - before.sign_ins == 1, after.consents - before.consents == 1);
        assert_eq!(done, (signs_in, agrees), "{parameters} after {seconds} s");
    }
    for (parameters, error) in [
        ("scope=profile&prompt=none", "consent_required"),
        ("max_age=0&prompt=none", "login_required"),
        ("acr_values=platinum&prompt=none", "login_required"),
    ] {
        let callback = browser.authorize(&url(&server, parameters), "alice").await.unwrap();
        assert_eq!(parameter(&callback, "error").unwrap(), error, "{parameters}");
    }
    let callback = browser.deny(&url(&server, "scope=profile"), "alice").await.unwrap();
    assert_eq!(parameter(&callback, "error").unwrap(), "access_denied");
    browser.clear_cookies();
    let callback = browser.authorize(&url(&server, "prompt=none"), "alice").await.unwrap();
    assert_eq!(parameter(&callback, "error").unwrap(), "login_required");
    assert_eq!(server.requests_to(oauth_test_server::Endpoint::Authorization).len(), 21);
}

#[tokio::test(start_paused = true)]
async fn a_client_of_the_house_asks_for_no_consent() {
    let server = TestServer::builder().client(app().without_consent()).build();
    alice(&server, "").await;
    assert_eq!(server.counters().consents, 0);
    alice(&server, "prompt=consent").await;
    assert_eq!(server.counters().consents, 1);
}

#[tokio::test(start_paused = true)]
async fn the_user_whom_the_client_expects() {
    let server = TestServer::builder().client(app()).build();
    let mut browser = server.browser();
    let callback = browser.authorize(&url(&server, ""), "alice").await.unwrap();
    let hint = redeem(&server, &callback, "").await.text("id_token");
    advance(Duration::from_secs(7200)).await;
    for (hint, user, error) in [(&hint, "bob", Some("login_required")), (&hint, "alice", None)] {
        let callback = server.authorize(&url(&server, &format!("id_token_hint={hint}")), user).await.unwrap();
        assert_eq!(parameter(&callback, "error").as_deref(), error, "{user}");
    }
    let bob = server.issue_id_token("app", "bob").unwrap();
    let url = url(&server, &format!("prompt=none&id_token_hint={bob}"));
    let callback = browser.authorize(&url, "alice").await.unwrap();
    assert_eq!(parameter(&callback, "error").unwrap(), "login_required");
}

fn logout_app() -> Client {
    app().post_logout_redirect_uri(AFTER).backchannel_logout_uri("https://app.test/backchannel")
}

async fn is_signed_in(server: &TestServer, browser: &mut oauth_test_server::Browser) -> bool {
    let callback = browser.authorize(&url(server, "prompt=none"), "alice").await.unwrap();
    parameter(&callback, "code").is_some()
}

#[tokio::test(start_paused = true)]
async fn the_client_ends_the_session() {
    let server = TestServer::builder().client(logout_app()).build();
    let mut browser = server.browser();
    let callback = browser.authorize(&url(&server, ""), "alice").await.unwrap();
    let id_token = redeem(&server, &callback, "").await.text("id_token");
    // The hint may be old.
    advance(Duration::from_secs(7200)).await;
    assert!(is_signed_in(&server, &mut browser).await);
    let end = format!(
        "{}?id_token_hint={id_token}&post_logout_redirect_uri={AFTER}&state=a+b",
        server.end_session_endpoint()
    );
    let went = browser.end_session(&end).await.unwrap();
    assert_eq!(went.as_deref(), Some("https://app.test/bye?state=a%20b"));
    assert_eq!(server.counters().end_session_requests, 1, "nobody was asked");
    assert!(!is_signed_in(&server, &mut browser).await);
    // A second time changes nothing.
    assert_eq!(browser.end_session(&end).await.unwrap().as_deref(), Some("https://app.test/bye?state=a%20b"));

    let logouts = server.backchannel_logouts();
    let [logout] = logouts.as_slice() else { panic!("{logouts:?}") };
    assert_eq!((logout.client_id.as_str(), logout.uri.as_str()), ("app", "https://app.test/backchannel"));
    assert_eq!(logout.delivery, Delivery::Kept);
    let (jwt, id_token) = (DecodedJwt::decode(&logout.logout_token).unwrap(), DecodedJwt::decode(&id_token).unwrap());
    assert_eq!(jwt.header["typ"], "logout+jwt");
    assert_eq!(jwt.claims["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
    for same in ["iss", "aud", "sub", "sid"] {
        assert_eq!(jwt.claims[same], id_token.claims[same], "{same}");
    }
    assert!(jwt.claims["jti"].is_string() && jwt.claims.get("nonce").is_none());
    assert_eq!(jwt.claims["exp"].as_u64().unwrap() - jwt.claims["iat"].as_u64().unwrap(), 120);
}

#[tokio::test(start_paused = true)]
async fn without_a_hint_the_user_is_asked() {
    let server = TestServer::builder().client(logout_app()).build();
    let end = server.end_session_endpoint();
    let bob = server.issue_id_token("app", "bob").unwrap();
    for (query, went) in [
        (String::new(), None),
        (format!("?client_id=app&post_logout_redirect_uri={AFTER}"), Some(AFTER)),
        (format!("?id_token_hint={bob}&post_logout_redirect_uri={AFTER}"), Some(AFTER)),
    ] {
        let mut browser = server.browser();
        browser.authorize(&url(&server, ""), "alice").await.unwrap();
        let before = server.counters().end_session_requests;
        assert_eq!(browser.end_session(&format!("{end}{query}")).await.unwrap().as_deref(), went, "{query}");
        assert_eq!(server.counters().end_session_requests - before, 2, "{query}");
        assert!(!is_signed_in(&server, &mut browser).await);
        // Nobody is there to be asked.
        assert_eq!(browser.end_session(&format!("{end}{query}")).await.unwrap().as_deref(), went, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_ends() {
    let server = TestServer::builder().client(logout_app()).client(Client::new("other")).build();
    let hint = server.issue_id_token("app", "alice").unwrap();
    let logout = server.logout_token("app", Some("alice"), None).unwrap();
    let forged = TestServer::builder().client(app()).build().issue_id_token("app", "alice").unwrap();
    let mut browser = server.browser();
    browser.authorize(&url(&server, ""), "alice").await.unwrap();
    for query in [
        "id_token_hint=x".to_owned(),
        format!("id_token_hint={forged}"),
        format!("id_token_hint={logout}"),
        format!("id_token_hint={hint}&client_id=other"),
        format!("id_token_hint={hint}&post_logout_redirect_uri=https://evil.test"),
        format!("id_token_hint={hint}&post_logout_redirect_uri={AFTER}/"),
        format!("post_logout_redirect_uri={AFTER}"),
        format!("client_id=nobody&post_logout_redirect_uri={AFTER}"),
        format!("client_id=other&post_logout_redirect_uri={AFTER}"),
        "state=1&state=2".to_owned(),
    ] {
        let end = format!("{}?{query}", server.end_session_endpoint());
        assert!(browser.end_session(&end).await.is_err(), "{query}");
    }
    let forged = form(server.end_session_endpoint(), "confirmation=x&action=sign-out");
    assert_eq!(authorize(&server, forged).await.unwrap().status, 400);
    assert!(is_signed_in(&server, &mut browser).await);
    assert!(server.backchannel_logouts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_administrator_ends_all_sessions_of_a_user() {
    let server = TestServer::builder().client(logout_app()).build();
    let [mut one, mut two, mut bob] = [(); 3].map(|()| server.browser());
    for (browser, user) in [(&mut one, "alice"), (&mut two, "alice"), (&mut bob, "bob")] {
        browser.authorize(&url(&server, ""), user).await.unwrap();
    }
    assert_eq!(server.end_sessions("alice"), 2);
    assert_eq!((server.end_sessions("alice"), server.backchannel_logouts().len()), (0, 2));
    for (browser, still) in [(&mut one, false), (&mut two, false), (&mut bob, true)] {
        assert_eq!(is_signed_in(&server, browser).await, still);
    }
    let subject = |sub, sid| DecodedJwt::decode(&server.logout_token("app", sub, sid).unwrap()).unwrap().claims;
    assert_eq!(subject(Some("alice"), None).get("sid"), None);
    assert_eq!(subject(None, Some("s")).get("sub"), None);
    assert_eq!(server.logout_token("nobody", Some("alice"), None), None);
    server.tamper_logout_tokens(|jwt| jwt.set_claim("nonce", "n"));
    assert_eq!(subject(Some("alice"), None)["nonce"], "n");
}
