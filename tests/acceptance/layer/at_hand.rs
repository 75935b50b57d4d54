//! A service that was used before has its token at hand, and skips most of what a new one does. It must come to the same
//! (R1, R4, R5), with the token that is the cache's now (F14), and a request that it kept must be the same again (R2).

use std::{io, time::Duration};

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Version,
    header::{AUTHORIZATION, COOKIE, HOST},
};
use http_body_util::Full;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tests::{
    numbered::Numbered,
    probe::ProbeBody,
    script::{Answer, Script, Seen},
    source::Source,
    steps::{API, settle},
};
use tokio::{runtime::Runtime, time::advance};
use tower::{Layer, Service, ServiceExt};
use tower_oauth::{BoxError, Error, OAuth, OAuthLayer, TokenOptions, oauth_tokens::TokenCache};

type Plain = Request<Full<Bytes>>;

fn plain(url: &str) -> Plain {
    Request::get(url).body(Full::default()).unwrap_or_else(|error| panic!("{url}: {error}"))
}

async fn send<S>(service: &mut S, request: Plain) -> Result<http::Response<ProbeBody>, BoxError>
where
    S: Service<Plain, Response = http::Response<ProbeBody>, Error = BoxError>,
{
    service.ready().await?.call(request).await
}

/// A service that has been used for this URL, often enough to have a token at hand.
async fn used(layer: &OAuthLayer, api: &Script, url: &str) -> OAuth<Script> {
    let mut service = layer.layer(api.clone());
    for _ in 0..3 {
        send(&mut service, plain(url)).await.expect("an answer");
    }
    service
}

/// What arrived, or why nothing did; and the order of headers counts.
#[derive(Debug, PartialEq)]
enum Outcome {
    Sent(Vec<(HeaderName, HeaderValue, bool)>),
    Refused(tower_oauth::ErrorKind),
}

async fn outcome(service: &mut OAuth<Script>, api: &Script, request: Plain) -> Outcome {
    let before = api.seen().len();
    match send(service, request).await {
        Ok(_) => {
            assert_eq!(api.seen().len(), before + 1);
            Outcome::Sent(headers(&api.seen()[before]))
        }
        Err(error) => {
            assert_eq!(api.seen().len(), before, "an error, and yet it was sent: {error}");
            Outcome::Refused(error.downcast_ref::<Error>().expect("ours").kind())
        }
    }
}

fn headers(seen: &Seen) -> Vec<(HeaderName, HeaderValue, bool)> {
    in_order(&seen.head.headers)
}

fn in_order(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue, bool)> {
    let headers = headers.iter();
    headers.map(|(name, value)| (name.clone(), value.clone(), value.is_sensitive())).collect()
}

const URLS: &[&str] = &[
    "https://api.test/x",
    "https://api.test",
    "https://api.test?x",
    "https://API.test/x",
    "HTTPS://api.test/x",
    "https://api.test:443/x",
    "https://api.test./x",
    "http://api.test/x",
    "https://api.test:444/x",
    "https://api.test:0443/x",
    "https://api.test.evil.test/x",
    "https://evil.test/https://api.test/x",
    "https://user@api.test/x",
    "https://api.test@evil.test/x",
    "https://api.test/v2/x",
    "https://api.test/v2/%2e%2e/x",
    "https://other.test/x",
    "/x",
    "*",
];

fn requests() -> Vec<Plain> {
    let hosts: &[&[&str]] = &[&[], &["api.test"], &["evil.test"], &["api.test", "api.test"], &["other.test"]];
    let own: &[&[&str]] = &[&[], &["Basic YTpi"], &["Basic YTpi", "Bearer own"]];
    let mut requests = Vec::new();
    for (url, host, own) in combinations(URLS, hosts, own) {
        for options in [None, Some(TokenOptions::without_token()), Some(TokenOptions::new())] {
            let mut request = plain(url);
            let headers = request.headers_mut();
            headers.insert("x-first", HeaderValue::from_static("1"));
            for value in host {
                headers.append(HOST, HeaderValue::from_static(value));
            }
            headers.append(COOKIE, HeaderValue::from_static("a=b"));
            for value in own {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            headers.append(COOKIE, HeaderValue::from_static("c=d"));
            if let Some(options) = options {
                request.extensions_mut().insert(options);
            }
            requests.push(request);
        }
    }
    requests
}

type Grid<'a> = (&'a str, &'a [&'static str], &'a [&'static str]);

