//! Sign-in on another device (RFC 8628).

use std::time::Duration;

use oauth_test_server::{Client, DeviceState, Endpoint, TestServer};
use tokio::time::advance;

use super::*;

const GRANT: &str = "grant_type=urn:ietf:params:oauth:grant-type:device_code";

fn server() -> TestServer {
    TestServer::builder().client(Client::new("tv").scopes(["watch", "buy"])).client(m2m()).build()
}

async fn begin(server: &TestServer, parameters: &str) -> Answer {
    authorize(server, form(server.device_authorization_endpoint(), parameters)).await.unwrap()
}

async fn poll(server: &TestServer, code: &str) -> Answer {
    token(server, &format!("{GRANT}&client_id=tv&device_code={code}")).await
}

async fn seconds(seconds: u64) {
    advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_user_agrees() {
    let server = server();
    let answer = begin(&server, "client_id=tv&scope=watch").await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    assert_eq!(answer.json()["expires_in"], 600);
    assert_eq!(answer.json()["interval"], 5);
    assert_eq!(answer.text("verification_uri"), server.verification_uri());
    let (device, user) = (answer.text("device_code"), answer.text("user_code"));
    assert_eq!(answer.text("verification_uri_complete"), format!("{}?user_code={user}", server.verification_uri()));

    poll(&server, &device).await.assert_error(400, "authorization_pending");
    let waiting = &server.device_codes()[0];
    assert_eq!((&waiting.user_code, waiting.client_id.as_str()), (&user, "tv"));
    assert_eq!((waiting.scope.as_str(), waiting.state), ("watch", DeviceState::Pending));
    // As people type it.
    assert!(server.approve_device_as(&user.to_lowercase().replace('-', " "), "bob"));
    assert_eq!(server.device_codes()[0].state, DeviceState::Approved);
    assert!(!server.approve_device(&user), "once is enough");

    seconds(5).await;
    let answer = poll(&server, &device).await;
    assert_eq!((answer.status.as_u16(), answer.text("scope").as_str()), (200, "watch"));
    let told = api(&server, &answer.text("access_token")).await;
    assert_eq!((told.text("sub"), told.text("client_id")), ("bob".to_owned(), "tv".to_owned()));
    assert_eq!(server.device_codes()[0].state, DeviceState::Used);
    seconds(5).await;
    poll(&server, &device).await.assert_error(400, "invalid_grant");
    assert_eq!(server.counters().device_authorizations, 1);
}

#[tokio::test(start_paused = true)]
async fn the_user_says_no() {
    let server = server();
    let answer = begin(&server, "client_id=tv").await;
    assert!(server.deny_device(&answer.text("user_code")));
    assert!(!server.deny_device("unknown"));
    poll(&server, &answer.text("device_code")).await.assert_error(400, "access_denied");
    assert_eq!(server.device_codes()[0].state, DeviceState::Denied);
}

#[tokio::test(start_paused = true)]
async fn polling_too_fast_makes_it_slower() {
    let server = server();
    let answer = begin(&server, "client_id=tv").await;
    let device = answer.text("device_code");
    poll(&server, &device).await.assert_error(400, "authorization_pending");
    advance(Duration::from_millis(4999)).await;
    poll(&server, &device).await.assert_error(400, "slow_down");
    // Ten seconds from now on, and even the answer has to wait.
    server.approve_device(&answer.text("user_code"));
    advance(Duration::from_millis(9999)).await;
    poll(&server, &device).await.assert_error(400, "slow_down");
    seconds(15).await;
    assert_eq!(poll(&server, &device).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn codes_expire() {
    let server = server();
    let answer = begin(&server, "client_id=tv").await;
    advance(Duration::from_millis(599_999)).await;
    poll(&server, &answer.text("device_code")).await.assert_error(400, "authorization_pending");
    advance(Duration::from_millis(1)).await;
    poll(&server, &answer.text("device_code")).await.assert_error(400, "expired_token");
    assert!(!server.approve_device(&answer.text("user_code")));
    assert_eq!(server.device_codes()[0].state, DeviceState::Expired);
}

#[tokio::test(start_paused = true)]
async fn settings() {
    let server = TestServer::builder()
        .client(Client::new("tv"))
        .device_interval(None)
        .device_code_lifetime(Duration::from_secs(30))
        .refresh_tokens(true)
        .build();
    let answer = begin(&server, "client_id=tv").await;
    assert_eq!(answer.json()["expires_in"], 30);
    assert_eq!(answer.json().get("interval"), None);
    let device = answer.text("device_code");
    poll(&server, &device).await.assert_error(400, "authorization_pending");
    advance(Duration::from_millis(4999)).await;
    poll(&server, &device).await.assert_error(400, "slow_down");
    server.approve_device(&answer.text("user_code"));
    seconds(10).await;
    let answer = poll(&server, &device).await;
    let refresh = format!("grant_type=refresh_token&client_id=tv&refresh_token={}", answer.text("refresh_token"));
    let answer = token(&server, &refresh).await;
    assert_eq!(api(&server, &answer.text("access_token")).await.text("sub"), "alice");
}

#[tokio::test(start_paused = true)]
async fn refused_devices() {
    let server = server();
    for (parameters, status, error) in [
        ("client_id=nobody", 401, "invalid_client"),
        ("client_id=tv&scope=admin", 400, "invalid_scope"),
        ("client_id=tv&resource=x", 400, "invalid_target"),
        ("client_id=tv&authorization_details=x", 400, "invalid_authorization_details"),
        ("client_id=m2m", 401, "invalid_client"),
    ] {
        begin(&server, parameters).await.assert_error(status, error);
    }
    server.set_client(Client::new("tv").grant_types(["refresh_token"]));
    begin(&server, "client_id=tv").await.assert_error(400, "unauthorized_client");

    server.set_client(Client::new("tv"));
    let answer = begin(&server, "client_id=tv").await;
    let others = format!("{GRANT}&client_id=m2m&client_secret=secret&device_code={}", answer.text("device_code"));
    token(&server, &others).await.assert_error(400, "invalid_grant");
    token(&server, &format!("{GRANT}&client_id=tv")).await.assert_error(400, "invalid_request");
    poll(&server, "unknown").await.assert_error(400, "invalid_grant");
}

#[tokio::test(start_paused = true)]
async fn the_page_for_the_user() {
    let server = server();
    let page = server.verification_uri();
    assert_eq!(authorize(&server, get(format!("{page}?user_code=x"))).await.unwrap().status, 200);
    let answer = begin(&server, "client_id=tv").await;
    let user = answer.text("user_code");
    for (parameters, status) in [
        (format!("user_code={user}"), 400),
        ("user_code=x&decision=approve".to_owned(), 404),
        (format!("user_code={user}&decision=approve&subject=bob"), 200),
        (format!("user_code={user}&decision=deny"), 404),
    ] {
        let answer = authorize(&server, form(page.clone(), &parameters)).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{parameters}");
    }
    let answer = poll(&server, &answer.text("device_code")).await;
    assert_eq!(api(&server, &answer.text("access_token")).await.text("sub"), "bob");
    assert_eq!(server.requests_to(Endpoint::DeviceVerification).len(), 5);
}
