//! The layer over `reqwest::Client` as a tower service of `reqwest::Request`.

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header::AUTHORIZATION};
use oauth_test_server::{Endpoint, Fault, TestServer};
use reqwest::{Body, Method, Request, Response, Url};
use tests::{
    numbered::{Next, Numbered},
    script::outcome,
    steps::{guarded, settle},
    wire::{redirect_url, reqwest_client, tokens_of},
};
use tower::{BoxError, Layer, ServiceExt};
use tower_oauth::{Error, ErrorKind, OAuthLayer, oauth_tokens::TokenCache};

fn request(method: Method, url: &str) -> Request {
    Request::new(method, url.parse::<Url>().expect("a URL"))
}

fn get(url: &str) -> Request {
    request(Method::GET, url)
}

async fn start() -> (TestServer, TokenCache, OAuthLayer) {
    let server = TestServer::start().await.expect("sockets");
    let tokens = tokens_of(&server);
    let layer = OAuthLayer::new(server.api_origin(), tokens.clone()).expect("an origin");
    (server, tokens, layer)
}

async fn send(layer: &OAuthLayer, request: Request) -> Result<Response, BoxError> {
    layer.layer(reqwest_client()).oneshot(request).await
}

fn told(response: &Response) -> (u16, String) {
    (response.status().as_u16(), outcome(response.extensions()))
}

#[tokio::test]
async fn r6_reqwest_a_401_is_renewed_and_retried_once() {
    let (server, tokens, layer) = start().await;
    let mut first = request(Method::PUT, &server.api_url("/echo?q=1"));
    *first.body_mut() = Some(Body::from("the body"));
    *first.version_mut() = http::Version::HTTP_11;
    first.headers_mut().append("x-many", HeaderValue::from_static("1"));
    first.headers_mut().append("x-many", HeaderValue::from_static("2"));
    for (round, expected) in [(1, "-"), (2, "Retried")] {
        let response = send(&layer, first.try_clone().expect("no stream")).await.expect("a response");
        assert_eq!(told(&response), (200, expected.to_owned()));
        assert_eq!(response.text().await.expect("a body"), "the body");
        assert_eq!(tokens.status().renewals, round);
        server.revoke_access_tokens();
    }
    let seen = server.requests_to(Endpoint::Api);
    let [_, rejected, retried] = &seen[..] else { panic!("three requests, not {}", seen.len()) };
    let but_token = |request: &oauth_test_server::RecordedRequest| {
        let mut headers = request.headers.clone();
        headers.remove(AUTHORIZATION);
        (request.method.clone(), request.uri.clone(), headers, request.body.clone())
    };
    assert_eq!(but_token(rejected), but_token(retried), "R2");
    assert_ne!(rejected.bearer_token(), retried.bearer_token());
}

#[tokio::test]
async fn r10_reqwest_streams_are_not_retried_and_the_reason_is_told() {
    let (server, tokens, layer) = start().await;
    tokens.ready().await.expect("a token");
    server.revoke_access_tokens();
    let streaming = || {
        let mut request = request(Method::POST, &server.api_url("/echo"));
        let pieces = ["a ", "stream"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        *request.body_mut() = Some(Body::wrap_stream(stream::iter(pieces)));
        request
    };
    let response = send(&layer, streaming()).await.expect("a response");
    assert_eq!(told(&response), (401, "Body(Opaque)".to_owned()));
    assert!(response.text().await.expect("a body").contains("invalid_token"), "the original response, whole");
    // Renewed for the next call, though nobody waited.
    guarded(async {
        while tokens.status().renewals < 2 {
            settle().await;
        }
    })
    .await;
    let response = send(&layer, streaming()).await.expect("a response");
    assert_eq!(told(&response), (200, "-".to_owned()));
    assert_eq!(response.text().await.expect("a body"), "a stream");
    assert_eq!(server.counters().api_requests, 2);
}

#[tokio::test]
async fn r4_reqwest_only_the_named_origin_gets_the_token() {
    let (server, _, _) = start().await;
    let other = TestServer::start().await.expect("sockets");
    let layer = OAuthLayer::new(format!("{}/v2", server.api_origin()), TokenCache::fixed("t0").expect("a token"));
    let layer = layer.expect("an origin");
    for (url, token) in [
        (server.api_url("/v2/x"), Some("t0")),
        (server.api_url("/v2"), Some("t0")),
        (server.api_url("/v1/../v2/x"), Some("t0")),
        (server.api_url("/v2/../v1"), None),
        (server.api_url("/v2/%2e%2e/v1"), None),
        (server.api_url("/v20"), None),
        (server.api_url("/v2/x").replace("http://", "http://user@"), None),
        (other.api_url("/v2/x"), None),
    ] {
        send(&layer, get(&url)).await.expect("a response");
        let [server_saw, other_saw] = [&server, &other].map(|server| server.requests_to(Endpoint::Api));
        let seen = server_saw.last().into_iter().chain(other_saw.last()).next().expect("it arrived");
        let bearer = seen.bearer_token().map(str::to_owned);
        assert_eq!(bearer.as_deref(), token, "{url}");
        server.clear_requests();
        other.clear_requests();
    }
}

#[tokio::test]
async fn r3_reqwest_no_token_nothing_sent() {
    let (server, _, _) = start().await;
    let failing = Numbered::new();
    failing.will(Next::Failure);
    let layer = OAuthLayer::new(server.api_origin(), failing.cache).expect("an origin");
    let error = send(&layer, get(&server.api_url("/x"))).await.expect_err("no token");
    assert_eq!(error.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::NoToken));

    let mut other_host = get(&server.api_url("/x"));
    other_host.headers_mut().insert(http::header::HOST, HeaderValue::from_static("other.test"));
    let layer = OAuthLayer::new(server.api_origin(), TokenCache::fixed("t0").expect("a token")).expect("an origin");
    let error = send(&layer, other_host).await.expect_err("R5");
    assert_eq!(error.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::HostMismatch));
    assert_eq!(server.counters().api_requests, 0);
}

