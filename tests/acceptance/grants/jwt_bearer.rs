//! RFC 7523, section 2.1: an assertion for a token.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use oauth_test_server::DecodedJwt;
use oauth_tokens::{
    Algorithm, ClientAuth, ErrorKind, JwtBearer, Secret, SecurityToken, SignedAssertion, SigningKey, TokenSource,
    TokenType,
};
use serde_json::{Value, json};
use tests::{
    canned::{self, Canned, status, token},
    support::TempFolder,
};
use tokio::time::advance;

use super::{TOKEN, assert_is_example, client, m2m, value};

#[tokio::test]
async fn jwt_bearer_is_the_example_of_rfc_7523_section_2_1() {
    let canned = Canned::always(token("t"));
    client(&canned, "app", ClientAuth::omitted())
        .jwt_bearer("eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJpc3Mi.J9l-ZhwP")
        .fetch()
        .await
        .expect("a token");
    assert_is_example(
        &canned,
        TOKEN,
        None,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer
         &assertion=eyJhbGciOiJFUzI1NiIsImtpZCI6IjE2In0.eyJpc3Mi.J9l-ZhwP",
    );
}

#[tokio::test]
async fn jwt_bearer_takes_all_that_goes_with_a_request() {
    // As Entra ID asks for it: on behalf of the user whose token it is.
    let canned = Canned::always(token("t"));
    m2m(&canned)
        .jwt_bearer("the-users-token")
        .scope("api://orders/.default")
        .param("requested_token_use", "on_behalf_of")
        .fetch()
        .await
        .expect("a token");
    let request = &canned.requests()[0];
    assert_eq!(value(request, "scope").as_deref(), Some("api://orders/.default"));
    assert_eq!(value(request, "requested_token_use").as_deref(), Some("on_behalf_of"));
    assert!(request.headers().contains_key("authorization"));
}

