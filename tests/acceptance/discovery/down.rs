//! D4: what happens while the server is down. Metadata serve on; errors are not remembered for long.

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use oauth_test_server::{Endpoint, Fault, TestServer};
use oauth_tokens::{AuthorizationServer, ErrorKind, HttpClient, TokenSource};
use tokio::time::{Instant, advance};

use super::client_of;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn at(server: &TestServer) -> AuthorizationServer {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .expect("an issuer")
}

fn faults() -> [Fault; 7] {
    [
        Fault::Status(StatusCode::SERVICE_UNAVAILABLE),
        Fault::Html(StatusCode::OK),
        Fault::Html(StatusCode::NOT_FOUND),
        Fault::Empty(StatusCode::FORBIDDEN),
        Fault::Garbage,
        Fault::Disconnect,
        Fault::Hang,
    ]
}

#[tokio::test(start_paused = true)]
async fn d4_stale_metadata_serve_while_discovery_is_down() {
    for fault in faults() {
        let server = TestServer::builder().build();
        let shared = at(&server);
        let before = shared.metadata().await.expect("metadata");
        server.discovery_faults().push_forever(fault.clone());
        advance(DAY).await;

        let began = Instant::now();
        let request = client_of(&shared).client_credentials();
        request.fetch().await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(began.elapsed() <= Duration::from_secs(4), "nobody waits long for a refresh: {:?}", began.elapsed());
        assert_eq!(shared.metadata().await.expect("stale").issuer(), before.issuer());

        // A server in trouble is not asked for every exchange.
        let asked = server.counters().discovery_requests;
        join_all((0..50).map(|_| request.fetch())).await;
        assert_eq!(server.counters().discovery_requests, asked, "{fault:?}");

        // Weeks later still, and refreshed when the server is back.
        advance(20 * DAY).await;
        request.fetch().await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        server.discovery_faults().clear();
        server.set_metadata("service_documentation", "back");
        advance(Duration::from_secs(10)).await;
        let back = shared.metadata().await.expect("metadata");
        assert_eq!(back.get("service_documentation"), Some("back"), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn d4_metadata_for_another_issuer_do_not_replace_good_ones() {
    let server = TestServer::builder().build();
    let shared = at(&server);
    shared.metadata().await.expect("metadata");
    server.set_metadata("issuer", "https://evil.test");
    server.set_metadata("token_endpoint", "https://evil.test/token");
    advance(DAY).await;
    client_of(&shared).client_credentials().fetch().await.expect("the old endpoint");
    assert!(server.requests_to(Endpoint::Token).iter().all(|r| !r.uri.to_string().contains("evil")));
}

#[tokio::test(start_paused = true)]
async fn d4_an_error_is_remembered_for_seconds_only() {
    for fault in faults() {
        let server = TestServer::builder().build();
        let shared = at(&server);
        server.discovery_faults().push_forever(fault.clone());
        let error = shared.metadata().await.expect_err("down");
        assert!(error.is_transient(), "{error}");
        let asked = server.counters().discovery_requests;
        for _ in 0..20 {
            shared.metadata().await.expect_err("remembered");
        }
        assert_eq!(server.counters().discovery_requests, asked, "remembered for a moment: {fault:?}");

        // However often it failed, it is asked again within 10 s.
        for _ in 0..10 {
            advance(Duration::from_secs(10)).await;
            shared.metadata().await.expect_err("still down");
        }
        server.discovery_faults().clear();
        advance(Duration::from_secs(10)).await;
        shared.metadata().await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    }
}

#[tokio::test(start_paused = true)]
async fn d4_building_and_starting_need_no_server() {
    let server = TestServer::builder().build();
    server.discovery_faults().push_forever(Fault::Disconnect);
    let tokens = client_of(&at(&server)).client_credentials().cached().expect("no I/O");
    assert_eq!(tokens.token().await.expect_err("down").kind(), ErrorKind::Transport);
    server.discovery_faults().clear();
    advance(Duration::from_secs(10)).await;
    tokens.token().await.expect("it starts by itself when the server is back");
}

#[tokio::test(start_paused = true)]
async fn d4_retry_after_of_discovery_is_honoured_and_none_is_no_licence() {
    for (value, seconds) in [("60", 60), ("86400", 300)] {
        let server = TestServer::builder().build();
        let shared = at(&server);
        let busy = Fault::StatusWithRetryAfter(StatusCode::SERVICE_UNAVAILABLE, value.to_owned());
        server.discovery_faults().push(1, busy);
        let error = shared.metadata().await.expect_err("busy");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)));
        advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
        shared.metadata().await.expect_err("still to wait");
        assert_eq!(server.counters().discovery_requests, 1);
        advance(Duration::from_millis(1)).await;
        shared.metadata().await.expect("metadata");
    }
    let server = TestServer::builder().build();
    let shared = at(&server);
    server.discovery_faults().push_forever(Fault::StatusWithRetryAfter(StatusCode::SERVICE_UNAVAILABLE, "0".into()));
    for _ in 0..50 {
        shared.metadata().await.expect_err("busy");
    }
    let sent = server.counters().discovery_requests;
    assert!(sent <= 3, "`Retry-After: 0` is no licence to ask {sent} times in no time");
}
