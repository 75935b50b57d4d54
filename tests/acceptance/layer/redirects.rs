//! R13: `OAuthLayer::reqwest` follows redirects above the layer. What counts is what the servers got.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE},
};
use oauth_test_server::{Endpoint, Fault, RecordedRequest, TestServer};
use reqwest::Method;
use reqwest_middleware::ClientWithMiddleware;
use tests::{
    script::outcome,
    wire::{redirect_url, tokens_of},
};
use tower_oauth::{Error, ErrorKind, OAuthLayer, oauth_tokens::TokenCache};

/// An API with tokens, another server that is none of the layer's, and the client.
struct World {
    api: TestServer,
    other: TestServer,
    tokens: TokenCache,
    client: ClientWithMiddleware,
}

async fn world() -> World {
    let api = TestServer::start().await.expect("sockets");
    let other = TestServer::start().await.expect("sockets");
    let tokens = tokens_of(&api);
    let layer = OAuthLayer::new(api.api_origin(), tokens.clone()).expect("an origin");
    // What the builder says of redirects does not count.
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::limited(3));
    World { client: layer.reqwest(builder).expect("a client"), api, other, tokens }
}

fn got(server: &TestServer) -> Vec<RecordedRequest> {
    server.requests_to(Endpoint::Api)
}

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

#[tokio::test]
async fn r13_within_the_origin_each_hop_has_the_token() {
    for status in STATUSES {
        let World { api, client, tokens, .. } = world().await;
        let response = client.get(redirect_url(&api, "", status, "/things?x=1")).send().await.expect("a response");
        assert_eq!(
            (response.status().as_u16(), response.url().as_str()),
            (200, &*api.api_url("/things?x=1")),
            "{status}"
        );
        let hops = got(&api);
        assert_eq!(hops.len(), 2, "{status}");
        assert!(hops.iter().all(|hop| hop.bearer_token().is_some()), "{status}");
        assert_eq!(tokens.status().renewals, 1);
    }
}

#[tokio::test]
async fn r13_out_of_the_origin_neither_token_nor_cookies_nor_credentials_follow() {
    for status in STATUSES {
        let World { api, other, client, tokens, .. } = world().await;
        let request = client
            .get(redirect_url(&api, "", status, &other.api_url("/public/x")))
            .header(COOKIE, "session=s")
            .header("proxy-authorization", "Basic eDp5")
            .header("x-kept", "1");
        let response = request.send().await.expect("a response");
        assert_eq!(
            (response.status().as_u16(), response.url().as_str()),
            (200, &*other.api_url("/public/x")),
            "{status}"
        );
        let [hop] = &got(&other)[..] else { panic!("one request, {status}") };
        for header in [AUTHORIZATION, COOKIE, http::header::PROXY_AUTHORIZATION] {
            assert_eq!(hop.headers.get(&header), None, "{status}: {header} must not follow");
        }
        assert_eq!(hop.headers["x-kept"], "1");
        assert_eq!(hop.headers["host"], other.api_origin().trim_start_matches("http://"));
        let token = tokens.token().await.expect("a token");
        assert!(!format!("{hop:?}").contains(token.secret()), "the token is nowhere in it");
        assert_eq!(got(&api)[0].headers[COOKIE], "session=s");
    }
}

#[tokio::test]
async fn r13_back_into_the_origin_the_token_is_put_on_again() {
    for status in STATUSES {
        let World { api, other, client, .. } = world().await;
        let back = redirect_url(&other, "/public", status, &api.api_url("/end"));
        let response = client.get(redirect_url(&api, "", status, &back)).send().await.expect("a response");
        assert_eq!((response.status().as_u16(), response.url().as_str()), (200, &*api.api_url("/end")));
        assert_eq!(got(&other)[0].headers.get(AUTHORIZATION), None);
        let tokens: Vec<_> = got(&api).iter().map(|hop| hop.bearer_token().map(str::to_owned)).collect();
        assert_eq!((tokens.len(), tokens[0].is_some()), (2, true));
        assert_eq!(tokens[0], tokens[1]);
    }
}

