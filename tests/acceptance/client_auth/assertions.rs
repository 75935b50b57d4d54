//! What an assertion of the client's own says (RFC 7523, section 3), and for whom.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::header::AUTHORIZATION;
use oauth_tokens::{
    Algorithm, AuthorizationServer, BoxError, ClientAssertion, ClientAuth, ErrorKind, Secret, Signer, SigningKey,
};
use serde_json::json;
use tests::canned::{Canned, json as answer, status, token};
use tokio::time::advance;

use super::{ISSUER, JWT_BEARER, SECRET, TOKEN_ENDPOINT, answering, assertion, client_at, fetch, forms, value};

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).expect("a key").with_key_id("k1")
}

fn seconds_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("seconds")
}

#[tokio::test(start_paused = true)]
async fn t9_an_assertion_says_who_asks_whom_and_for_how_long() {
    use Algorithm::{Ed25519, EdDsa, Es256, Es384, Ps256, Rs256};
    // The clock, which stands still from here on but for what the test moves it.
    let (began, mut advanced) = (seconds_now(), 0);
    let mut all: Vec<(ClientAuth, &str)> = [Es256, Es384, Rs256, Ps256, EdDsa, Ed25519]
        .into_iter()
        .map(|algorithm| (ClientAuth::private_key_jwt(key(algorithm)), algorithm.name()))
        .collect();
    all.push((ClientAuth::client_secret_jwt(SECRET), "HS256"));
    for (auth, name) in all {
        let canned = answering("t");
        let client = client_at(&canned, auth);
        advance(Duration::from_secs(5000)).await;
        advanced += 5000;
        fetch(&client).await.expect("a token");
        let form = &forms(&canned)[0];
        let names: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["grant_type", "client_id", "client_assertion_type", "client_assertion"]);
        assert_eq!((value(form, "client_id"), value(form, "client_assertion_type")), ("m2m", JWT_BEARER));
        assert!(canned.requests().iter().all(|request| !request.headers().contains_key(AUTHORIZATION)));

        let jwt = assertion(form);
        let mut header = json!({ "alg": name, "typ": "client-authentication+jwt" });
        if name != "HS256" {
            header["kid"] = json!("k1");
        }
        assert_eq!(jwt.header, header);
        let claims = &jwt.claims;
        assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&json!("m2m"), &json!("m2m"), &json!(ISSUER)));
        let iat = claims["iat"].as_i64().expect("whole seconds");
        assert!((0..=5).contains(&(iat - began - advanced)), "{iat} is the server's time");
        assert_eq!(claims["exp"].as_i64(), Some(iat + 60));
        assert!(claims["jti"].as_str().is_some_and(|id| id.len() == 22), "128 bits");
        assert_eq!(claims.as_object().map(serde_json::Map::len), Some(6), "{claims:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn t9_every_attempt_has_an_assertion_of_its_own() {
    let canned = Canned::sequence([
        tests::canned::metadata(ISSUER, TOKEN_ENDPOINT),
        status(http::StatusCode::BAD_GATEWAY),
        status(http::StatusCode::BAD_GATEWAY),
        token("t"),
    ]);
    fetch(&client_at(&canned, ClientAuth::private_key_jwt(key(Algorithm::Es256)))).await.expect("the third attempt");
    let identifiers: BTreeSet<_> =
        forms(&canned).iter().map(|form| assertion(form).claims["jti"].to_string()).collect();
    assert_eq!(identifiers.len(), 3);
}

#[tokio::test]
async fn t9_the_audience_is_what_the_caller_gave_and_never_what_metadata_say() {
    // Metadata that would like the assertion to be good elsewhere.
    let elsewhere = || {
        Canned::new(|request| match request.uri().path().contains("/.well-known/") {
            true => answer(
                200,
                json!({
                    "issuer": if request.uri().path().contains("common") { "https://id.test/{tenant}" } else { ISSUER },
                    "token_endpoint": "https://evil.test/token",
                    "audience": "https://evil.test",
                })
                .to_string(),
            ),
            false => token("t"),
        })
    };
    let auth = || ClientAssertion::private_key(key(Algorithm::Es256));
    let canned = elsewhere();
    let at = |issuer: &str| AuthorizationServer::via(canned.http()).issuer(issuer).expect("a server");
    let accepting = AuthorizationServer::via(canned.http())
        .accept_metadata_issuer("https://id.test/{tenant}")
        .issuer("https://id.test/common")
        .expect("a server");
    let overridden = AuthorizationServer::via(canned.http())
        .override_token_endpoint("https://10.0.0.7/token")
        .issuer(ISSUER)
        .expect("a server");
    let bare = AuthorizationServer::via(canned.http()).token_endpoint(TOKEN_ENDPOINT).expect("a server");
    let cases = [
        (at(ISSUER).client("m2m", auth()), ISSUER),
        (at(ISSUER).client("m2m", auth().audience(TOKEN_ENDPOINT)), TOKEN_ENDPOINT),
        // The issuer's own spelling, which the caller has accepted.
        (accepting.client("m2m", auth()), "https://id.test/{tenant}"),
        (overridden.client("m2m", auth()), ISSUER),
        (bare.client("m2m", auth().audience("urn:bank:id")), "urn:bank:id"),
    ];
    for (number, (client, audience)) in cases.into_iter().enumerate() {
        fetch(&client.expect("a client")).await.expect("a token");
        assert_eq!(assertion(&forms(&canned)[number]).claims["aud"], json!(audience));
    }
}

