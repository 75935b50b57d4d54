use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use http::Response;
use http_body::Body;
use http_body_util::BodyExt;
use oauth_test_server::{Endpoint, Fault, TestServer};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use super::*;

const LONG: Duration = Duration::from_secs(1_000_000);

async fn request_token(server: &TestServer) -> io::Result<Answer> {
    authorize(server, form(server.token_endpoint(), CLIENT_CREDENTIALS)).await
}

#[tokio::test(start_paused = true)]
async fn answers_in_order_and_then_none() {
    let server = TestServer::builder().build();
    let faults = server.token_faults();
    faults.push(2, Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    faults.push(0, Fault::Hang);
    faults.push(1, Fault::StatusWithRetryAfter(StatusCode::TOO_MANY_REQUESTS, "7".to_owned()));
    faults.push(1, Fault::Empty(StatusCode::FORBIDDEN));
    faults.push(1, Fault::Html(StatusCode::BAD_GATEWAY));
    faults.push(1, Fault::oauth_error("temporarily_unavailable"));
    faults.push(1, Fault::Garbage);

    for _ in 0..2 {
        assert_eq!(request_token(&server).await.unwrap().status, 503);
    }
    let answer = request_token(&server).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "7"));
    let answer = request_token(&server).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (403, 0));
    assert_eq!(answer.header("content-type"), "");
    let answer = request_token(&server).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (502, "text/html; charset=utf-8"));
    let answer = request_token(&server).await.unwrap();
    answer.assert_error(400, "temporarily_unavailable");
    assert!(!faults.is_empty());
    let answer = request_token(&server).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert!(std::str::from_utf8(&answer.body).is_err());

    assert!(faults.is_empty());
    assert_eq!(request_token(&server).await.unwrap().text("token_type"), "Bearer");
    let counters = server.counters();
    assert_eq!((counters.token_requests, counters.tokens_issued), (8, 1));
    assert_eq!(counters.token_errors, 6);
}

#[tokio::test(start_paused = true)]
async fn for_ever_until_cleared() {
    let server = TestServer::builder().build();
    let discover = || get("https://id.test/.well-known/openid-configuration".to_owned());
    server.discovery_faults().push_forever(Fault::Disconnect);
    for _ in 0..3 {
        let error = authorize(&server, discover()).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    server.discovery_faults().clear();
    assert_eq!(authorize(&server, discover()).await.unwrap().status, 200);
    assert_eq!(server.counters().discovery_requests, 4);
    assert_eq!(server.requests()[0].status, None);
}

#[tokio::test(start_paused = true)]
async fn the_api_refuses_good_tokens() {
    let server = TestServer::builder().build();
    let good = server.issue_access_token("m2m", "api");
    server.api_faults().push(1, Fault::unauthorized());
    server.api_faults().push(1, Fault::challenge("Bearer error=\"invalid_token\""));
    server.api_faults().push(1, Fault::challenge("line\r\nbreak: x"));
    let challenges = ["", "Bearer error=\"invalid_token\"", "line??break: x"];
    for challenge in challenges {
        let answer = api(&server, &good).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, challenge));
    }
    assert_eq!(api(&server, &good).await.status, 200);
    assert_eq!(server.counters().api_unauthorized, 3);
    assert_eq!(server.counters().api_accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn raw_is_verbatim() {
    let server = TestServer::builder().build();
    let raw = Response::builder().status(207).header("x-odd", "1").body(Bytes::from("{\"access_token\":1}")).unwrap();
    server.faults(Endpoint::Introspection).push(1, Fault::Raw(raw));
    let request = form(server.introspection_endpoint(), "");
    let answer = authorize(&server, request).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.headers.len()), (207, 1));
    assert_eq!(&*answer.body, b"{\"access_token\":1}");
}

#[tokio::test(start_paused = true)]
async fn delay_hang_and_arrival() {
    let server = TestServer::builder().build();
    server.token_faults().push(1, Fault::Delay(Duration::from_secs(3)));
    server.token_faults().push(1, Fault::Hang);
    let start = Instant::now();
    assert_eq!(request_token(&server).await.unwrap().status, 200);
    assert_eq!(start.elapsed(), Duration::from_secs(3));

    let hanging = tokio::spawn({
        let server = server.clone();
        async move { request_token(&server).await.map(|_| ()) }
    });
    server.arrived(Endpoint::Token, 2).await;
    assert!(timeout(LONG, hanging).await.is_err());
    assert_eq!(server.requests()[1].status, None);
    assert!(timeout(LONG, server.arrived(Endpoint::Token, 3)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn bodies_that_break_and_bodies_without_end() {
    let server = TestServer::builder().build();
    server.token_faults().push(1, Fault::CloseMidBody(StatusCode::OK));
    server.token_faults().push(1, Fault::Endless(StatusCode::UNAUTHORIZED));
    server.token_faults().push(1, Fault::Trickle(StatusCode::OK, Duration::from_secs(1)));
    let head = || {
        let request = form(server.token_endpoint(), CLIENT_CREDENTIALS);
        server.authorization_service().oneshot(request)
    };

    let response = head().await.unwrap();
    let declared: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let mut body = response.into_body();
    let received = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(received.len() * 2, declared);
    assert!(body.frame().await.unwrap().is_err());

    let mut response = head().await.unwrap();
    assert_eq!(response.status(), 401);
    let mut received = 0;
    while received < 2 << 20 {
        received += response.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }

    let mut response = head().await.unwrap();
    let start = Instant::now();
    for _ in 0..5 {
        poll_fn(|cx| Pin::new(response.body_mut()).poll_frame(cx)).await.unwrap().unwrap();
    }
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_was_carried_out() {
    let server = TestServer::builder().build();
    let refresh_token = server.issue_refresh_token("m2m", "api");
    let refresh = || {
        let parameters =
            format!("client_id=m2m&client_secret=secret&grant_type=refresh_token&refresh_token={refresh_token}");
        authorize(&server, form(server.token_endpoint(), &parameters))
    };
    server.token_faults().push(1, Fault::LoseAnswer);
    assert!(refresh().await.is_err());
    assert_eq!(server.counters().tokens_issued, 1);
    refresh().await.unwrap().assert_error(400, "invalid_grant");
    assert_eq!(server.counters().refresh_reuse_detected, 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_token_again() {
    let server = TestServer::builder().build();
    server.token_faults().push(3, Fault::SameToken);
    let first = request_token(&server).await.unwrap();
    assert_eq!(server.counters().tokens_issued, 1, "there was none to repeat");
    tokio::time::advance(Duration::from_secs(600)).await;
    let second = request_token(&server).await.unwrap();
    assert_eq!(second.text("access_token"), first.text("access_token"));
    assert_eq!(second.json()["expires_in"], 3000);
    server.revoke_all();
    let third = request_token(&server).await.unwrap();
    assert_eq!(api(&server, &third.text("access_token")).await.status, 401);
    assert_eq!(server.counters().tokens_issued, 1);
    assert_ne!(request_token(&server).await.unwrap().text("access_token"), first.text("access_token"));
}
