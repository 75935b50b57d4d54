//! When the sign-in is over at the server: the user signs in again, once, and nothing goes round in circles.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::routing::get;
use axum_oauth::{
    User,
    tower_sessions::{
        SessionStore,
        session::{Id, Record},
        session_store,
    },
};
use http::StatusCode;
use oauth_test_server::{Endpoint, Fault, TestServer};
use tests::store::{Mood, TestStore};
use tower_sessions::MemoryStore;

use super::{app, browser::Browser, server, sign_in, start};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn l2_a_dead_refresh_token() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    browser.sign_in(&server, "alice").await;
    let before = browser.session().expect("a session").to_owned();
    tokio::time::advance(2 * HOUR).await;
    server.revoke_all();

    // A script is told so; the page that it is on stays.
    let answer = browser.fetch("/call").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::UNAUTHORIZED, "application/problem+json"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.body.contains("\"sign_in\":\"/auth/login\""), "{}", answer.body);

    let answer = browser.open("/call").await;
    answer.assert_leads_to("/auth/login?return_to=/call");
    let login = browser.open("/auth/login?return_to=/call").await;
    let callback = server.authorize(login.location(), "alice").await.expect("a callback");
    browser.open(&callback).await.assert_leads_to("/call");
    assert!(browser.open("/call").await.body.contains("alice"));
    assert_ne!(browser.session(), Some(before.as_str()));
}

/// Follows every redirect, through the server too, where nobody is asked: how many pages until one stays.
async fn follow(browser: &mut Browser, server: &TestServer, url: &str) -> (u32, StatusCode, String) {
    let mut at_server = server.browser();
    let mut url = url.to_owned();
    for sign_ins in 0..10 {
        loop {
            let answer = browser.open(&url).await;
            if answer.location().is_empty() {
                return (sign_ins, answer.status, answer.body);
            }
            url = answer.location().to_owned();
            if url.starts_with(server.issuer()) {
                break;
            }
        }
        url = at_server.authorize(&url, "alice").await.expect("a callback");
    }
    panic!("it goes round in circles");
}

/// The server signs the user in silently, and the API refuses whatever it is shown.
#[tokio::test(start_paused = true)]
async fn l2_an_api_that_refuses_everybody() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    browser.sign_in(&server, "alice").await;
    tokio::time::advance(2 * HOUR).await;
    server.api_faults().push_forever(Fault::challenge("Bearer error=\"invalid_token\""));
    let (sign_ins, status, page) = follow(&mut browser, &server, "/call").await;
    assert_eq!((sign_ins, status), (1, StatusCode::UNAUTHORIZED), "{page}");
    assert!(page.contains("Signing in again did not help") && page.contains("return_to=/call"), "{page}");
    assert_eq!(browser.fetch("/call").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.who().await, "hello alice");
    // Later it may be worth another try.
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(follow(&mut browser, &server, "/call").await.0, 1);
}

/// The server signs the user in silently, and what it gives is dead at once.
#[tokio::test(start_paused = true)]
async fn l2_tokens_that_are_dead_at_once() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    server.set_token_response("expires_in", 0);
    server.set_token_response("refresh_token", serde_json::Value::Null);
    let (sign_ins, status, page) = follow(&mut browser, &server, "/call").await;
    assert_eq!((sign_ins, status), (1, StatusCode::UNAUTHORIZED), "{page}");
}

#[tokio::test(start_paused = true)]
async fn l2_other_failures_are_no_reason_to_sign_in() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    browser.sign_in(&server, "alice").await;
    tokio::time::advance(2 * HOUR).await;
    server.token_faults().push_forever(Fault::Disconnect);
    let answer = browser.open("/call").await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SERVICE_UNAVAILABLE, ""));
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = browser.fetch("/call").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::SERVICE_UNAVAILABLE, "application/problem+json")
    );
}

