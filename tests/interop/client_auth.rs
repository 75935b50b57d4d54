//! Clients that prove by a signed assertion who they are (RFC 7523, section 2.2).

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use oauth_tokens::{
    Algorithm, AuthorizationServer, BoxError, ClientAssertion, ClientAuth, ErrorKind, HttpClient, KeySource, Secret,
    Signer, SigningKey, TokenCache, TokenSource,
};
use tests::support::TempFolder;
use tower::{ServiceBuilder, ServiceExt};
use tower_oauth::RetryOutcome;

use crate::{
    client::of_machine,
    layer::{get, hyper, json_of, over_hyper},
    server::{RealServer, oidc},
    token_errors::assert_refused,
};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[tokio::test]
async fn each_algorithm_with_each_form_of_a_key() {
    let server = oidc();
    for role in ["es256", "es384", "rs256", "ps256", "eddsa"] {
        let algorithm = algorithm_of(server.of_client(role, "alg"));
        let (kid, pem) = (server.of_client(role, "kid"), server.of_client(role, "key_pem"));
        let from_pem = SigningKey::from_pem(server.file_of(role, "key_pem")).expect("a key");
        let from_pem = from_pem.with_algorithm(algorithm).expect("a key for this algorithm");
        let from_jwk = SigningKey::from_jwk(&server.file_of(role, "key_jwk")).expect("a key");
        assert_eq!((from_jwk.algorithm(), from_jwk.key_id()), (algorithm, Some(kid)));
        let forms: [(&str, KeySource); 6] = [
            ("PEM without a name", from_pem.clone().into()),
            ("PEM with a name", from_pem.with_key_id(kid).into()),
            ("PEM file", SigningKey::file(pem).with_algorithm(algorithm).into()),
            ("PEM file with a name", SigningKey::file(pem).with_algorithm(algorithm).with_key_id(kid).into()),
            ("JWK file", SigningKey::file(server.of_client(role, "key_jwk")).into()),
            ("elsewhere", Elsewhere(Ok(from_jwk)).into()),
        ];
        for (form, key) in forms {
            let request = of_machine(&server.client_by(role, ClientAuth::private_key_jwt(key)));
            assert_calls(server, role, &request.cached().expect("a usable request"), form).await;
        }
    }
}

#[tokio::test]
async fn a_secret_that_signs_and_is_never_sent() {
    let server = oidc();
    let secret = server.registered("secret_jwt").secret;
    let client = server.client_by("secret_jwt", ClientAuth::client_secret_jwt(secret));
    let tokens = of_machine(&client).cached().expect("a usable request");
    assert_calls(server, "secret_jwt", &tokens, "by issuer").await;

    let other = secret.replace('0', "1");
    let client = server.client_by("secret_jwt", ClientAuth::client_secret_jwt(&*other));
    let error = of_machine(&client).fetch().await.expect_err("another secret");
    assert_refused(&error, "invalid_client", 401);
    assert!(error.to_string().contains("check the client id and the secret"), "what to do: {error}");
    assert!(!format!("{error} {error:?}").contains(&other), "{error:?}");
}

#[tokio::test]
async fn the_audience_is_the_issuer_or_what_is_configured() {
    let server = oidc();
    let key = SigningKey::from_jwk(&server.file_of("es256", "key_jwk")).expect("a key");
    let id = server.of_client("es256", "id");
    for audience in [server.issuer(), server.token_endpoint()] {
        let auth = ClientAssertion::private_key(key.clone()).audience(audience);
        let client = server.by_token_endpoint().client(id, auth).expect("an audience is enough");
        of_machine(&client).fetch().await.unwrap_or_else(|error| panic!("{audience}: {error}"));
    }
    let nothing_says_for_whom = server.by_token_endpoint().client(id, ClientAuth::private_key_jwt(key));
    assert_eq!(nothing_says_for_whom.expect_err("no audience").kind(), ErrorKind::Config);
}

