//! Over real sockets: what becomes of connections (R9), and of uploads (R10), with HTTP/1 and HTTP/2.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::CONTENT_LENGTH};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use oauth_test_server::{Endpoint, Fault, RecordedRequest, TestServer};
use tests::{
    numbered::Numbered,
    probe::ProbeBody,
    script::{Answer, Script, outcome},
    steps,
    wire::{CountingProxy, Speaks, hyper_client, reqwest_client, tokens_of},
};
use tokio::{sync::mpsc, time::Instant};
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_oauth::{OAuthLayer, ReplayLayer, oauth_tokens::TokenCache};

const BOTH: [Speaks; 2] = [Speaks::Http1, Speaks::Http2];
/// No test should come near it; one that hangs fails by it.
const GUARD: Duration = Duration::from_secs(30);

async fn start(early: bool) -> (TestServer, TokenCache, OAuthLayer) {
    let server = TestServer::builder().reject_early(early).start().await.expect("sockets");
    let tokens = tokens_of(&server);
    tokens.ready().await.expect("a token");
    let layer = OAuthLayer::new(server.api_origin(), tokens.clone()).expect("an origin");
    (server, tokens, layer)
}

fn get(server: &TestServer) -> Request<Full<Bytes>> {
    Request::get(server.api_url("/x")).body(Full::default()).expect("a request")
}

/// A 401 with so many bytes of body.
fn unauthorized(bytes: usize) -> Fault {
    let response = Response::builder().status(401).body(Bytes::from(vec![b'.'; bytes]));
    Fault::Raw(response.expect("a response"))
}

#[tokio::test]
async fn r9_after_a_401_with_a_small_body_the_connection_is_used_again() {
    for speaks in BOTH {
        for bytes in [0, 1, 1000, 64 * 1024] {
            let (server, _, layer) = start(false).await;
            let (client, connector) = hyper_client(speaks);
            let api = layer.layer(client);
            for round in 1..=3 {
                server.api_faults().push(1, unauthorized(bytes));
                let response = tokio::time::timeout(GUARD, api.clone().oneshot(get(&server))).await.expect("no hang");
                let response = response.expect("a response");
                assert_eq!((response.status(), outcome(response.extensions()).as_str()), (StatusCode::OK, "Retried"));
                response.into_body().collect().await.expect("a body");
                assert_eq!(server.counters().api_requests, 2 * round);
            }
            assert_eq!(connector.connections(), 1, "{speaks:?}, {bytes} bytes");
        }
    }
}

#[tokio::test]
async fn r9_a_large_or_endless_body_is_dropped_with_its_connection() {
    let faults = [
        ("large", unauthorized(1 << 20)),
        ("endless", Fault::Endless(StatusCode::UNAUTHORIZED)),
        ("slow", Fault::Trickle(StatusCode::UNAUTHORIZED, Duration::from_secs(3600))),
        ("broken", Fault::CloseMidBody(StatusCode::UNAUTHORIZED)),
    ];
    for (name, fault) in faults {
        for speaks in BOTH {
            let (server, _, layer) = start(false).await;
            let (client, connector) = hyper_client(speaks);
            server.api_faults().push(1, fault.clone());
            let began = Instant::now();
            let response =
                tokio::time::timeout(GUARD, layer.layer(client).oneshot(get(&server))).await.expect("no hang");
            let response = response.expect("a response");
            assert_eq!(
                (response.status(), outcome(response.extensions()).as_str()),
                (StatusCode::OK, "Retried"),
                "{name}"
            );
            // 100 ms, and time to spare for a busy machine.
            assert!(began.elapsed() < Duration::from_secs(5), "{name}: {:?}", began.elapsed());
            let connections = if speaks == Speaks::Http1 { 2 } else { 1 };
            assert_eq!(connector.connections(), connections, "{name}, {speaks:?}: a stream is no connection");
        }
    }
}

