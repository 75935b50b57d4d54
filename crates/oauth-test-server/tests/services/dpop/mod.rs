//! Proofs of possession at the token endpoint and at the API.

mod nonces;

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_test_server::{Algorithm, Client, DecodedJwt, Endpoint, NoncePolicy, TestKey, TestServer, TokenFormat};
use serde_json::{Value, json};

use super::assertions::{with, without};
use super::*;

/// The claims of a proof that is good now.
fn claims(server: &TestServer, method: &str, url: &str) -> Value {
    let jti = fastrand::u64(..).to_string();
    json!({ "htm": method, "htu": url, "iat": server.unix_time().as_secs(), "jti": jti })
}

fn for_token(server: &TestServer) -> Value {
    claims(server, "POST", &server.token_endpoint())
}

fn for_api(server: &TestServer, token: &str) -> Value {
    with(claims(server, "GET", &server.api_url("/things")), "ath", hash(token))
}

fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token.as_bytes()))
}

fn header(key: &TestKey) -> Value {
    json!({ "typ": "dpop+jwt", "alg": key.algorithm().name(), "jwk": key.public_jwk() })
}

fn proof(key: &TestKey, claims: &Value) -> String {
    key.sign_with(&header(key), claims)
}

async fn request_token(server: &TestServer, parameters: &str, proof: &str) -> Answer {
    let mut request = form(server.token_endpoint(), parameters);
    request.headers_mut().insert("dpop", proof.parse().unwrap());
    authorize(server, request).await.unwrap()
}

async fn request_api(server: &TestServer, token: &str, proof: &str) -> Answer {
    let request = Request::get(server.api_url("/things?page=2"))
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", proof)
        .body(Full::default())
        .unwrap();
    call(server, request).await.unwrap()
}

async fn bound_token(server: &TestServer, key: &TestKey) -> String {
    let answer = request_token(server, CLIENT_CREDENTIALS, &proof(key, &for_token(server))).await;
    assert_eq!((answer.status.as_u16(), answer.text("token_type").as_str()), (200, "DPoP"));
    answer.text("access_token")
}

#[tokio::test(start_paused = true)]
async fn a_token_is_bound_to_the_key() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa] {
        let server = TestServer::builder().dpop().token_format(TokenFormat::Jwt).build();
        let key = TestKey::generate(algorithm);
        let token = bound_token(&server, &key).await;
        let answer = request_api(&server, &token, &proof(&key, &for_api(&server, &token))).await;
        assert_eq!(answer.status, 200, "{algorithm:?}");
        assert_eq!(answer.json()["cnf"], json!({ "jkt": key.thumbprint() }));
        let jwt = DecodedJwt::decode(&token).unwrap();
        assert_eq!(jwt.claims["cnf"], json!({ "jkt": key.thumbprint() }));

        let recorded = &server.requests_to(Endpoint::Api)[0];
        assert_eq!(recorded.dpop_token(), Some(token.as_str()));
        assert_eq!(recorded.bearer_token(), None);
        assert_eq!(recorded.dpop_proof().unwrap().claims["ath"], hash(&token));
    }
}

#[tokio::test(start_paused = true)]
async fn introspection_tells_of_the_key() {
    let server = TestServer::builder().dpop().build();
    let key = TestKey::generate(Algorithm::Es256);
    let token = bound_token(&server, &key).await;
    let parameters = format!("token={token}&client_id=m2m&client_secret=secret");
    let answer = authorize(&server, form(server.introspection_endpoint(), &parameters)).await.unwrap().json();
    assert_eq!((&answer["token_type"], &answer["cnf"]["jkt"]), (&json!("DPoP"), &json!(key.thumbprint())));
}

#[tokio::test(start_paused = true)]
async fn a_bound_token_is_no_bearer_token() {
    let server = TestServer::builder().dpop().build();
    let key = TestKey::generate(Algorithm::Es256);
    let bound = bound_token(&server, &key).await;
    let answer = api(&server, &bound).await;
    answer.assert_error(401, "invalid_token");
    assert!(answer.header("www-authenticate").starts_with("DPoP "), "{}", answer.header("www-authenticate"));

    let bearer = token(&server, CLIENT_CREDENTIALS).await;
    assert_eq!(bearer.text("token_type"), "Bearer");
    let bearer = bearer.text("access_token");
    assert_eq!(api(&server, &bearer).await.status, 200);
    let answer = request_api(&server, &bearer, &proof(&key, &for_api(&server, &bearer))).await;
    answer.assert_error(401, "invalid_token");
    assert_eq!(answer.text("error_description"), "the token is not bound to a key");

    let other = TestKey::generate(Algorithm::Es256);
    let answer = request_api(&server, &bound, &proof(&other, &for_api(&server, &bound))).await;
    answer.assert_error(401, "invalid_token");
    assert_eq!(answer.text("error_description"), "the token is bound to another key");
}

