//! Tokens that are bound to a key (RFC 9449): proofs, nonces, and that such a token is never a bearer token (T14, R14).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use oauth_test_server::{Client, Endpoint, NoncePolicy, RecordedRequest, ResponseBody, TestServer};
use oauth_tokens::{
    Algorithm, AuthorizationServer, BoxError, ClientAuth, DpopKey, ErrorKind, HttpClient, PublicJwk, Signer,
    SigningKey, TokenCache,
};
use tests::{script::outcome, support::shown};
use tokio::time::advance;
use tower::{Layer, ServiceExt};
use tower_oauth::OAuthLayer;

const HOUR: Duration = Duration::from_secs(3600);

fn server() -> oauth_test_server::Builder {
    TestServer::builder().client(Client::new("m2m").secret("secret").require_dpop()).require_dpop()
}

fn key() -> DpopKey {
    DpopKey::new(SigningKey::generate(Algorithm::Es256).expect("a key")).expect("a signer that tells its public key")
}

fn tokens(server: &TestServer, key: DpopKey) -> TokenCache {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .and_then(|at| at.client("m2m", ClientAuth::secret_basic("secret")))
        .and_then(|client| client.dpop(key).client_credentials().cached())
        .expect("settings")
}

async fn call(server: &TestServer, tokens: &TokenCache) -> Response<ResponseBody> {
    call_with(server, tokens, Request::get(server.api_url("/things?a=b#c")).body(Full::default()).expect("a request"))
        .await
}

async fn call_with(server: &TestServer, tokens: &TokenCache, request: Request<Full<Bytes>>) -> Response<ResponseBody> {
    let layer = OAuthLayer::new(server.api_origin(), tokens.clone()).expect("an origin");
    layer.layer(server.api_service()).oneshot(request).await.expect("a response")
}

fn claim<'a>(proof: &'a oauth_test_server::DecodedJwt, name: &str) -> &'a str {
    proof.claims[name].as_str().unwrap_or_default()
}

fn proof(request: &RecordedRequest) -> oauth_test_server::DecodedJwt {
    request.dpop_proof().expect("a proof")
}

#[tokio::test(start_paused = true)]
async fn a_bound_token_goes_out_as_dpop_with_a_proof_for_each_request() {
    let server = server().build();
    let key = key();
    let tokens = tokens(&server, key.clone());
    for _ in 0..2 {
        assert_eq!(call(&server, &tokens).await.status(), StatusCode::OK);
    }
    let token = tokens.token().await.expect("a token");
    assert!(token.is_bound());
    assert_eq!(format!("{token:?}").split_once(',').map(|(scheme, _)| scheme), Some("AccessToken(DPoP"));

    let asked = &server.requests_to(Endpoint::Token)[0];
    let proof_there = proof(asked);
    assert_eq!(claim(&proof_there, "htm"), "POST");
    assert_eq!(claim(&proof_there, "htu"), server.token_endpoint());
    assert!(proof_there.claims.get("ath").is_none(), "there is no token yet");

    let sent = server.requests_to(Endpoint::Api);
    let proofs: Vec<_> = sent.iter().map(proof).collect();
    for (request, proof) in sent.iter().zip(&proofs) {
        let authorization = request.headers["authorization"].to_str().expect("text");
        assert_eq!(authorization, format!("DPoP {}", token.secret()));
        assert_eq!((claim(proof, "htm"), claim(proof, "htu")), ("GET", server.api_url("/things").as_str()));
        assert_eq!(proof.header["typ"], "dpop+jwt");
        assert!(proof.header["jwk"].get("d").is_none());
        assert!(proof.header.get("kid").is_none());
    }
    assert_ne!(claim(&proofs[0], "jti"), claim(&proofs[1], "jti"), "each request has a proof of its own");
    assert_eq!(server.counters().token_requests, 1);
    assert_eq!(server.counters().api_accepted, 2);
}

/// Each policy of nonces at either place: nothing is asked for twice, whatever it takes.
#[tokio::test(start_paused = true)]
async fn a_nonce_is_learnt_from_the_answer_that_asks_for_it_and_from_every_other() {
    use NoncePolicy::{None, Reusable, SingleUse};
    // (at the token endpoint, at the API, requests there, requests for three calls)
    for (at_server, at_api, token_requests, api_requests) in [
        (None, None, 1, 3),
        (Reusable, None, 2, 3),
        (None, Reusable, 1, 4),
        // Each answer brings the next one.
        (SingleUse, SingleUse, 2, 4),
    ] {
        let server = server().token_nonces(at_server).api_nonces(at_api).build();
        let tokens = tokens(&server, key());
        for _ in 0..3 {
            let response = call(&server, &tokens).await;
            assert_eq!(response.status(), StatusCode::OK, "{at_server:?} {at_api:?}");
        }
        let counters = server.counters();
        assert_eq!((counters.token_requests, counters.tokens_issued), (token_requests, 1), "{at_server:?}");
        assert_eq!(counters.api_requests, api_requests, "{at_api:?}");
        assert_eq!(counters.replays_refused, 0);
    }
}

