//! D4: metadata are shared, cached for at most 24 h, and refreshed.

use std::time::Duration;

use futures_util::future::join_all;
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use oauth_test_server::{Fault, TestServer};
use oauth_tokens::{AuthorizationServer, HttpClient, TokenSource};
use tests::canned::{Canned, metadata, status, token};
use tokio::time::advance;

use super::{client_of, server_at};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

fn at(server: &TestServer) -> AuthorizationServer {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .expect("an issuer")
}

#[tokio::test(start_paused = true)]
async fn d4_100_clients_of_one_server_make_one_discovery_request() {
    let server = TestServer::builder().build();
    server.discovery_faults().push_forever(Fault::Delay(Duration::from_secs(1)));
    let shared = at(&server);
    let clients: Vec<_> = (0..100).map(|_| client_of(&shared.clone())).collect();
    let caches: Vec<_> =
        clients.iter().map(|client| client.client_credentials().cached().expect("a request")).collect();
    let tokens = join_all(caches.iter().map(|cache| cache.token())).await;
    assert!(tokens.iter().all(Result::is_ok));
    assert_eq!((server.counters().discovery_requests, server.counters().token_requests), (1, 100));

    // Another server object is another matter: nothing is global.
    client_of(&at(&server)).client_credentials().fetch().await.expect("a token");
    assert_eq!(server.counters().discovery_requests, 2);
}

#[tokio::test(start_paused = true)]
async fn d4_100_clients_and_a_server_that_hangs_are_no_stampede() {
    let server = TestServer::builder().build();
    server.discovery_faults().push_forever(Fault::Hang);
    let shared = at(&server);
    let requests: Vec<_> = (0..100).map(|_| client_of(&shared).client_credentials()).collect();
    let results = join_all(requests.iter().map(|request| request.fetch())).await;
    assert!(results.iter().all(Result::is_err));
    // 5 s an attempt within 10 s, by one of them at a time.
    let sent = server.counters().discovery_requests;
    assert!(sent <= 6, "{sent} discovery requests within 10 s");
}

#[tokio::test(start_paused = true)]
async fn d4_a_caller_that_goes_away_hands_its_turn_on() {
    let server = TestServer::builder().build();
    server.discovery_faults().push(1, Fault::Hang);
    let shared = at(&server);
    let first = tokio::spawn({
        let shared = shared.clone();
        async move { shared.metadata().await }
    });
    server.arrived(oauth_test_server::Endpoint::Discovery, 1).await;
    let second = tokio::spawn({
        let shared = shared.clone();
        async move { shared.metadata().await }
    });
    tokio::task::yield_now().await;
    first.abort();
    second.await.expect("no panic").expect("metadata");
    assert_eq!(server.counters().discovery_requests, 2);
}

#[tokio::test(start_paused = true)]
async fn d4_cached_for_24_h_and_then_refreshed() {
    let server = TestServer::builder().build();
    let shared = at(&server);
    shared.metadata().await.expect("metadata");
    advance(24 * HOUR - TICK).await;
    shared.metadata().await.expect("metadata");
    assert_eq!(server.counters().discovery_requests, 1);
    advance(TICK).await;
    server.set_metadata("service_documentation", "new");
    let refreshed = shared.metadata().await.expect("metadata");
    assert_eq!((server.counters().discovery_requests, refreshed.get("service_documentation")), (2, Some("new")));
}

#[tokio::test(start_paused = true)]
async fn d4_cache_control_is_honoured_within_bounds() {
    let vectors = [
        ("max-age=3600", 3600),
        ("public, max-age=3600", 3600),
        ("public,max-age=3600,must-revalidate", 3600),
        ("Max-Age=3600", 3600),
        ("max-age=\"3600\"", 3600),
        // Not less than 5 minutes, not more than 24 hours.
        ("max-age=0", 300),
        ("max-age=299", 300),
        ("max-age=86401", 86400),
        ("max-age=99999999999999999999", 86400),
        // Not said, or not to be read.
        ("public", 86400),
        ("max-age=soon", 86400),
        ("s-maxage=3600", 86400),
        ("x-max-age=3600", 86400),
        ("", 86400),
    ];
    for (value, seconds) in vectors {
        let mut response = metadata("https://id.test", "https://id.test/token");
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(value));
        let canned = Canned::always(response);
        let server = server_at(&canned, "https://id.test").expect("an issuer");
        server.metadata().await.expect("metadata");
        advance(Duration::from_secs(seconds) - TICK).await;
        server.metadata().await.expect("metadata");
        assert_eq!(canned.requests().len(), 1, "{value}");
        advance(TICK).await;
        server.metadata().await.expect("metadata");
        assert_eq!(canned.requests().len(), 2, "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn d4_an_endpoint_that_moved_is_found_without_a_restart() {
    // What the metadata name answers 404 from the second hour on.
    let epoch = tokio::time::Instant::now();
    let canned = Canned::new(move |request| {
        let moved = epoch.elapsed() >= HOUR;
        match (request.uri().path(), moved) {
            ("/old", true) | ("/new", false) => status(StatusCode::NOT_FOUND),
            ("/old" | "/new", _) => token("t0k3n"),
            (_, false) => metadata("https://id.test", "https://id.test/old"),
            (_, true) => metadata("https://id.test", "https://id.test/new"),
        }
    });
    let server = server_at(&canned, "https://id.test").expect("an issuer");
    let tokens = client_of(&server).client_credentials().cached().expect("a request");
    tokens.token().await.expect("a token");
    advance(HOUR).await;
    if tokens.token().await.is_err() {
        advance(Duration::from_secs(2)).await;
    }
    tokens.token().await.expect("a token from the new place, hours before the metadata were due");
    assert_eq!(canned.urls().last().map(String::as_str), Some("https://id.test/new"));
}