fn combinations<'a>(
    urls: &'a [&'static str],
    hosts: &'a [&'a [&'static str]],
    own: &'a [&'a [&'static str]],
) -> impl Iterator<Item = Grid<'a>> {
    urls.iter().flat_map(move |url| hosts.iter().flat_map(move |host| own.iter().map(move |own| (*url, *host, *own))))
}

#[tokio::test]
async fn r1_r4_r5_a_service_with_a_token_at_hand_decides_as_a_new_one() {
    let tokens = || TokenCache::fixed("t0").expect("a token");
    let layers = [
        ("one origin", API, OAuthLayer::new(API, tokens())),
        ("a prefix", "https://api.test/v2", OAuthLayer::new("https://api.test/v2", tokens())),
        (
            "two of one server",
            API,
            OAuthLayer::new(API, tokens()).and_then(|layer| layer.origin("https://api.test/v2", tokens())),
        ),
        (
            "two servers",
            "https://other.test",
            OAuthLayer::new(API, tokens())
                .and_then(|layer| layer.origin("https://other.test", TokenCache::fixed("t-other").expect("a token"))),
        ),
        ("a connection", "/x", OAuthLayer::for_connection(API, tokens())),
        ("a connection, in full", API, OAuthLayer::for_connection(API, tokens())),
        ("refusing", API, OAuthLayer::new(API, tokens()).map(OAuthLayer::refuse_caller_authorization)),
        ("sent once", API, OAuthLayer::new(API, tokens()).map(OAuthLayer::never_retry)),
    ];
    let mut sent = 0;
    for (name, url, layer) in layers {
        let layer = layer.expect("a layer");
        for request in requests() {
            let api = Script::new([]);
            let new = outcome(&mut layer.layer(api.clone()), &api, request.clone()).await;
            let mut service = used(&layer, &api, url).await;
            let of_clone = outcome(&mut service.clone(), &api, request.clone()).await;
            let of_used = outcome(&mut service, &api, request.clone()).await;
            assert_eq!(of_used, new, "{name}: {request:?}");
            assert_eq!(of_clone, new, "{name}, a clone: {request:?}");
            sent += usize::from(
                matches!(new, Outcome::Sent(headers) if headers.iter().any(|(_, value, _)| value == "Bearer t0")),
            );
        }
    }
    assert!(sent > 50, "hardly any got a token: {sent}");
}

#[tokio::test]
async fn f14_what_is_at_hand_is_the_caches_own_and_never_another_ones() {
    let (ours, theirs) = (Numbered::new(), TokenCache::fixed("theirs").expect("a token"));
    let api = Script::new([]);
    let mut service = used(&OAuthLayer::new(API, ours.cache.clone()).expect("a layer"), &api, API).await;
    let mut other = used(&OAuthLayer::new(API, theirs).expect("a layer"), &api, API).await;
    let mut clone = service.clone();
    let rejected = ours.cache.cached().expect("a token");
    let before = api.authorizations().len();
    // Somebody else renews it.
    ours.cache.renew(&rejected).await.expect("another");
    for _ in 0..2 {
        for service in [&mut service, &mut other, &mut clone] {
            send(service, plain("https://api.test/x")).await.expect("an answer");
        }
    }
    assert_eq!(api.authorizations()[before..], ["Bearer t2", "Bearer theirs", "Bearer t2"].repeat(2));
}

#[tokio::test]
async fn f2_a_401_renews_what_was_at_hand_and_the_next_request_has_the_new_one() {
    let tokens = Numbered::new();
    let api = Script::new([]);
    let mut service = used(&OAuthLayer::new(API, tokens.cache.clone()).expect("a layer"), &api, API).await;
    api.answer_next(Answer::status(401));
    for _ in 0..3 {
        assert_eq!(send(&mut service, plain("https://api.test/x")).await.expect("an answer").status(), 200);
    }
    let expected = ["Bearer t1", "Bearer t1", "Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2", "Bearer t2"];
    assert_eq!((api.authorizations(), tokens.fetches()), (expected.map(str::to_owned).to_vec(), 2));
}