#[tokio::test(start_paused = true)]
async fn t15_jwt_bearer_reads_files_and_functions_anew_for_each_attempt() {
    let canned = Canned::sequence([status(StatusCode::BAD_GATEWAY), token("t")]);
    let folder = TempFolder::new();
    let path = folder.write("assertion", "from-a-file\n");
    m2m(&canned).jwt_bearer(Secret::file(&path)).fetch().await.expect("a token");
    assert_eq!(value(&canned.requests()[0], "assertion").as_deref(), Some("from-a-file"));

    let canned = Canned::sequence([status(StatusCode::BAD_GATEWAY), token("t")]);
    let made = Arc::new(AtomicU32::new(0));
    let function = Secret::from_fn(move || {
        let number = made.fetch_add(1, Relaxed);
        async move { Ok(format!("number-{number}")) }
    });
    m2m(&canned).jwt_bearer(function).fetch().await.expect("a token");
    let sent: Vec<_> = canned.requests().iter().filter_map(|request| value(request, "assertion")).collect();
    assert_eq!(sent, ["number-0", "number-1"], "an assertion may be good only once");

    let failing = Secret::from_fn(|| async { Err("the vault is sealed".into()) });
    let error = m2m(&canned).jwt_bearer(failing).fetch().await.expect_err("sealed");
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(error.to_string().contains("assertion"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn t15_a_changed_assertion_file_ends_the_waiting_after_a_permanent_error() {
    let canned = Canned::sequence([canned::json(400, r#"{"error":"invalid_grant"}"#), token("t")]);
    let folder = TempFolder::new();
    let path = folder.write("assertion", "old");
    let tokens = m2m(&canned).jwt_bearer(Secret::file(&path)).cached().expect("a request");
    tokens.token().await.expect_err("refused");
    advance(Duration::from_secs(5)).await;
    tokens.token().await.expect_err("remembered");
    folder.write("assertion", "another");
    advance(Duration::from_secs(1)).await;
    tokens.token().await.expect("a token, at once");
    assert_eq!(canned.requests().len(), 2);
}

#[test]
fn jwt_bearer_refuses_what_cannot_be_sent() {
    let canned = Canned::always(token("t"));
    for bad in ["", "a\nb", "\0"] {
        let error = m2m(&canned).jwt_bearer(bad).cached().expect_err("unusable");
        assert_eq!(error.kind(), ErrorKind::Config, "{bad:?}");
    }
    let error = m2m(&canned).jwt_bearer(Secret::file("")).cached().expect_err("no path");
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = m2m(&canned).jwt_bearer("j").param("assertion", "x").cached().expect_err("the protocol's");
    assert_eq!(error.kind(), ErrorKind::Config);
}

/// A token of one server's is the assertion at another's.
#[tokio::test]
async fn jwt_bearer_hands_in_what_a_token_exchange_issued() {
    let voucher = Canned::always(canned::json(200, r#"{"access_token":"v0ucher","token_type":"N_A","expires_in":60}"#));
    let theirs = Canned::always(token("t"));
    let request = m2m(&voucher).token_exchange(SecurityToken::id_token("i")).requested_token_type(TokenType::JWT);
    let request = Arc::new(request);
    let assertion = Secret::from_fn(move || {
        let request = Arc::clone(&request);
        async move { Ok(request.issue().await?.token.to_string()) }
    });
    m2m(&theirs).jwt_bearer(assertion).fetch().await.expect("a token");
    assert_eq!(value(&theirs.requests()[0], "assertion").as_deref(), Some("v0ucher"));
}

/// Header and claims, unverified.
fn parts(request: &Request<Bytes>) -> [Value; 2] {
    let assertion = value(request, "assertion").expect("an assertion");
    let jwt = DecodedJwt::decode(&assertion).expect("a JWT");
    [jwt.header, jwt.claims]
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs()
}

#[tokio::test]
async fn jwt_bearer_makes_an_assertion_as_googles_service_accounts_do() {
    let canned = Canned::always(token("t"));
    let key = SigningKey::generate(Algorithm::Es256).expect("a key").with_key_id("k1");
    let assertion =
        SignedAssertion::new(key, "761326798069@developer.gserviceaccount.com", "https://oauth2.googleapis.com/token")
            .claim("scope", "https://www.googleapis.com/auth/prediction")
            .lifetime(Duration::from_secs(3600));
    let before = now();
    client(&canned, "a", ClientAuth::omitted()).jwt_bearer(assertion).fetch().await.expect("a token");

    let [header, mut claims] = parts(&canned.requests()[0]);
    assert_eq!(header, json!({ "alg": "ES256", "kid": "k1", "typ": "JWT" }));
    let made = claims.as_object_mut().expect("claims");
    let mut take = |name: &str| made.remove(name).expect("a claim");
    let (iat, exp) = (take("iat").as_u64().expect("a number"), take("exp").as_u64().expect("a number"));
    assert!((before..=now()).contains(&iat) && exp == iat + 3600, "{iat} {exp}");
    assert!(take("jti").as_str().is_some_and(|jti| jti.len() >= 20));
    let expected = json!({
        "iss": "761326798069@developer.gserviceaccount.com",
        "aud": "https://oauth2.googleapis.com/token",
        "scope": "https://www.googleapis.com/auth/prediction",
    });
    assert_eq!(claims, expected, "and no `sub` that nobody named");
}

#[tokio::test(start_paused = true)]
async fn jwt_bearer_signs_anew_for_each_attempt() {
    let canned =
        Canned::sequence([status(StatusCode::SERVICE_UNAVAILABLE), status(StatusCode::BAD_GATEWAY), token("t")]);
    let key = SigningKey::generate(Algorithm::EdDsa).expect("a key");
    let assertion = SignedAssertion::new(key, "app", "https://as.example.com").subject("ann");
    m2m(&canned).jwt_bearer(assertion).fetch().await.expect("a token");
    let claims: Vec<Value> = canned.requests().iter().map(|request| parts(request)[1].clone()).collect();
    let mut ids: Vec<_> = claims.iter().map(|claims| claims["jti"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "a `jti` is good once");
    assert!(claims.iter().all(|claims| claims["sub"] == "ann"));
    for claims in claims {
        assert_eq!(
            claims["exp"].as_u64(),
            claims["iat"].as_u64().map(|iat| iat + 60),
            "a minute, unless told otherwise"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn jwt_bearer_tells_the_time_by_the_clock_that_tests_advance() {
    let canned = Canned::always(token("t"));
    let key = SigningKey::generate(Algorithm::Es256).expect("a key");
    let request = m2m(&canned).jwt_bearer(SignedAssertion::new(key, "app", "aud"));
    request.fetch().await.expect("a token");
    advance(Duration::from_secs(1000)).await;
    request.fetch().await.expect("a token");
    let iat: Vec<_> = canned.requests().iter().map(|request| parts(request)[1]["iat"].as_u64().expect("iat")).collect();
    assert!((1000..=1001).contains(&(iat[1] - iat[0])), "{iat:?}");
}

#[tokio::test]
async fn jwt_bearer_reads_a_key_file_anew() {
    let canned = Canned::always(token("t"));
    let folder = TempFolder::new();
    let key = SigningKey::file(folder.path("key.pem"));
    let request = m2m(&canned).jwt_bearer(SignedAssertion::new(key, "app", "aud"));
    let error = request.fetch().await.expect_err("no key yet");
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(canned.requests().is_empty());
    folder.write("key.pem", KEY);
    request.fetch().await.expect("a token");
    assert_eq!(parts(&canned.requests()[0])[0]["alg"], "EdDSA");
}

/// An Ed25519 key of nobody's (RFC 8410, section 10.3).
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

#[test]
fn jwt_bearer_refuses_assertions_that_no_server_would_take() {
    let canned = Canned::always(token("t"));
    let key = SigningKey::generate(Algorithm::Es256).expect("a key");
    let assertion = || SignedAssertion::new(key.clone(), "app", "aud");
    let bad = [
        SignedAssertion::new(key.clone(), "", "aud"),
        SignedAssertion::new(key.clone(), "app", ""),
        SignedAssertion::new(SigningKey::file(""), "app", "aud"),
        assertion().lifetime(Duration::ZERO),
        assertion().lifetime(Duration::from_millis(999)),
        assertion().lifetime(Duration::from_secs(3601)),
        assertion().claim("iss", "x"),
        assertion().claim("aud", "x"),
        assertion().claim("exp", 1),
        assertion().claim("iat", 1),
        assertion().claim("jti", "x"),
    ];
    for (number, assertion) in bad.into_iter().enumerate() {
        let error = m2m(&canned).grant(JwtBearer::new(assertion)).cached().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Config, "number {number}");
    }
    for lifetime in [Duration::from_secs(1), Duration::from_secs(3600)] {
        assert!(m2m(&canned).jwt_bearer(assertion().lifetime(lifetime)).cached().is_ok(), "{lifetime:?}");
    }
}
