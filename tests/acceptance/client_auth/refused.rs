//! What a server that looks closely refuses, and what the client then says.

use bytes::Bytes;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use oauth_test_server::{Algorithm as TestAlgorithm, Client, ClientAuthMethod, TestKey, TestServer};
use oauth_tokens::{Algorithm, AuthorizationServer, ClientAssertion, ClientAuth, Error, SigningKey};
use std::time::Duration;
use tests::canned::Canned;
use tokio::time::advance;
use tower::ServiceExt;

use super::{SECRET, client_of, fetch};

fn key(key: &TestKey) -> SigningKey {
    SigningKey::from_jwk(&key.private_jwk().to_string()).expect("a JWK")
}

fn is_refused(result: Result<oauth_tokens::TokenSet, Error>) -> Error {
    let error = result.expect_err("refused");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_client"), "{error}");
    assert!(!error.is_transient(), "{error}");
    error
}

#[tokio::test]
async fn t9_wrong_assertions_are_refused() {
    let known = TestKey::generate(TestAlgorithm::Es256).with_key_id("k1");
    let server = TestServer::builder().client(Client::new("m2m").key(&known)).build();
    let other = SigningKey::generate(Algorithm::Es256).expect("a key");
    let cases: [ClientAuth; 6] = [
        ClientAuth::private_key_jwt(other.clone()),
        ClientAuth::private_key_jwt(other.with_key_id("k1")),
        ClientAuth::private_key_jwt(key(&known).with_key_id("k2")),
        ClientAssertion::private_key(key(&known)).audience("https://elsewhere.test").into(),
        ClientAssertion::private_key(key(&known)).audience(server.token_endpoint()).into(),
        ClientAuth::client_secret_jwt(SECRET),
    ];
    for auth in cases {
        let error = is_refused(fetch(&client_of(&server, auth.clone())).await);
        assert!(error.to_string().contains(if format!("{auth:?}").contains("secret") { "secret" } else { "key" }));
    }
    assert_eq!(server.counters().token_requests, 6, "an unchanged credential is not tried again");
    fetch(&client_of(&server, ClientAuth::private_key_jwt(key(&known)))).await.expect("the right one");
}

#[tokio::test]
async fn t9_a_wrong_secret_signs_in_vain() {
    let client = Client::new("m2m").secret(SECRET).auth_methods([ClientAuthMethod::ClientSecretJwt]);
    let server = TestServer::builder().client(client).build();
    is_refused(fetch(&client_of(&server, ClientAuth::client_secret_jwt(SECRET.to_uppercase()))).await);
}

/// Sends a form as it is, and gives the status of the answer.
async fn post(server: &TestServer, form: &Bytes) -> StatusCode {
    let request = Request::post(server.token_endpoint())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(form.clone()))
        .expect("a request");
    server.authorization_service().oneshot(request).await.expect("an answer").status()
}

#[tokio::test(start_paused = true)]
async fn t9_an_assertion_is_good_once_and_for_a_minute() {
    let known = TestKey::generate(TestAlgorithm::Es256);
    let server = TestServer::builder().client(Client::new("m2m").key(&known)).build();
    // What a client sends that never reaches the server: somebody on the way has it.
    let caught = Canned::always(tests::canned::token("t"));
    let endpoint = server.token_endpoint();
    let client = AuthorizationServer::via(caught.http())
        .override_token_endpoint(&endpoint)
        .issuer(server.issuer())
        .and_then(|at| at.client("m2m", ClientAuth::private_key_jwt(key(&known))))
        .expect("a client");
    for _ in 0..3 {
        fetch(&client).await.expect("a token");
    }
    let forms: Vec<Bytes> = caught.requests().into_iter().map(|request| request.into_body()).collect();
    assert_eq!(post(&server, &forms[0]).await, StatusCode::OK);
    assert_eq!(post(&server, &forms[0]).await, StatusCode::UNAUTHORIZED, "a second time");
    advance(Duration::from_millis(58_900)).await;
    assert_eq!(post(&server, &forms[1]).await, StatusCode::OK, "late");
    advance(Duration::from_millis(1_100)).await;
    assert_eq!(post(&server, &forms[2]).await, StatusCode::UNAUTHORIZED, "too late");
}

#[tokio::test]
async fn t9_an_error_says_what_to_look_at() {
    let known = TestKey::generate(TestAlgorithm::Es256);
    let server = TestServer::builder().client(Client::new("m2m").key(&known)).build();
    let other = SigningKey::generate(Algorithm::Es256).expect("a key");
    let error = is_refused(fetch(&client_of(&server, ClientAuth::private_key_jwt(other))).await);
    for word in ["private_key_jwt", "m2m", "audience", "clock", "kid"] {
        assert!(error.to_string().contains(word), "{word} is missing in: {error}");
    }
}
