//! What the layer says: errors, outcomes, events, and the requests it passes on.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use oauth_test_server::{Fault, TestServer};
use oauth_tokens::{AuthorizationServer, ClientAuth, TokenCache};
use tests::{
    canned::{Canned, json},
    support::shown,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_oauth::{OAuthLayer, RetryOutcome};

use super::{ACCESS, CLIENT_SECRET, Heard, MARK, RENEWED, client};

const API: &str = "https://api.test";

/// A token, then another, then echoes of all that is sent.
fn tokens() -> (Canned, TokenCache) {
    let issued = Mutex::new(0);
    let canned = Canned::new(move |request| {
        let mut issued = issued.lock().expect("a count");
        *issued += 1;
        let answer = |token| serde_json::json!({ "access_token": token, "token_type": "Bearer" }).to_string();
        match *issued {
            1 => json(200, answer(ACCESS)),
            2 => json(200, answer(RENEWED)),
            _ => {
                let body = String::from_utf8_lossy(request.body()).into_owned();
                json(401, serde_json::json!({ "error": "invalid_client", "error_description": body }).to_string())
            }
        }
    });
    let cache = client(canned.http(), ClientAuth::secret_post(CLIENT_SECRET)).client_credentials().cached();
    (canned, cache.expect("a request"))
}

/// An API that rejects everything, repeats the token in its challenge, and keeps what it saw as a log would show it.
fn hostile(
    seen: &Arc<Mutex<Vec<String>>>,
    challenge: &'static str,
) -> impl Service<Request<Full<Bytes>>, Response = Response<String>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    let seen = seen.clone();
    service_fn(move |request: Request<Full<Bytes>>| {
        seen.lock().expect("a log").push(format!("{request:?}"));
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let challenge = challenge.replace("{token}", token.unwrap_or("none"));
        async move {
            let response = Response::builder().status(StatusCode::UNAUTHORIZED);
            Ok(response.header(header::WWW_AUTHENTICATE, challenge).body(String::new()).expect("a response"))
        }
    })
}

