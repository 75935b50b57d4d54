//! Which requests get a token: R1, R3, R4, R5.

use http::{
    Request,
    header::{AUTHORIZATION, HOST},
};
use http_body_util::Empty;
use tests::{
    numbered::{Next, Numbered},
    script::{Answer, Script, outcome},
    steps::{API, get},
};
use tower::{Layer, ServiceExt};
use tower_oauth::{BoxError, Error, ErrorKind, OAuthLayer, Origin, oauth_tokens::TokenCache};

type Get = Request<Empty<bytes::Bytes>>;

fn layer(origin: &str) -> OAuthLayer {
    let tokens = TokenCache::fixed("t0").expect("a token");
    OAuthLayer::new(origin, tokens).unwrap_or_else(|error| panic!("{origin}: {error}"))
}

/// What the API got as `Authorization`, or why the request was not sent.
async fn sent(layer: &OAuthLayer, request: Get) -> Result<String, ErrorKind> {
    let api = Script::new([]);
    match layer.layer(api.clone()).oneshot(request).await {
        Ok(_) => Ok(api.authorizations().pop().expect("it was sent")),
        Err(error) => {
            assert!(api.seen().is_empty(), "an error, and yet it was sent: {error}");
            Err(kind(&error))
        }
    }
}

fn kind(error: &BoxError) -> ErrorKind {
    error.downcast_ref::<Error>().unwrap_or_else(|| panic!("not ours: {error}")).kind()
}

#[tokio::test]
async fn r4_only_the_named_origin_gets_the_token() {
    let yes = [
        (API, "https://api.test/"),
        (API, "https://api.test"),
        (API, "https://API.Test/x?y=https://evil.test"),
        (API, "HTTPS://api.test/x"),
        (API, "https://api.test:443/x"),
        (API, "https://api.test./x"),
        (API, "https://api.test.:443/x"),
        ("https://API.test.:443/", "https://api.test/x"),
        ("https://api.test:8443", "https://api.test:8443/x"),
        ("http://localhost:8080", "http://LOCALHOST:8080/x"),
        ("http://127.0.0.1", "http://127.0.0.1:80/x"),
        ("http://[::1]:3000", "http://[0:0:0:0:0:0:0:1]:3000/x"),
        ("https://[2001:DB8::1]", "https://[2001:db8:0::1]/x"),
        ("https://xn--bcher-kva.example", "https://XN--bcher-kva.example/x"),
        ("https://api.test/v2", "https://api.test/v2"),
        ("https://api.test/v2", "https://api.test/v2/"),
        ("https://api.test/v2/", "https://api.test/v2?x=/../y"),
        ("https://api.test/v2", "https://api.test/v2/x/.y/..z/..."),
    ];
    for (origin, url) in yes {
        assert_eq!(sent(&layer(origin), get(url)).await, Ok("Bearer t0".to_owned()), "{origin} {url}");
    }
    let no = [
        (API, "http://api.test/x"),
        (API, "https://api.test:444/x"),
        (API, "https://api.test.evil.test/x"),
        (API, "https://evil.test/https://api.test"),
        (API, "https://xapi.test/x"),
        (API, "https://test/x"),
        (API, "https://api.test../x"),
        (API, "https://user@api.test/x"),
        (API, "https://user:password@api.test/x"),
        (API, "https://api.test@evil.test/x"),
        (API, "https://evil.test:443@api.test/x"),
        (API, "https://%61pi.test/x"),
        (API, "https://api.test:0443/x"),
        (API, "https://api.test:/x"),
        ("http://127.0.0.1", "http://127.1/x"),
        ("http://127.0.0.1", "http://2130706433/x"),
        ("http://127.0.0.1", "http://0x7f.0.0.1/x"),
        ("http://127.0.0.1", "http://127.0.0.01/x"),
        ("http://127.0.0.1", "http://localhost/x"),
        ("http://[::1]", "http://127.0.0.1/x"),
        ("http://[::1]", "http://[::1%25eth0]/x"),
        ("https://api.test/v2", "https://api.test/"),
        ("https://api.test/v2", "https://api.test/v20"),
        ("https://api.test/v2", "https://api.test/V2/x"),
        ("https://api.test/v2", "https://api.test//v2/x"),
        ("https://api.test/v2", "https://api.test/%76%32/x"),
    ];
    for (origin, url) in no {
        // What the parser of URLs refuses cannot be sent in the first place.
        let Ok(request) = Request::get(url).body(Empty::new()) else { continue };
        assert_eq!(sent(&layer(origin), request).await, Ok(String::new()), "{origin} {url}");
    }
}

