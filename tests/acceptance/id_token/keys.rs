//! Which of a server's keys may verify what.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use oauth_test_server::{Algorithm, TestKey};
use serde_json::{Value, json};

use super::{KEY, Provider, assert_refused, claims, now, verify, with};

#[tokio::test(start_paused = true)]
async fn l4_keys_that_fit_and_keys_that_do_not() {
    let good = claims(now().await);
    let raw = KEY.sign(&good);
    let jwk = KEY.public_jwk();
    for changes in [
        json!({}),
        json!({ "use": null, "alg": null }),
        json!({ "key_ops": ["verify"] }),
        json!({ "key_ops": ["encrypt", "verify"] }),
        json!({ "x5c": ["anything"], "unknown": 7 }),
    ] {
        let provider = Provider::new();
        provider.set_keys([with(&jwk, changes.clone())]);
        verify(&provider.client(), &raw).await.unwrap_or_else(|error| panic!("{changes}: {error}"));
    }
    let p384 = TestKey::generate(Algorithm::Es384).with_key_id("2026-01").public_jwk();
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let cases = [
        (json!({ "use": "enc" }), "no key"),
        (json!({ "use": 7 }), "no key"),
        (json!({ "key_ops": ["sign"] }), "no key"),
        (json!({ "key_ops": [] }), "no key"),
        (json!({ "key_ops": "verify" }), "no key"),
        (json!({ "alg": "ES384" }), "no key"),
        (json!({ "alg": "RS256" }), "no key"),
        (json!({ "alg": 7 }), "no key"),
        (json!({ "kid": "other" }), "no key"),
        (json!({ "kid": null }), "no key"),
        (json!({ "kty": "RSA" }), "no key"),
        (json!({ "kty": "OKP" }), "no key"),
        (json!({ "crv": "P-384" }), "no key"),
        (json!({ "crv": null }), "no key"),
        // A private half that the server gave away, or a secret: nobody knows who signs by it.
        (json!({ "d": "AAAA" }), "no key"),
        (json!({ "k": "AAAA" }), "no key"),
        (json!({ "x": null }), "malformed"),
        (json!({ "x": 7 }), "malformed"),
        (json!({ "x": "!" }), "malformed"),
        (json!({ "x": encode(&[7; 31]) }), "malformed"),
        (json!({ "x": encode(&[7; 33]) }), "malformed"),
        (json!({ "y": encode(&[7; 31]) }), "malformed"),
        (json!({ "x": p384["x"], "y": p384["y"] }), "malformed"),
        // Not on the curve, and the point at infinity.
        (json!({ "x": encode(&[7; 32]) }), "not of the server's key"),
        (json!({ "x": encode(&[0; 32]), "y": encode(&[0; 32]) }), "not of the server's key"),
    ];
    for (changes, why) in cases {
        let provider = Provider::new();
        provider.set_keys([with(&jwk, changes)]);
        assert_refused(verify(&provider.client(), &raw).await, &raw, why);
    }
    for keys in [vec![], vec![p384], vec![json!("no key"), json!({}), json!({ "kty": 7 })]] {
        let provider = Provider::new();
        provider.set_keys(keys);
        assert_refused(verify(&provider.client(), &raw).await, &raw, "no key");
    }
}

/// RFC 9864, section 2.2.
#[tokio::test(start_paused = true)]
async fn l4_ed25519_has_two_names() {
    let key = TestKey::generate(Algorithm::EdDsa).with_key_id("ed");
    let good = claims(now().await);
    for (of_token, of_key, is_good) in [
        ("EdDSA", "EdDSA", true),
        ("EdDSA", "Ed25519", true),
        ("Ed25519", "EdDSA", true),
        ("Ed25519", "Ed25519", true),
        ("Ed25519", "Ed448", false),
        ("EdDSA", "ES256", false),
    ] {
        let provider = Provider::new();
        provider.set_keys([with(&key.public_jwk(), json!({ "alg": of_key }))]);
        let raw = key.sign_with(&json!({ "alg": of_token, "kid": "ed" }), &good);
        match (verify(&provider.client(), &raw).await, is_good) {
            (Ok(_), true) => (),
            (refused, false) => assert_refused(refused, &raw, "no key"),
            (Err(error), true) => panic!("{of_token} {of_key}: {error}"),
        }
    }
}

