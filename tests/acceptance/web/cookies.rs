//! What a browser is given to keep: an id, and nothing that it stands for.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Router, body::Body};
use axum_oauth::{
    SignIn,
    tower_sessions::{SessionStore, session, session_store},
};
use http::{HeaderValue, Method, Request, StatusCode};
use oauth_test_server::{Client, TestServer};
use tower_sessions::MemoryStore;

use super::{
    APP, app,
    browser::{Browser, NAVIGATION},
    client, server, sign_in, start,
};

#[tokio::test(start_paused = true)]
async fn l2_flags_over_https() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    let answer = browser.open("/auth/login").await;
    let [pending] = answer.cookies()[..] else { panic!("{:?}", answer.cookies()) };
    assert!(pending.starts_with("__Host-sign-in-"), "{pending}");
    assert_flags(pending, &["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=600"]);

    let callback = server.authorize(answer.location(), "alice").await.expect("a callback");
    let answer = browser.open(&callback).await;
    let session = answer.cookies().into_iter().find(|cookie| cookie.starts_with("__Host-session=")).expect("a session");
    assert_flags(session, &["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=43200"]);
    let marker = answer.cookies().into_iter().find(|cookie| cookie.starts_with("__Host-signed-in=1;")).expect("a mark");
    assert_flags(marker, &["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=60"]);
    assert_eq!(browser.cookies.len(), 2, "the sign-in's own cookie is gone: {:?}", answer.cookies());
    browser.submit("/auth/logout").await;
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
}

