//! The server's keys: fetched once for all, kept as long as is sane, and looked at anew for a key that is not known.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use oauth_tokens::{AuthorizationServer, ErrorKind, HttpClient};
use serde_json::json;
use tests::{
    canned::{self, Canned, status},
    steps::settle,
};
use tokio::{sync::Semaphore, time::advance};

const JWKS: &str = "https://id.test/keys";

/// A server whose keys are where we say.
fn server(canned: &Canned) -> AuthorizationServer {
    server_over(canned.http())
}

fn server_over(http: HttpClient) -> AuthorizationServer {
    AuthorizationServer::via(http).override_endpoint("jwks_uri", JWKS).issuer("https://id.test").expect("a server")
}

fn keys(ids: &[&str]) -> Response<Bytes> {
    let keys: Vec<_> = ids.iter().map(|id| json!({ "kty": "EC", "crv": "P-256", "kid": id, "alg": "ES256" })).collect();
    canned::json(200, json!({ "keys": keys }).to_string())
}

fn kept_for(mut response: Response<Bytes>, cache_control: &'static str) -> Response<Bytes> {
    response.headers_mut().insert("cache-control", HeaderValue::from_static(cache_control));
    response
}

#[tokio::test]
async fn jwks_are_found_by_the_metadata() {
    let canned = Canned::new(|request| match request.uri().path() {
        "/keys" => keys(&["k1"]),
        _ => canned::json(200, json!({ "issuer": "https://id.test", "jwks_uri": JWKS }).to_string()),
    });
    let server = AuthorizationServer::via(canned.http()).issuer("https://id.test").expect("a server");
    let set = server.jwks().await.expect("keys");
    assert_eq!((set.len(), set.is_empty()), (1, false));
    let request = &canned.requests()[1];
    assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("GET", JWKS));
    assert!(request.headers().get("authorization").is_none());
}

