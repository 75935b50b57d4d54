//! R10: streaming bodies through `ReplayLayer`, stepped by hand over plain services.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use http_body_util::BodyExt;
use tests::{
    numbered::Numbered,
    probe::{Probe, ProbeBody},
    script::{Answer, Script, outcome},
    steps::{API, assert_waits, settle, step},
};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_oauth::{BoxError, OAuthLayer, Replay, ReplayLayer, Superseded};
use tower_test::mock;

fn upload(body: ProbeBody) -> Request<ProbeBody> {
    Request::post("https://api.test/x").body(body).expect("a request")
}

/// Sends through `ReplayLayer` and the layer to an API with these answers.
async fn send(body: ProbeBody, answers: Vec<Answer>) -> (Script, Numbered, Result<Response<ProbeBody>, BoxError>) {
    let (api, tokens) = (Script::new(answers), Numbered::new());
    let oauth = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin");
    let client = ServiceBuilder::new().layer(ReplayLayer::new()).layer(oauth).service(api.clone());
    let response = client.oneshot(upload(body)).await;
    settle().await;
    (api, tokens, response)
}

fn chunk(len: usize) -> &'static str {
    Box::leak("x".repeat(len).into_boxed_str())
}

#[tokio::test]
async fn r10_up_to_the_cap_a_stream_is_sent_again_and_past_it_only_the_token_is_renewed() {
    let cap = 64 * 1024;
    let vectors = [
        (vec![cap], "Retried"),
        (vec![cap + 1], "Body(TooLarge)"),
        (vec![cap, 1], "Body(TooLarge)"),
        (vec![cap / 2, cap / 2], "Retried"),
        (vec![1; 1000], "Retried"),
        (vec![1 << 20], "Body(TooLarge)"),
    ];
    for (chunks, expected) in vectors {
        let pieces: Vec<_> = chunks.iter().map(|&len| chunk(len)).collect();
        let body = ProbeBody::of(&pieces);
        let probe = body.probe();
        let (api, tokens, response) = send(body, vec![Answer::status(401)]).await;
        let response = response.expect("a response");
        assert_eq!(outcome(response.extensions()), expected);
        let seen = api.seen();
        let total: usize = chunks.iter().sum();
        assert!(seen.iter().all(|seen| seen.body.as_ref().is_some_and(|body| body.len() == total)), "whole, each time");
        assert_eq!(seen.len(), if expected == "Retried" { 2 } else { 1 });
        assert_eq!(tokens.fetches(), 2, "renewed in any case");
        assert_eq!(probe.bytes(), total as u64, "the source is read once");
        assert!(probe.is_dropped());
    }
}

#[tokio::test]
async fn r10_the_cap_is_a_setting() {
    for (cap, expected) in [(10, "Retried"), (9, "Body(TooLarge)"), (0, "Body(TooLarge)")] {
        let oauth = OAuthLayer::new(API, Numbered::new().cache).expect("an origin");
        let layers = ServiceBuilder::new().layer(ReplayLayer::new().max_bytes(cap)).layer(oauth);
        let client = layers.service(Script::new([Answer::status(401)]));
        let response = client.oneshot(upload(ProbeBody::of(&["01234", "56789"]))).await.expect("a response");
        assert_eq!(outcome(response.extensions()), expected, "{cap}");
    }
}

#[tokio::test]
async fn r10_a_stream_that_failed_is_not_sent_again() {
    let (api, tokens, response) = send(ProbeBody::failing(&["half"]), vec![Answer::status(401)]).await;
    let error = response.expect_err("the API could not read the body");
    assert!(error.to_string().contains("the probe failed"), "the body's own error, through the client: {error}");
    assert_eq!((api.seen().len(), tokens.fetches()), (1, 1));
}

/// A 401 before the API has looked at the body: the retry takes the body itself, whatever its length.
#[tokio::test]
async fn r10_never_polled_is_retried_even_past_the_cap() {
    for body in [ProbeBody::of(&["one"]), ProbeBody::of(&[chunk(1 << 20)]), ProbeBody::of(&["x"]).announcing(1 << 20)] {
        let probe = body.probe();
        let (api, _, response) = send(body, vec![Answer::status(401).early()]).await;
        assert_eq!(outcome(response.expect("a response").extensions()), "Retried");
        let seen = api.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1].body.as_ref().map(|body| body.len() as u64), Some(probe.bytes()));
        assert!(probe.has_ended() && probe.is_dropped());
    }
}

