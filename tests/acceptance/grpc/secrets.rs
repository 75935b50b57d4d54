//! S1: statuses, events and what is printed of a channel show no secret.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response};
use tests::{
    canned::{Canned, json, token},
    capture::Capture,
    grpc::{GREET, greeter::greeter_client::GreeterClient, name, raw},
    steps::{API, guarded},
    support::shown,
};
use tonic::{Status, body::Body};
use tower::ServiceExt;
use tower_oauth::{
    OAuthLayer, RetryOutcome,
    oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient, TokenCache},
};

use super::refused;

/// What every planted secret holds.
const MARK: &str = "pl4nt3d";
const SECRET: &str = "pl4nt3d-client-secret";

fn tokens_over(http: HttpClient) -> TokenCache {
    AuthorizationServer::via(http)
        .token_endpoint("https://id.test/token")
        .and_then(|server| server.client("m2m", ClientAuth::secret_post(SECRET)))
        .and_then(|client| client.client_credentials().cached())
        .expect("a request")
}

/// An authorization server that repeats what it was sent.
fn echoing() -> Canned {
    Canned::new(|request| {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        json(401, serde_json::json!({ "error": "invalid_client", "error_description": body }).to_string())
    })
}

/// Everything that anybody could print.
struct Heard {
    capture: Capture,
    texts: Vec<String>,
}

impl Heard {
    fn start() -> Self {
        Self { capture: Capture::start(), texts: Vec::new() }
    }

    fn status(&mut self, status: &Status) {
        self.texts.push(format!("{status}\n{}\n{:?}", status.message(), status.metadata()));
        self.texts.push(shown(status));
    }

    fn value(&mut self, value: &dyn std::fmt::Debug) {
        self.texts.push(format!("{value:?}\n{value:#?}"));
    }

    #[track_caller]
    fn assert_no_secret(&self) {
        let leak = self.texts.iter().cloned().chain(self.capture.lines()).find(|text| text.contains(MARK));
        assert_eq!(leak, None, "a secret shows");
    }
}

#[tokio::test(start_paused = true)]
async fn s1_no_status_of_ours_shows_a_secret() {
    let mut heard = Heard::start();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let below = tower::service_fn({
        let seen = Arc::clone(&seen);
        move |request: Request<Body>| {
            seen.lock().expect("a log").push(format!("{request:?}"));
            async { Ok::<_, Status>(refused()) }
        }
    });

    // No token: the authorization server repeats the secret, or never answers.
    let echo = OAuthLayer::for_connection(API, tokens_over(echoing().http())).expect("an origin");
    heard.status(&echo.grpc(below.clone()).oneshot(raw(GREET, &[])).await.expect_err("no token"));
    let never = tower::service_fn(|_: Request<http_body_util::Full<bytes::Bytes>>| {
        std::future::pending::<Result<Response<String>, std::io::Error>>()
    });
    let stuck = OAuthLayer::for_connection(API, tokens_over(HttpClient::new(never))).expect("an origin");
    for timeout in [Some("1S"), None] {
        let headers: Vec<_> = timeout.iter().map(|timeout| ("grpc-timeout", *timeout)).collect();
        let call = stuck.grpc(below.clone()).oneshot(raw("/greeter.Greeter/Greet?key=pl4nt3d", &headers));
        heard.status(&guarded(call).await.expect_err("no token"));
    }
    // Refused.
    let fixed = TokenCache::fixed("pl4nt3d-token").expect("a token");
    let layer = OAuthLayer::for_connection(API, fixed.clone()).expect("an origin").refuse_caller_authorization();
    let plain = OAuthLayer::new(API, fixed).expect("an origin");
    for (layer, headers) in [
        (&layer, vec![("authorization", "Bearer pl4nt3d-of-the-caller")]),
        (&layer, vec![("host", "pl4nt3d.test")]),
        (&plain, vec![("x-key", "pl4nt3d")]),
    ] {
        let call = layer.grpc(below.clone()).oneshot(raw("/greeter.Greeter/Greet?key=pl4nt3d", &headers));
        heard.status(&call.await.expect_err("refused"));
    }
    assert!(seen.lock().expect("a log").is_empty(), "nothing was sent");
    heard.assert_no_secret();
}

#[tokio::test(start_paused = true)]
async fn s1_calls_that_are_made_again_show_no_secret() {
    let mut heard = Heard::start();
    let issued = Mutex::new(0);
    let canned = Canned::new(move |request| {
        let mut issued = issued.lock().expect("a count");
        *issued += 1;
        match *issued {
            1 => token("pl4nt3d-first"),
            2 => token("pl4nt3d-second"),
            _ => json(400, String::from_utf8_lossy(request.body()).into_owned()),
        }
    });
    let layer = OAuthLayer::for_connection(API, tokens_over(canned.http())).expect("an origin");
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let below = tower::service_fn({
        let seen = Arc::clone(&seen);
        move |request: Request<Body>| {
            seen.lock().expect("a log").push(format!("{request:?} {:?}", request.headers()));
            async { Ok::<_, Status>(refused()) }
        }
    });
    let channel = layer.grpc(below);
    let future = channel.clone().oneshot(raw(GREET, &[("grpc-timeout", "5S")]));
    heard.value(&future);
    for _ in 0..3 {
        let response = guarded(channel.clone().oneshot(raw(GREET, &[]))).await.expect("a response");
        heard.value(&response);
        match response.extensions().get::<RetryOutcome>().expect("an outcome") {
            RetryOutcome::NotRetried(tower_oauth::NotRetried::NotRenewed(error)) => heard.texts.push(shown(error)),
            outcome => heard.value(outcome),
        }
    }
    heard.status(&GreeterClient::new(channel).greet(name("Ada")).await.expect_err("refused"));
    for text in seen.lock().expect("a log").iter() {
        assert!(text.contains("authorization"), "the call carried a token: {text}");
        heard.texts.push(text.clone());
    }
    heard.value(&layer);
    heard.assert_no_secret();
    assert!(heard.capture.text().contains("tower_oauth"), "the layer says something");
}

/// A channel and its clients can be printed, with all that they hold.
#[tokio::test]
async fn s1_a_channel_shows_no_token() {
    let mut heard = Heard::start();
    let tokens = TokenCache::fixed("pl4nt3d-token").expect("a token");
    let channel = tonic::transport::Channel::from_static("https://api.test").connect_lazy();
    let channel = OAuthLayer::for_connection(API, tokens).expect("an origin").grpc(channel);
    heard.value(&channel);
    let mut client = GreeterClient::new(channel);
    let mut request = tonic::Request::new(name("Ada"));
    request.set_timeout(Duration::from_millis(1));
    heard.status(&client.greet(request).await.expect_err("nobody is there"));
    heard.assert_no_secret();
}
