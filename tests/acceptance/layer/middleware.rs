//! The same behaviour as a reqwest middleware: the main lines again, through `client.get(url).send()`.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream};
use http::{Extensions, HeaderValue, header::AUTHORIZATION};
use oauth_test_server::{Endpoint, Fault, TestServer};
use reqwest::{Body, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Next};
use tests::{
    numbered::{self, Numbered},
    script::outcome,
    steps::{guarded, settle},
    wire::reqwest_client,
};
use tower_oauth::{Error, ErrorKind, OAuthLayer};

fn client(layer: &OAuthLayer) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest_client()).with(layer.middleware()).build()
}

/// An API that takes every token: what is rejected is rejected by a fault.
async fn start() -> (TestServer, Numbered, OAuthLayer) {
    let server = TestServer::start().await.expect("sockets");
    let tokens = Numbered::new();
    let layer = OAuthLayer::new(server.api_origin(), tokens.cache.clone()).expect("an origin");
    (server, tokens, layer)
}

fn told(response: &Response) -> (u16, String) {
    (response.status().as_u16(), outcome(response.extensions()))
}

fn tokens_seen(server: &TestServer) -> Vec<String> {
    server.requests_to(Endpoint::Api).iter().map(|seen| seen.bearer_token().unwrap_or("-").to_owned()).collect()
}

fn ours(error: &reqwest_middleware::Error) -> ErrorKind {
    match error {
        reqwest_middleware::Error::Middleware(error) => error.downcast_ref::<Error>().expect("ours").kind(),
        reqwest_middleware::Error::Reqwest(error) => panic!("not ours: {error:?}"),
    }
}

#[tokio::test]
async fn r6_middleware_the_table_of_challenges() {
    let vectors = [
        (None, "Retried"),
        (Some("Bearer"), "Retried"),
        (Some("Basic realm=x, Bearer error=\"invalid_token\""), "Retried"),
        (Some("Basic realm=x"), "OtherScheme"),
        (Some("Bearer error=insufficient_scope"), "InsufficientScope"),
        (Some("Bearer error=insufficient_user_authentication"), "InsufficientUserAuthentication"),
        (Some("Bearer error=invalid_request"), "InvalidRequest"),
        (Some("Bearer error=new"), "UnknownError"),
    ];
    for (challenge, expected) in vectors {
        let (server, tokens, layer) = start().await;
        server.api_faults().push(1, Fault::Unauthorized { challenge: challenge.map(str::to_owned) });
        // The test server knows none of these tokens.
        let response =
            client(&layer).post(server.api_url("/public/echo")).body("body").send().await.expect("a response");
        let status = if expected == "Retried" { 200 } else { 401 };
        assert_eq!(told(&response), (status, expected.to_owned()), "{challenge:?}");
        assert_eq!(response.text().await.expect("a body"), if status == 200 { "body" } else { "fault: 401\n" });
        let seen: &[_] = if status == 200 { &["t1", "t2"] } else { &["t1"] };
        assert_eq!(tokens_seen(&server), seen, "{challenge:?}");
        settle().await;
        assert_eq!(tokens.fetches(), seen.len() as u64);
    }
}

#[tokio::test]
async fn r7_r8_middleware_a_second_401_and_a_failed_renewal() {
    let (server, _, layer) = start().await;
    server.api_faults().push(2, Fault::unauthorized());
    let response = client(&layer).get(server.api_url("/public")).send().await.expect("a response");
    assert_eq!(told(&response), (401, "Retried".to_owned()));

    for (next, expected) in
        [(numbered::Next::Failure, "NotRenewed(Source)"), (numbered::Next::Same, "NotRenewed(SameToken)")]
    {
        let (server, tokens, layer) = start().await;
        tokens.cache.ready().await.expect("a token");
        tokens.will(next);
        server.api_faults().push(1, Fault::unauthorized());
        let response = client(&layer).get(server.api_url("/public")).send().await.expect("a response");
        assert_eq!(told(&response), (401, expected.to_owned()));
        assert_eq!(response.text().await.expect("a body"), "fault: 401\n");
        assert_eq!(tokens_seen(&server), ["t1"]);
    }
}

/// A retry that succeeds shows that renewing helps, so that the next dead token is renewed at once, too (F10).
#[tokio::test]
async fn r6_middleware_each_dead_token_is_renewed_as_long_as_that_helps() {
    let (server, tokens, layer) = start().await;
    for round in 2..5 {
        server.api_faults().push(1, Fault::unauthorized());
        let response = client(&layer).get(server.api_url("/public")).send().await.expect("a response");
        assert_eq!((told(&response), tokens.fetches()), ((200, "Retried".to_owned()), round));
    }
}

#[tokio::test]
async fn r3_r5_middleware_refusals_send_nothing() {
    let (server, tokens, layer) = start().await;
    let other_host = client(&layer).get(server.api_url("/public")).header("host", "other.test").send().await;
    assert_eq!(ours(&other_host.expect_err("R5")), ErrorKind::HostMismatch);
    let own = client(&layer.clone().refuse_caller_authorization());
    let own = own.get(server.api_url("/public")).bearer_auth("own").send().await;
    assert_eq!(ours(&own.expect_err("R1")), ErrorKind::CallerAuthorization);
    tokens.will(numbered::Next::Failure);
    let none = client(&layer).get(server.api_url("/public")).send().await;
    assert_eq!(ours(&none.expect_err("R3")), ErrorKind::NoToken);
    assert_eq!(server.counters().api_requests, 0);
}