/// Reqwest puts default headers on again after each redirect: credentials among them are refused where they are given.
#[tokio::test]
async fn r13_a_builder_with_default_credentials_is_refused() {
    let layer = OAuthLayer::new("https://api.test", TokenCache::fixed("t0").expect("a token")).expect("an origin");
    let with = |name: HeaderName, sensitive: bool| {
        let mut value = HeaderValue::from_static("s3cret");
        value.set_sensitive(sensitive);
        reqwest::Client::builder().default_headers([(name, value)].into_iter().collect())
    };
    for name in [AUTHORIZATION, COOKIE, http::header::PROXY_AUTHORIZATION] {
        for sensitive in [false, true] {
            let error = layer.reqwest(with(name.clone(), sensitive)).expect_err("it would follow to any origin");
            assert_eq!(error.kind(), ErrorKind::Config, "{name}");
            assert!(error.to_string().contains(name.as_str()) && !format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
    layer.reqwest(with(http::header::USER_AGENT, false)).expect("no credential");
    let talks_of_them = r#"x", "authorization": "x", "cookie": "x"#;
    let mut defaults = http::HeaderMap::new();
    defaults.insert("x-authorization", HeaderValue::from_static(talks_of_them));
    let builder = reqwest::Client::builder().user_agent(talks_of_them).default_headers(defaults);
    layer.reqwest(builder).expect("no credential either");
}

/// Nobody but the caller changes anything at an origin that has a token: what is not safe is not followed into it.
#[tokio::test]
async fn r13_from_elsewhere_only_safe_methods_are_followed_into_the_origin() {
    for status in STATUSES {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE] {
            let World { api, other, client, .. } = world().await;
            let url = redirect_url(&other, "/public", status, &api.api_url("/end"));
            let response = client.request(method.clone(), url).send().await.expect("a response");
            let arrived = got(&api);
            let becomes_get = status == 303 || (status < 303 && method == Method::POST);
            if method.is_safe() || becomes_get {
                assert_eq!((response.status().as_u16(), arrived.len()), (200, 1), "{method} {status}");
                assert!(arrived[0].method.is_safe(), "{method} {status}");
            } else {
                assert_eq!((response.status().as_u16(), arrived.len()), (status, 0), "{method} {status}");
            }
        }
    }
}

/// A caller's deadline is for the whole call, as it is reqwest's own.
#[tokio::test]
async fn r13_a_deadline_counts_all_hops() {
    let World { api, client, .. } = world().await;
    for _ in 0..10 {
        api.api_faults().push(1, Fault::Delay(Duration::from_millis(200)));
    }
    let mut url = api.api_url("/end");
    for _ in 0..5 {
        url = redirect_url(&api, "/public", 307, &url);
    }
    let error = client.get(url).timeout(Duration::from_millis(500)).send().await.expect_err("five hops take a second");
    assert!(matches!(&error, reqwest_middleware::Error::Reqwest(error) if error.is_timeout()), "{error:?}");
    assert!(got(&api).len() <= 3, "{}", got(&api).len());
}

/// A caller's own credentials do not follow either, and are not replaced by ours on the way.
#[tokio::test]
async fn r13_a_callers_own_authorization_stays_within_the_origin() {
    let World { api, other, client, .. } = world().await;
    api.api_faults().push(1, redirect(307, "/within"));
    api.api_faults().push(1, redirect(307, &other.api_url("/public/x")));
    let response = client.get(api.api_url("/x")).bearer_auth("own").send().await.expect("a response");
    assert_eq!(response.status(), 200);
    assert!(got(&api).iter().all(|hop| hop.bearer_token() == Some("own")));
    assert_eq!(got(&other)[0].headers.get(AUTHORIZATION), None);
}

/// Method and body change as reqwest itself changes them (RFC 9110, section 15.4).
#[tokio::test]
async fn r13_methods_and_bodies_as_reqwest_has_them() {
    for status in STATUSES {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE] {
            let World { api, other, client, .. } = world().await;
            let plain = reqwest::Client::builder().no_proxy().build().expect("a client");
            for to in ["/public/end".to_owned(), other.api_url("/public/end")] {
                let url = redirect_url(&api, "/public", status, &to);
                let body = (method != Method::GET && method != Method::HEAD).then_some("body");
                let mut ends = Vec::new();
                for ours in [true, false] {
                    let builder = |text: Option<&'static str>| {
                        let mut request = plain.request(method.clone(), &url).header("x-kept", "1");
                        if let Some(text) = text {
                            request = request.header(CONTENT_TYPE, "text/plain").body(text);
                        }
                        request.build().expect("a request")
                    };
                    let response = match ours {
                        true => client.execute(builder(body)).await.expect("a response"),
                        false => plain.execute(builder(body)).await.expect("a response"),
                    };
                    assert_eq!(response.status(), 200, "{method} {status}");
                    let end = got(&api).into_iter().chain(got(&other)).find(|hop| hop.uri.path() == "/public/end");
                    let end = end.expect("it got there");
                    let header = |name| end.headers.get(name).cloned();
                    ends.push((
                        end.method.clone(),
                        end.body.clone(),
                        header(&CONTENT_TYPE),
                        header(&CONTENT_LENGTH),
                        end.headers["x-kept"].clone(),
                    ));
                    api.clear_requests();
                    other.clear_requests();
                }
                assert_eq!(ends[0], ends[1], "{method} {status}: ours, and reqwest's");
            }
        }
    }
}

