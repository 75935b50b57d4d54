//! Tokens that are bound to a key (DPoP, RFC 9449), where servers ask for nonces and where they do not.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::{Request, header::WWW_AUTHENTICATE};
use http_body_util::Full;
use oauth_tokens::{Algorithm, ClientAuth, DpopKey, SigningKey, TokenSource};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_oauth::{OAuthLayer, RetryOutcome};

use crate::{
    api::plain,
    client::of_machine,
    layer::{get, json_of, over_hyper},
    server::{RealServer, oidc},
};

#[tokio::test]
async fn each_algorithm_proves_possession() {
    let server = oidc();
    let resource = server.text("/resources/jwt");
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa] {
        let key = key_of(algorithm);
        // A client that has to, and one that chooses to; an opaque token, and a JWT.
        let requests = [
            of_machine(&server.client("dpop").dpop(key.clone())),
            of_machine(&server.client("basic").dpop(key.clone())),
            of_machine(&server.client("dpop").dpop(key.clone())).resource(resource),
        ];
        for request in requests {
            let tokens = request.cached().expect("a usable request");
            let api = over_hyper(server, tokens.clone());
            for _ in 0..2 {
                let url = server.api("/things/7?x=1&y=%2f");
                let response = api.clone().oneshot(get(&url)).await.expect("an answer");
                assert_eq!(response.status(), 200, "{algorithm}: {:?}", response.headers().get(WWW_AUTHENTICATE));
                assert!(response.extensions().get::<RetryOutcome>().is_none(), "no nonce, no 401");
                let seen = json_of(response).await;
                assert_eq!(seen["scheme"], "DPoP", "{seen}");
                assert_eq!(seen["cnf"]["jkt"], key.thumbprint(), "{seen}");
            }
            assert_eq!(tokens.status().renewals, 1);
        }
    }
}

/// Servers of their own, in which nothing else is counted.
#[tokio::test]
async fn nonces_that_are_required() {
    let process = RealServer::start("oidc");
    for (name, singly) in [("nonce", false), ("single_use", true)] {
        let server = process.realm(name);
        ten_calls(&server, singly).await;
    }
}

async fn ten_calls(server: &RealServer, singly: bool) {
    let key = key();
    let tokens = of_machine(&server.client("dpop").dpop(key.clone())).cached().expect("a usable request");
    let api = over_hyper(server, tokens.clone());
    let call = async || {
        let body = Full::from("the whole body");
        let request = Request::put(server.api("/orders?q=1")).body(body).expect("a request");
        let response = api.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 200, "{:?}", response.headers().get(WWW_AUTHENTICATE));
        let retried = matches!(response.extensions().get(), Some(RetryOutcome::Retried));
        let seen = json_of(response).await;
        assert_eq!((&seen["body"], &seen["scheme"]), (&json!("the whole body"), &json!("DPoP")), "{seen}");
        assert_eq!(seen["cnf"]["jkt"], key.thumbprint(), "{seen}");
        retried
    };
    // The nonce of a success serves the next call, too: nobody is asked for one twice.
    for round in 0..10 {
        assert_eq!(call().await, round == 0, "call {round}");
    }
    assert_counts(server, json!({"tokens": 1, "token_nonces": 1, "ok": 10, "rejected": 1, "api_nonces": 1})).await;

    server.forget_nonces().await;
    assert!(call().await, "with the same token");
    assert_counts(server, json!({"tokens": 1, "token_nonces": 1, "ok": 11, "rejected": 2, "api_nonces": 2})).await;

    // Both servers have told the next nonce already, unless it is the token endpoint's that is forgotten.
    server.revoke("dpop", &tokens.token().await.expect("a token")).await;
    assert!(call().await, "with another token");
    let forgotten = u64::from(singly);
    let expected = json!({"tokens": 2, "token_nonces": 1 + forgotten, "ok": 12, "rejected": 3, "api_nonces": 2});
    assert_counts(server, expected).await;

    server.revoke("dpop", &tokens.token().await.expect("a token")).await;
    server.forget_nonces().await;
    assert!(call().await, "with another token, and the nonce that came with the rejection");
    let expected = json!({"tokens": 3, "token_nonces": 1 + 2 * forgotten, "ok": 13, "rejected": 4, "api_nonces": 2});
    assert_counts(server, expected).await;
    assert_eq!(tokens.status().renewals, 3);
}

async fn assert_counts(server: &RealServer, expected: Value) {
    let stats = server.stats().await;
    let issued = &stats["issued"][server.registered("dpop").id];
    let asked = stats["token_requests"].as_u64().zip(stats["token_nonce_challenges"].as_u64());
    assert_eq!(asked.map(|(requests, nonces)| requests - nonces), issued.as_u64(), "nothing in vain: {stats}");
    let counted = json!({
        "tokens": issued,
        "token_nonces": stats["token_nonce_challenges"],
        "ok": stats["api_ok"],
        "rejected": stats["api_rejected"],
        "api_nonces": stats["api_nonce_challenges"],
    });
    assert_eq!(counted, expected, "{stats}");
}