/// What begins below the prefix, and may leave it: no token, and nothing sent without one by accident.
#[tokio::test]
async fn r4_a_path_that_may_leave_its_prefix_is_refused() {
    let below =
        ["../x", "%2e%2e/x", ".%2E/x", "..%2fx", "x%5c..%5cy", "..;/x", "%c0%ae%c0%ae/x", "%20../x", "group%2Fname"];
    for path in below {
        let url = format!("https://api.test/v2/{path}");
        assert_eq!(sent(&layer("https://api.test/v2"), get(&url)).await, Err(ErrorKind::AmbiguousPath), "{url}");
        let both = layer("https://api.test/v2").origin(API, TokenCache::fixed("wide").expect("a token")).expect("two");
        assert_eq!(
            sent(&both, get(&url)).await,
            Err(ErrorKind::AmbiguousPath),
            "no wider origin's token either: {url}"
        );
        assert_eq!(
            sent(&layer(API), get(&url)).await,
            Ok("Bearer t0".to_owned()),
            "without a prefix there is none to leave"
        );
    }
}

#[tokio::test]
async fn r4_a_request_elsewhere_asks_for_no_token_and_its_401_is_its_own() {
    let tokens = Numbered::new();
    let api = Script::new([Answer::challenges(401, &["Bearer error=invalid_token"])]);
    let client = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").layer(api.clone());
    let response = client.oneshot(get("https://elsewhere.test/x")).await.expect("a response");
    assert_eq!(response.status(), 401);
    assert_eq!((outcome(response.extensions()).as_str(), tokens.fetches(), api.seen().len()), ("-", 0, 1));
}

#[tokio::test]
async fn r1_a_callers_own_authorization_is_left_alone() {
    for own in ["Basic eDp5", "Bearer own", ""] {
        let tokens = Numbered::new();
        let api = Script::new([Answer::challenges(401, &["Bearer error=invalid_token"])]);
        let client = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").layer(api.clone());
        let mut request = get("https://api.test/x");
        request.headers_mut().insert(AUTHORIZATION, own.parse().expect("a header value"));
        let response = client.oneshot(request).await.expect("a response");
        assert_eq!(response.status(), 401, "{own}");
        assert_eq!(api.authorizations(), [own], "sent once, as it was");
        assert_eq!(tokens.fetches(), 0, "{own}");
    }
}

#[tokio::test]
async fn r1_a_callers_own_authorization_is_refused_if_so_set() {
    let layer = layer(API).refuse_caller_authorization();
    let mut request = get("https://api.test/x");
    request.headers_mut().append(AUTHORIZATION, "Bearer own".parse().expect("a header value"));
    request.headers_mut().append(AUTHORIZATION, "Bearer other".parse().expect("a header value"));
    assert_eq!(sent(&layer, request).await, Err(ErrorKind::CallerAuthorization));
    assert_eq!(sent(&layer, get("https://api.test/x")).await, Ok("Bearer t0".to_owned()));

    let mut elsewhere = get("https://elsewhere.test/x");
    elsewhere.headers_mut().insert(AUTHORIZATION, "Bearer own".parse().expect("a header value"));
    assert_eq!(sent(&layer, elsewhere).await, Ok("Bearer own".to_owned()), "other origins are not ours to refuse");
}