#[tokio::test]
async fn r1_r4_middleware_others_credentials_and_origins_are_left_alone() {
    let (server, tokens, layer) = start().await;
    let other = TestServer::start().await.expect("sockets");
    server.api_faults().push(1, Fault::unauthorized());
    let response = client(&layer).get(server.api_url("/public")).bearer_auth("own").send().await.expect("a response");
    assert_eq!(told(&response), (401, "-".to_owned()));
    let response = client(&layer).get(other.api_url("/x")).send().await.expect("a response");
    assert_eq!(told(&response), (401, "-".to_owned()));
    assert_eq!((tokens_seen(&server), tokens_seen(&other)), (vec!["own".to_owned()], vec!["-".to_owned()]));
    assert_eq!(tokens.fetches(), 0);
}

#[tokio::test]
async fn r10_middleware_streams_are_not_retried_but_the_token_is_renewed() {
    for never in [false, true] {
        let (server, tokens, layer) = start().await;
        let layer = if never { layer.never_retry() } else { layer };
        server.api_faults().push(1, Fault::unauthorized());
        let body = stream::iter(["a ", "stream"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece))));
        let body = if never { Body::from("value") } else { Body::wrap_stream(body) };
        let response = client(&layer).post(server.api_url("/public")).body(body).send().await.expect("a response");
        assert_eq!(told(&response), (401, if never { "Never" } else { "Body(Opaque)" }.to_owned()));
        guarded(async {
            while tokens.fetches() < 2 {
                settle().await;
            }
        })
        .await;
        client(&layer).get(server.api_url("/public")).send().await.expect("a response");
        assert_eq!(tokens_seen(&server), ["t1", "t2"]);
    }
}

#[tokio::test]
async fn r8_middleware_reqwests_errors_arrive_unchanged() {
    let (server, _, layer) = start().await;
    for before in [0, 1] {
        server.api_faults().push(before, Fault::unauthorized());
        server.api_faults().push(1, Fault::Disconnect);
        let error = client(&layer).get(server.api_url("/public")).send().await.expect_err("the connection broke");
        let reqwest_middleware::Error::Reqwest(error) = error else { panic!("reqwest's own error, not {error:?}") };
        assert!(error.is_request(), "{error:?}");
    }
}

static BELOW: AtomicU64 = AtomicU64::new(0);

/// Counts, and changes what it is given: as middlewares below may.
fn below<'a>(
    mut request: Request,
    extensions: &'a mut Extensions,
    next: Next<'a>,
) -> BoxFuture<'a, reqwest_middleware::Result<Response>> {
    BELOW.fetch_add(1, SeqCst);
    assert!(request.headers()[AUTHORIZATION].is_sensitive());
    assert!(!request.headers().contains_key("x-below"), "the retry is the first request, not what became of it");
    request.headers_mut().insert("x-below", HeaderValue::from_static("1"));
    Box::pin(next.run(request, extensions))
}

#[tokio::test]
async fn r2_middleware_the_retry_passes_all_that_is_below() {
    let (server, _, layer) = start().await;
    server.api_faults().push(1, Fault::unauthorized());
    let client = ClientBuilder::new(reqwest_client()).with(layer.middleware()).with(below).build();
    let request = client.put(server.api_url("/public/echo?q")).header("x-a", "1").header("x-a", "2").body("body");
    let response = request.send().await.expect("a response");
    assert_eq!(told(&response), (200, "Retried".to_owned()));
    assert_eq!(BELOW.load(SeqCst), 2);
    let seen = server.requests_to(Endpoint::Api);
    let but_token = |index: usize| {
        let mut headers = seen[index].headers.clone();
        headers.remove(AUTHORIZATION);
        (seen[index].method.clone(), seen[index].uri.clone(), headers, seen[index].body.clone())
    };
    assert_eq!(but_token(0), but_token(1));
}

/// A client of the caller's own that follows redirects below the middleware.
#[tokio::test]
async fn r13_middleware_a_401_from_elsewhere_renews_nothing() {
    let (server, tokens, layer) = start().await;
    let other = TestServer::start().await.expect("sockets");
    let following = reqwest::Client::builder().no_proxy().build().expect("a client");
    let client = ClientBuilder::new(following).with(layer.middleware()).build();
    let url = tests::wire::redirect_url(&server, "/public", 302, &other.api_url("/x"));
    let response = client.get(url).send().await.expect("a response");
    assert_eq!(told(&response), (401, "Elsewhere".to_owned()));
    settle().await;
    assert_eq!((tokens.fetches(), tokens_seen(&other)), (1, vec!["-".to_owned()]));
}

#[tokio::test]
async fn r12_middleware_a_dropped_call_leaves_nothing_behind() {
    let server = TestServer::start().await.expect("sockets");
    let tokens = Numbered::gated(0);
    let layer = OAuthLayer::new(server.api_origin(), tokens.cache.clone()).expect("an origin");
    let client = client(&layer);
    let mut call = Box::pin(client.get(server.api_url("/public")).send());
    tests::steps::assert_waits(&mut call);
    settle().await;
    drop(call);
    tokens.open(1);
    let response = guarded(client.get(server.api_url("/public")).send()).await.expect("a response");
    assert_eq!((told(&response), tokens.fetches()), ((200, "-".to_owned()), 1));
    assert_eq!(server.counters().api_requests, 1);
}
