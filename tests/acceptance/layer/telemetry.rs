//! What operators see of retries: a span with OpenTelemetry's names, and a figure by what became of a request.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use http::Request;
use oauth_test_server::{Fault, TestServer};
use reqwest_middleware::ClientBuilder;
use tests::{
    capture::Capture,
    figures::Figures,
    numbered::{Next, Numbered},
    script::{Answer, Script},
    steps::{API, get, guarded, post},
    wire::reqwest_client,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_oauth::{BoxError, OAuthLayer, StepUp};
use tracing::Span;

fn layer(tokens: &Numbered) -> OAuthLayer {
    OAuthLayer::new(API, tokens.cache.clone()).expect("an origin")
}

/// What was counted meanwhile: labels and numbers.
async fn counted(calls: impl Future<Output = ()>) -> BTreeMap<String, u64> {
    let figures = Figures::of(guarded(calls)).await;
    let counts = figures.counts("oauth.request.retries").into_iter();
    counts.map(|(labels, number)| (labels.to_owned(), number)).collect()
}

fn one(fate: &str) -> BTreeMap<String, u64> {
    BTreeMap::from([(format!("outcome={fate}"), 1)])
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_a_401_is_counted() {
    let scope = "Bearer error=insufficient_scope, scope=write";
    let vectors: [(&str, Next, Vec<Answer>); 8] = [
        ("cured", Next::New, vec![Answer::status(401)]),
        ("cured", Next::New, vec![Answer::status(401), Answer::status(500)]),
        ("rejected", Next::New, vec![Answer::status(401), Answer::status(401)]),
        ("rejected", Next::New, vec![Answer::status(401), Answer::challenges(401, &[scope])]),
        ("failed", Next::New, vec![Answer::status(401), Answer::error(io::ErrorKind::ConnectionReset)]),
        ("not_renewed", Next::Same, vec![Answer::status(401)]),
        ("not_renewed", Next::Failure, vec![Answer::status(401)]),
        ("left", Next::New, vec![Answer::challenges(401, &["Basic"])]),
    ];
    for (fate, next, answers) in vectors {
        let tokens = Numbered::new();
        tokens.cache.ready().await.expect("a token");
        tokens.will(next);
        let api = Script::new(answers);
        let client = layer(&tokens).layer(api);
        let counted = counted(async { drop(client.oneshot(get("https://api.test/x")).await) }).await;
        assert_eq!(counted, one(fate), "{next:?}");
    }
}

#[tokio::test]
async fn what_is_not_sent_again_is_counted_by_its_reason() {
    let tokens = Numbered::new();
    let opaque = post("https://api.test/x", "body").map(http_body_util::BodyExt::boxed);
    let client = layer(&tokens).layer(Script::new([Answer::status(401)]));
    assert_eq!(counted(async { drop(client.oneshot(opaque).await) }).await, one("not_replayable"));
    let client = layer(&tokens).never_retry().layer(Script::new([Answer::status(401)]));
    assert_eq!(counted(async { drop(client.oneshot(get("https://api.test/x")).await) }).await, one("never"));
    // What has no token, or no 401, is not counted.
    for (url, status) in [("https://api.test/x", 200), ("https://api.test/x", 403), ("https://other.test/x", 401)] {
        let client = layer(&tokens).layer(Script::new([Answer::status(status)]));
        assert_eq!(counted(async { drop(client.oneshot(get(url)).await) }).await, BTreeMap::new(), "{url} {status}");
    }
}

/// The API's own span, whatever it is, is within that of the retry.
#[tokio::test]
async fn a_retry_has_a_span_that_says_the_how_manieth_it_is() {
    let capture = Capture::start();
    let within = Arc::new(Mutex::new(Vec::new()));
    let api =
        Script::new([Answer::status(401), Answer::challenges(403, &["Bearer error=insufficient_scope, scope=a"])]);
    let inner = service_fn({
        let within = within.clone();
        move |request: Request<http_body_util::Empty<bytes::Bytes>>| {
            let name = || Span::current().metadata().map(tracing::Metadata::name);
            let (within, api) = (within.clone(), api.clone());
            within.lock().expect("no panic").push(name());
            async move {
                within.lock().expect("no panic").push(name());
                Ok::<_, BoxError>(api.oneshot(request).await?)
            }
        }
    });
    let step_up = StepUp::new(|_, _| oauth_tokens::TokenCache::fixed("stronger").ok()).allow_scopes(["a"]);
    let client = layer(&Numbered::new()).step_up(step_up).layer(inner);
    assert_eq!(client.oneshot(get("https://api.test/x")).await.expect("a response").status(), 200);
    let retry = Some("oauth.retry");
    assert_eq!(*within.lock().expect("no panic"), [None, None, retry, retry, retry, retry]);
    let lines = capture.lines();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("oauth.retry")).map(String::as_str).collect();
    assert_eq!(
        told,
        [
            "INFO tower_oauth::telemetry span oauth.retry http.request.method=GET http.request.resend_count=1",
            "record oauth.retry http.response.status_code=403",
            "INFO tower_oauth::telemetry span oauth.retry http.request.method=GET http.request.resend_count=2",
            "record oauth.retry http.response.status_code=200",
        ]
    );
}

#[tokio::test]
async fn middleware_has_the_same_span_and_figures() {
    let capture = Capture::start();
    let server = TestServer::start().await.expect("sockets");
    let tokens = Numbered::new();
    let layer = OAuthLayer::new(server.api_origin(), tokens.cache.clone()).expect("an origin");
    let client = ClientBuilder::new(reqwest_client()).with(layer.middleware()).build();
    let url = server.api_url("/public");
    let call = async || drop(client.get(&url).send().await);
    for (faults, fate) in [
        (vec![Fault::unauthorized()], "cured"),
        (vec![Fault::unauthorized(), Fault::Disconnect], "failed"),
        (vec![Fault::unauthorized(), Fault::unauthorized()], "rejected"),
    ] {
        assert_eq!(counted(call()).await, BTreeMap::new(), "no 401; and the guard is satisfied");
        faults.into_iter().for_each(|fault| server.api_faults().push(1, fault));
        assert_eq!(counted(call()).await, one(fate));
    }
    let text = capture.text();
    assert_eq!(text.matches("http.request.resend_count=1").count(), 3);
    assert!(text.contains("record oauth.retry http.response.status_code=200"));
}

#[test]
fn figures_are_described_to_whatever_recorder_there_is() {
    tower_oauth::describe_metrics();
}