/// A nonce that has become bad costs one more request, and no token.
#[tokio::test(start_paused = true)]
async fn a_nonce_retry_takes_the_same_token_and_the_same_request() {
    let server = server().api_nonces(NoncePolicy::Reusable).build();
    let tokens = tokens(&server, key());
    call(&server, &tokens).await;
    server.expire_nonces();
    server.clear_requests();
    let request =
        Request::put(server.api_url("/echo")).header("x-a", "1").body(Full::from("whole")).expect("a request");
    let response = call_with(&server, &tokens, request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(outcome(response.extensions()), "Retried");
    let sent = server.requests_to(Endpoint::Api);
    assert_eq!(sent.len(), 2);
    for request in &sent {
        assert_eq!((request.method.as_str(), request.body.as_ref()), ("PUT", b"whole".as_ref()));
        assert_eq!(request.headers["x-a"], "1");
    }
    assert_eq!(sent[0].headers["authorization"], sent[1].headers["authorization"]);
    assert_ne!(sent[0].headers["dpop"], sent[1].headers["dpop"]);
    assert_eq!(server.counters().tokens_issued, 1);
}

/// The retry for a nonce and the retry with another token are counted apart, in either order, and each happens once.
#[tokio::test(start_paused = true)]
async fn r6_a_nonce_and_a_renewal_are_one_retry_each() {
    let server = server().token_nonces(NoncePolicy::Reusable).api_nonces(NoncePolicy::Reusable).build();
    let tokens = tokens(&server, key());
    call(&server, &tokens).await;
    server.revoke_all();
    server.expire_nonces();
    let before = server.counters();
    let response = call(&server, &tokens).await;
    assert_eq!(response.status(), StatusCode::OK);
    let after = server.counters();
    assert_eq!(after.api_requests - before.api_requests, 3, "a nonce, a token, and the answer");
    assert_eq!(after.tokens_issued - before.tokens_issued, 1);

    // An API that always asks for another nonce is asked twice, and no token is renewed for it.
    let fetches = after.token_requests;
    let asked = Arc::new(AtomicU32::new(0));
    let counter = asked.clone();
    let api = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let number = counter.fetch_add(1, Relaxed);
        let response = Response::builder()
            .status(401)
            .header("www-authenticate", "DPoP error=\"use_dpop_nonce\"")
            .header("dpop-nonce", format!("nonce-{number}"))
            .body(Full::<Bytes>::default());
        std::future::ready(response)
    });
    let layer = OAuthLayer::new("https://greedy.test", tokens.clone()).expect("an origin");
    let request = Request::get("https://greedy.test/").body(Full::default()).expect("a request");
    let response = layer.layer(api).oneshot(request).await.expect("a response");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(outcome(response.extensions()), "Retried");
    assert_eq!(asked.load(Relaxed), 2);
    assert_eq!(server.counters().token_requests, fetches);
}

/// Without a nonce in the answer there is nothing to try again with.
#[tokio::test(start_paused = true)]
async fn r14_use_dpop_nonce_without_a_new_nonce_is_not_retried() {
    let server = server().build();
    let tokens = tokens(&server, key());
    for nonces in [&[][..], &[""], &["a b"], &["one", "two"]] {
        let mut response = Response::builder().status(401).header("www-authenticate", "DPoP error=\"use_dpop_nonce\"");
        for nonce in nonces {
            response = response.header("dpop-nonce", *nonce);
        }
        let response = response.body(()).expect("a response");
        let headers = response.headers().clone();
        let asked = Arc::new(AtomicU32::new(0));
        let counter = asked.clone();
        let api = tower::service_fn(move |_: Request<Full<Bytes>>| {
            counter.fetch_add(1, Relaxed);
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            *response.headers_mut() = headers.clone();
            std::future::ready(Ok::<_, BoxError>(response))
        });
        let layer = OAuthLayer::new("https://api.test", tokens.clone()).expect("an origin");
        let request = Request::get("https://api.test/").body(Full::default()).expect("a request");
        let response = layer.layer(api).oneshot(request).await.expect("a response");
        assert_eq!(outcome(response.extensions()), "UnknownError", "{nonces:?}");
        assert_eq!(asked.load(Relaxed), 1, "{nonces:?}");
    }
}

/// A proof's time is the cache's own, so that it is good after hours, too; and a token that expires is renewed with it.
#[tokio::test(start_paused = true)]
async fn proofs_are_of_now() {
    let server = server().build();
    let tokens = tokens(&server, key());
    for _ in 0..4 {
        assert_eq!(call(&server, &tokens).await.status(), StatusCode::OK);
        advance(HOUR).await;
    }
}

#[tokio::test(start_paused = true)]
async fn t14_dpop_asked_and_bearer_answered_is_refused() {
    // The server takes no notice of proofs.
    let server = TestServer::builder().client(Client::new("m2m").secret("secret")).build();
    let error = tokens(&server, key()).token().await.expect_err("a bearer token");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(error.to_string().contains("Bearer"), "{error}");
    assert_eq!(server.counters().api_requests, 0);
}

