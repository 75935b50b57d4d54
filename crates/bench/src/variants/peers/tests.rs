//! That those which are said to retry do: what is measured is a path that can.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use tower::Service;

use super::*;

/// A server that rejects the first token it sees, with a challenge.
#[derive(Clone, Debug, Default)]
struct Rejecting {
    seen: Arc<Mutex<Vec<HeaderValue>>>,
}

impl End for Rejecting {
    fn answer(&self, headers: impl FnOnce() -> HeaderMap) -> StatusCode {
        let mut seen = self.seen.lock().expect("nobody panics with it");
        seen.extend(headers().get(AUTHORIZATION).cloned());
        if seen.first() == seen.last() { StatusCode::UNAUTHORIZED } else { StatusCode::OK }
    }
}

impl Service<Request<Body>> for Rejecting {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut response = Response::new(Body::default());
        *response.status_mut() = self.answer(|| request.headers().clone());
        let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        ready(Ok(response))
    }
}

type Make = fn(&Tokens, &Setting, Rejecting) -> Result<Box<dyn Variant>, BoxError>;

const RETRYING: &[(&str, Make)] = &[
    ("huskarl-clone", |tokens, setting, end| huskarl::variant::<true, _>(tokens, setting.shape, end)),
    ("cf-gears-refresh", |tokens, setting, end| cf_gears::refreshing(tokens, setting, end)),
    ("azure-core", |tokens, setting, end| azure::variant(tokens, setting.shape, end)),
    ("reqwest-middleware-retry", |tokens, setting, end| middleware::variant::<true, _>(tokens, setting.shape, end)),
];

fn seen_by_server(make: Make, shape: Shape) -> Vec<String> {
    let tokens = Tokens::new(vec!["first".into(), "second".into()]);
    let server = Rejecting::default();
    let setting = Setting { shape, token: String::new() };
    make(&tokens, &setting, server.clone()).expect("a variant").batch(1);
    let seen = server.seen.lock().expect("nobody panics with it");
    seen.iter().map(|value| value.to_str().expect("text").to_owned()).collect()
}

#[test]
fn all_that_can_retry_send_another_token_after_a_401() {
    for shape in Shape::ALL {
        for (name, make) in RETRYING {
            assert_eq!(seen_by_server(*make, shape), ["Bearer first", "Bearer second"], "{name}");
        }
    }
}

#[test]
fn the_others_send_once() {
    let once: [Make; 2] = [
        |tokens, setting, end| huskarl::variant::<false, _>(tokens, setting.shape, end),
        |tokens, setting, end| middleware::variant::<false, _>(tokens, setting.shape, end),
    ];
    for make in once {
        assert_eq!(seen_by_server(make, Shape::Post5), ["Bearer first"]);
    }
}

#[test]
fn what_is_said_to_retry_is_tested_to_retry() {
    let said: Vec<_> = ENTRIES.iter().filter(|entry| entry.retries).map(|entry| entry.name).collect();
    let tested: Vec<_> = RETRYING.iter().map(|(name, _)| *name).collect();
    assert_eq!(said, tested);
}