#[tokio::test]
async fn jwks_are_what_the_server_says_and_public() {
    let answer = json!({ "keys": [
        { "kty": "RSA", "kid": "r1", "n": "AQAB", "e": "AQAB", "use": "sig", "x5c": ["MII"] },
        { "kty": "EC", "crv": "P-256", "x": "x", "y": "y" },
        { "kty": "NEW", "kid": "n1" },
        // What is none, or not public.
        { "kty": "oct", "kid": "shared", "k": "c2VjcmV0" },
        { "kty": "oct", "kid": "shared" },
        { "kty": "EC", "kid": "shared", "k": "c2VjcmV0" },
        { "kty": "EC", "kid": "private", "d": "cHJpdmF0ZQ" },
        { "kid": "typeless" },
        { "kty": 7, "kid": "odd" },
        "text",
        null,
    ] });
    let canned = Canned::always(canned::json(200, answer.to_string()));
    let server = server(&canned);
    let set = server.jwks().await.expect("keys");
    let known: Vec<_> = set.iter().map(|key| (key.key_type(), key.key_id(), key.algorithm())).collect();
    assert_eq!(known, [(Some("RSA"), Some("r1"), None), (Some("EC"), None, None), (Some("NEW"), Some("n1"), None)]);
    let key = server.jwk("r1").await.expect("keys").expect("a key");
    assert_eq!((key.get("use"), key.get("nothing")), (Some(&json!("sig")), None));
    assert_eq!(serde_json::to_value(&key).expect("JSON"), answer["keys"][0]);
    assert_eq!(
        serde_json::to_value(&*set).expect("JSON"),
        json!({ "keys": answer["keys"].as_array().expect("keys")[..3] })
    );
    assert!(!format!("{set:?}").contains("c2VjcmV0"));
    for id in ["shared", "private", "typeless", ""] {
        assert!(server.jwk(id).await.expect("keys").is_none(), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn jwks_are_kept_as_long_as_the_server_says_within_bounds() {
    // Cache-Control, seconds
    let cases = [
        (None, 3600),
        (Some("max-age=600"), 600),
        (Some("public, max-age=\"900\", must-revalidate"), 900),
        (Some("MAX-AGE=1200"), 1200),
        (Some("max-age=0"), 300),
        (Some("no-store, max-age=1"), 300),
        (Some("max-age=31536000"), 86400),
        (Some("max-age=99999999999999999999999"), 86400),
        (Some("max-age=soon"), 3600),
        (Some("max-age=-1"), 3600),
        (Some("max-age="), 3600),
        (Some("no-cache"), 3600),
    ];
    for (cache_control, seconds) in cases {
        let answer = keys(&["k1"]);
        let canned = Canned::always(match cache_control {
            Some(value) => kept_for(answer, value),
            None => answer,
        });
        let server = server(&canned);
        server.jwks().await.expect("keys");
        advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
        server.jwks().await.expect("keys");
        assert_eq!(canned.requests().len(), 1, "{cache_control:?}");
        advance(Duration::from_millis(1)).await;
        server.jwks().await.expect("keys");
        assert_eq!(canned.requests().len(), 2, "{cache_control:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn jwks_are_looked_at_anew_for_an_unknown_key_at_most_once_a_minute() {
    let canned = Canned::always(keys(&["k1"]));
    let server = server(&canned);
    assert!(server.jwk("k1").await.expect("keys").is_some());
    for _ in 0..100 {
        assert!(server.jwk("made-up").await.expect("keys").is_none());
    }
    assert_eq!(canned.requests().len(), 1, "they are fresh");
    advance(Duration::from_millis(59_999)).await;
    assert!(server.jwk("made-up").await.expect("keys").is_none());
    assert_eq!(canned.requests().len(), 1);
    advance(Duration::from_millis(1)).await;
    for number in 0..100 {
        assert!(server.jwk(&format!("made-up-{number}")).await.expect("keys").is_none());
    }
    assert_eq!(canned.requests().len(), 2);
    assert!(server.jwk("k1").await.expect("keys").is_some());
    assert_eq!(canned.requests().len(), 2, "a key that is known costs nothing");
}

/// A server whose answers wait to be let through.
struct Gate {
    answers: Mutex<Vec<Response<Bytes>>>,
    gate: Semaphore,
    asked: Mutex<usize>,
}

impl Gate {
    fn open(answers: impl IntoIterator<Item = Response<Bytes>>, open: usize) -> (Arc<Self>, AuthorizationServer) {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        let gate = Arc::new(Self { answers: Mutex::new(answers), gate: Semaphore::new(open), asked: Mutex::default() });
        let shared = gate.clone();
        let service = tower::service_fn(move |_: http::Request<Full<Bytes>>| {
            let gate = shared.clone();
            async move {
                *gate.asked.lock().expect("a count") += 1;
                gate.gate.acquire().await.expect("open").forget();
                let answer = gate.answers.lock().expect("answers").pop();
                Ok::<_, String>(answer.unwrap_or_else(|| status(StatusCode::NOT_FOUND)).map(Full::new))
            }
        });
        (gate, server_over(HttpClient::new(service)))
    }

    fn asked(&self) -> usize {
        *self.asked.lock().expect("a count")
    }
}

#[tokio::test(start_paused = true)]
async fn jwks_are_fetched_once_for_all_who_wait() {
    let (gate, server) = Gate::open([keys(&["k1"])], 0);
    let callers = (0..1000).map(|_| {
        let server = server.clone();
        tokio::spawn(async move { server.jwk("k1").await.expect("keys").is_some() })
    });
    let callers: Vec<_> = callers.collect();
    settle().await;
    gate.gate.add_permits(10);
    for found in join_all(callers).await {
        assert!(found.expect("no panic"));
    }
    assert_eq!(gate.asked(), 1);
}

/// The keys were rotated: everybody who brings the new one waits for it, and nobody is told that there is none.
#[tokio::test(start_paused = true)]
async fn jwks_that_were_rotated_are_waited_for_by_all() {
    let (gate, server) = Gate::open([keys(&["k1"]), keys(&["k1", "k2"])], 1);
    assert!(server.jwk("k1").await.expect("keys").is_some());
    advance(Duration::from_secs(60)).await;
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.jwk("k2").await.expect("keys").is_some() })
        })
        .collect();
    settle().await;
    assert!(server.jwk("k1").await.expect("keys").is_some(), "whoever knows its key does not wait");
    gate.gate.add_permits(10);
    for found in join_all(callers).await {
        assert!(found.expect("no panic"));
    }
    assert_eq!(gate.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn jwks_are_served_stale_while_the_server_is_down() {
    let down = Arc::new(AtomicBool::new(false));
    let canned = Canned::new({
        let down = down.clone();
        move |_| if down.load(Relaxed) { canned::json(500, "<html>") } else { keys(&["k1"]) }
    });
    let server = server(&canned);
    server.jwks().await.expect("keys");
    down.store(true, Relaxed);
    for _ in 0..1000 {
        advance(Duration::from_secs(100)).await;
        assert!(server.jwk("k1").await.expect("stale keys").is_some());
        assert!(server.jwk("k2").await.expect("stale keys").is_none());
    }
    down.store(false, Relaxed);
    advance(Duration::from_secs(10)).await;
    let before = canned.requests().len();
    server.jwks().await.expect("keys");
    assert_eq!(canned.requests().len(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn jwks_errors_are_remembered_for_a_moment_only() {
    let canned = Canned::always(canned::json(404, ""));
    let server = server(&canned);
    for _ in 0..100 {
        server.jwks().await.expect_err("none");
    }
    assert_eq!(canned.requests().len(), 1);
    advance(Duration::from_secs(1)).await;
    server.jwks().await.expect_err("none");
    assert_eq!(canned.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn jwks_answers_that_are_none() {
    let large = format!(r#"{{"keys":[{{"kty":"EC","kid":"{}"}}]}}"#, "x".repeat(1024 * 1024));
    let mut moved = status(StatusCode::FOUND);
    moved.headers_mut().insert("location", HeaderValue::from_static("https://elsewhere.test/keys"));
    let cases = [
        (canned::json(200, "<html>"), "not JSON"),
        (canned::json(200, "[]"), "not one object"),
        (canned::json(200, "{}"), "no set of keys"),
        (canned::json(200, r#"{"keys":{}}"#), "no set of keys"),
        (canned::json(200, r#"{"keys":[],"keys":[]}"#), "each key once"),
        (canned::json(200, large), "1 MiB"),
        (canned::json(404, ""), "404"),
        // T2: redirects are never followed.
        (moved, "redirects are never followed"),
    ];
    for (answer, words) in cases {
        let canned = Canned::always(answer);
        let error = server(&canned).jwks().await.expect_err(words);
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{words}");
        assert!(error.is_transient() && error.to_string().contains(words), "{words:?} is not in {error}");
        assert!(canned.requests().iter().all(|request| request.uri() == JWKS));
    }
    let empty = server(&Canned::always(canned::json(200, r#"{"keys":[]}"#))).jwks().await.expect("keys");
    assert!(empty.is_empty());
}

/// D3, D5.
#[tokio::test]
async fn jwks_have_an_address_that_may_be_used() {
    let cases = [
        (json!({ "issuer": "https://id.test" }), ErrorKind::MissingEndpoint),
        (json!({ "issuer": "https://id.test", "jwks_uri": "http://id.test/keys" }), ErrorKind::InvalidEndpoint),
        (json!({ "issuer": "https://id.test", "jwks_uri": "https://127.0.0.1/keys" }), ErrorKind::InvalidEndpoint),
        (json!({ "issuer": "https://id.test", "jwks_uri": 7 }), ErrorKind::InvalidEndpoint),
    ];
    for (metadata, kind) in cases {
        let canned = Canned::always(canned::json(200, metadata.to_string()));
        let server = AuthorizationServer::via(canned.http()).issuer("https://id.test").expect("a server");
        assert_eq!(server.jwks().await.expect_err("nowhere to go").kind(), kind, "{metadata}");
        assert_eq!(canned.requests().len(), 1, "the metadata, and nothing else");
    }
}