#[tokio::test]
async fn an_assertion_that_the_server_does_not_believe() {
    let server = oidc();
    let jwk = |role: &str| SigningKey::from_jwk(&server.file_of(role, "key_jwk")).expect("a key");
    let named = |key: SigningKey, role: &str| key.with_key_id(server.of_client(role, "kid"));
    let nobodys = SigningKey::generate(Algorithm::Es256).expect("a key");
    let other_algorithm = jwk("ps256").with_algorithm(Algorithm::Rs256).expect("an RSA key");
    // The same client is known there, by the same key.
    let other_server = server.realm("nonce");

    let mistakes: [(&str, &str, ClientAuth); 9] = [
        ("a key of nobody's", "es256", ClientAuth::private_key_jwt(named(nobodys.clone(), "es256"))),
        ("another client's key", "rotating", ClientAuth::private_key_jwt(jwk("es256"))),
        (
            "another client's key by the right name",
            "rotating",
            ClientAuth::private_key_jwt(named(jwk("es256"), "rotating")),
        ),
        ("an unknown name", "es256", ClientAuth::private_key_jwt(jwk("es256").with_key_id("n0b0dys"))),
        ("another algorithm", "ps256", ClientAuth::private_key_jwt(other_algorithm)),
        (
            "another server's issuer",
            "es256",
            ClientAssertion::private_key(jwk("es256")).audience(other_server.issuer()).into(),
        ),
        (
            "the API as its audience",
            "es256",
            ClientAssertion::private_key(jwk("es256")).audience(server.api("")).into(),
        ),
        ("a key for who has a secret", "basic", ClientAuth::private_key_jwt(nobodys)),
        ("a secret for who has a key", "es256", ClientAuth::secret_basic("s3cr3t")),
    ];
    for (what, role, auth) in mistakes {
        let error = of_machine(&server.client_by(role, auth)).fetch().await.expect_err(what);
        assert_refused(&error, "invalid_client", 401);
        let message = error.to_string();
        assert!(message.contains(server.of_client(role, "id")), "{what}: {message}");
        let hint = if what.starts_with("a secret") { "the secret" } else { "the server knows the public key" };
        assert!(message.contains(hint), "{what}: {message}");
    }
}

#[tokio::test]
async fn a_signer_that_fails_sends_nothing() {
    let server = oidc();
    let client = server.client_by("es256", ClientAuth::private_key_jwt(Elsewhere(Err("the HSM is locked"))));
    let error = of_machine(&client).fetch().await.expect_err("no signature");
    assert_eq!(error.kind(), ErrorKind::Credential, "{error}");
    assert!(error.is_transient() && error.status().is_none(), "{error}");
    let cause = std::error::Error::source(&error).expect("a cause").to_string();
    assert!(cause.contains("the HSM is locked"), "{cause}");
}

#[tokio::test]
async fn t15_a_key_file_is_rotated_without_a_restart() {
    let (server, folder) = (oidc(), TempFolder::new());
    let put = |jwk: &str| folder.write("key", jwk);
    let file = put(&server.file_of("rotating", "key_jwk"));
    let request = of_machine(&server.client_by("rotating", ClientAuth::private_key_jwt(SigningKey::file(&file))));
    let tokens = request.cached().expect("a usable request");
    assert_calls(server, "rotating", &tokens, "the first key").await;

    put(&server.file_of("rotating", "next_key_jwk"));
    let first = tokens.token().await.expect("a token");
    let second = tokens.renew_for(&server.api(""), &first).await.expect("by the next key");
    assert_ne!(first, second);

    // A key that is the client's no more, and for the server never was.
    put(&server.file_of("es256", "key_jwk"));
    let error = tokens.renew_for(&server.api("/other"), &second).await.expect_err("another's key");
    assert_refused(&error, "invalid_client", 401);
    assert_calls(server, "rotating", &tokens, "the token is still good").await;

    // What was refused for good is tried again after half a minute, or when there is another key: that is looked for once
    // a second.
    put(&server.file_of("rotating", "key_jwk"));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    tokens.renew_for(&server.api("/another"), &second).await.expect("by the first key");
}

#[tokio::test]
async fn t15_a_key_that_changed_meanwhile_is_tried_at_once() {
    let (server, folder) = (oidc(), TempFolder::new());
    let file = folder.write("key", server.file_of("es256", "key_jwk"));
    let (right, sent) = (server.file_of("rotating", "key_jwk"), Arc::new(AtomicU64::new(0)));
    let http = HttpClient::new(
        ServiceBuilder::new()
            .map_request({
                let (file, sent) = (file.clone(), Arc::clone(&sent));
                move |request: Request<Full<Bytes>>| {
                    // The key is replaced while the assertion by the old one is on its way.
                    if sent.fetch_add(1, SeqCst) == 0 {
                        fs::write(&file, &right).expect("a file");
                    }
                    request
                }
            })
            .service(hyper()),
    );
    let there = AuthorizationServer::via(http).token_endpoint(server.token_endpoint()).expect("loopback may be http");
    let auth = ClientAssertion::private_key(SigningKey::file(&file)).audience(server.issuer());
    let client = there.client(server.of_client("rotating", "id"), auth).expect("a usable client");
    of_machine(&client).fetch().await.expect("by the key that is there now");
    assert_eq!(sent.load(SeqCst), 2);

    folder.write("key", server.file_of("es256", "key_jwk"));
    let error = of_machine(&client).fetch().await.expect_err("another's key");
    assert_refused(&error, "invalid_client", 401);
    assert_eq!(sent.load(SeqCst), 3, "nothing has changed, and nothing is tried again");
}