#[tokio::test(start_paused = true)]
async fn every_part_of_a_proof_is_looked_at() {
    let server = TestServer::builder().dpop().build();
    let key = TestKey::generate(Algorithm::Es256);
    let good = || for_token(&server);
    let now = server.unix_time().as_secs();
    let head = header(&key);
    let mac = TestKey::hmac("x");
    let symmetric = json!({ "typ": "dpop+jwt", "alg": "HS256", "jwk": { "kty": "oct" } });
    for (proof, why) in [
        (proof(&key, &good()), ""),
        (proof(&key, &with(good(), "htu", "HTTPS://ID.test:443/token?a=b#c")), ""),
        (proof(&key, &with(good(), "iat", now - 60)), ""),
        (proof(&key, &with(good(), "iat", now + 60)), ""),
        (proof(&key, &with(good(), "nonce", "not asked for")), ""),
        ("x".to_owned(), "not a JWT"),
        (key.sign_with(&with(head.clone(), "typ", "JWT"), &good()), "the proof's typ is not dpop+jwt"),
        (key.sign_with(&without(head.clone(), "typ"), &good()), "the proof's typ is not dpop+jwt"),
        (key.sign_with(&with(head.clone(), "alg", "none"), &good()), "the JWT's alg is unknown"),
        (key.sign_with(&with(head.clone(), "alg", "ES384"), &good()), "the JWT's signature does not verify"),
        (mac.sign_with(&symmetric, &good()), "the proof's alg is not asymmetric"),
        (key.sign_with(&without(head.clone(), "jwk"), &good()), "the proof has no jwk"),
        (key.sign_with(&with(head.clone(), "jwk", key.private_jwk()), &good()), "the proof's jwk is a private key"),
        (
            key.sign_with(&with(head, "jwk", TestKey::generate(Algorithm::Es256).public_jwk()), &good()),
            "the JWT's signature does not verify",
        ),
        (proof(&key, &with(good(), "htm", "GET")), "the proof is for another method"),
        (proof(&key, &with(good(), "htm", "post")), "the proof is for another method"),
        (proof(&key, &without(good(), "htm")), "the proof is for another method"),
        (proof(&key, &with(good(), "htu", server.revocation_endpoint())), "the proof is for another URL"),
        (proof(&key, &with(good(), "htu", "http://id.test/token")), "the proof is for another URL"),
        (proof(&key, &with(good(), "htu", "https://evil.test/token")), "the proof is for another URL"),
        (proof(&key, &with(good(), "htu", "https://id.test:444/token")), "the proof is for another URL"),
        (proof(&key, &with(good(), "htu", "/token")), "the proof's htu is no URL"),
        (proof(&key, &without(good(), "htu")), "the proof's htu is no URL"),
        (proof(&key, &with(good(), "iat", now - 61)), "the JWT's iat is not now"),
        (proof(&key, &with(good(), "iat", now + 61)), "the JWT's iat is not now"),
        (proof(&key, &without(good(), "iat")), "the JWT has no iat"),
        (proof(&key, &with(good(), "iat", "now")), "a date in the JWT is no number"),
        (proof(&key, &without(good(), "jti")), "the proof has no jti"),
    ] {
        let answer = request_token(&server, CLIENT_CREDENTIALS, &proof).await;
        if why.is_empty() {
            assert_eq!(answer.status, 200, "{proof}");
        } else {
            answer.assert_error(400, "invalid_dpop_proof");
            assert_eq!(answer.text("error_description"), why);
        }
    }

    let mut two = form(server.token_endpoint(), CLIENT_CREDENTIALS);
    for _ in 0..2 {
        two.headers_mut().append("dpop", proof(&key, &good()).parse().unwrap());
    }
    authorize(&server, two).await.unwrap().assert_error(400, "invalid_dpop_proof");
}

#[tokio::test(start_paused = true)]
async fn a_proof_for_the_api_is_looked_at_too() {
    let server = TestServer::builder().dpop().build();
    let key = TestKey::generate(Algorithm::EdDsa);
    let token = bound_token(&server, &key).await;
    let good = || for_api(&server, &token);
    for (claims, why) in [
        (good(), ""),
        (with(good(), "ath", hash("another")), "the proof is for another access token"),
        (with(good(), "ath", token.clone()), "the proof is for another access token"),
        (without(good(), "ath"), "the proof is for another access token"),
        (with(good(), "htm", "POST"), "the proof is for another method"),
        (with(good(), "htu", server.api_url("/others")), "the proof is for another URL"),
        (with(good(), "htu", "https://id.test/things"), "the proof is for another URL"),
    ] {
        let answer = request_api(&server, &token, &proof(&key, &claims)).await;
        if why.is_empty() {
            assert_eq!(answer.status, 200, "{claims}");
            continue;
        }
        answer.assert_error(401, "invalid_dpop_proof");
        assert_eq!(
            answer.header("www-authenticate"),
            format!(
                "DPoP realm=\"api\", algs=\"ES256 ES384 RS256 PS256 EdDSA\", error=\"invalid_dpop_proof\", \
                 error_description=\"{why}\""
            )
        );
    }
    let mut without_proof = get(server.api_url("/things"));
    without_proof.headers_mut().insert("authorization", format!("DPoP {token}").parse().unwrap());
    call(&server, without_proof).await.unwrap().assert_error(401, "invalid_dpop_proof");
}

