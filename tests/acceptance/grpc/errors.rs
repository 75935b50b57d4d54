//! R3, R8: errors as codes, with what caused them.

use std::{error::Error as _, io};

use http::{Request, Response, StatusCode};
use oauth_test_server::{Fault, TestServer};
use tests::{
    grpc::{GREET, greeter::greeter_client::GreeterClient, name, raw},
    numbered::{FAILURE, Next, Numbered},
    script::{Answer, Script},
    steps::{API, guarded},
    support::shown,
    wire::tokens_of,
};
use tonic::{Code, Status, body::Body, transport::Endpoint};
use tower::ServiceExt;
use tower_oauth::{ErrorKind, OAuthLayer, oauth_tokens};

use super::{client, layer, ours};

/// What the authorization server answers, and the code that the caller gets.
fn vectors() -> Vec<(Fault, Code)> {
    let oauth = |status: u16, error: &str| Fault::OAuthError {
        status: StatusCode::from_u16(status).expect("a status"),
        error: error.to_owned(),
        description: None,
    };
    vec![
        (oauth(401, "invalid_client"), Code::Unauthenticated),
        (oauth(400, "invalid_grant"), Code::Unauthenticated),
        (oauth(400, "invalid_scope"), Code::Unauthenticated),
        (oauth(400, "unauthorized_client"), Code::Unauthenticated),
        (oauth(400, "unsupported_grant_type"), Code::Unauthenticated),
        (oauth(400, "invalid_request"), Code::Unauthenticated),
        (oauth(400, "invalid_target"), Code::Unauthenticated),
        (oauth(400, "temporarily_unavailable"), Code::Unavailable),
        (oauth(429, "invalid_client"), Code::Unavailable),
        (oauth(503, "invalid_client"), Code::Unavailable),
        (oauth(400, "something_new"), Code::Unavailable),
        (Fault::Empty(StatusCode::FORBIDDEN), Code::Unavailable),
        (Fault::Html(StatusCode::BAD_GATEWAY), Code::Unavailable),
        (Fault::Garbage, Code::Unavailable),
        (Fault::Disconnect, Code::Unavailable),
        (Fault::Hang, Code::Unavailable),
    ]
}

#[tokio::test(start_paused = true)]
async fn r3_no_token_is_unavailable_if_trying_again_may_help_and_else_unauthenticated() {
    for (fault, expected) in vectors() {
        let what = format!("{fault:?}");
        let server = TestServer::builder().build();
        server.token_faults().push_forever(fault);
        let api = Script::new([]);
        let layer = OAuthLayer::for_connection(API, tokens_of(&server)).expect("an origin");
        let mut client = GreeterClient::new(layer.grpc(api.clone()));
        let status = guarded(client.greet(name("Ada"))).await.expect_err("no token");
        assert_eq!(status.code(), expected, "{what}: {status}");
        let error = ours(&status);
        assert_eq!(error.kind(), ErrorKind::NoToken, "{what}");
        let cause = error.source().and_then(|cause| cause.downcast_ref::<oauth_tokens::Error>()).expect("the cause");
        assert_eq!(cause.is_transient(), expected == Code::Unavailable, "{what}");
        assert!(api.seen().is_empty(), "{what}: nothing was sent");
    }
}

/// A handler that passes the status on tells its own callers no more than where it failed; why is in the source.
#[tokio::test]
async fn s1_the_message_says_where_and_the_source_why() {
    let tokens = Numbered::new();
    tokens.will(Next::Failure);
    let status = client(&tokens, &Script::new([])).greet(name("Ada")).await.expect_err("no token");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains(API) && !status.message().contains(FAILURE), "{status}");
    assert!(shown(&status).contains(FAILURE));
    assert!(status.details().is_empty() && status.metadata().is_empty(), "nothing that a server could have said");
}

#[tokio::test]
async fn r3_a_selector_without_tokens_is_unauthenticated() {
    let layer = OAuthLayer::selecting([API], |_| None).expect("origins");
    let api = Script::new([]);
    let request = raw(&format!("{API}{GREET}"), &[]);
    let status = layer.grpc(api.clone()).oneshot(request).await.expect_err("no tokens");
    assert_eq!((status.code(), ours(&status).kind()), (Code::Unauthenticated, ErrorKind::NoToken));
    assert!(ours(&status).token_error().is_none());
    assert!(api.seen().is_empty());
}

/// The layer's errors say `from whom`; the channel's own do not change on their way through it.
#[tokio::test]
async fn r8_an_error_of_the_channel_is_what_tonic_makes_of_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("its address"));
    drop(listener);
    let channel = Endpoint::from_shared(origin.clone()).expect("an origin").connect_lazy();
    let tokens = Numbered::new();
    let layer = OAuthLayer::for_connection(&origin, tokens.cache.clone()).expect("an origin");
    let bare = GreeterClient::new(channel.clone()).greet(name("Ada")).await.expect_err("nobody listens");
    let ours = GreeterClient::new(layer.grpc(channel)).greet(name("Ada")).await.expect_err("nobody listens");
    assert_eq!((ours.code(), ours.message()), (bare.code(), bare.message()));
    assert_eq!(ours.code(), Code::Unavailable);
    assert!(ours.source().is_some_and(|source| source.is::<tonic::transport::Error>()), "{ours:?}");
    assert!(bare.source().is_some_and(|source| source.is::<tonic::transport::Error>()), "{bare:?}");
    assert_eq!(tokens.fetches(), 1, "no renewal");
}

#[tokio::test]
async fn r8_a_status_from_below_arrives_as_it_is() {
    let below = tower::service_fn(|_: Request<Body>| async {
        let mut status = Status::with_details(Code::Aborted, "why", bytes::Bytes::from("details"));
        status.metadata_mut().insert("x-why", "because".parse().expect("a value"));
        Err::<Response<Body>, _>(status)
    });
    let tokens = Numbered::new();
    let status = GreeterClient::new(layer(&tokens).grpc(below)).greet(name("Ada")).await.expect_err("aborted");
    assert_eq!((status.code(), status.message(), status.details()), (Code::Aborted, "why", &b"details"[..]));
    assert_eq!(status.metadata().get("x-why").expect("metadata"), "because");
}

/// `UNAUTHENTICATED` as an error is no answer of a server: somebody below the layer made it up.
#[tokio::test]
async fn r8_an_error_is_no_401() {
    let below = tower::service_fn(|_: Request<Body>| async {
        Err::<Response<Body>, _>(Status::unauthenticated("no certificate"))
    });
    let tokens = Numbered::new();
    let status = GreeterClient::new(layer(&tokens).grpc(below)).greet(name("Ada")).await.expect_err("an error");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "no certificate"));
    assert_eq!(tokens.fetches(), 1);
}

#[tokio::test]
async fn r8_an_inner_error_can_be_had_back() {
    let (tokens, api) = (Numbered::new(), Script::new([Answer::error(io::ErrorKind::ConnectionReset)]));
    let status = client(&tokens, &api).greet(name("Ada")).await.expect_err("it was told to");
    let source = status.source().and_then(|source| source.downcast_ref::<io::Error>()).expect("the inner error");
    assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!((api.seen().len(), tokens.fetches()), (1, 1));
}

#[tokio::test]
async fn r12_an_inner_error_of_readiness_can_be_had_back() {
    let (channel, mut peer) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    peer.send_error(Status::resource_exhausted("full"));
    let mut channel = layer(&Numbered::new()).grpc(channel);
    let status = channel.ready().await.expect_err("it was told to");
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "full"));
}
