//! The layer, and real HTTP/1 and HTTP/2 connections in memory.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower::{Layer, Service, ServiceExt};

use super::script::Script;
use crate::replay::{NotReplayable, Replay, ReplayBody, ReplayLayer};

#[tokio::test]
async fn r12_the_layer_passes_readiness_on_and_r2_changes_nothing_but_the_body() {
    let (mock, mut handle) = tower_test::mock::pair::<Request<Replay<Script>>, Response<()>>();
    let mut service = ReplayLayer::new().layer(mock);
    handle.allow(0);
    assert!(tokio::time::timeout(std::time::Duration::ZERO, service.ready()).await.is_err());
    handle.allow(1);
    let mut request = Request::put("https://a.example/b?c").version(Version::HTTP_10).header("d", "e");
    request.extensions_mut().expect("a sound request").insert(5_u8);
    let request = request.body(Script::new().data("f").exact()).expect("a sound request");
    let response = service.ready().await.expect("ready").call(request);

    let (request, answer) = handle.next_request().await.expect("a request");
    assert_eq!((request.method().as_str(), request.version()), ("PUT", Version::HTTP_10));
    assert_eq!(request.uri(), "https://a.example/b?c");
    assert_eq!(request.headers()["d"], "e");
    assert_eq!(request.extensions().get(), Some(&5_u8));
    assert_eq!(request.body().size_hint().exact(), Some(1));
    answer.send_response(Response::new(()));
    response.await.expect("a response");
}

#[tokio::test]
async fn r10_the_layer_sets_the_limit_and_reads_the_declared_length() {
    // (content-length, limit of the layer, frames polled of "abc" "de") -> may it be sent again?
    type Case = (&'static [&'static str], Option<usize>, usize, Result<(), NotReplayable>);
    let cases: [Case; 7] = [
        (&[], None, 3, Ok(())),
        (&[], None, 2, Err(NotReplayable::Unfinished)),
        (&["5"], None, 2, Ok(())),
        (&["6"], None, 2, Err(NotReplayable::Unfinished)),
        (&["5", "5"], None, 2, Err(NotReplayable::Unfinished)),
        (&["five"], None, 2, Err(NotReplayable::Unfinished)),
        (&[], Some(4), 3, Err(NotReplayable::TooLarge)),
    ];
    for (lengths, limit, polls, expected) in cases {
        let layer = limit.map_or(ReplayLayer::new(), |limit| ReplayLayer::new().max_bytes(limit));
        let client = tower::service_fn(move |request: Request<Replay<Script>>| async move {
            let mut body = request.into_body();
            let kept = body.keep().expect("replayable");
            (0..polls).for_each(|_| drop(super::poll(&mut body)));
            Ok::<_, Infallible>(Replay::restore(kept).map(drop))
        });
        let mut request = Request::post("/");
        for length in lengths {
            request = request.header(http::header::CONTENT_LENGTH, *length);
        }
        let request = request.body(Script::new().data("abc").data("de")).expect("a sound request");
        assert_eq!(layer.layer(client).oneshot(request).await, Ok(expected), "{lengths:?} {limit:?} {polls}");
    }
}

type Stream = StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, std::io::Error>>>>;

fn stream(trailers: bool) -> Stream {
    let mut frames = vec![Ok(Frame::data(Bytes::from("abc"))), Ok(Frame::data(Bytes::from("de")))];
    if trailers {
        frames.push(Ok(Frame::trailers(
            [(http::HeaderName::from_static("sum"), "1".parse().expect("ascii"))].into_iter().collect(),
        )));
    }
    StreamBody::new(futures_util::stream::iter(frames))
}

/// What arrived: framing, data and trailers.
type Arrived = Arc<Mutex<Vec<(Option<String>, Bytes, bool)>>>;

async fn api(request: Request<Incoming>, arrived: Arrived) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let length = request.headers().get("content-length").map(|length| length.to_str().expect("ascii").to_owned());
    let body = request.into_body().collect().await?;
    let trailers = body.trailers().is_some();
    let mut arrived = arrived.lock().expect("sound");
    arrived.push((length, body.to_bytes(), trailers));
    let mut response = Response::new(Empty::new());
    if arrived.len() == 1 {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
    }
    Ok(response)
}

fn request<B: Body>(body: B, length: Option<&str>) -> Request<B> {
    let mut request = Request::post("http://api.example/").header("host", "api.example");
    if let Some(length) = length {
        request = request.header("content-length", length);
    }
    request.body(body).expect("a sound request")
}

#[tokio::test]
async fn r10_over_http_1_a_body_is_whole_at_its_end_or_its_content_length() {
    for length in [None, Some("5")] {
        let (client, server) = tokio::io::duplex(4096);
        let arrived = Arrived::default();
        let log = Arc::clone(&arrived);
        let service = service_fn(move |request| api(request, Arc::clone(&log)));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service));
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(client)).await.expect("a handshake");
        tokio::spawn(connection);

        let declared = length.map(|length| length.parse().expect("a number"));
        let mut body = Replay::new(stream(false)).declared_length(declared);
        let kept = body.keep().expect("replayable");
        let response = client.send_request(request(body, length)).await.expect("a response");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        drop(response);
        client.ready().await.expect("the connection is reused");
        let body = Replay::restore(kept).expect("sent whole");
        let response = client.send_request(request(body, length)).await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);

        let arrived = arrived.lock().expect("sound");
        assert_eq!(arrived[0], (length.map(str::to_owned), Bytes::from("abcde"), false));
        assert_eq!(arrived[0], arrived[1]);
    }
}

#[tokio::test]
async fn r10_over_http_2_data_and_trailers_are_sent_again() {
    for trailers in [false, true] {
        let (client, server) = tokio::io::duplex(4096);
        let arrived = Arrived::default();
        let log = Arc::clone(&arrived);
        let service = service_fn(move |request| api(request, Arc::clone(&log)));
        tokio::spawn(
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(server), service),
        );
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
                .await
                .expect("a handshake");
        tokio::spawn(connection);

        let mut body = Replay::new(stream(trailers));
        let kept = body.keep().expect("replayable");
        let response = client.send_request(request(body, None)).await.expect("a response");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let body = Replay::restore(kept).expect("sent whole");
        let response = client.send_request(request(body, None)).await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);

        let arrived = arrived.lock().expect("sound");
        assert_eq!(arrived[0], (None, Bytes::from("abcde"), trailers));
        assert_eq!(arrived[0], arrived[1]);
    }
}

#[tokio::test]
async fn r10_a_401_in_the_middle_of_an_upload_brings_no_retry() {
    let (client, server) = tokio::io::duplex(4096);
    let refuse = |_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::builder().status(401).body(Full::<Bytes>::default()).expect("a sound response"))
    };
    tokio::spawn(
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(server), service_fn(refuse)),
    );
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client)).await.expect("a handshake");
    tokio::spawn(connection);

    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|data| (Ok::<_, Infallible>(Frame::data(data)), receiver))
    });
    // Not `Unpin`, and hyper takes it nonetheless.
    let mut body = Replay::new(StreamBody::new(frames));
    let kept = body.keep().expect("replayable");
    sender.send(Bytes::from("abc")).expect("open");
    let response = client.send_request(request(body, None)).await.expect("a response");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(Replay::restore(kept).err(), Some(NotReplayable::Unfinished));
}
