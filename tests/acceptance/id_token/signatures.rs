//! Algorithms, and the server's keys while they change.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use oauth_test_server::TestKey;
use oauth_tokens::{Algorithm, AuthorizationServer, ClientAuth, ErrorKind, Signer, SigningKey};
use serde_json::{Value, json};
use tests::canned::{Canned, json as json_response};
use tokio::time::advance;

use super::{CLIENT, ISSUER, KEY, Provider, assert_refused, claims, now, verify, with};

const ALL: [Algorithm; 10] = [
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::EdDsa,
    Algorithm::Ed25519,
];

/// A JWT by this key, whatever it says of its algorithm.
async fn sign(key: &SigningKey, name: &str, claims: &Value) -> String {
    let encode = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", encode(&json!({ "alg": name })), encode(claims));
    let signature = Signer::sign(key, signed.as_bytes()).await.expect("a signature");
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn jwk(key: &SigningKey) -> Value {
    key.public_jwk().expect("a public key").to_json()
}

#[tokio::test(start_paused = true)]
async fn l4_every_algorithm_and_only_by_its_name() {
    let good = claims(now().await);
    let rsa = SigningKey::generate(Algorithm::Rs256).expect("a key");
    for algorithm in ALL {
        let key = match algorithm.name().starts_with(['R', 'P']) {
            true => rsa.clone().with_algorithm(algorithm).expect("an algorithm of RSA"),
            false => SigningKey::generate(algorithm).expect("a key"),
        };
        let provider = Provider::new();
        provider.set_keys([jwk(&key)]);
        let client = provider.client();
        for name in ALL.map(Algorithm::name) {
            let raw = sign(&key, name, &good).await;
            let is_same = name == algorithm.name() || (name.starts_with("Ed") && algorithm.name().starts_with("Ed"));
            match (verify(&client, &raw).await, is_same) {
                (Ok(token), true) => assert_eq!(token.subject(), "alice"),
                (refused, false) => assert_refused(refused, &raw, "the server"),
                (Err(error), true) => panic!("{algorithm} {name}: {error}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l4_an_algorithm_is_accepted_by_the_client_else_the_metadata_else_it_is_rs256() {
    let good = claims(now().await);
    let rsa = TestKey::generate(oauth_test_server::Algorithm::Rs256);
    let ed25519 = SigningKey::generate(Algorithm::Ed25519).expect("a key");
    let tokens = [
        KEY.sign(&good),
        rsa.sign(&good),
        sign(&ed25519, "EdDSA", &good).await,
        sign(&ed25519, "Ed25519", &good).await,
    ];
    let (es256, rs256, ed, both) = (Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa, Algorithm::Ed25519);
    // What the client is registered with, what the metadata say, and which of the tokens are good.
    let cases = [
        (None, json!(null), [false, true, false, false]),
        (None, json!(["ES256"]), [true, false, false, false]),
        (None, json!(["RS256", "ES256"]), [true, true, false, false]),
        (None, json!(["EdDSA"]), [false, false, true, true]),
        (None, json!(["Ed25519"]), [false, false, true, true]),
        (None, json!([]), [false; 4]),
        (None, json!(["none", "HS256", "ES512", 7]), [false; 4]),
        // No list at all: as if nothing were said.
        (None, json!("ES256"), [false, true, false, false]),
        (Some(es256), json!(null), [true, false, false, false]),
        (Some(es256), json!(["RS256"]), [true, false, false, false]),
        (Some(rs256), json!(["ES256"]), [false, true, false, false]),
        (Some(ed), json!(["ES256"]), [false, false, true, true]),
        (Some(both), json!(["ES256"]), [false, false, true, true]),
    ];
    for (registered, supported, expected) in cases {
        let provider = Provider::new();
        provider.set_keys([KEY.public_jwk(), rsa.public_jwk(), jwk(&ed25519)]);
        provider.set_metadata("id_token_signing_alg_values_supported", supported.clone());
        if supported.is_null() {
            provider.remove_metadata("id_token_signing_alg_values_supported");
        }
        let client = provider.client();
        let client = registered.map_or(client.clone(), |algorithm| client.id_token_algorithm(algorithm));
        for (raw, is_good) in tokens.iter().zip(expected) {
            match (verify(&client, raw).await, is_good) {
                (Ok(_), true) => (),
                (refused, false) => assert_refused(refused, raw, "algorithm that is not accepted"),
                (Err(error), true) => panic!("{registered:?} {supported}: {error}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l4_keys_are_fetched_again_at_most_once_a_minute() {
    let provider = Provider::new();
    let client = provider.client();
    let start = now().await;
    let good = with(&claims(start), json!({ "exp": start + 7200 }));
    let old = KEY.sign(&good);
    verify(&client, &old).await.expect("a good token");
    assert_eq!(provider.asked("/keys"), 1);

    // The server may just have changed them: once, they are looked at.
    let next = TestKey::generate(oauth_test_server::Algorithm::Es256).with_key_id("2026-02");
    let new = next.sign(&good);
    for _ in 0..20 {
        assert_refused(verify(&client, &new).await, &new, "no key");
    }
    assert_eq!(provider.asked("/keys"), 2);

    provider.set_keys([KEY.public_jwk(), next.public_jwk()]);
    advance(Duration::from_secs(59)).await;
    assert_refused(verify(&client, &new).await, &new, "at most once a minute");
    advance(Duration::from_secs(1)).await;
    verify(&client, &new).await.expect("a new key");
    assert_eq!(provider.asked("/keys"), 3);

    // A key that was taken back verifies nothing once that is known.
    provider.set_keys([next.public_jwk()]);
    verify(&client, &old).await.expect("nobody knows yet");
    advance(Duration::from_secs(3600)).await;
    assert_refused(verify(&client, &old).await, &old, "no key");
    verify(&client, &new).await.expect("the key that is left");

    // Another key of the same name.
    let renamed = TestKey::generate(oauth_test_server::Algorithm::Es256).with_key_id("2026-02");
    provider.set_keys([renamed.public_jwk()]);
    let raw = renamed.sign(&good);
    advance(Duration::from_secs(60)).await;
    verify(&client, &raw).await.expect("the keys are fetched again for this, too");

    let asked = provider.asked("/keys");
    for second in 0..180 {
        assert_refused(verify(&client, &new).await, &new, "not of the server's key");
        advance(Duration::from_secs(1)).await;
        assert!(provider.asked("/keys") <= asked + 1 + second / 60, "{second}");
    }
}

/// Anybody can bring logout tokens; that must not keep a user of the server's from signing in.
#[tokio::test(start_paused = true)]
async fn l4_what_strangers_make_up_is_counted_apart() {
    let provider = Provider::new();
    let client = provider.client();
    let start = now().await;
    let good = with(&claims(start), json!({ "exp": start + 7200 }));
    verify(&client, &KEY.sign(&good)).await.expect("a good token");
    let made_up = TestKey::generate(oauth_test_server::Algorithm::Es256).sign(&good);
    for asked in [2, 3] {
        for _ in 0..10 {
            assert_refused(client.verify_logout_token(&made_up).await, &made_up, "no key");
        }
        assert_eq!(provider.asked("/keys"), asked - 1, "fetched less than a minute ago");
        advance(Duration::from_secs(60)).await;
        for _ in 0..10 {
            assert_refused(client.verify_logout_token(&made_up).await, &made_up, "no key");
        }
        assert_eq!(provider.asked("/keys"), asked);
    }
    let next = TestKey::generate(oauth_test_server::Algorithm::Es256).with_key_id("2026-02");
    provider.set_keys([next.public_jwk()]);
    advance(Duration::from_secs(1)).await;
    verify(&client, &next.sign(&good)).await.expect("the keys are fetched for the server's own token");
}

/// Many at once wait for one fetch.
#[tokio::test(start_paused = true)]
async fn l4_many_that_lack_a_key_cause_one_fetch() {
    let provider = Provider::new();
    let client = provider.client();
    let good = claims(now().await);
    verify(&client, &KEY.sign(&good)).await.expect("a good token");
    let next = TestKey::generate(oauth_test_server::Algorithm::Es256).with_key_id("2026-02");
    provider.set_keys([next.public_jwk()]);
    let raw = next.sign(&good);
    let all = futures_util::future::join_all((0..50).map(|_| verify(&client, &raw))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(provider.asked("/keys"), 2);
}

#[tokio::test(start_paused = true)]
async fn l4_without_the_servers_keys_nothing_is_known() {
    let provider = Provider::new();
    provider.remove_metadata("jwks_uri");
    let raw = KEY.sign(&claims(now().await));
    let error = verify(&provider.client(), &raw).await.expect_err("no keys");
    assert_eq!(error.kind(), ErrorKind::MissingEndpoint);

    let down = Canned::always(json_response(503, "{}"));
    let server = AuthorizationServer::via(down.http()).issuer(ISSUER).expect("an issuer");
    let error = verify(&server.client(CLIENT, ClientAuth::none()).expect("a client"), &raw).await.expect_err("down");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::UnexpectedResponse, true));

    let server =
        AuthorizationServer::via(provider.canned.http()).token_endpoint("https://id.test/token").expect("a URL");
    let error =
        verify(&server.client(CLIENT, ClientAuth::none()).expect("a client"), &raw).await.expect_err("no issuer");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Config, false));
    assert!(error.to_string().contains("give the issuer"), "{error}");
}

/// What is registered for one client counts for no other.
#[tokio::test(start_paused = true)]
async fn l4_clients_of_one_server_have_their_own_rules() {
    let provider = Provider::new();
    let client = provider.client();
    let strict = client.id_token_algorithm(Algorithm::Rs256);
    let raw = KEY.sign(&claims(now().await));
    verify(&client, &raw).await.expect("by the metadata");
    assert_refused(verify(&strict, &raw).await, &raw, "not accepted");
    let other = client.server().client("other", ClientAuth::none()).expect("a client");
    assert_refused(verify(&other, &raw).await, &raw, "`aud` is not this client");
}

#[tokio::test(start_paused = true)]
async fn l4_the_issuer_is_spelt_as_the_metadata_spell_it() {
    let provider = Provider::new();
    provider.set_metadata("issuer", "https://id.test/");
    let builder = AuthorizationServer::via(provider.canned.http()).accept_metadata_issuer("https://id.test/");
    let client = builder.issuer(ISSUER).and_then(|server| server.client(CLIENT, ClientAuth::none())).expect("a client");
    let good = claims(now().await);
    let raw = KEY.sign(&good);
    assert_refused(verify(&client, &raw).await, &raw, "`iss` is not the server's");
    let token =
        verify(&client, &KEY.sign(&with(&good, json!({ "iss": "https://id.test/" })))).await.expect("as agreed");
    assert_eq!(token.issuer(), "https://id.test/");
}