type Streaming = Request<Replay<ProbeBody>>;
type Handle = mock::Handle<Streaming, Response<String>>;
type Call = std::pin::Pin<Box<dyn Future<Output = Result<Response<String>, BoxError>> + Send>>;

/// A call that has been sent, and whose request is in the API's hands.
async fn under_way(
    body: ProbeBody,
    tokens: &Numbered,
) -> (Call, Handle, Replay<ProbeBody>, mock::SendResponse<Response<String>>) {
    let (api, mut handle) = mock::pair();
    handle.allow(1);
    let oauth = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin");
    let mut client = ServiceBuilder::new().layer(ReplayLayer::new()).layer(oauth).service(api);
    tokens.cache.ready().await.expect("a token");
    let mut call: Call = Box::pin(client.ready().await.expect("it is ready").call(upload(body)));
    assert_waits(&mut call);
    let (request, answer) = handle.next_request().await.expect("it was sent");
    (call, handle, request.into_body(), answer)
}

fn unauthorized() -> Response<String> {
    Response::builder().status(401).body("why".into()).expect("a response")
}

async fn frame(body: &mut Replay<ProbeBody>) -> Option<Result<Bytes, BoxError>> {
    Some(body.frame().await?.map(|frame| frame.into_data().unwrap_or_default()))
}

#[tokio::test]
async fn r10_polled_and_unfinished_is_not_retried_but_renewed() {
    for read in [1, 2] {
        let tokens = Numbered::new();
        let (call, mut handle, mut body, answer) = under_way(ProbeBody::stuck(&["one", "two"]), &tokens).await;
        for _ in 0..read {
            frame(&mut body).await.expect("a frame").expect("no error");
        }
        answer.send_response(unauthorized());
        handle.allow(1);
        let response = call.await.expect("a response");
        assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (401, "Body(Unfinished)"));
        assert_eq!(response.body(), "why");
        assert_eq!(tokens.fetches(), 2);
        assert!(handle.next_request().await.is_none(), "nothing more was sent, and nobody is left to send it");
        // The first upload goes on as if nothing were.
        for _ in read..2 {
            frame(&mut body).await.expect("a frame").expect("no error");
        }
        assert!(step(&mut Box::pin(body.frame())).is_pending());
    }
}

/// An API that answers 401 and yet reads on: while the token is renewed, the upload ends, and can be sent again.
#[tokio::test]
async fn r10_what_is_finished_by_the_time_of_the_renewal_is_retried() {
    let tokens = Numbered::gated(1);
    let (mut call, mut handle, mut body, answer) = under_way(ProbeBody::of(&["one", "two"]), &tokens).await;
    frame(&mut body).await.expect("a frame").expect("no error");
    answer.send_response(unauthorized());
    assert_waits(&mut call);
    while let Some(frame) = frame(&mut body).await {
        frame.expect("no error");
    }
    tokens.open(1);
    handle.allow(1);
    let serve = async {
        let (request, answer) = handle.next_request().await.expect("a retry");
        answer.send_response(Response::new(String::new()));
        request.into_body().collect().await.expect("a body").to_bytes()
    };
    let (response, resent) = tokio::join!(call, serve);
    assert_eq!(outcome(response.expect("a response").extensions()), "Retried");
    assert_eq!(resent, "onetwo");
}

/// The old handle is superseded: it errors, wakes who waits for it, and never ends the stream early.
#[tokio::test]
async fn r10_a_superseded_handle_errors_and_never_ends_a_stream_early() {
    let tokens = Numbered::new();
    let (call, mut handle, mut old, answer) = under_way(ProbeBody::of(&["one", "two"]).announcing(6), &tokens).await;
    answer.send_response(unauthorized());
    handle.allow(1);
    let serve = async {
        let (request, answer) = handle.next_request().await.expect("a retry: the body was never polled");
        let mut new = request.into_body();
        assert_eq!(new.size_hint().exact(), Some(6));
        assert!(!old.is_end_stream());
        for _ in 0..2 {
            let error = frame(&mut old).await.expect("no end").expect_err("no data");
            assert!(error.is::<Superseded>(), "{error}");
        }
        assert_eq!(frame(&mut new).await.expect("a frame").expect("no error"), "one");
        assert!(frame(&mut old).await.expect("no end").is_err());
        drop(old);
        assert_eq!(frame(&mut new).await.expect("a frame").expect("no error"), "two");
        assert!(frame(&mut new).await.is_none());
        answer.send_response(Response::new(String::new()));
    };
    let (response, ()) = tokio::join!(call, serve);
    assert_eq!(outcome(response.expect("a response").extensions()), "Retried");
}

