//! R2: the retry is the same call, but for its credentials.

use http::{HeaderMap, header::AUTHORIZATION};
use tests::{
    grpc::{GREET, greeter::greeter_client::GreeterClient, greeting, name, raw, trailers_only},
    numbered::Numbered,
    script::{Script, Seen, outcome},
};
use tonic::{
    GrpcMethod,
    metadata::{AsciiMetadataValue, BinaryMetadataValue},
};

use super::{call, client, layer};

/// Something that a caller passes on to its own layers.
#[derive(Clone, Debug, PartialEq)]
struct Mark(u32);

/// Both attempts, with their credentials taken out.
fn attempts(api: &Script) -> [Seen; 2] {
    let mut seen = api.seen();
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2"]);
    for seen in &mut seen {
        let credential = seen.head.headers.remove(AUTHORIZATION).expect("a token");
        assert!(credential.is_sensitive());
    }
    seen.try_into().expect("two attempts")
}

/// Equal, and in the same order where a name stands several times.
#[track_caller]
fn assert_same(first: &HeaderMap, second: &HeaderMap) {
    assert_eq!(first, second);
    for name in first.keys() {
        let (first, second) = (first.get_all(name).iter(), second.get_all(name).iter());
        assert!(first.eq(second), "{name}");
    }
}

#[tokio::test]
async fn r2_metadata_path_and_body_are_the_same_on_the_retry() {
    let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), greeting("Hello!")]));
    let mut request = tonic::Request::new(name("Ada"));
    let metadata = request.metadata_mut();
    let ascii = |value: &'static str| AsciiMetadataValue::from_static(value);
    metadata.append("x-tenant", ascii("one"));
    metadata.append("x-tenant", ascii("two"));
    metadata.append("x-tenant", ascii("one"));
    metadata.insert("x-empty", ascii(""));
    metadata.append_bin("trace-bin", BinaryMetadataValue::from_bytes(&[0, 255, 16, 13, 10]));
    metadata.append_bin("trace-bin", BinaryMetadataValue::from_bytes(b""));
    let mut secret = ascii("s3cret");
    secret.set_sensitive(true);
    metadata.insert("x-secret", secret);
    request.extensions_mut().insert(Mark(7));

    let answer = client(&tokens, &api).greet(request).await.expect("an answer");
    assert_eq!(outcome(answer.extensions()), "Retried");
    let [first, second] = attempts(&api);
    assert_same(&first.head.headers, &second.head.headers);
    assert_eq!(first.head.headers.get_all("x-tenant").iter().count(), 3);
    assert_eq!(first.head.headers.get_all("trace-bin").iter().count(), 2);
    assert!(second.head.headers["x-secret"].is_sensitive());
    assert_eq!(second.head.headers["te"], "trailers");
    assert_eq!(second.head.headers["content-type"], "application/grpc");
    assert_eq!((&first.head.uri, &first.head.method), (&second.head.uri, &second.head.method));
    assert_eq!((second.head.uri.to_string().as_str(), first.head.version), (GREET, second.head.version));
    assert_eq!(first.body, second.body);
    assert_eq!(second.head.extensions.get(), Some(&Mark(7)));
    let method = second.head.extensions.get::<GrpcMethod<'static>>().expect("what tonic left for other layers");
    assert_eq!((method.service(), method.method()), ("greeter.Greeter", "Greet"));
}

#[tokio::test]
async fn r2_absolute_uris_are_the_same_on_the_retry() {
    let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), greeting("Hello!")]));
    let origin = "https://api.test/base".parse().expect("a URI");
    let mut client = GreeterClient::with_origin(layer(&tokens).grpc(api.clone()), origin);
    client.greet(name("Ada")).await.expect("an answer");
    let [first, second] = attempts(&api);
    assert_eq!(first.head.uri, second.head.uri);
    assert_eq!(second.head.uri.host(), Some("api.test"));
}

/// A retry's own deadline is what is left of the call's; all else is as it was.
#[tokio::test(start_paused = true)]
async fn r2_a_deadline_is_all_that_may_differ() {
    let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), greeting("Hello!")]));
    let request = raw(GREET, &[("grpc-timeout", "5S"), ("x-tenant", "one")]);
    call(&layer(&tokens), &api, request).await;
    let [mut first, mut second] = attempts(&api);
    assert!(first.head.headers.remove("grpc-timeout").is_some());
    assert!(second.head.headers.remove("grpc-timeout").is_some());
    assert_same(&first.head.headers, &second.head.headers);
}

/// The layer adds one header and no more.
#[tokio::test]
async fn r2_a_call_is_sent_as_it_came_but_for_its_token() {
    let (tokens, api) = (Numbered::new(), Script::new([greeting("Hello!")]));
    let request = raw(GREET, &[("x-tenant", "one"), ("x-tenant", "two"), ("trace-bin", "AP8")]);
    let headers = request.headers().clone();
    call(&layer(&tokens), &api, request).await;
    let mut seen = api.seen().remove(0);
    seen.head.headers.remove(AUTHORIZATION).expect("a token");
    assert_same(&seen.head.headers, &headers);
}