#[tokio::test]
async fn r13_a_401_elsewhere_is_no_word_about_our_token() {
    let World { api, other, client, tokens } = world().await;
    let response = client.get(redirect_url(&api, "", 302, &other.api_url("/x"))).send().await.expect("a response");
    assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (401, "-"));
    tests::steps::settle().await;
    assert_eq!((tokens.status().renewals, got(&api).len(), got(&other).len()), (1, 1, 1));
}

#[tokio::test]
async fn r13_a_401_behind_a_redirect_is_retried_there_and_not_from_the_start() {
    let World { api, client, tokens, .. } = world().await;
    let url = redirect_url(&api, "", 307, "/end");
    tokens.ready().await.expect("a token");
    api.api_faults().push(1, redirect(307, "/end"));
    api.api_faults().push(1, Fault::challenge("Bearer error=invalid_token"));
    let response = client.post(url).body("body").send().await.expect("a response");
    assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (200, "Retried"));
    let paths: Vec<_> = got(&api).iter().map(|hop| (hop.uri.path().to_owned(), hop.body.clone())).collect();
    let body = Bytes::from("body");
    assert_eq!(
        paths,
        [("/redirect/307".to_owned(), body.clone()), ("/end".to_owned(), body.clone()), ("/end".to_owned(), body)]
    );
    assert_eq!(tokens.status().renewals, 2);
}

fn redirect(status: u16, to: &str) -> Fault {
    Fault::Raw(http::Response::builder().status(status).header("location", to).body(Bytes::new()).expect("a response"))
}

#[tokio::test]
async fn r13_ten_redirects_are_followed_and_no_more() {
    for (redirects, arrives) in [(10, true), (11, false)] {
        let World { api, client, .. } = world().await;
        api.api_faults().push(redirects, redirect(302, "/next"));
        let result = client.get(api.api_url("/x")).send().await;
        assert_eq!(got(&api).len(), 11, "{redirects}");
        match result {
            Ok(response) => assert!(arrives && response.status() == 200),
            Err(reqwest_middleware::Error::Middleware(error)) => {
                assert!(!arrives);
                let error = error.downcast_ref::<Error>().expect("ours");
                assert_eq!(error.kind(), ErrorKind::TooManyRedirects);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// What is no redirect that can be followed is the answer.
#[tokio::test]
async fn r13_other_answers_are_the_callers() {
    for fault in [
        redirect(300, "/x"),
        redirect(304, "/x"),
        redirect(305, "/x"),
        redirect(200, "/x"),
        redirect(302, "ftp://other.test/x"),
        redirect(302, "http://[::1/x"),
        redirect(302, "file:///etc/passwd"),
        redirect(302, "javascript:alert(1)"),
        Fault::Status(http::StatusCode::FOUND),
    ] {
        let World { api, client, .. } = world().await;
        api.api_faults().push(1, fault.clone());
        let response = client.get(api.api_url("/x")).send().await.expect("a response");
        assert_eq!((got(&api).len(), response.url().path()), (1, "/x"), "{fault:?}");
    }
}

/// An upload that is gone cannot follow; what needs no body can.
#[tokio::test]
async fn r13_a_stream_is_not_sent_to_the_next_place() {
    for (status, follows) in [(307, false), (308, false), (303, true), (302, true)] {
        let World { api, client, .. } = world().await;
        let body =
            futures_util::stream::iter(["a ", "stream"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece))));
        let request = client.post(redirect_url(&api, "", status, "/end")).body(reqwest::Body::wrap_stream(body));
        let response = request.send().await.expect("a response");
        assert_eq!(response.status().as_u16(), if follows { 200 } else { status });
        assert_eq!(got(&api).len(), if follows { 2 } else { 1 }, "{status}");
    }
}

/// A place whose URL names a user is none of ours, wherever it is.
#[tokio::test]
async fn r13_a_redirect_with_userinfo_gets_no_token() {
    let World { api, client, .. } = world().await;
    let to = api.api_url("/end").replace("http://", "http://user:password@");
    let response = client.get(redirect_url(&api, "", 302, &to)).send().await.expect("a response");
    assert_eq!(response.status(), 401);
    let [_, end] = &got(&api)[..] else { panic!("two requests") };
    assert_eq!(end.bearer_token(), None);
}

#[tokio::test]
async fn r13_a_builder_that_cannot_build_is_a_typed_error() {
    let layer = OAuthLayer::new("https://api.test", TokenCache::fixed("t0").expect("a token")).expect("an origin");
    let builder = reqwest::Client::builder().user_agent("a\r\nb");
    let error = layer.reqwest(builder).expect_err("no header value");
    assert_eq!(error.kind(), ErrorKind::Config);
}