#[tokio::test]
async fn t9_a_server_without_an_issuer_needs_an_audience() {
    let canned = answering("t");
    let server = AuthorizationServer::via(canned.http()).token_endpoint(TOKEN_ENDPOINT).expect("a server");
    for auth in [ClientAuth::private_key_jwt(key(Algorithm::Es256)), ClientAuth::client_secret_jwt(SECRET)] {
        let error = server.client("m2m", auth).expect_err("for whom?");
        assert_eq!(error.kind(), ErrorKind::Config);
        let text = error.to_string();
        assert!(text.contains("issuer") && text.contains("audience") && text.contains(TOKEN_ENDPOINT), "{text}");
    }
    for odd in ["", "a\nb"] {
        let auth = ClientAssertion::shared_secret(SECRET);
        for auth in [auth.clone().audience(odd), auth.header_type(odd)] {
            assert_eq!(server.client("m2m", auth).expect_err(odd).kind(), ErrorKind::Config);
        }
    }
}

#[tokio::test]
async fn t9_the_header_type_may_be_that_of_old() {
    let canned = answering("t");
    let auth = ClientAssertion::private_key(key(Algorithm::EdDsa)).header_type("JWT");
    assert!(format!("{auth:?}").contains("private_key_jwt"));
    fetch(&client_at(&canned, auth)).await.expect("a token");
    assert_eq!(assertion(&forms(&canned)[0]).header["typ"], json!("JWT"));
}

#[tokio::test]
async fn t15_a_secret_too_short_to_sign_with_is_refused() {
    let canned = answering("t");
    let server = AuthorizationServer::via(canned.http()).issuer(ISSUER).expect("a server");
    let short = &SECRET[..31];
    let error = server.client("m2m", ClientAuth::client_secret_jwt(short)).expect_err("31 bytes");
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("32 bytes"), "{error}");
    let later = Secret::from_fn(move || async move { Ok(short.to_owned()) });
    let error = fetch(&client_at(&canned, ClientAuth::client_secret_jwt(later))).await.expect_err("31 bytes");
    assert!(error.kind() == ErrorKind::Credential && error.to_string().contains("32 bytes"), "{error}");
    assert_eq!(forms(&canned).len(), 0);
    fetch(&client_at(&canned, ClientAuth::client_secret_jwt(SECRET))).await.expect("32 bytes");
}

/// A key in an HSM.
struct Hsm(Result<SigningKey, &'static str>);

impl Signer for Hsm {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn key_id(&self) -> Option<&str> {
        Some("slot-7")
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.0.as_ref().map_err(|error| BoxError::from(*error))?.sign(message).await
    }
}

#[tokio::test(start_paused = true)]
async fn t15_a_key_may_be_elsewhere() {
    let canned = answering("t");
    fetch(&client_at(&canned, ClientAuth::private_key_jwt(Hsm(Ok(key(Algorithm::Es256)))))).await.expect("a token");
    assert_eq!(assertion(&forms(&canned)[0]).header["kid"], json!("slot-7"));

    let canned = answering("t");
    let broken = ClientAuth::private_key_jwt(Hsm(Err("the HSM is locked")));
    let error = fetch(&client_at(&canned, broken)).await.expect_err("no signature");
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(error.is_transient(), "somebody unlocks it");
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(cause.as_deref(), Some("the HSM is locked"));
    assert_eq!(forms(&canned).len(), 0, "nothing is sent unsigned");
}

/// One that never answers: an HSM whose network is gone.
struct Hangs;

impl Signer for Hangs {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, BoxError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn t3_the_deadline_covers_signing() {
    let began = tokio::time::Instant::now();
    let error = fetch(&client_at(&answering("t"), ClientAuth::private_key_jwt(Hangs))).await.expect_err("no signature");
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Timeout, Duration::from_secs(10)));
}

#[tokio::test]
async fn t9_a_client_that_the_grant_speaks_for_sends_nothing() {
    let canned = answering("t");
    fetch(&client_at(&canned, ClientAuth::omitted())).await.expect("a token");
    assert_eq!(forms(&canned)[0], [("grant_type".to_owned(), "client_credentials".to_owned())]);
}