#[tokio::test(start_paused = true)]
async fn a_proof_is_good_once() {
    let server = TestServer::builder().dpop().build();
    let key = TestKey::generate(Algorithm::EdDsa);
    let spent = proof(&key, &for_token(&server));
    assert_eq!(request_token(&server, CLIENT_CREDENTIALS, &spent).await.status, 200);
    request_token(&server, CLIENT_CREDENTIALS, &spent).await.assert_error(400, "invalid_dpop_proof");
    assert_eq!(server.counters().replays_refused, 1);

    // Until the very end of its time, and not after.
    tokio::time::advance(Duration::from_secs(60)).await;
    let answer = request_token(&server, CLIENT_CREDENTIALS, &spent).await;
    assert_eq!(answer.text("error_description"), "the JWT's jti was used before");
    tokio::time::advance(Duration::from_secs(1)).await;
    let answer = request_token(&server, CLIENT_CREDENTIALS, &spent).await;
    assert_eq!(answer.text("error_description"), "the JWT's iat is not now");
}

#[tokio::test(start_paused = true)]
async fn clients_and_apis_may_insist() {
    let server = TestServer::builder().require_dpop().client(m2m().require_dpop()).build();
    token(&server, CLIENT_CREDENTIALS).await.assert_error(400, "invalid_dpop_proof");
    let key = TestKey::generate(Algorithm::Es256);
    let token = bound_token(&server, &key).await;
    assert_eq!(request_api(&server, &token, &proof(&key, &for_api(&server, &token))).await.status, 200);

    let bearer = server.issue_access_token("m2m", "api");
    let answer = api(&server, &bearer).await;
    answer.assert_error(401, "invalid_token");
    assert!(answer.header("www-authenticate").starts_with("DPoP "));
    let answer = call(&server, get(server.api_url("/"))).await.unwrap();
    let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["DPoP realm=\"api\", algs=\"ES256 ES384 RS256 PS256 EdDSA\""]);
}

#[tokio::test(start_paused = true)]
async fn what_is_offered_is_told() {
    let server = TestServer::builder().dpop().build();
    let answer = call(&server, get(server.api_url("/"))).await.unwrap();
    let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["Bearer realm=\"api\"", "DPoP realm=\"api\", algs=\"ES256 ES384 RS256 PS256 EdDSA\""]);
    let algorithms = json!(["ES256", "ES384", "RS256", "PS256", "EdDSA"]);
    assert_eq!(server.metadata()["dpop_signing_alg_values_supported"], algorithms);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_dpop_answers_bearer() {
    let server = TestServer::builder().token_nonces(NoncePolicy::Reusable).client(m2m().require_dpop()).build();
    let key = TestKey::generate(Algorithm::Es256);
    let answer = request_token(&server, CLIENT_CREDENTIALS, &proof(&key, &for_token(&server))).await;
    assert_eq!((answer.text("token_type").as_str(), answer.header("dpop-nonce")), ("Bearer", ""));
    assert_eq!(server.metadata().get("dpop_signing_alg_values_supported"), None);
}

#[tokio::test(start_paused = true)]
async fn refresh_tokens_of_public_clients_are_bound() {
    let server = TestServer::builder().dpop().client(Client::new("public").scopes(["api"])).client(m2m()).build();
    let [key, other] = [(); 2].map(|()| TestKey::generate(Algorithm::Es256));
    let refresh = async |key: &TestKey, client: &str, token: &str| {
        let parameters = format!("grant_type=refresh_token&refresh_token={token}&{client}");
        request_token(&server, &parameters, &proof(key, &for_token(&server))).await
    };
    let first = refresh(&key, "client_id=public", &server.issue_refresh_token("public", "api")).await;
    assert_eq!(first.text("token_type"), "DPoP");
    let bound = first.text("refresh_token");
    refresh(&other, "client_id=public", &bound).await.assert_error(400, "invalid_grant");
    let without = format!("grant_type=refresh_token&refresh_token={bound}&client_id=public");
    token(&server, &without).await.assert_error(400, "invalid_grant");
    assert_eq!(refresh(&key, "client_id=public", &bound).await.status, 200);

    // A confidential client may change its key.
    let auth = "client_id=m2m&client_secret=secret";
    let first = refresh(&key, auth, &server.issue_refresh_token("m2m", "api")).await;
    let second = refresh(&other, auth, &first.text("refresh_token")).await;
    assert_eq!(second.text("token_type"), "DPoP");
}