#[tokio::test(start_paused = true)]
async fn f12_what_is_at_hand_is_renewed_and_expires_as_any_token() {
    let tick = Duration::from_millis(1);
    let source = Source::issuing(Some(Duration::from_secs(100)));
    let cache = source.cache();
    let api = Script::new([]);
    let mut service = used(&OAuthLayer::new(API, cache.clone()).expect("a layer"), &api, API).await;
    let refresh_in = cache.status().refresh_in.expect("a token");
    advance(refresh_in - tick).await;
    send(&mut service, plain(API)).await.expect("an answer");
    settle().await;
    assert_eq!(source.fetches(), 1, "a tick before its time");
    advance(tick).await;
    send(&mut service, plain(API)).await.expect("an answer");
    settle().await;
    assert_eq!(source.fetches(), 2, "in its refresh window, in the background");
    let usable = cache.status().expires_in.expect("a lifetime");
    // Nobody asks until it can be used no more: the next request waits for another one.
    send(&mut service, plain(API)).await.expect("an answer");
    advance(usable).await;
    let before = api.authorizations();
    send(&mut service, plain(API)).await.expect("an answer");
    assert_eq!(source.fetches(), 3);
    assert!(!before.contains(&api.authorizations()[before.len()]), "a token that had expired was sent");
}

#[tokio::test]
async fn f14_options_of_a_single_request_are_heard_by_a_service_with_a_token_at_hand() {
    let source = Source::issuing(Some(Duration::from_secs(600)));
    let api = Script::new([]);
    let mut service = used(&OAuthLayer::new(API, source.cache()).expect("a layer"), &api, API).await;
    let mut request = plain("https://api.test/x");
    request.extensions_mut().insert(TokenOptions::new().scope("more"));
    let error = send(&mut service, request).await.expect_err("there is no pool");
    assert_eq!(error.downcast_ref::<Error>().map(Error::kind), Some(tower_oauth::ErrorKind::NoPool));
}

fn header() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let name = prop_oneof![
        prop::sample::select(vec!["accept", "cookie", "user-agent", "content-type", "x-request-id", "te", "via"])
            .prop_map(HeaderName::from_static),
        // What HTTP/2 lets through, which is more than HTTP/1 does.
        "[a-z0-9!#$%&'*+.^_`|~\"-]{1,40}".prop_map(|name| HeaderName::from_lowercase(name.as_bytes()).expect("a name")),
    ];
    let value = prop_oneof![
        8 => prop::collection::vec(prop_oneof![Just(b'\t'), 32..127_u8, 128..=255_u8], 0..60),
        1 => prop::collection::vec(32..127_u8, 300..600),
    ];
    (name, value, any::<bool>()).prop_map(|(name, value, sensitive)| {
        let mut value = HeaderValue::from_bytes(&value).expect("a value");
        value.set_sensitive(sensitive);
        (name, value)
    })
}

fn request() -> impl Strategy<Value = Plain> {
    let method = prop::sample::select(vec![Method::GET, Method::POST, Method::from_bytes(b"M-SEARCH").expect("one")]);
    let version = prop::sample::select(vec![Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3]);
    let uri = prop::sample::select(vec![
        "https://api.test",
        "https://api.test?q",
        "https://api.test/a/../b?c=%2F&d=\u{e9}#fragment",
        "HTTPS://API.test:443/x",
        "https://api.test//x;y='z'",
    ]);
    let headers = prop::collection::vec(header(), 0..24);
    let removed = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let body = prop::collection::vec(any::<u8>(), 0..100);
    (method, version, uri, headers, removed, body, any::<Option<u64>>()).prop_map(
        |(method, version, uri, headers, removed, body, extension)| {
            let mut request = Request::new(Full::from(body));
            *request.method_mut() = method;
            *request.version_mut() = version;
            *request.uri_mut() = uri.parse().expect("a URI");
            for (name, value) in &headers {
                if *name != AUTHORIZATION && *name != HOST {
                    request.headers_mut().append(name, value.clone());
                }
            }
            // What is removed changes the order of what is left.
            for index in removed.iter().filter(|_| !headers.is_empty()) {
                request.headers_mut().remove(&headers[index.index(headers.len())].0);
            }
            if let Some(extension) = extension {
                request.extensions_mut().insert(extension);
            }
            request
        },
    )
}

