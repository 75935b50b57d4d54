use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use oauth_test_server::{Endpoint, Fault, TestServer};
use serde_json::json;
use tower::ServiceExt;

use super::*;

fn post(server: &TestServer, path: &str, token: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(server.api_url(path))
        .header("authorization", format!("bearer {token}"))
        .header("content-type", "text/x-test")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_tells_what_it_got() {
    let server = TestServer::builder().build();
    let token = server.issue_access_token("m2m", "api read");
    let answer = call(&server, post(&server, "things?page=2", &token, "12345")).await.unwrap();
    assert_eq!(
        answer.json(),
        json!({
            "method": "POST", "path": "/things", "query": "page=2", "body_len": 5,
            "client_id": "m2m", "sub": "m2m", "scope": "api read", "aud": ["https://api.test"],
        })
    );
    let answer = call(&server, post(&server, "/echo", &token, "12345")).await.unwrap();
    assert_eq!((&*answer.body, answer.header("content-type")), (&b"12345"[..], "text/x-test"));
    let answer = call(&server, post(&server, "/status/418", &token, "")).await.unwrap();
    assert_eq!(answer.status, 418);
    for (path, status) in [("/redirect?to=https%3A%2F%2Fb.test%2Fx", 302), ("/redirect/307?to=https://b.test/x", 307)] {
        let answer = call(&server, post(&server, path, &token, "")).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("location")), (status, "https://b.test/x"));
    }
    for path in ["/redirect", "/redirect/no?to=/", "/status/no"] {
        let answer = call(&server, post(&server, path, &token, "")).await.unwrap();
        assert_eq!(answer.status, 400, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn challenges() {
    let server = TestServer::builder().required_scope("write").required_audience("https://api.test").build();
    let good = server.issue_access_token("m2m", "read write");
    assert_eq!(api(&server, &good).await.status, 200);

    let answer = call(&server, get(server.api_url("/"))).await.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"api\"");

    let answer = api(&server, "unknown").await;
    answer.assert_error(401, "invalid_token");
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"the token is unknown\""
    );

    let answer = api(&server, &server.issue_access_token("m2m", "read")).await;
    answer.assert_error(403, "insufficient_scope");
    assert!(answer.header("www-authenticate").ends_with(", scope=\"write\""));

    let other = token(&server, &format!("{CLIENT_CREDENTIALS}&audience=other")).await;
    let answer = api(&server, &other.text("access_token")).await;
    answer.assert_error(401, "invalid_token");

    let mut twice = get(server.api_url("/"));
    for _ in 0..2 {
        let value = format!("Bearer {good}").parse().unwrap();
        twice.headers_mut().append("authorization", value);
    }
    call(&server, twice).await.unwrap().assert_error(400, "invalid_request");

    let counters = server.counters();
    assert_eq!(counters.api_requests, 6);
    assert_eq!(counters.api_accepted, 1);
    assert_eq!(counters.api_unauthorized, 3);
    assert_eq!(counters.api_forbidden, 1);
}