#[tokio::test(start_paused = true)]
async fn t14_a_bound_token_that_was_not_asked_for_is_refused() {
    let server = TestServer::builder().client(Client::new("m2m").secret("secret")).build();
    server.set_token_response("token_type", "DPoP");
    let error = AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .and_then(|at| at.client("m2m", ClientAuth::secret_basic("secret")))
        .and_then(|client| client.client_credentials().cached())
        .expect("settings")
        .token()
        .await
        .expect_err("bound to no key of ours");
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

/// Tokens of before keep their key; the next exchange takes the new one.
#[tokio::test(start_paused = true)]
async fn a_key_is_replaced_at_the_next_exchange() {
    let server = server().build();
    let key = key();
    let tokens = tokens(&server, key.clone());
    call(&server, &tokens).await;
    let before = key.thumbprint();
    key.replace(SigningKey::generate(Algorithm::EdDsa).expect("a key")).expect("a key");
    assert_ne!(key.thumbprint(), before);
    assert_eq!(call(&server, &tokens).await.status(), StatusCode::OK);
    server.revoke_all();
    assert_eq!(call(&server, &tokens).await.status(), StatusCode::OK);
    let algorithms: Vec<_> =
        server.requests_to(Endpoint::Api).iter().map(|sent| proof(sent).header["alg"].clone()).collect();
    assert_eq!(algorithms, ["ES256", "ES256", "ES256", "EdDSA"]);
}

/// A signer that fails, hangs, or does not tell its public key.
struct BadSigner {
    inner: SigningKey,
    signatures: AtomicU32,
    good_for: u32,
    hangs: bool,
}

impl Signer for BadSigner {
    fn algorithm(&self) -> Algorithm {
        self.inner.algorithm()
    }

    fn public_jwk(&self) -> Option<PublicJwk> {
        self.inner.public_jwk()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        if self.signatures.fetch_add(1, Relaxed) < self.good_for {
            return self.inner.sign(message).await;
        }
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Err("the HSM is on fire".into())
    }
}

/// Nothing is sent without its proof; and what came before it stands.
#[tokio::test(start_paused = true)]
async fn r3_r8_a_signer_that_fails_sends_nothing_and_costs_no_answer() {
    for hangs in [false, true] {
        let bad = |good_for| {
            let inner = SigningKey::generate(Algorithm::Es256).expect("a key");
            DpopKey::new(BadSigner { inner, signatures: AtomicU32::new(0), good_for, hangs }).expect("a public key")
        };
        // Not even for the token.
        let at = server().build();
        let error = tokens(&at, bad(0)).token().await.expect_err("no proof");
        assert_eq!(error.kind(), ErrorKind::Credential);
        assert!(hangs || shown(&error).contains("on fire"));
        assert_eq!(at.counters().token_requests, 0);

        // For the token, but not for the call.
        let at = server().build();
        let tokens_ = tokens(&at, bad(1));
        let layer = OAuthLayer::new(at.api_origin(), tokens_.clone()).expect("an origin");
        let request = Request::get(at.api_url("/")).body(Full::<Bytes>::default()).expect("a request");
        let error = layer.layer(at.api_service()).oneshot(request).await.expect_err("no proof");
        let error = error.downcast::<tower_oauth::Error>().expect("ours");
        assert_eq!(error.kind(), tower_oauth::ErrorKind::NoProof);
        assert_eq!(at.counters().api_requests, 0);

        // For the first attempt, but not for the retry.
        let at = server().api_nonces(NoncePolicy::Reusable).build();
        let response = call(&at, &tokens(&at, bad(2))).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(outcome(response.extensions()).starts_with("NotProven"), "{}", outcome(response.extensions()));
        assert_eq!(at.counters().api_requests, 1);
    }
}

#[test]
fn a_signer_that_does_not_tell_its_public_key_is_of_no_use() {
    struct Silent;
    impl Signer for Silent {
        fn algorithm(&self) -> Algorithm {
            Algorithm::Es256
        }
        async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, BoxError> {
            Ok(Vec::new())
        }
    }
    assert_eq!(DpopKey::new(Silent).expect_err("no public key").kind(), ErrorKind::Config);
}

/// What a client of one's own needs: the proof for a request, and no proof for a bearer token.
#[tokio::test(start_paused = true)]
async fn a_proof_by_hand() {
    let server = server().api_nonces(NoncePolicy::Reusable).build();
    let tokens = tokens(&server, key());
    let token = tokens.token().await.expect("a token");
    let url = server.api_url("/things?query");
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let proof = token.proof(&Method::GET, &url, None).expect("bound").await.expect("signed");
        assert!(proof.is_sensitive());
        let request = Request::get(&url)
            .header("authorization", token.authorization())
            .header("dpop", proof)
            .body(Full::<Bytes>::default())
            .expect("a request");
        let response = server.api_service().oneshot(request).await.expect("a response");
        token.learn_nonce(&url, response.headers());
        statuses.push(response.status().as_u16());
    }
    assert_eq!(statuses, [401, 200]);
    let bearer = TokenCache::fixed("t0k3n").expect("a token").token().await.expect("it");
    assert!(bearer.proof(&Method::GET, &url, None).is_none());
    assert!(bearer.learn_nonce(&url, &http::HeaderMap::new()).is_none());
}