/// An HTTP/1 client stops reading at the content-length, and never sees the stream's end.
#[tokio::test]
async fn r10_whole_is_what_was_promised() {
    for declared_by_header in [false, true] {
        let tokens = Numbered::new();
        let body = ProbeBody::stuck(&["one", "two"]);
        let mut request = upload(if declared_by_header { body } else { body.announcing(6) });
        if declared_by_header {
            request.headers_mut().insert(CONTENT_LENGTH, 6.into());
        }
        let (api, mut handle) = mock::pair::<Streaming, Response<String>>();
        handle.allow(2);
        let oauth = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin");
        let call = ServiceBuilder::new().layer(ReplayLayer::new()).layer(oauth).service(api).oneshot(request);
        let serve = async {
            for status in [401, 200] {
                let (request, answer) = handle.next_request().await.expect("a request");
                let mut body = request.into_body();
                for expected in ["one", "two"] {
                    assert_eq!(frame(&mut body).await.expect("a frame").expect("no error"), expected);
                }
                answer.send_response(Response::builder().status(status).body(String::new()).expect("a response"));
            }
        };
        let (response, ()) = tokio::join!(call, serve);
        assert_eq!(outcome(response.expect("a response").extensions()), "Retried");
    }
}

/// The caller gets the original response when the inner service is not ready for the retry; the request it answers is
/// then left alone, too.
#[tokio::test(start_paused = true)]
async fn r8_not_ready_leaves_the_first_body_alone() {
    let tokens = Numbered::new();
    let (call, _handle, mut body, answer) = under_way(ProbeBody::of(&["one"]), &tokens).await;
    answer.send_response(unauthorized());
    let response = call.await.expect("a response");
    assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (401, "NotReady"));
    assert_eq!(frame(&mut body).await.expect("a frame").expect("nothing took its place"), "one");
}

/// Once a response other than a 401 is there, nothing is remembered, however long the upload still is.
#[tokio::test]
async fn r10_memory_is_freed_when_no_retry_can_come() {
    let tokens = Numbered::new();
    let (call, _handle, mut body, answer) = under_way(ProbeBody::endless(1024), &tokens).await;
    frame(&mut body).await.expect("a frame").expect("no error");
    answer.send_response(Response::new(String::new()));
    call.await.expect("a response");
    for _ in 0..200 {
        frame(&mut body).await.expect("a frame").expect("no error");
    }
    assert!(format!("{body:?}").contains("pieces: 0"), "{body:?}");
}

#[tokio::test]
async fn r10_a_dropped_call_frees_the_body() {
    let tokens = Numbered::new();
    let body = ProbeBody::stuck(&["one"]);
    let probe: Probe = body.probe();
    let (call, _handle, first, _answer) = under_way(body, &tokens).await;
    drop(call);
    assert!(!probe.is_dropped(), "the API has it still");
    drop(first);
    assert!(probe.is_dropped());
}

/// Trailers alone, many of them: remembered up to a bound of their own.
#[tokio::test]
async fn r10_enormous_trailers_are_not_remembered() {
    let mut trailers = HeaderMap::new();
    for number in 0..200 {
        let name = http::HeaderName::try_from(format!("x-{number}")).expect("a name");
        trailers.append(name, "v".repeat(100).parse().expect("a value"));
    }
    let (api, _, response) = send(ProbeBody::of(&["x"]).trailers(trailers), vec![Answer::status(401)]).await;
    assert_eq!(outcome(response.expect("a response").extensions()), "Body(TooLarge)");
    assert_eq!(api.seen().len(), 1);
}