#[tokio::test(start_paused = true)]
async fn other_schemes_are_no_token() {
    let server = TestServer::builder().build();
    for value in ["Basic bTJtOnNlY3JldA==", "Bearer", "DPoP x"] {
        let mut request = get(server.api_url("/"));
        request.headers_mut().insert("authorization", value.parse().unwrap());
        let answer = call(&server, request).await.unwrap();
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"api\"", "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn public_paths_ask_for_no_token() {
    let server = TestServer::builder().build();
    for (path, status) in [("/public", 200), ("/public/things", 200), ("/public/status/404", 404), ("/publicity", 401)]
    {
        let answer = call(&server, get(server.api_url(path))).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{path}");
    }
    assert_eq!(server.counters().api_public, 3);
    assert_eq!(server.counters().api_accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn protected_resource_metadata() {
    let server = TestServer::builder().resource_metadata(true).required_scope("api").build();
    let url = "https://api.test/.well-known/oauth-protected-resource";
    let answer = call(&server, get(server.api_url("/"))).await.unwrap();
    assert_eq!(answer.header("www-authenticate"), format!("Bearer realm=\"api\", resource_metadata=\"{url}\""));
    let metadata = call(&server, get(url.to_owned())).await.unwrap().json();
    assert_eq!(metadata["resource"], "https://api.test");
    assert_eq!(metadata["authorization_servers"], json!(["https://id.test"]));
    assert_eq!(metadata["scopes_supported"], json!(["api"]));
}

#[tokio::test(start_paused = true)]
async fn requests_are_recorded() {
    let server = TestServer::builder().keep_requests(2).build();
    let good = server.issue_access_token("m2m", "api");
    token(&server, CLIENT_CREDENTIALS).await;
    let recorded = &server.requests_to(Endpoint::Token)[0];
    assert_eq!(recorded.form_value("grant_type").unwrap(), "client_credentials");
    assert_eq!(recorded.form().len(), 3);
    assert_eq!(recorded.status.unwrap(), 200);

    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    let sent = trailers.clone();
    let body = Full::new(Bytes::from("abc")).with_trailers(async { Some(Ok::<_, Infallible>(sent)) });
    let request =
        Request::put(server.api_url("/things")).header("authorization", format!("Bearer {good}")).body(body).unwrap();
    server.api_service().oneshot(request).await.unwrap();
    let recorded = &server.requests_to(Endpoint::Api)[0];
    assert_eq!((recorded.method.as_str(), recorded.uri.path()), ("PUT", "/things"));
    assert_eq!(recorded.bearer_token(), Some(good.as_str()));
    assert_eq!((&*recorded.body, &recorded.trailers), (&b"abc"[..], &Some(trailers)));
    assert!(recorded.complete);
    assert_eq!(recorded.when, tokio::time::Instant::now());

    api(&server, "unknown").await;
    let requests = server.requests();
    assert_eq!(requests.len(), 2, "the oldest is gone");
    assert_eq!(requests[1].status.unwrap(), 401);
    server.clear_requests();
    assert!(server.requests().is_empty());
    api(&server, "unknown").await;
    assert_eq!(server.requests()[0].status.unwrap(), 401);
}

/// A body that gives one chunk and then fails, or never goes on.
struct Partial {
    chunk: Option<Bytes>,
    fails: bool,
}

impl Body for Partial {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.chunk.take() {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            None if self.fails => Poll::Ready(Some(Err(std::io::Error::other("broken")))),
            None => Poll::Pending,
        }
    }
}

fn partial(server: &TestServer, token: &str, fails: bool) -> Request<Partial> {
    let chunk = Some(Bytes::from("abc"));
    Request::post(server.api_url("/"))
        .header("authorization", format!("Bearer {token}"))
        .body(Partial { chunk, fails })
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_no_request() {
    let server = TestServer::builder().build();
    let good = server.issue_access_token("m2m", "api");
    let result = server.api_service().oneshot(partial(&server, &good, true)).await;
    assert_eq!(result.unwrap_err().to_string(), "broken");
    let recorded = &server.requests()[0];
    assert_eq!((&*recorded.body, recorded.complete, recorded.status), (&b"abc"[..], false, None));
    assert_eq!(server.counters().api_accepted, 0);
}

#[tokio::test(start_paused = true)]
async fn early_refusals_leave_the_body_unread() {
    let server = TestServer::builder().reject_early(true).build();
    let response = server.api_service().oneshot(partial(&server, "bad", false)).await.unwrap();
    assert_eq!(response.status(), 401);
    let good = server.issue_access_token("m2m", "api");
    server.api_faults().push(1, Fault::unauthorized());
    let response = server.api_service().oneshot(partial(&server, &good, false)).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(server.requests().iter().all(|r| r.body.is_empty() && !r.complete));
    assert_eq!(api(&server, &good).await.status, 200);
    assert_eq!(server.counters().api_unauthorized, 2);
}