/// A service that has just started: many calls at once, and no nonce is known yet. The server is its own, so that nobody
/// else meets nonces that are forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_first_calls_at_once() {
    let process = RealServer::start("oidc");
    for name in ["nonce", "single_use"] {
        let server = process.realm(name);
        let tokens = of_machine(&server.client("dpop").dpop(key())).cached().expect("a usable request");
        let api = over_hyper(&server, tokens.clone());
        for round in 0..4 {
            let calls = (0..20).map(|_| tokio::spawn(api.clone().oneshot(get(&server.api("/things")))));
            for response in join_all(calls).await {
                let response = response.expect("no panic").expect("an answer");
                let (challenge, outcome) = (response.headers().get(WWW_AUTHENTICATE), response.extensions().get());
                assert_eq!(
                    response.status(),
                    200,
                    "{name}, {round}: {challenge:?} {:?}",
                    outcome as Option<&RetryOutcome>
                );
            }
            server.forget_nonces().await;
        }
        assert_eq!(tokens.status().renewals, 1, "{name}: nonces cost no tokens");
    }
}

/// Several caches, one key: many token requests at once, and no nonce is known yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_first_token_requests_at_once() {
    for name in ["nonce", "single_use"] {
        let server = oidc().realm(name);
        let client = server.client("dpop").dpop(key());
        let requests = (0..10).map(|_| {
            let client = client.clone();
            tokio::spawn(async move { of_machine(&client).fetch().await })
        });
        for tokens in join_all(requests).await {
            let tokens = tokens.expect("no panic").unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(tokens.access_token.is_bound());
        }
    }
}

#[tokio::test]
async fn the_manners_of_reqwest() {
    for name in ["nonce", "single_use"] {
        let server = oidc().realm(name);
        let tokens = of_machine(&server.client("dpop").dpop(key())).cached().expect("a usable request");
        let layer = OAuthLayer::new(server.text("/api"), tokens.clone()).expect("an origin");
        let api = layer.reqwest(reqwest::Client::builder().no_proxy()).expect("a client");
        for round in 0..10 {
            let response = api.post(server.api("/orders")).json(&json!({"n": round})).send().await.expect("an answer");
            let response = response.error_for_status().expect("200");
            let retried = matches!(response.extensions().get(), Some(RetryOutcome::Retried));
            assert_eq!(retried, round == 0, "{name}, call {round}");
            let seen: Value = response.json().await.expect("JSON");
            assert_eq!(seen["body"], json!({"n": round}).to_string(), "{seen}");
        }
        assert_eq!(tokens.status().renewals, 1, "{name}");
    }
}

/// An assertion, too, is good for one request: that with the nonce needs another.
#[tokio::test]
async fn nonces_and_signed_assertions() {
    for name in ["nonce", "single_use"] {
        let server = oidc().realm(name);
        let jwk = SigningKey::from_jwk(&server.file_of("es256", "key_jwk")).expect("a key");
        // The client's own key may be the key of its proofs.
        let dpop = DpopKey::new(jwk.clone()).expect("a key that tells its public half");
        let client = server.client_by("es256", ClientAuth::private_key_jwt(jwk)).dpop(dpop);
        for _ in 0..3 {
            let tokens = of_machine(&client).fetch().await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(tokens.access_token.is_bound());
        }
    }
}

#[tokio::test]
async fn tokens_of_five_seconds() {
    let realms = ["nonce", "single_use"].map(|name| oidc().realm(name));
    let [shared, singly] = &realms;
    tokio::join!(until_renewed(shared), until_renewed(singly));
}

/// Calls until two tokens have had their time: the first is renewed at a moment of chance, so that a fleet is not in step.
async fn until_renewed(server: &RealServer) {
    let tokens = of_machine(&server.client("dpop_short").dpop(key())).cached().expect("a usable request");
    let api = over_hyper(server, tokens.clone());
    let began = Instant::now();
    let mut last = tokens.token().await.expect("a token");
    let mut served = Vec::new();
    let mut since = Instant::now();
    while served.len() < 2 {
        let response = api.clone().oneshot(get(&server.api("/things"))).await.expect("an answer");
        assert_eq!(response.status(), 200, "{:?}", response.headers().get(WWW_AUTHENTICATE));
        let token = tokens.token().await.expect("a token");
        if token != last {
            served.push(since.elapsed());
            (last, since) = (token, Instant::now());
        }
        assert!(began.elapsed() < Duration::from_secs(30), "never renewed: {served:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(last.is_bound());
    assert!(served[1] > Duration::from_secs(2), "a token serves for as long as it can, not for {served:?}");
    assert!(tokens.status().last_error.is_none(), "{tokens:?}");
}

impl RealServer {
    async fn forget_nonces(&self) {
        let url = format!("{}/forget-nonces", self.text("/admin"));
        assert_eq!(plain().post(url).send().await.expect("an answer").status(), 200);
    }
}

pub(crate) fn key() -> DpopKey {
    key_of(Algorithm::Es256)
}

fn key_of(algorithm: Algorithm) -> DpopKey {
    DpopKey::new(SigningKey::generate(algorithm).expect("a key")).expect("a key that tells its public half")
}
