//! The three ways through the layer are one: whatever comes, the same becomes of it through the tower service over
//! `http::Request`, through the tower service over reqwest, and through the middleware.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http::{Extensions, Request, Response, StatusCode, header::WWW_AUTHENTICATE};
use http_body::Frame;
use http_body_util::{BodyExt, Either, Full, StreamBody, combinators::UnsyncBoxBody};
use oauth_test_server::{Endpoint, Fault, TestServer};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use reqwest_middleware::ClientBuilder;
use tests::{
    numbered::{Next, Numbered},
    script::outcome,
    steps::{guarded, settle},
    wire::reqwest_client,
};
use tokio::runtime::Runtime;
use tower::{Layer, ServiceExt};
use tower_oauth::OAuthLayer;

#[derive(Clone, Debug)]
struct Case {
    /// How the first answer, and the second if there is one, looks; then all is well.
    answers: Vec<(u16, Vec<&'static str>)>,
    body: Kind,
    renewal: Next,
    own_authorization: bool,
    renew_on_other_schemes: bool,
    never_retry: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Value,
    Stream,
}

/// What became of it, as far as the caller and the servers can tell.
#[derive(Debug, PartialEq)]
struct Outcome {
    status: u16,
    told: String,
    body: Bytes,
    challenges: usize,
    sent: Vec<(Option<String>, Bytes)>,
    fetches: u64,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Http,
    Reqwest,
    Middleware,
}

const CHALLENGES: &[&str] = &[
    "Bearer",
    "Bearer error=\"invalid_token\"",
    "Bearer error=\"insufficient_scope\", scope=\"x\"",
    "Bearer error=invalid_request",
    "DPoP error=\"use_dpop_nonce\"",
    "Basic realm=\"x\"",
    "Negotiate, Basic realm=\"Bearer\"",
    "Bearer realm=\"open",
    "",
];

fn any_case() -> impl Strategy<Value = Case> {
    let status = prop_oneof![6 => Just(401_u16), 1 => Just(200), 1 => Just(403), 1 => Just(500)];
    let challenges = prop::collection::vec(prop::sample::select(CHALLENGES), 0..3);
    let answers = prop::collection::vec((status, challenges), 1..3);
    let body = prop_oneof![3 => Just(Kind::Value), 1 => Just(Kind::Stream)];
    let renewal = prop_oneof![3 => Just(Next::New), 1 => Just(Next::Same), 1 => Just(Next::Failure)];
    let seldom = || prop::bool::weighted(0.15);
    (answers, body, renewal, seldom(), seldom(), seldom()).prop_map(
        |(answers, body, renewal, own_authorization, renew_on_other_schemes, never_retry)| Case {
            answers,
            body,
            renewal,
            own_authorization,
            renew_on_other_schemes,
            never_retry,
        },
    )
}

async fn run(server: &TestServer, client: &reqwest::Client, case: &Case, way: Way) -> Outcome {
    server.clear_requests();
    server.api_faults().clear();
    for (status, challenges) in &case.answers {
        let mut response = Response::new(Bytes::from(format!("answer {status}")));
        *response.status_mut() = StatusCode::from_u16(*status).expect("a status");
        for challenge in challenges {
            response.headers_mut().append(WWW_AUTHENTICATE, challenge.parse().expect("a header value"));
        }
        server.api_faults().push(1, Fault::Raw(response));
    }
    let tokens = Numbered::new();
    tokens.cache.ready().await.expect("a token");
    tokens.will(case.renewal);
    let mut layer = OAuthLayer::new(server.api_origin(), tokens.cache.clone()).expect("an origin");
    if case.renew_on_other_schemes {
        layer = layer.renew_on_other_schemes();
    }
    if case.never_retry {
        layer = layer.never_retry();
    }
    let (status, headers, extensions, body) = match way {
        Way::Http => {
            let response = layer.layer(server.api_service()).oneshot(http_request(server, case)).await.expect("sent");
            let (head, body) = response.into_parts();
            (head.status, head.headers, head.extensions, body.collect().await.expect("a body").to_bytes())
        }
        Way::Reqwest => {
            let response = layer.layer(client.clone()).oneshot(reqwest_request(server, case)).await.expect("sent");
            taken_apart(response).await
        }
        Way::Middleware => {
            let client = ClientBuilder::new(client.clone()).with(layer.middleware()).build();
            taken_apart(client.execute(reqwest_request(server, case)).await.expect("sent")).await
        }
    };
    // A renewal that nobody waits for, as after a stream, ends too.
    guarded(async {
        while tokens.cache.status().renewing {
            settle().await;
        }
    })
    .await;
    let sent = server.requests_to(Endpoint::Api);
    Outcome {
        status: status.as_u16(),
        told: outcome(&extensions),
        body,
        challenges: headers.get_all(WWW_AUTHENTICATE).iter().count(),
        sent: sent.iter().map(|seen| (seen.bearer_token().map(str::to_owned), seen.body.clone())).collect(),
        fetches: tokens.fetches(),
    }
}

async fn taken_apart(mut response: reqwest::Response) -> (StatusCode, http::HeaderMap, Extensions, Bytes) {
    let extensions = std::mem::take(response.extensions_mut());
    (response.status(), response.headers().clone(), extensions, response.bytes().await.expect("a body"))
}

type AnyBody = Either<Full<Bytes>, UnsyncBoxBody<Bytes, io::Error>>;

fn pieces() -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send {
    stream::iter(["the ", "body"].map(|piece| Ok(Bytes::from(piece))))
}

/// Under `/public` the API takes any token, and echoes.
fn http_request(server: &TestServer, case: &Case) -> Request<AnyBody> {
    let body = match case.body {
        Kind::Value => Either::Left(Full::from("the body")),
        Kind::Stream => {
            use futures_util::StreamExt;
            Either::Right(StreamBody::new(pieces().map(|piece| piece.map(Frame::data))).boxed_unsync())
        }
    };
    let mut request = Request::post(server.api_url("/public/echo")).body(body).expect("a request");
    if case.own_authorization {
        request.headers_mut().insert("authorization", "Bearer own".parse().expect("a header value"));
    }
    request
}

fn reqwest_request(server: &TestServer, case: &Case) -> reqwest::Request {
    let url = server.api_url("/public/echo").parse().expect("a URL");
    let mut request = reqwest::Request::new(reqwest::Method::POST, url);
    *request.body_mut() = Some(match case.body {
        Kind::Value => reqwest::Body::from("the body"),
        Kind::Stream => reqwest::Body::wrap_stream(pieces()),
    });
    if case.own_authorization {
        request.headers_mut().insert("authorization", "Bearer own".parse().expect("a header value"));
    }
    request
}

#[test]
fn r6_the_same_becomes_of_a_request_whichever_way_it_goes() {
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime.block_on(TestServer::start()).expect("sockets");
    let client = reqwest_client();
    let mut runner = TestRunner::new(Config { cases: 96, failure_persistence: None, ..Config::default() });
    let result = runner.run(&any_case(), |case| {
        let [http, reqwest, middleware] = [Way::Http, Way::Reqwest, Way::Middleware]
            .map(|way| runtime.block_on(guarded(run(&server, &client, &case, way))));
        prop_assert_eq!(&http, &reqwest, "http, and reqwest as a service");
        prop_assert_eq!(&http, &middleware, "http, and the middleware");
        // And it is the right thing, as far as that can be said in a line or two.
        prop_assert!(http.sent.len() <= 2);
        prop_assert!(http.sent.iter().all(|(_, body)| body == "the body"));
        prop_assert_eq!(http.told == "Retried", http.sent.len() == 2);
        prop_assert_eq!(http.told == "-", case.own_authorization || case.answers[0].0 != 401);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