fn request(uri: &str) -> Request<Full<Bytes>> {
    Request::post(uri).body(Full::from("body")).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn s1_rejections_that_repeat_the_token_show_it_nowhere() {
    let challenges = [
        "Bearer error=\"invalid_token\", error_description=\"{token}\"",
        "Bearer error=\"{token}\"",
        "Bearer realm=\"{token}\", error=\"insufficient_scope\", scope=\"{token}\"",
        "Basic realm=\"{token}\"",
        "{token}",
        "Bearer error=\"invalid_request\"",
    ];
    for challenge in challenges {
        let mut heard = Heard::start();
        let seen = Arc::default();
        let (canned, cache) = tokens();
        let layer = OAuthLayer::new(API, cache.clone()).expect("a layer");
        for layer in [layer.clone(), layer.clone().never_retry(), layer.renew_on_other_schemes()] {
            for _ in 0..3 {
                let service = layer.layer(hostile(&seen, challenge));
                let response = service.oneshot(request("https://api.test/orders?x=1")).await.expect("a response");
                let outcome = response.extensions().get::<RetryOutcome>().expect("an outcome");
                heard.value(outcome);
                if let RetryOutcome::NotRetried(tower_oauth::NotRetried::NotRenewed(error)) = outcome {
                    heard.error(error);
                }
            }
            heard.value(&layer);
        }
        for text in seen.lock().expect("a log").iter() {
            assert!(text.contains("authorization"), "the request carried a token: {text}");
            heard.text(text);
        }
        heard.forbid_credentials_of(&canned.requests());
        heard.assert_no_secret();
        assert!(heard.capture.text().contains("tower_oauth"), "the layer says something: {}", heard.capture.text());
    }
}

#[tokio::test(start_paused = true)]
async fn s1_requests_that_are_refused_show_no_secret() {
    let mut heard = Heard::start();
    let seen = Arc::default();
    let service = |layer: &OAuthLayer| layer.layer(hostile(&seen, "Bearer"));

    // No token: the authorization server repeats the secret.
    let body = serde_json::json!({ "error": "invalid_client", "error_description": CLIENT_SECRET }).to_string();
    let down = client(Canned::always(json(401, body)).http(), ClientAuth::secret_basic(CLIENT_SECRET));
    let layer = OAuthLayer::new(API, down.client_credentials().cached().expect("a request")).expect("a layer");
    let error = service(&layer).oneshot(request("https://api.test/?key=pl4nt3d-key")).await.expect_err("no token");
    assert!(shown(&*error).contains("invalid_client"));
    heard.error(&*error);

    let layer = OAuthLayer::new(API, TokenCache::fixed(ACCESS).expect("a token")).expect("a layer");
    let mut own = request("https://api.test/?key=pl4nt3d-key");
    own.headers_mut().insert(header::AUTHORIZATION, header::HeaderValue::from_static("Bearer pl4nt3d-of-the-caller"));
    let mut host = request("https://api.test/?key=pl4nt3d-key");
    host.headers_mut().insert(header::HOST, header::HeaderValue::from_static("pl4nt3d.test"));
    let none = OAuthLayer::selecting([API], |_| None).expect("a layer");
    let refusing = layer.clone().refuse_caller_authorization();
    let cases = [
        (&refusing, own),
        (&layer, host),
        (&layer, request("/no-authority?key=pl4nt3d-key")),
        (&none, request("https://api.test/?key=pl4nt3d-key")),
    ];
    for (layer, request) in cases {
        heard.error(&*service(layer).oneshot(request).await.expect_err("refused"));
    }
    // Building: origins named twice, tokens shared unknowingly.
    let cache = TokenCache::fixed(ACCESS).expect("a token");
    let layer = OAuthLayer::new(API, cache.clone()).expect("a layer");
    heard.error(&layer.clone().origin(API, TokenCache::fixed(RENEWED).expect("a token")).expect_err("named twice"));
    heard.error(&layer.origin("https://other.test", cache).expect_err("shared"));
    heard.assert_no_secret();
    assert!(seen.lock().expect("a log").is_empty(), "nothing was sent");
}

#[tokio::test]
async fn s1_reqwest_with_the_layer_shows_no_secret_at_trace() {
    let server = TestServer::start().await.expect("sockets");
    server.set_secret("m2m", CLIENT_SECRET);
    let mut heard = Heard::start();
    let cache = AuthorizationServer::issuer(server.issuer())
        .and_then(|at| at.client("m2m", ClientAuth::secret_basic(CLIENT_SECRET)))
        .and_then(|client| client.client_credentials().scope("api").cached())
        .expect("a request");
    let layer = OAuthLayer::new(server.api_origin(), cache.clone()).expect("a layer");
    let api = layer.reqwest(reqwest::Client::builder()).expect("a client");
    heard.value(&(&layer, &api, layer.middleware()));

    let response = api.get(server.api_url("/orders")).send().await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
    heard.value(&response);
    heard.forbidden.push(cache.cached().expect("a token").secret().to_owned());
    server.revoke_access_tokens();
    let response = api.post(server.api_url("/orders")).body("x").send().await.expect("a response");
    assert!(matches!(response.extensions().get(), Some(RetryOutcome::Retried)));
    heard.value(&response.extensions().get::<RetryOutcome>());
    heard.forbidden.push(cache.cached().expect("a token").secret().to_owned());

    server.api_faults().push(1, Fault::Disconnect);
    heard.error(&api.get(server.api_url("/orders")).send().await.expect_err("a broken connection"));
    server.set_secret("m2m", "changed");
    server.revoke_access_tokens();
    let response = api.get(server.api_url("/orders")).send().await.expect("the original response");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    heard.value(&response.extensions().get::<RetryOutcome>());
    heard.assert_no_secret();
    assert!(!heard.capture.text().contains(MARK));
}