/// A session store that loses everything, as one in memory does that is not this process's; or that takes nothing at first.
#[derive(Clone, Debug)]
enum Lossy {
    Forgets,
    Refuses { times: Arc<AtomicU32>, store: MemoryStore },
}

#[async_trait]
impl SessionStore for Lossy {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        match self {
            Self::Forgets => Ok(()),
            Self::Refuses { times, store } => match times.fetch_sub(1, Relaxed) {
                1.. => Err(session_store::Error::Backend("down".to_owned())),
                0 => {
                    times.store(0, Relaxed);
                    store.create(record).await
                }
            },
        }
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        match self {
            Self::Forgets => Ok(()),
            Self::Refuses { store, .. } => store.save(record).await,
        }
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        match self {
            Self::Forgets => Ok(None),
            Self::Refuses { store, .. } => store.load(id).await,
        }
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        match self {
            Self::Forgets => Ok(()),
            Self::Refuses { store, .. } => store.delete(id).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l2_a_session_that_does_not_stick() {
    let server = server();
    let router = app(&server, &sign_in(&server).build().expect("settings"), Lossy::Forgets);
    let mut browser = Browser::new(&router);
    let (sign_ins, status, page) = follow(&mut browser, &server, "/orders").await;
    assert_eq!((sign_ins, status), (1, StatusCode::UNAUTHORIZED), "{page}");
    assert!(page.contains("Signing in again did not help"), "{page}");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(follow(&mut browser, &server, "/orders").await.0, 1);
}

/// The session could not be saved: nobody is signed in, and no token is left over.
#[tokio::test(start_paused = true)]
async fn l2_a_session_that_cannot_be_saved() {
    for failures in [1, 2] {
        let server = server();
        let sessions = Lossy::Refuses { times: Arc::new(AtomicU32::new(failures)), store: MemoryStore::default() };
        let router = app(&server, &sign_in(&server).build().expect("settings"), sessions);
        let mut browser = Browser::new(&router);
        let callback = browser.go_to_server(&server, "alice", "/orders").await;
        let answer = browser.open(&callback).await;
        assert!(answer.location().starts_with("/auth/problem?why=unavailable"), "{failures}: {}", answer.location());
        assert_eq!(browser.session(), None, "{failures}");
        assert_eq!(browser.who().await, "nobody", "{failures}");
        server.arrived(Endpoint::Revocation, 2).await;
    }
}

/// The application's own page for problems asks who the user is, and that cannot be found out.
#[tokio::test(start_paused = true)]
async fn l2_a_problem_page_that_has_a_problem() {
    let (server, store) = (server(), TestStore::new());
    let sign_in = sign_in(&server).store(store.clone()).problem_page("/problem").build().expect("settings");
    let page =
        |user: Option<User>| async move { format!("a problem of {:?}", user.map(|user| user.subject().to_owned())) };
    let sessions = MemoryStore::default();
    let own = axum::Router::new().route("/problem", get(page)).layer(sign_in.sessions(sessions.clone()));
    let router = own.merge(app(&server, &sign_in, sessions).reset_fallback());
    let mut browser = Browser::new(&router);
    browser.sign_in(&server, "alice").await;
    store.set(Mood::Fails);
    let answer = browser.open("/orders").await;
    assert!(answer.location().starts_with("/problem?why=unavailable"), "{} {}", answer.status, answer.location());
    let answer = browser.open("/problem?why=unavailable").await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SERVICE_UNAVAILABLE, ""), "{}", answer.body);
}

/// Twelve hours, whatever the user does.
#[tokio::test(start_paused = true)]
async fn l2_nobody_is_signed_in_for_ever() {
    let (server, _, router) = start();
    let mut browser = Browser::new(&router);
    browser.sign_in(&server, "alice").await;
    tokio::time::advance(12 * HOUR - Duration::from_secs(2)).await;
    assert_eq!(browser.who().await, "hello alice");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(browser.who().await, "nobody");
}