/// The bounds themselves, where time is paused and reads are counted.
#[tokio::test(start_paused = true)]
async fn r9_the_first_response_is_drained_within_64_kib_and_100_ms() {
    let kib = 1024;
    let vectors = [
        // name, body, bytes read at most, time
        ("small", ProbeBody::of(&["an ", "answer"]), 9, 0),
        ("announced as larger", ProbeBody::endless(kib).announcing(64 * 1024 + 1), 0, 0),
        ("endless", ProbeBody::endless(kib), 65 * 1024, 0),
        ("endless, in tiny frames", ProbeBody::endless(1), 65 * 1024, 0),
        ("endless, in empty frames", ProbeBody::endless(0), 0, 0),
        ("stuck", ProbeBody::stuck(&["x"]), 1, 100),
        ("failing", ProbeBody::failing(&["x"]), 1, 0),
    ];
    for (name, body, at_most, millis) in vectors {
        let probe = body.probe();
        let api = Script::new([Answer::unauthorized(body)]);
        let layer = OAuthLayer::new("https://api.test", Numbered::new().cache).expect("an origin");
        let began = Instant::now();
        let response = layer.layer(api.clone()).oneshot(steps::get("https://api.test/x")).await.expect("a response");
        assert_eq!(outcome(response.extensions()), "Retried", "{name}");
        assert!(probe.bytes() <= at_most, "{name}: {} bytes", probe.bytes());
        assert_eq!(began.elapsed().as_millis(), millis, "{name}");
        assert!(probe.is_dropped(), "{name}");
        assert!(probe.polls() < 70_000, "{name}: {} polls", probe.polls());
    }
}

/// The same for reqwest, as a tower service and with its own manners.
#[tokio::test]
async fn r9_reqwest_uses_its_connection_again() {
    for (fault, connections) in [(unauthorized(64 * 1024), 1), (Fault::Endless(StatusCode::UNAUTHORIZED), 2)] {
        for middleware in [false, true] {
            let (server, tokens, _) = start(false).await;
            let proxy = CountingProxy::start(server.api_origin()).await;
            let layer = OAuthLayer::new(proxy.origin(), tokens).expect("an origin");
            server.api_faults().push(1, fault.clone());
            let url: reqwest::Url = format!("{}/x", proxy.origin()).parse().expect("a URL");
            let response = if middleware {
                let client = layer.reqwest(reqwest::Client::builder().no_proxy()).expect("a client");
                client.get(url).send().await.expect("a response")
            } else {
                let request = reqwest::Request::new(reqwest::Method::GET, url);
                layer.layer(reqwest_client()).oneshot(request).await.expect("a response")
            };
            assert_eq!((response.status(), outcome(response.extensions()).as_str()), (StatusCode::OK, "Retried"));
            assert_eq!(proxy.connections(), connections);
        }
    }
}

type Upload = UnsyncBoxBody<Bytes, io::Error>;

fn frames(frames: Vec<Frame<Bytes>>) -> Upload {
    StreamBody::new(stream::iter(frames.into_iter().map(Ok))).boxed_unsync()
}