#[tokio::test(start_paused = true)]
async fn r3_no_token_nothing_sent() {
    let tokens = Numbered::new();
    tokens.will(Next::Failure);
    let api = Script::new([]);
    let client = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").layer(api.clone());
    let error = client.clone().oneshot(get("https://api.test/x")).await.expect_err("no token");
    assert_eq!(kind(&error), ErrorKind::NoToken);
    let error = error.downcast_ref::<Error>().expect("ours");
    assert!(error.token_error().is_some_and(|cause| cause.to_string() == tests::numbered::FAILURE), "{error:?}");
    assert!(std::error::Error::source(error).is_some());
    assert!(error.to_string().contains("https://api.test") && !error.to_string().contains(tests::numbered::FAILURE));
    assert_eq!(api.seen().len(), 0, "nothing was sent");

    let elsewhere = client.oneshot(get("https://elsewhere.test/x")).await;
    assert!(elsewhere.is_ok(), "what needs no token is not held up by the lack of one");
}

#[test]
fn r3_no_runtime_no_token_nothing_sent() {
    let api = Script::new([]);
    let client = OAuthLayer::new(API, Numbered::new().cache).expect("an origin").layer(api.clone());
    let error = futures_util::FutureExt::now_or_never(client.oneshot(get("https://api.test/x")))
        .expect("it does not wait")
        .expect_err("no runtime");
    assert_eq!(kind(&error), ErrorKind::NoToken);
    assert_eq!(api.seen().len(), 0);
}

#[tokio::test]
async fn r5_no_authority_is_refused() {
    let path_only = || get("/x");
    assert_eq!(sent(&layer(API), path_only()).await, Err(ErrorKind::NoAuthority));
    let mut with_host = path_only();
    with_host.headers_mut().insert(HOST, "api.test".parse().expect("a header value"));
    assert_eq!(sent(&layer(API), with_host).await, Err(ErrorKind::NoAuthority), "`Host` is no authority");
    let asterisk = Request::options("*").body(Empty::new()).expect("a request");
    assert_eq!(sent(&layer(API), asterisk).await, Err(ErrorKind::NoAuthority));
}

#[tokio::test]
async fn r5_for_one_connection_no_authority_is_needed() {
    let on = |origin: &str| {
        OAuthLayer::for_connection(origin, TokenCache::fixed("t0").expect("a token")).expect("an origin")
    };
    let with_host = |host: &str| {
        let mut request = get("/v2/x");
        request.headers_mut().insert(HOST, host.parse().expect("a header value"));
        request
    };
    assert_eq!(sent(&on(API), get("/x")).await, Ok("Bearer t0".to_owned()));
    assert_eq!(sent(&on(API), get("https://api.test/x")).await, Ok("Bearer t0".to_owned()));
    assert_eq!(sent(&on(API), get("https://elsewhere.test/x")).await, Ok(String::new()));
    assert_eq!(sent(&on(API), with_host("API.test:443")).await, Ok("Bearer t0".to_owned()));
    assert_eq!(sent(&on(API), with_host("elsewhere.test")).await, Err(ErrorKind::HostMismatch));
    let prefixed = on("https://api.test/v2");
    assert_eq!(sent(&prefixed, get("/v2/x")).await, Ok("Bearer t0".to_owned()));
    assert_eq!(sent(&prefixed, get("/v1/x")).await, Ok(String::new()), "outside the prefix");
    assert_eq!(sent(&prefixed, get("/v2/../v1/x")).await, Err(ErrorKind::AmbiguousPath));
    // Only the connection's own origin counts, however many others there are, and whatever their order.
    let others = TokenCache::fixed("other").expect("a token");
    let two = on(API).origin("https://a-much-longer-name.test", others).expect("another origin");
    assert_eq!(sent(&two, get("/x")).await, Ok("Bearer t0".to_owned()));
    let closer = on(API).origin("https://api.test/v2", TokenCache::fixed("v2").expect("a token")).expect("another");
    assert_eq!(sent(&closer, get("/x")).await, Ok("Bearer t0".to_owned()));
    assert_eq!(sent(&closer, get("/v2/x")).await, Ok("Bearer v2".to_owned()), "the same place, only closer");
}

/// An authority without a scheme is one all the same: a server with many names goes by it.
#[tokio::test]
async fn r5_for_one_connection_another_authority_gets_no_token() {
    let layer = OAuthLayer::for_connection(API, TokenCache::fixed("t0").expect("a token")).expect("an origin");
    let connect = Request::connect("elsewhere.test:443").body(Empty::new()).expect("a request");
    assert_ne!(sent(&layer, connect).await, Ok("Bearer t0".to_owned()));
}