#[tokio::test]
async fn r1_reqwest_a_callers_own_authorization_is_left_alone() {
    let (server, tokens, layer) = start().await;
    let mut own = get(&server.api_url("/x"));
    own.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer own"));
    let response = send(&layer, own).await.expect("a response");
    assert_eq!(told(&response).0, 401);
    let seen = server.requests_to(Endpoint::Api);
    assert_eq!((seen.len(), seen[0].bearer_token(), tokens.status().renewals), (1, Some("own"), 0));
}

/// A caller's own client that follows redirects below the layer: a 401 from elsewhere is no word about our token.
#[tokio::test]
async fn r13_reqwest_a_401_from_elsewhere_renews_nothing() {
    let (server, tokens, layer) = start().await;
    let other = TestServer::start().await.expect("sockets");
    let following = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = redirect_url(&server, "", 302, &other.api_url("/x"));
    let response = layer.layer(following).oneshot(get(&url)).await.expect("a response");
    assert_eq!(told(&response), (401, "Elsewhere".to_owned()));
    settle().await;
    assert_eq!(tokens.status().renewals, 1);
    assert_eq!((server.counters().api_requests, other.counters().api_requests), (1, 1));
    assert_eq!(other.requests_to(Endpoint::Api)[0].headers.get(AUTHORIZATION), None, "reqwest itself sees to that");
}

#[tokio::test]
async fn r13_reqwest_a_401_from_outside_the_prefix_renews_nothing() {
    let server = TestServer::start().await.expect("sockets");
    let tokens = tokens_of(&server);
    let layer = OAuthLayer::new(format!("{}/redirect", server.api_origin()), tokens.clone()).expect("an origin");
    let following = reqwest::Client::builder().no_proxy().build().expect("a client");
    for (to, expected) in [("/outside", "Elsewhere"), ("/redirect/within", "Retried")] {
        server.api_faults().clear();
        // The redirect itself, then a 401 where it leads to.
        server.api_faults().push(1, found(to));
        server.api_faults().push(1, Fault::unauthorized());
        let before = tokens.status().renewals.max(1);
        let response = layer.layer(following.clone()).oneshot(get(&server.api_url("/redirect/x"))).await.expect("sent");
        assert_eq!(outcome(response.extensions()), expected, "{to}");
        settle().await;
        assert_eq!(tokens.status().renewals - before, u64::from(expected == "Retried"), "{to}");
    }
}

fn found(to: &str) -> Fault {
    Fault::Raw(http::Response::builder().status(302).header("location", to).body(Bytes::new()).expect("a response"))
}

/// Two origins of one layer: the other's rejection is no word about the token that was sent first.
#[tokio::test]
async fn r13_reqwest_a_401_from_the_layers_other_origin_renews_nothing() {
    let (server, tokens, layer) = start().await;
    let other = TestServer::start().await.expect("sockets");
    let others = tokens_of(&other);
    let layer = layer.origin(other.api_origin(), others.clone()).expect("an origin");
    let following = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = redirect_url(&server, "", 307, &other.api_url("/x"));
    let response = layer.layer(following).oneshot(get(&url)).await.expect("a response");
    assert_eq!(told(&response), (401, "Elsewhere".to_owned()));
    assert_eq!((tokens.status().renewals, others.status().renewals), (1, 0));
}

/// The same where one of two origins lies within the other: each has its own tokens, and the closest is whose it is.
#[tokio::test]
async fn r13_reqwest_a_401_from_a_closer_origin_renews_nothing() {
    let server = TestServer::start().await.expect("sockets");
    let (outer, inner) = (tokens_of(&server), tokens_of(&server));
    let layer = OAuthLayer::new(server.api_origin(), outer.clone()).expect("an origin");
    let layer = layer.origin(format!("{}/inner", server.api_origin()), inner.clone()).expect("an origin");
    let following = reqwest::Client::builder().no_proxy().build().expect("a client");
    server.api_faults().push(1, found("/inner/x"));
    server.api_faults().push(1, Fault::unauthorized());
    let response = layer.layer(following).oneshot(get(&server.api_url("/x"))).await.expect("a response");
    assert_eq!(told(&response), (401, "Elsewhere".to_owned()));
    assert_eq!((outer.status().renewals, inner.status().renewals), (1, 0));
}
