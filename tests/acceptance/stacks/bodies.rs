//! R10: the erased bodies of axum and reqwest, which wrap themselves to be sent again.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::ETAG};
use http_body::Body as HttpBody;
use tests::{
    numbered::Numbered,
    probe::ProbeBody,
    script::{Answer, Script, outcome},
    steps::{API, settle},
    support::shown,
};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt};
use tower_oauth::{OAuthLayer, ReplayBody, ReplayLayer};

#[test]
fn s1_what_is_kept_of_a_body_does_not_show_it() {
    let kept = [
        format!("{:?}", reqwest::Body::from("password=hunter2").keep()),
        format!("{:?}", reqwest_0_12::Body::from("password=hunter2").keep()),
        format!("{:?}", Body::from("password=hunter2").keep()),
    ];
    assert!(kept.iter().all(|shown| !shown.contains("hunter2")), "{kept:?}");
}

/// Sends a body made of this one to an API that answers 401 first, and 200 then.
async fn send<B>(body: B, first: Answer) -> (Script, Numbered, Result<Response<ProbeBody>, BoxError>)
where
    B: ReplayBody<Kept: Send> + HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (api, tokens) = (Script::new([first]), Numbered::new());
    let stack = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").layer(api.clone());
    let response = stack.oneshot(Request::post("https://api.test/x").body(body).expect("a request")).await;
    settle().await;
    (api, tokens, response)
}

/// The same that holds for a `Replay`, for a body type that is made of any body.
async fn replays_streams<B>(name: &str, wrap: impl Fn(ProbeBody) -> B)
where
    B: ReplayBody<Kept: Send> + HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    const CAP: usize = 64 * 1024;
    let chunk = |len: usize| -> &'static str { Box::leak("x".repeat(len).into_boxed_str()) };
    let trailers = HeaderMap::from_iter([(ETAG, "e".parse().expect("a value"))]);
    let vectors = [
        (ProbeBody::of(&[]), None, "Retried"),
        (ProbeBody::of(&[]).announcing(0), Some(0), "Retried"),
        (ProbeBody::of(&["one ", "", "two"]), None, "Retried"),
        (ProbeBody::of(&["one ", "two"]).announcing(7), Some(7), "Retried"),
        (ProbeBody::of(&["one"]).trailers(trailers), None, "Retried"),
        (ProbeBody::of(&[chunk(CAP)]), None, "Retried"),
        (ProbeBody::of(&[chunk(CAP), "x"]), None, "Body(TooLarge)"),
        (ProbeBody::of(&[chunk(CAP + 1)]).announcing(CAP as u64 + 1), Some(CAP as u64 + 1), "Body(TooLarge)"),
    ];
    for (number, (body, size, expected)) in vectors.into_iter().enumerate() {
        let case = format!("{name} {number}");
        let probe = body.probe();
        let (api, tokens, response) = send(wrap(body), Answer::status(401)).await;
        let response = response.expect("a response");
        assert_eq!(outcome(response.extensions()), expected, "{case}");
        assert_eq!(response.status(), if expected == "Retried" { 200 } else { 401 }, "{case}");
        let seen = api.seen();
        assert_eq!(seen.len(), if expected == "Retried" { 2 } else { 1 }, "{case}");
        for seen in &seen {
            assert_eq!(seen.exact_size, size, "{case}");
            assert_eq!(seen.body.as_ref().map(|body| body.len() as u64), Some(probe.bytes()), "{case}: whole");
            assert_eq!(seen.trailers, api.seen()[0].trailers, "{case}");
        }
        assert!(probe.is_dropped(), "{case}");
        assert_eq!(tokens.fetches(), 2, "{case}: renewed in any case");
    }

    let (api, tokens, response) = send(wrap(ProbeBody::failing(&["half"])), Answer::status(401)).await;
    let error = response.expect_err("the API could not read the body");
    assert!(shown(&*error).contains("the probe failed"), "{name}: the body's own error: {error:?}");
    assert_eq!((api.seen().len(), tokens.fetches()), (1, 1), "{name}");

    // Never polled: the retry takes the body itself, whatever its length.
    let (api, _, response) = send(wrap(ProbeBody::of(&[chunk(CAP), "x"])), Answer::status(401).early()).await;
    assert_eq!(outcome(response.expect("a response").extensions()), "Retried", "{name}");
    assert_eq!(api.seen()[1].body.as_ref().map(Bytes::len), Some(CAP + 1), "{name}");
}

/// With another limit: a `ReplayLayer` above, and the body type made again below.
#[tokio::test]
async fn r10_bodies_that_wrap_themselves_with_another_limit() {
    for (cap, expected) in [(10, "Retried"), (9, "Body(TooLarge)")] {
        let (api, tokens) = (Script::new([Answer::status(401)]), Numbered::new());
        let stack = ServiceBuilder::new()
            .layer(ReplayLayer::new().max_bytes(cap))
            .layer(OAuthLayer::new(API, tokens.cache.clone()).expect("an origin"))
            .map_request(|request: Request<_>| request.map(Body::new))
            .service(api.clone());
        let request = Request::post("https://api.test/x").body(Body::from("0123456789")).expect("a request");
        let response = stack.oneshot(request).await.expect("a response");
        assert_eq!(outcome(response.extensions()), expected, "{cap}");
    }
}

#[tokio::test]
async fn r10_bodies_of_axum_and_reqwest_wrap_themselves() {
    replays_streams("axum", Body::new).await;
    replays_streams("reqwest", reqwest::Body::wrap).await;
    replays_streams("reqwest 0.12", reqwest_0_12::Body::wrap).await;
}

/// Reqwest's bodies in memory are sent again whatever their size; axum's do not tell that they are.
#[tokio::test]
async fn r10_bodies_in_memory() {
    async fn check<B>(body: B, expected: &str)
    where
        B: ReplayBody<Kept: Send> + HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let size = body.size_hint().exact();
        let (api, _, response) = send(body, Answer::status(401)).await;
        assert_eq!(outcome(response.expect("a response").extensions()), expected);
        assert!(api.seen().iter().all(|seen| seen.exact_size == size));
        assert!(api.seen().iter().all(|seen| seen.body.as_ref().map(|body| body.len() as u64) == size));
    }
    for (len, axum) in [(0, "Retried"), (1, "Retried"), (1 << 20, "Body(TooLarge)")] {
        let bytes = Bytes::from(vec![b'x'; len]);
        check(reqwest::Body::from(bytes.clone()), "Retried").await;
        check(reqwest_0_12::Body::from(bytes.clone()), "Retried").await;
        check(Body::from(bytes), axum).await;
    }
}
