//! R2: the retry is the first request again, but for the credentials; and the bodies that need no help to be sent twice.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Version,
    header::{AUTHORIZATION, COOKIE},
};
use http_body::Body;
use http_body_util::{BodyExt, Either, Empty, Full};
use tests::{
    numbered::Numbered,
    probe::ProbeBody,
    script::{Answer, Script, Seen, outcome},
    steps::{API, settle},
};
use tower::{Layer, ServiceExt};
use tower_oauth::{BoxError, NotReplayable, OAuthLayer, Replay, ReplayBody};

/// Sends through the layer to an API that answers 401 first; gives what arrived, and the outcome.
async fn send<B>(request: Request<B>) -> (Vec<Seen>, String)
where
    B: ReplayBody + Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
    B::Kept: Send,
{
    let api = Script::new([Answer::status(401)]);
    let client = OAuthLayer::new(API, Numbered::new().cache).expect("an origin").layer(api.clone());
    let response = client.oneshot(request).await.expect("a response");
    (api.seen(), outcome(response.extensions()))
}

#[derive(Clone, Debug, PartialEq)]
struct Marker(&'static str);

fn request<B>(method: Method, version: Version, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = "https://API.test:443/a/%2F//b?q=1&q=2&%20".parse().expect("a URL");
    *request.version_mut() = version;
    let headers = request.headers_mut();
    for (name, value) in [("x-b", "1"), ("x-a", "2"), ("x-b", "3"), ("accept", "a/b"), ("x-b", ""), ("te", "trailers")]
    {
        headers.append(name, HeaderValue::from_static(value));
    }
    headers.append("x-latin", HeaderValue::from_bytes(b"\xe4").expect("a value"));
    let mut cookie = HeaderValue::from_static("session=s");
    cookie.set_sensitive(true);
    headers.append(COOKIE, cookie);
    request.extensions_mut().insert(Marker("kept"));
    request
}

fn in_order(headers: &HeaderMap) -> Vec<(String, Vec<u8>, bool)> {
    let but_credentials = headers.iter().filter(|(name, _)| *name != AUTHORIZATION);
    but_credentials.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec(), value.is_sensitive())).collect()
}

fn assert_same_but_for_credentials(seen: &[Seen]) {
    let [first, second] = seen else { panic!("sent {} times", seen.len()) };
    assert_eq!(first.head.method, second.head.method);
    assert_eq!(first.head.uri.to_string(), second.head.uri.to_string());
    assert_eq!(first.head.version, second.head.version);
    assert_eq!(in_order(&first.head.headers), in_order(&second.head.headers));
    assert_eq!(first.head.extensions.get::<Marker>(), Some(&Marker("kept")));
    assert_eq!(second.head.extensions.get::<Marker>(), Some(&Marker("kept")));
    assert_eq!((&first.body, &first.trailers), (&second.body, &second.trailers));
    assert_eq!(first.exact_size, second.exact_size);
    let tokens = seen.iter().map(|seen| seen.head.headers.get_all(AUTHORIZATION).iter().collect());
    assert_eq!(tokens.collect::<Vec<Vec<_>>>(), [["Bearer t1"], ["Bearer t2"]]);
}

#[tokio::test]
async fn r2_the_retry_equals_the_first_request_but_for_the_credentials() {
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "x-Custom"] {
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let sent = request(method.clone(), version, Full::<Bytes>::from("the body"));
            let (uri, headers) = (sent.uri().clone(), in_order(sent.headers()));
            let (seen, outcome) = send(sent).await;
            assert_eq!(outcome, "Retried");
            assert_same_but_for_credentials(&seen);
            let second = &seen[1];
            assert_eq!((&second.head.method, second.head.version), (&method, version));
            assert_eq!((&second.head.uri, in_order(&second.head.headers)), (&uri, headers));
            assert_eq!(second.body.as_deref(), Some(&b"the body"[..]));
        }
    }
}

/// A service below may change the request that it was given; the retry does not see that.
#[tokio::test]
async fn r2_what_a_service_below_did_to_the_first_request_is_not_in_the_retry() {
    let api = Script::new([Answer::status(401)]);
    let below = tower::ServiceBuilder::new().map_request(|mut request: Request<Full<Bytes>>| {
        assert!(request.extensions().get::<u8>().is_none() && !request.headers().contains_key("x-below"));
        request.extensions_mut().insert(1_u8);
        request.headers_mut().append("x-below", HeaderValue::from_static("1"));
        request.headers_mut().remove("x-a");
        request
    });
    let client = OAuthLayer::new(API, Numbered::new().cache).expect("an origin").layer(below.service(api.clone()));
    client.oneshot(request(Method::PUT, Version::HTTP_11, Full::from("b"))).await.expect("a response");
    assert_same_but_for_credentials(&api.seen());
}