#[tokio::test]
async fn t15_an_assertion_file_is_read_for_each_exchange() {
    let (server, folder) = (oidc(), TempFolder::new());
    let put = async || folder.write("token", assertion(server, "es256").await);
    let request = of_machine(&server.client_by("es256", ClientAuth::assertion_file(put().await)));
    request.fetch().await.expect("a token");
    let error = request.fetch().await.expect_err("this server takes an assertion once");
    assert_refused(&error, "invalid_client", 401);
    assert!(error.to_string().contains("check that the assertion has not expired"), "what to do: {error}");

    put().await;
    let tokens = request.cached().expect("a usable request");
    assert_calls(server, "es256", &tokens, "a new assertion").await;
    let dead = tokens.token().await.expect("a token");
    let jwk = SigningKey::from_jwk(&server.file_of("es256", "key_jwk")).expect("a key");
    let owner = server.client_by("es256", ClientAuth::private_key_jwt(jwk));
    owner.revoke(dead.secret()).await.expect("revoked");
    put().await;
    let response = over_hyper(server, tokens).oneshot(get(&server.api("/things"))).await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(matches!(response.extensions().get(), Some(RetryOutcome::Retried)));
}

#[tokio::test]
async fn t15_an_assertion_from_a_function_is_asked_for_at_each_exchange() {
    let server = oidc();
    let secret = Secret::from_fn(|| async { Ok(assertion(oidc(), "eddsa").await) });
    let request = of_machine(&server.client_by("eddsa", ClientAuth::assertion(JWT_BEARER, secret)));
    for _ in 0..3 {
        request.fetch().await.expect("a token");
    }
}

#[tokio::test]
async fn assertions_of_nobody_and_of_others() {
    let (server, folder) = (oidc(), TempFolder::new());
    let file = folder.write("token", assertion(server, "es256").await);
    let error = of_machine(&server.client_by("eddsa", ClientAuth::assertion_file(&file))).fetch().await;
    let error = error.expect_err("another client's");
    assert!(
        matches!(error.oauth().expect("an OAuth error").code.as_str(), "invalid_client" | "invalid_request"),
        "{error}"
    );

    // The server has not heard of SPIFFE's type of assertion, and says so.
    let error = of_machine(&server.client_by("es256", ClientAuth::spiffe_svid_file(&file))).fetch().await;
    assert_refused(&error.expect_err("another type"), "invalid_request", 400);

    let signed = folder.path("token");
    let text = fs::read_to_string(&signed).expect("a file");
    let (rest, signature) = text.rsplit_once('.').expect("a JWT");
    let turned: String = signature.chars().rev().collect();
    folder.write("token", format!("{rest}.{turned}"));
    let error = of_machine(&server.client_by("es256", ClientAuth::assertion_file(&file))).fetch().await;
    let error = error.expect_err("a forged signature");
    assert_refused(&error, "invalid_client", 401);
    assert!(!format!("{error} {error:?}").contains(&turned), "{error:?}");
}

/// The token works at the API, and the API knows whose it is.
async fn assert_calls(server: &RealServer, role: &str, tokens: &TokenCache, what: &str) {
    let response = over_hyper(server, tokens.clone()).oneshot(get(&server.api("/things"))).await;
    let response = response.unwrap_or_else(|error| panic!("{role}, {what}: {error:?}"));
    assert_eq!(response.status(), 200, "{role}, {what}");
    assert_eq!(json_of(response).await["client_id"], server.of_client(role, "id"), "{role}, {what}");
}

/// What a platform would leave in a file for this client.
async fn assertion(server: &RealServer, role: &str) -> String {
    let order = format!("assertion?client_id={}&seconds=60", server.of_client(role, "id"));
    server.admin(&order, "assertion").await
}

fn algorithm_of(name: &str) -> Algorithm {
    let all = [Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa];
    all.into_iter().find(|algorithm| algorithm.name() == name).expect("a known algorithm")
}

/// A key in a KMS: it takes its time, or does not sign at all.
struct Elsewhere(Result<SigningKey, &'static str>);

impl Signer for Elsewhere {
    fn algorithm(&self) -> Algorithm {
        self.0.as_ref().map_or(Algorithm::Es256, Signer::algorithm)
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        tokio::task::yield_now().await;
        self.0.as_ref().map_err(|why| *why)?.sign(message).await
    }
}
