//! A user's browser, played: it keeps the application's cookies and says what browsers say.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
};
use http::{HeaderMap, Method, Request, StatusCode, header};
use oauth_test_server::TestServer;
use tokio::time::Instant;
use tower::ServiceExt;

use super::APP;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn location(&self) -> &str {
        self.header("location")
    }

    /// A header, empty if it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
    }

    pub(super) fn cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().expect("text")).collect()
    }

    #[track_caller]
    pub(super) fn assert_leads_to(&self, location: &str) {
        assert_eq!((self.status, self.location()), (StatusCode::SEE_OTHER, location), "{}", self.body);
        assert_eq!(self.header("cache-control"), "no-store");
    }
}

#[derive(Clone)]
pub(super) struct Browser {
    pub(super) cookies: BTreeMap<String, String>,
    /// When those end that do.
    ends: BTreeMap<String, Instant>,
    router: Router,
}

impl Browser {
    pub(super) fn new(router: &Router) -> Self {
        Self { cookies: BTreeMap::new(), ends: BTreeMap::new(), router: router.clone() }
    }

    /// The same browser, before another process.
    pub(super) fn at(&mut self, router: &Router) {
        self.router = router.clone();
    }

    /// A page in its window; a link or the address line.
    pub(super) async fn open(&mut self, url: &str) -> Answer {
        self.send(Method::GET, url, &NAVIGATION).await
    }

    /// What a script of the application's own asks for.
    pub(super) async fn fetch(&mut self, url: &str) -> Answer {
        self.send(Method::GET, url, &FETCH).await
    }

    /// A form of the application's own.
    pub(super) async fn submit(&mut self, url: &str) -> Answer {
        self.send(Method::POST, url, &NAVIGATION).await
    }

    pub(super) async fn send(&mut self, method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.request(method, url, headers, Body::empty());
        self.exchange(request).await
    }

    pub(super) fn request(&self, method: Method, url: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(url.strip_prefix(APP).unwrap_or(url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.cookies.is_empty() {
            let is_over = |name: &str| self.ends.get(name).is_some_and(|end| *end <= Instant::now());
            let kept = self.cookies.iter().filter(|(name, _)| !is_over(name));
            let pairs: Vec<String> = kept.map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        request.body(body).expect("a request")
    }

    pub(super) async fn exchange(&mut self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a body").to_vec();
        let answer =
            Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body).expect("text") };
        for cookie in answer.cookies() {
            let (pair, flags) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').expect("a cookie");
            if value.is_empty() || flags.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
                let age = flags.split(';').find_map(|flag| flag.trim().strip_prefix("Max-Age=")?.parse().ok());
                let end = Instant::now() + age.map_or(YEAR, Duration::from_secs);
                self.ends.insert(name.to_owned(), end);
            }
        }
        answer
    }

    /// To the server, where this user signs in: the URL of the callback, not opened yet.
    pub(super) async fn go_to_server(&mut self, server: &TestServer, user: &str, return_to: &str) -> String {
        let answer = self.open(&format!("/auth/login?return_to={return_to}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        server.authorize(answer.location(), user).await.expect("a callback")
    }

    /// The whole way, to the page that was wanted.
    pub(super) async fn sign_in(&mut self, server: &TestServer, user: &str) -> Answer {
        let callback = self.go_to_server(server, user, "/orders").await;
        let answer = self.open(&callback).await;
        answer.assert_leads_to("/orders");
        self.open("/orders").await
    }

    pub(super) async fn who(&mut self) -> String {
        self.open("/").await.body
    }

    pub(super) fn session(&self) -> Option<&str> {
        self.cookies.get("__Host-session").map(String::as_str)
    }
}

pub(super) const NAVIGATION: [(&str, &str); 4] = [
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("accept", "text/html,*/*;q=0.8"),
];
const FETCH: [(&str, &str); 3] =
    [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")];