fn upload(server: &TestServer, length: Option<u64>, body: Upload) -> Request<Upload> {
    let mut request = Request::post(server.api_url("/echo")).body(body).expect("a request");
    if let Some(length) = length {
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    request
}

fn api_requests(server: &TestServer) -> Vec<RecordedRequest> {
    server.requests_to(Endpoint::Api)
}

/// Chunked or with a content-length, with trailers or without: a whole upload is sent again, whole.
#[tokio::test]
async fn r10_a_streaming_upload_is_sent_again_over_the_wire() {
    for speaks in BOTH {
        for length in [None, Some(9)] {
            for with_trailers in [false, true] {
                let (server, _, layer) = start(false).await;
                server.revoke_access_tokens();
                let (client, connector) = hyper_client(speaks);
                let api = ServiceBuilder::new().layer(ReplayLayer::new()).layer(layer).service(client);
                let mut pieces: Vec<_> = ["one", "two", "333"].map(|piece| Frame::data(Bytes::from(piece))).into();
                let trailers =
                    HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), HeaderValue::from_static("9"))]);
                if with_trailers {
                    pieces.push(Frame::trailers(trailers.clone()));
                }
                let mut request = upload(&server, length, frames(pieces));
                request.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
                let response =
                    tokio::time::timeout(GUARD, api.oneshot(request)).await.expect("no hang").expect("a response");
                let case = format!("{speaks:?} {length:?} {with_trailers}");
                assert_eq!(
                    (response.status(), outcome(response.extensions()).as_str()),
                    (StatusCode::OK, "Retried"),
                    "{case}"
                );
                assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "onetwo333");
                let [first, second] = &api_requests(&server)[..] else { panic!("{case}: twice") };
                assert!(first.complete && second.complete, "{case}");
                assert_eq!((&first.body, &first.trailers), (&second.body, &second.trailers), "{case}");
                // HTTP/1 has no trailers behind a content-length.
                let carried = with_trailers && (speaks == Speaks::Http2 || length.is_none());
                assert_eq!(second.trailers.is_some(), carried, "{case}");
                for header in ["content-length", "transfer-encoding"] {
                    assert_eq!(first.headers.get(header), second.headers.get(header), "{case}: {header}");
                }
                assert_eq!(connector.connections(), 1, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn r10_an_upload_past_the_cap_is_sent_once_over_the_wire() {
    for speaks in BOTH {
        let (server, tokens, layer) = start(false).await;
        server.revoke_access_tokens();
        let (client, _) = hyper_client(speaks);
        let api = ServiceBuilder::new().layer(ReplayLayer::new()).layer(layer).service(client);
        let pieces = || (0..2).map(|_| Frame::data(Bytes::from(vec![b'x'; 40 * 1024]))).collect();
        let response = api.clone().oneshot(upload(&server, None, frames(pieces()))).await.expect("a response");
        assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (401, "Body(TooLarge)"));
        assert_eq!(tokens.status().renewals, 2, "renewed for the next call");
        let response = api.oneshot(upload(&server, None, frames(pieces()))).await.expect("a response");
        assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (200, "-"));
        assert_eq!(api_requests(&server).len(), 2);
    }
}

/// The API refuses by the headers, while the upload still has more to come: no retry, only a renewal.
#[tokio::test]
async fn r10_an_early_401_to_an_unfinished_upload_only_renews() {
    for speaks in BOTH {
        for length in [None, Some(1_000)] {
            let (server, tokens, layer) = start(true).await;
            server.revoke_access_tokens();
            let (client, _) = hyper_client(speaks);
            let api = ServiceBuilder::new().layer(ReplayLayer::new()).layer(layer).service(client);
            let (feed, mut fed) = mpsc::channel::<Bytes>(1);
            let frames =
                stream::poll_fn(move |cx| fed.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data)))));
            let body = StreamBody::new(frames).boxed_unsync();
            feed.send(Bytes::from("the first bytes")).await.expect("somebody reads");
            let call = api.oneshot(upload(&server, length, body));
            let response = tokio::time::timeout(GUARD, call).await.expect("no hang").expect("a response");
            let case = format!("{speaks:?} {length:?}");
            assert_eq!(
                (response.status().as_u16(), outcome(response.extensions()).as_str()),
                (401, "Body(Unfinished)"),
                "{case}"
            );
            assert_eq!(tokens.status().renewals, 2, "{case}");
            assert_eq!(api_requests(&server).len(), 1, "{case}");
            let text = response.into_body().collect().await.expect("the original response is whole").to_bytes();
            assert!(text.starts_with(b"{"), "{case}: {text:?}");
            drop(feed);
        }
    }
}

/// A connection that breaks under the retry is the retry's result; the first response is gone by then.
#[tokio::test]
async fn r8_a_broken_retry_is_the_answer() {
    for speaks in BOTH {
        let (server, _, layer) = start(false).await;
        server.api_faults().push(1, unauthorized(0));
        server.api_faults().push_forever(Fault::Disconnect);
        let (client, _) = hyper_client(speaks);
        let error = layer.layer(client).oneshot(get(&server)).await.expect_err("the connection broke");
        assert!(
            error.is::<hyper_util::client::legacy::Error>(),
            "{speaks:?}: the client's own error, unchanged: {error:?}"
        );
    }
}