/// Another host of the domain, or whoever is between, can set cookies; but none that is taken for the session's.
#[tokio::test(start_paused = true)]
async fn l2_a_cookie_that_only_looks_like_the_session_s() {
    let (server, _, router) = start();
    let [mut alice, mut mallory] = [(); 2].map(|()| Browser::new(&router));
    alice.sign_in(&server, "alice").await;
    mallory.sign_in(&server, "mallory").await;
    let own = format!("__Host-session={}", alice.session().expect("a session"));
    let planted = mallory.session().expect("a session");
    for name in [
        "%5F%5FHost-session",
        "__Host%2dsession",
        "\u{2000}__Host-session",
        "__Host-session\u{85}",
        "%20__Host-session",
    ] {
        let forged = format!("{name}={planted}");
        let cases = [
            (vec![format!("{own}; {forged}")], "hello alice"),
            (vec![format!("{forged}; {own}")], "hello alice"),
            (vec![own.clone(), forged.clone()], "hello alice"),
            (vec![forged.clone(), own.clone()], "hello alice"),
            (vec![forged.clone()], "nobody"),
            // Whose would it be?
            (vec![own.clone(), format!("__Host-session={planted}")], "nobody"),
        ];
        for (cookies, expected) in cases {
            let mut browser = Browser::new(&router);
            let mut request = browser.request(Method::GET, "/", &NAVIGATION, axum::body::Body::empty());
            for cookie in &cookies {
                let value = http::HeaderValue::from_bytes(cookie.as_bytes()).expect("a header");
                request.headers_mut().append(http::header::COOKIE, value);
            }
            assert_eq!(browser.exchange(request).await.body, expected, "{cookies:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l2_flags_for_development() {
    let local = "http://127.0.0.1:3000";
    let server = TestServer::builder()
        .client(Client::new("shop").secret("s3cr3t").scopes(["openid"]).redirect_uri(format!("{local}/auth/callback")))
        .build();
    let sign_in = SignIn::builder(client(&server), local).build().expect("settings");
    let mut browser = Browser::new(&app(&server, &sign_in, MemoryStore::default()));
    let answer = browser.open("/auth/login").await;
    let callback = server.authorize(answer.location(), "alice").await.expect("a callback");
    let answer = browser.open(callback.strip_prefix(local).expect("our own")).await;
    let session = answer.cookies().into_iter().find(|cookie| cookie.starts_with("session=")).expect("a session");
    assert_flags(session, &["HttpOnly", "SameSite=Lax", "Path=/"]);
    assert!(!session.contains("Secure"), "a browser would drop it: {session}");
}

#[test]
fn l2_origins() {
    let server = server();
    let builds = |origin: &str| SignIn::builder(client(&server), origin).build().is_ok();
    for origin in [
        "https://shop.test",
        "https://shop.test/",
        "https://shop.test:8443",
        "http://localhost:3000",
        "http://[::1]:80",
    ] {
        assert!(builds(origin), "{origin}");
    }
    let refused = [
        "",
        "shop.test",
        "/",
        "http://shop.test",
        "http://10.0.0.1:3000",
        "https://shop.test/path",
        "https://shop.test/?x",
        "https://alice:pw@shop.test",
        "ftp://shop.test",
        "https://",
        "http://127.0.0.1.evil.test",
    ];
    for origin in refused {
        assert!(!builds(origin), "{origin}");
    }
    for path in ["", "auth", "/", "//evil.test", "/auth?x", "/{auth}", "/auth/../x", "/a\\b", "/:auth", "/*auth"] {
        assert!(sign_in(&server).path(path).build().is_err(), "{path}");
    }
}

/// Session fixation: the victim's browser has a session that somebody else knows.
#[tokio::test(start_paused = true)]
async fn l2_a_sign_in_has_a_session_of_its_own() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    // Never given to anybody, and so nobody's.
    browser.cookies.insert("__Host-session".to_owned(), "AAAAAAAAAAAAAAAAAAAAAA".to_owned());
    browser.sign_in(&server, "alice").await;
    let first = browser.session().expect("a session").to_owned();
    assert_ne!(first, "AAAAAAAAAAAAAAAAAAAAAA");

    // A real one: of the sign-in before.
    browser.sign_in(&server, "alice").await;
    assert_ne!(browser.session().expect("a session"), first);
    let mut thief = Browser::new(&router);
    thief.cookies.insert("__Host-session".to_owned(), first);
    assert_eq!(thief.who().await, "nobody");
    assert_eq!(browser.who().await, "hello alice");
}

/// All records that were ever saved.
#[derive(Clone, Debug, Default)]
struct Listening(MemoryStore, Arc<Mutex<Vec<String>>>);

impl Listening {
    fn hear(&self, record: &session::Record) {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{:?}", record.data));
    }
}

#[async_trait::async_trait]
impl SessionStore for Listening {
    async fn create(&self, record: &mut session::Record) -> session_store::Result<()> {
        self.hear(record);
        self.0.create(record).await
    }

    async fn save(&self, record: &session::Record) -> session_store::Result<()> {
        self.hear(record);
        self.0.save(record).await
    }

    async fn load(&self, id: &session::Id) -> session_store::Result<Option<session::Record>> {
        self.0.load(id).await
    }

    async fn delete(&self, id: &session::Id) -> session_store::Result<()> {
        self.0.delete(id).await
    }
}

#[tokio::test(start_paused = true)]
async fn s1_neither_sessions_nor_answers_hold_tokens() {
    let server = server();
    let store = Listening::default();
    let sign_in = sign_in(&server).build().expect("settings");
    let router: Router = app(&server, &sign_in, store.clone());
    let mut browser = Browser::new(&router);
    let mut seen = String::new();
    let callback = browser.go_to_server(&server, "alice", "/orders").await;
    for url in [callback.strip_prefix(APP).expect("ours"), "/orders", "/call", "/"] {
        let answer = browser.open(url).await;
        seen.push_str(&format!("{:?}{}", answer.headers, answer.body));
    }
    seen.push_str(&store.1.lock().unwrap_or_else(PoisonError::into_inner).join("\n"));
    assert!(seen.contains("alice"), "{seen}");
    let tokens = sign_in.users().clone();
    let key = seen.split("\"key\": String(\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a key");
    let key = serde_json::from_value(serde_json::json!(key)).expect("a key");
    let access = tokens.token(&key).await.expect("a token");
    let id_token = tokens.id_token(&key).await.expect("a store").expect("an ID token");
    for secret in [access.secret(), id_token.as_str(), "refresh_token", "code=", "verifier"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
    // The ID token goes through the browser once, to the server that issued it.
    let out = browser.submit("/auth/logout").await;
    assert!(out.location().starts_with(&server.end_session_endpoint()), "{}", out.location());
    let told = format!("{:?}{}", out.headers, out.body);
    assert_eq!(told.matches(id_token.as_str()).count(), 1, "{told}");
    for secret in [access.secret(), "refresh_token"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

/// Whatever a browser says that it has, nothing breaks.
#[tokio::test(start_paused = true)]
async fn l2_odd_cookies() {
    let (server, _, router) = start();
    let odd = ["", "=", ";;;", "__Host-session=", "__Host-session=x", "__Host-sign-in-", "a=b; a=c", "\"", "x"];
    for cookie in odd {
        let mut browser = Browser::new(&router);
        let mut headers = NAVIGATION.to_vec();
        headers.push(("cookie", cookie));
        let answer = browser.send(Method::GET, "/", &headers).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "nobody"), "{cookie}");
        let answer = browser.send(Method::GET, "/auth/login", &headers).await;
        let callback = server.authorize(answer.location(), "alice").await.expect("a callback");
        browser.open(&callback).await.assert_leads_to("/");
    }
}

/// Another application of the domain has a cookie that is no ASCII: UTF-8, or some older encoding.
#[tokio::test(start_paused = true)]
async fn l2_cookies_of_others_are_in_nobodys_way() {
    let (server, _, router) = start();
    for theirs in [&b"theme=dunkelgr\xc3\xbcn"[..], b"theme=dunkelgr\xfcn", b"\xff=", b"\xff"] {
        let mut browser = Browser::new(&router);
        let callback = browser.go_to_server(&server, "alice", "/orders").await;
        let (name, secret) = browser.cookies.pop_first().expect("a cookie");
        for (before, after) in [(theirs, &b""[..]), (b"", theirs)] {
            let cookies = [before, format!("{name}=x{secret}").as_bytes(), after].join(&b"; "[..]);
            let request = with_cookies(&browser, &callback, &cookies);
            browser.exchange(request).await.assert_leads_to("/auth/problem?why=expired");
        }
        let cookies = [theirs, format!("{name}={secret}").as_bytes(), theirs].join(&b"; "[..]);
        let request = with_cookies(&browser, &callback, &cookies);
        browser.exchange(request).await.assert_leads_to("/orders");
    }
}

fn with_cookies(browser: &Browser, url: &str, cookies: &[u8]) -> Request<Body> {
    let mut request = browser.request(Method::GET, url, &NAVIGATION, Body::empty());
    request.headers_mut().insert("cookie", HeaderValue::from_bytes(cookies).expect("a header"));
    request
}

fn assert_flags(cookie: &str, flags: &[&str]) {
    let parts: Vec<_> = cookie.split("; ").collect();
    for flag in flags {
        assert!(parts.contains(flag), "{flag} in {cookie}");
    }
    assert!(!parts.iter().any(|part| part.starts_with("Domain")), "{cookie}");
}
