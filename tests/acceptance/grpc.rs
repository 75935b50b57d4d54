//! The layer over gRPC channels: what R1 to R12 mean for calls of tonic's.

mod bodies;
mod cancellation;
mod connection;
mod deadlines;
mod errors;
mod metadata;
mod secrets;
mod stacking;
mod streams;
mod verdicts;
mod wire;

use std::{error::Error as _, pin::Pin};

use http::{HeaderValue, Request, Response};
use tests::{
    grpc::{greeter::greeter_client::GreeterClient, in_trailers},
    numbered::Numbered,
    probe::ProbeBody,
    script::Script,
    steps::{API, assert_waits, guarded},
};
use tonic::{Status, body::Body};
use tower::ServiceExt;
use tower_oauth::{Error, GrpcChannel, OAuthLayer};
use tower_test::mock::{self, Mock, SendResponse};

/// The layer as a channel needs it.
fn layer(tokens: &Numbered) -> OAuthLayer {
    OAuthLayer::for_connection(API, tokens.cache.clone()).expect("an origin")
}

/// A generated client of an API that answers by script.
fn client(tokens: &Numbered, api: &Script) -> GreeterClient<GrpcChannel<Script>> {
    GreeterClient::new(layer(tokens).grpc(api.clone()))
}

/// A call without a generated client, which hides what responses with errors carry.
async fn call(layer: &OAuthLayer, api: &Script, request: Request<Body>) -> Response<ProbeBody> {
    guarded(layer.grpc(api.clone()).oneshot(request)).await.expect("a response")
}

/// The layer's own error in a status.
fn ours(status: &Status) -> &Error {
    let source = status.source().expect("a source");
    source.downcast_ref().expect("the layer's own error")
}

/// A channel whose peer the test plays itself.
type ByHand = Mock<Request<Body>, Response<Body>>;
type Peer = mock::Handle<Request<Body>, Response<Body>>;
type Answer = SendResponse<Response<Body>>;

/// A call that is under way, for tests that take it one step at a time.
type Call<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;

/// Makes a call with the token that is there, and gives it to the peer's hands.
async fn under_way<T, F>(
    tokens: &Numbered,
    make: impl FnOnce(GreeterClient<GrpcChannel<ByHand>>) -> F,
) -> (Call<T>, Peer, Body, Answer)
where
    F: Future<Output = Result<tonic::Response<T>, Status>> + Send + 'static,
{
    tokens.cache.ready().await.expect("a token");
    let (channel, mut peer) = mock::pair();
    peer.allow(1);
    let mut call: Call<T> = Box::pin(make(GreeterClient::new(layer(tokens).grpc(channel))));
    assert_waits(&mut call);
    let (request, answer) = guarded(peer.next_request()).await.expect("it was sent");
    (call, peer, request.into_body(), answer)
}

/// `UNAUTHENTICATED`, without a message.
fn refused() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert("grpc-status", HeaderValue::from_static("16"));
    response
}

/// One greeting.
fn greeted(text: &str) -> Response<Body> {
    in_trailers("0", &[text]).map(Body::new)
}
