//! Whose error it is: ours can be told from the inner service's, which arrive unchanged.

use std::io;

use http::header::AUTHORIZATION;
use tests::{
    numbered::{Next, Numbered},
    script::{Answer, Script},
    steps::{API, get},
    wire::reqwest_client,
};
use tower::{Layer, ServiceExt};
use tower_oauth::{BoxError, Error, ErrorKind, OAuthLayer, oauth_tokens::TokenCache};

fn fixed() -> OAuthLayer {
    OAuthLayer::new(API, TokenCache::fixed("t0").expect("a token")).expect("an origin")
}

#[tokio::test]
async fn r8_an_inner_error_arrives_unchanged() {
    let api = Script::new([Answer::error(io::ErrorKind::ConnectionReset), Answer::error(io::ErrorKind::NotFound)]);
    for (url, kind) in
        [("https://api.test/x", io::ErrorKind::ConnectionReset), ("https://other.test/x", io::ErrorKind::NotFound)]
    {
        let error = fixed().layer(api.clone()).oneshot(get(url)).await.expect_err("it was told to");
        assert_eq!(error.downcast_ref::<io::Error>().map(io::Error::kind), Some(kind), "{url}");
        assert!(!error.is::<Error>());
    }
    assert_eq!(api.seen().len(), 2, "an error is no 401");
}

#[tokio::test]
async fn r12_an_inner_error_of_readiness_arrives_unchanged() {
    let (mock, mut handle) = tower_test::mock::pair::<http::Request<String>, http::Response<String>>();
    handle.send_error(io::Error::from(io::ErrorKind::TimedOut));
    let mut client = fixed().layer(mock);
    let error = client.ready().await.expect_err("it was told to");
    assert_eq!(error.downcast_ref::<io::Error>().map(io::Error::kind), Some(io::ErrorKind::TimedOut));
}

#[tokio::test]
async fn r8_reqwests_error_can_be_had_back() {
    // Nobody listens there: the port was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("its address"));
    drop(listener);
    let layer = OAuthLayer::new(&origin, TokenCache::fixed("t0").expect("a token")).expect("an origin");
    let request = reqwest::Request::new(reqwest::Method::GET, origin.parse().expect("a URL"));
    let error: BoxError = layer.layer(reqwest_client()).oneshot(request).await.expect_err("nobody listens");
    assert!(error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect), "{error:?}");
}

#[tokio::test]
async fn r3_every_refusal_is_ours_with_its_kind_and_words_to_help() {
    let failing = Numbered::new();
    failing.will(Next::Failure);
    let with = |name, value: &str| {
        let mut request = get("https://api.test/x");
        request.headers_mut().insert(name, value.parse().expect("a header value"));
        request
    };
    let refusals = [
        (
            OAuthLayer::new(API, failing.cache).expect("an origin"),
            get("https://api.test/x"),
            ErrorKind::NoToken,
            "token",
        ),
        (
            OAuthLayer::selecting([API], |_| None).expect("origins"),
            get("https://api.test/x"),
            ErrorKind::NoToken,
            "selector",
        ),
        (fixed(), get("/x"), ErrorKind::NoAuthority, "for_connection"),
        (fixed(), with(http::header::HOST, "other.test"), ErrorKind::HostMismatch, "Host"),
        (
            fixed().refuse_caller_authorization(),
            with(AUTHORIZATION, "Bearer s3cret"),
            ErrorKind::CallerAuthorization,
            "Authorization",
        ),
    ];
    for (layer, request, kind, word) in refusals {
        let api = Script::new([]);
        let error = layer.layer(api.clone()).oneshot(request).await.expect_err("refused");
        let error = error.downcast_ref::<Error>().expect("ours");
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(word), "{kind:?}: {error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
        assert_eq!(error.token_error().is_some(), kind == ErrorKind::NoToken && word == "token");
        assert_eq!(api.seen().len(), 0, "{kind:?}: nothing was sent");
    }
}

#[test]
fn r3_the_error_is_what_tower_and_logs_expect() {
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    is_error::<Error>();
    is_error::<tower_oauth::InvalidOrigin>();
    is_error::<tower_oauth::NotReplayable>();
    is_error::<tower_oauth::Superseded>();
}