/// All that a request is, but for its token.
fn essence(seen: &Seen) -> impl PartialEq + std::fmt::Debug {
    let number = |extensions: &Extensions| (extensions.len(), extensions.get::<u64>().copied());
    let headers: Vec<_> = headers(seen).into_iter().filter(|(name, ..)| name != AUTHORIZATION).collect();
    let head = &seen.head;
    (head.method.clone(), head.uri.clone(), head.version, headers, number(&head.extensions), seen.body.clone())
}

#[test]
fn r2_a_request_that_was_kept_is_the_same_again_whatever_it_is() {
    let runtime = Runtime::new().expect("a runtime");
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let check = |request: Plain| {
        runtime.block_on(async {
            let tokens = Numbered::new();
            let layer = OAuthLayer::new(API, tokens.cache.clone()).expect("a layer");
            let api = Script::new([]);
            let mut services = [layer.layer(api.clone()), used(&layer, &api, API).await];
            for service in &mut services {
                let before = api.seen().len();
                api.answer_next(Answer::status(401));
                let sent = in_order(request.headers());
                let answer =
                    send(service, request.clone()).await.map_err(|error| TestCaseError::fail(error.to_string()));
                prop_assert_eq!(answer?.status(), 200);
                let seen = &api.seen()[before..];
                prop_assert_eq!(seen.len(), 2);
                prop_assert_eq!(format!("{:?}", essence(&seen[0])), format!("{:?}", essence(&seen[1])));
                prop_assert_eq!(
                    sent,
                    headers(&seen[1]).into_iter().filter(|(name, ..)| name != AUTHORIZATION).collect::<Vec<_>>()
                );
                prop_assert_eq!(seen[0].head.headers.len(), seen[1].head.headers.len());
                let tokens = seen.iter().map(|seen| seen.head.headers.get_all(AUTHORIZATION).iter().count());
                prop_assert_eq!(tokens.collect::<Vec<_>>(), [1, 1]);
            }
            Ok(())
        })
    };
    runner.run(&request(), check).unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn r12_an_error_of_the_inner_service_passes_and_what_is_at_hand_stays() {
    let api = Script::new([]);
    let mut service =
        used(&OAuthLayer::new(API, TokenCache::fixed("t0").expect("a token")).expect("a layer"), &api, API).await;
    api.answer_next(Answer::error(io::ErrorKind::BrokenPipe));
    let error = send(&mut service, plain(API)).await.expect_err("the API's error");
    assert_eq!(error.downcast_ref::<io::Error>().map(io::Error::kind), Some(io::ErrorKind::BrokenPipe));
    send(&mut service, plain(API)).await.expect("an answer");
    assert_eq!(api.authorizations().last().map(String::as_str), Some("Bearer t0"));
}

#[tokio::test]
async fn r2_a_request_without_authority_is_the_same_again() {
    for uri in ["/x", "/x?q=%2F", "*", "/"] {
        let tokens = Numbered::new();
        let layer = OAuthLayer::for_connection(API, tokens.cache.clone()).expect("a layer");
        let api = Script::new([]);
        let mut services = [layer.layer(api.clone()), used(&layer, &api, "/y").await];
        for service in &mut services {
            let before = api.seen().len();
            api.answer_next(Answer::status(401));
            assert_eq!(send(service, plain(uri)).await.expect("an answer").status(), 200, "{uri}");
            let seen = &api.seen()[before..];
            assert_eq!(seen.iter().map(|seen| seen.head.uri.to_string()).collect::<Vec<_>>(), [uri, uri]);
        }
    }
}

/// A clone of a service whose token at hand is not the cache's any more begins anew, and is served all the same.
#[tokio::test]
async fn f14_clones_of_a_service_with_a_token_of_yesterday_send_todays() {
    let tokens = Numbered::new();
    let api = Script::new([]);
    let template = used(&OAuthLayer::new(API, tokens.cache.clone()).expect("a layer"), &api, API).await;
    let clone_of_before = template.clone();
    tokens.cache.renew(&tokens.cache.cached().expect("a token")).await.expect("another");
    for mut service in [template.clone(), clone_of_before, template] {
        for _ in 0..3 {
            send(&mut service, plain(API)).await.expect("an answer");
        }
    }
    assert_eq!(api.authorizations()[3..], ["Bearer t2"; 9]);
}