#[tokio::test]
async fn r2_a_streams_bytes_trailers_and_size_are_sent_again() {
    let mut trailers = HeaderMap::new();
    trailers.append("x-sum", HeaderValue::from_static("1"));
    trailers.append("x-sum", HeaderValue::from_static("2"));
    let bodies = [
        (ProbeBody::of(&["one ", "", "two"]).announcing(7), Some(7)),
        (ProbeBody::of(&["one ", "two"]), None),
        (ProbeBody::of(&["one ", "two"]).trailers(trailers.clone()), None),
        (ProbeBody::of(&[]).trailers(trailers), None),
        (ProbeBody::of(&[]).announcing(0), Some(0)),
    ];
    for (body, size) in bodies {
        let probe = body.probe();
        let (seen, outcome) = send(request(Method::POST, Version::HTTP_2, Replay::new(body))).await;
        assert_eq!(outcome, "Retried");
        assert_same_but_for_credentials(&seen);
        assert_eq!(seen[1].exact_size, size, "the size is known from the start, or not at all, both times");
        assert!(probe.has_ended() && probe.is_dropped());
    }
}

#[tokio::test]
async fn r10_bodies_that_are_values_are_sent_again_whatever_their_size() {
    let big = || Bytes::from(vec![b'x'; 1 << 20]);
    let text = || String::from_utf8(big().to_vec()).expect("ascii");
    async fn check<B>(body: B)
    where
        B: ReplayBody + Body<Error: Into<BoxError>> + Send + 'static,
        B::Data: Send,
        B::Kept: Send,
    {
        let size = body.size_hint().exact();
        let (seen, outcome) = send(request(Method::POST, Version::HTTP_11, body)).await;
        assert_eq!(outcome, "Retried");
        assert_same_but_for_credentials(&seen);
        assert_eq!(seen[1].body.as_ref().map(|body| body.len() as u64), size);
    }
    check(Full::new(big())).await;
    check(Empty::<Bytes>::new()).await;
    check(text()).await;
    check(Full::new(big()).map_err(std::io::Error::other as fn(std::convert::Infallible) -> _)).await;
    check(Either::<Full<Bytes>, Empty<Bytes>>::Left(Full::new(big()))).await;
    check(Either::<Full<Bytes>, Empty<Bytes>>::Right(Empty::new())).await;
}

#[tokio::test]
async fn r10_a_body_that_cannot_be_copied_is_not_retried_and_the_token_is_renewed() {
    let tokens = Numbered::new();
    let api = Script::new([Answer::status(401), Answer::status(200), Answer::status(200)]);
    let client = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").layer(api.clone());
    let opaque = || Request::post("https://api.test/x").body(Full::<Bytes>::from("whole").boxed()).expect("a request");
    let response = client.clone().oneshot(opaque()).await.expect("a response");
    assert_eq!(response.status(), 401);
    assert_eq!(outcome(response.extensions()), "Body(Opaque)");
    assert_eq!(response.body().probe().polls(), 0);
    settle().await;
    assert_eq!(tokens.fetches(), 2, "nobody waited for it, but it was renewed");
    assert_eq!(client.oneshot(opaque()).await.expect("a response").status(), 200);
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2"]);
    assert_eq!(api.seen()[1].body.as_deref(), Some(&b"whole"[..]));
}

/// A body of the user's own decides for itself, before and after.
struct Own(Option<NotReplayable>);

impl Body for Own {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(None)
    }
}

impl ReplayBody for Own {
    type Kept = Option<NotReplayable>;

    fn keep(&mut self) -> Option<Self::Kept> {
        Some(self.0)
    }

    fn restore(kept: Self::Kept) -> Result<Self, NotReplayable> {
        kept.map_or(Ok(Self(None)), Err)
    }
}

#[tokio::test]
async fn r10_an_own_body_says_why_it_cannot_be_sent_again() {
    let vectors = [
        (None, "Retried"),
        (Some(NotReplayable::TooLarge), "Body(TooLarge)"),
        (Some(NotReplayable::Failed), "Body(Failed)"),
        (Some(NotReplayable::Unfinished), "Body(Unfinished)"),
    ];
    for (why, expected) in vectors {
        let (seen, outcome) = send(request(Method::POST, Version::HTTP_11, Own(why))).await;
        assert_eq!((outcome.as_str(), seen.len()), (expected, if why.is_none() { 2 } else { 1 }));
    }
}