/// Both numbers of a key of 1024 bits, and a token of 2020 until 2100 that it signed by RS256.
const SHORT_KEY: [&str; 2] = [
    "sAfmlSbEnPPpm0u3G5SXyzezLyxwYuu-eYWV3caZvMu_gx8W9yGsFL18cXo_ng9xjqXV0bvx_Z2ZBDlFgBqGaRYRE4rvzVitz07PU1EPKa7R5Z\
     Mq3JlNKAxK2GIMcmxu8b59SdSkfCkFUg5NOsE4U0Qu4LHHK3hTbmeh37ZbDq8",
    "AQAB",
];
const BY_SHORT_KEY: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InNob3J0In0.eyJpc3MiOiJodHRwczovL2lkLnRlc3QiLCJzdWIiOiJhbGljZSIsImF1ZCI6InNob3AiLC\
     JpYXQiOjE1Nzc4MzY4MDAsImV4cCI6NDEwMjQ0NDgwMCwibm9uY2UiOiJuLTBTNl9XekEyTWoifQ.QoIGIOGYUGOH8V5MrNLx7ERQ7YKNRpdUq\
     eynlUSQJ3YVjAOsuWIsGi5rXBGLC1e3CVXnP4rGVzqiNLKEmiCDXWXmuLZjF5mMoWOV5BN9NU_WG7PX4t63eih-n3BNqK1qwc4P-SwW4nJVqUk\
     -G2JvS8R3xK1HbswZOr0w3SmqG28";

#[tokio::test(start_paused = true)]
async fn l4_rsa_keys_have_2048_bits_at_least() {
    let jwk = json!({ "kty": "RSA", "kid": "short", "n": SHORT_KEY[0], "e": SHORT_KEY[1] });
    let provider = Provider::new();
    provider.set_keys([jwk]);
    assert_refused(verify(&provider.client(), BY_SHORT_KEY).await, BY_SHORT_KEY, "less than 2048 bits");

    let rsa = TestKey::generate(Algorithm::Rs256);
    let good = claims(now().await);
    let raw = rsa.sign(&good);
    let jwk = rsa.public_jwk();
    let decoded = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("text")).expect("base64url");
    let with_zero = |name: &str| Value::from(BASE64_URL_SAFE_NO_PAD.encode([&[0], decoded(name).as_slice()].concat()));
    let zeros = Value::from(BASE64_URL_SAFE_NO_PAD.encode([0; 256]));
    let ones = |length: usize| Value::from(BASE64_URL_SAFE_NO_PAD.encode(vec![0xff; length]));
    let padded_short = Value::from(BASE64_URL_SAFE_NO_PAD.encode([vec![0; 128], vec![0xff; 128]].concat()));
    let provider = Provider::new();
    // Not as RFC 7518 (section 6.3.1.1) has it, and as some servers have it.
    provider.set_keys([with(&jwk, json!({ "n": with_zero("n"), "e": with_zero("e") }))]);
    verify(&provider.client(), &raw).await.expect("leading zeros");
    let cases = [
        (json!({ "n": null }), "malformed"),
        (json!({ "e": null }), "malformed"),
        (json!({ "n": "" }), "2048 bits"),
        (json!({ "n": zeros }), "2048 bits"),
        (json!({ "n": ones(255) }), "2048 bits"),
        (json!({ "n": padded_short }), "2048 bits"),
        (json!({ "n": ones(1025) }), "2048 bits"),
        (json!({ "e": "" }), "not of the server's key"),
        (json!({ "e": "AQ" }), "not of the server's key"),
        (json!({ "e": "Ag" }), "not of the server's key"),
        (json!({ "e": ones(256) }), "not of the server's key"),
        (json!({ "n": ones(256) }), "not of the server's key"),
    ];
    for (changes, why) in cases {
        let provider = Provider::new();
        provider.set_keys([with(&jwk, changes)]);
        assert_refused(verify(&provider.client(), &raw).await, &raw, why);
    }
}

#[tokio::test(start_paused = true)]
async fn l4_a_token_that_names_no_key_may_be_of_any_that_fits() {
    let signer = TestKey::generate(Algorithm::Es256).without_key_id();
    let good = claims(now().await);
    let raw = signer.sign(&good);
    let others = |count: usize| (0..count).map(|_| TestKey::generate(Algorithm::Es256).public_jwk());
    let rest = || {
        [Algorithm::Es384, Algorithm::EdDsa]
            .into_iter()
            .cycle()
            .take(20)
            .map(|algorithm| TestKey::generate(algorithm).public_jwk())
    };
    let named = with(&signer.public_jwk(), json!({ "kid": "a name" }));
    // Keys of other kinds are not counted.
    for (keys, is_good) in [
        (vec![signer.public_jwk()], true),
        (vec![named.clone()], true),
        (others(7).chain([named.clone()]).collect(), true),
        (rest().chain(others(7)).chain([named.clone()]).collect(), true),
        (others(8).chain([named.clone()]).collect::<Vec<_>>(), false),
    ] {
        let provider = Provider::new();
        provider.set_keys(keys);
        let verified = verify(&provider.client(), &raw).await;
        match is_good {
            true => drop(verified.expect("a good token")),
            false => assert_refused(verified, &raw, "not of the server's key"),
        }
    }
    // Some servers have two keys of one name, for two algorithms or while they rotate.
    let twin = TestKey::generate(Algorithm::Es256).with_key_id("2026-01").public_jwk();
    let of_rsa = TestKey::generate(Algorithm::Rs256).with_key_id("2026-01").public_jwk();
    let provider = Provider::new();
    provider.set_keys([of_rsa, twin, KEY.public_jwk()]);
    verify(&provider.client(), &KEY.sign(&good)).await.expect("the third of that name");
}