#[tokio::test]
async fn r5_host_must_agree_with_the_url() {
    use ErrorKind::HostMismatch;
    let token = || Ok("Bearer t0".to_owned());
    type Vector<'a> = (&'a str, &'a [&'a [u8]], Result<String, ErrorKind>);
    let vectors: &[Vector<'_>] = &[
        (API, &[], token()),
        (API, &[b"api.test"], token()),
        (API, &[b"API.TEST.:443"], token()),
        (API, &[b"api.test:80"], Err(HostMismatch)),
        (API, &[b"elsewhere.test"], Err(HostMismatch)),
        (API, &[b""], Err(HostMismatch)),
        (API, &[b"user@api.test"], Err(HostMismatch)),
        (API, &[b"api.test:x"], Err(HostMismatch)),
        (API, &[b"api.test, elsewhere.test"], Err(HostMismatch)),
        (API, &[b"api.te\xfft"], Err(HostMismatch)),
        (API, &[b"api.test", b"elsewhere.test"], Err(HostMismatch)),
        (API, &[b"api.test", b"api.test"], Err(HostMismatch)),
        ("http://[::1]:8080", &[b"[0:0::1]:8080"], token()),
        ("http://[::1]:8080", &[b"[::1]"], Err(HostMismatch)),
    ];
    for (origin, hosts, expected) in vectors {
        let mut request = get(&format!("{origin}/x"));
        for host in *hosts {
            request.headers_mut().append(HOST, http::HeaderValue::from_bytes(host).expect("a header value"));
        }
        assert_eq!(&sent(&layer(origin), request).await, expected, "{origin} {hosts:?}");
    }
    let mut elsewhere = get("https://elsewhere.test/x");
    elsewhere.headers_mut().insert(HOST, "api.test".parse().expect("a header value"));
    assert_eq!(sent(&layer(API), elsewhere).await, Ok(String::new()), "not ours to refuse");
}

#[tokio::test]
async fn r5_the_token_is_sent_once_and_marked_sensitive() {
    let api = Script::new([]);
    layer(API).layer(api.clone()).oneshot(get("https://api.test/x")).await.expect("a response");
    let seen = api.seen();
    let values: Vec<_> = seen[0].head.headers.get_all(AUTHORIZATION).iter().collect();
    assert_eq!(values, ["Bearer t0"]);
    assert!(values[0].is_sensitive());
}

#[test]
fn r5_a_token_that_would_inject_a_header_is_refused() {
    for token in ["t\r\nX-Evil: 1", "t\n", "t\0", "t t", "", "t\u{e4}", "\tt"] {
        assert!(TokenCache::fixed(token).is_err(), "{token:?}");
    }
}

#[tokio::test]
async fn r4_plain_http_beyond_loopback_needs_its_name() {
    let error = OAuthLayer::new("http://api.test", TokenCache::fixed("t0").expect("a token")).expect_err("plain http");
    assert_eq!(error.kind(), ErrorKind::Config);
    let origin = Origin::parse_allowing_plain_http("http://api.test").expect("it is allowed");
    let layer = OAuthLayer::new(origin, TokenCache::fixed("t0").expect("a token")).expect("an origin");
    assert_eq!(sent(&layer, get("http://api.test/x")).await, Ok("Bearer t0".to_owned()));
    assert_eq!(sent(&layer, get("https://api.test/x")).await, Ok(String::new()));
}

/// No panic on any input: a header map has an end.
#[tokio::test]
async fn r3_a_request_with_no_room_for_a_token_is_refused() {
    let mut request = get("https://api.test/x");
    for number in 0..40_000 {
        let name = http::HeaderName::try_from(format!("x-{number}")).expect("a name");
        if request.headers_mut().try_insert(name, http::HeaderValue::from_static("1")).is_err() {
            break;
        }
    }
    assert_eq!(sent(&layer(API), request).await, Err(ErrorKind::TooManyHeaders));
}
