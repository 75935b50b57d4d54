//! Every reason for which an ID token is refused.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use oauth_test_server::{Algorithm, TestKey};
use oauth_tokens::AccessToken;
use serde_json::{Value, json};

use super::{CLIENT, FORGER, ISSUER, KEY, NONCE, Provider, assert_refused, claims, now, verify, with};

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test(start_paused = true)]
async fn l4_claims() {
    let client = Provider::new().client();
    let now = now().await;
    let good = claims(now);
    verify(&client, &KEY.sign(&good)).await.expect("a good token");

    let long = "s".repeat(256);
    let cases = [
        // Who issued it.
        (json!({ "iss": null }), "no `iss`"),
        (json!({ "iss": "" }), "`iss` is empty"),
        (json!({ "iss": [ISSUER] }), "`iss` is not a string"),
        (json!({ "iss": "https://id.test/" }), "`iss` is not the server's"),
        (json!({ "iss": "https://ID.test" }), "`iss` is not the server's"),
        (json!({ "iss": "https://id.test.evil.example" }), "`iss` is not the server's"),
        // About whom.
        (json!({ "sub": null }), "no `sub`"),
        (json!({ "sub": "" }), "`sub` is empty"),
        (json!({ "sub": 7 }), "`sub` is not a string"),
        (json!({ "sub": long }), "longer than 255"),
        // For whom.
        (json!({ "aud": null }), "no `aud`"),
        (json!({ "aud": "" }), "`aud` is neither"),
        (json!({ "aud": [] }), "`aud` is neither"),
        (json!({ "aud": [CLIENT, 7] }), "`aud` is neither"),
        (json!({ "aud": { "shop": true } }), "`aud` is neither"),
        (json!({ "aud": "shop2" }), "`aud` is not this client"),
        (json!({ "aud": "Shop" }), "`aud` is not this client"),
        (json!({ "aud": ["other", "another"], "azp": CLIENT }), "`aud` is not this client"),
        (json!({ "aud": [CLIENT, "other"] }), "`aud` names others"),
        (json!({ "aud": [CLIENT, "other"], "azp": CLIENT }), "`aud` names others"),
        (json!({ "aud": [CLIENT, CLIENT] }), "has no `azp`"),
        (json!({ "azp": "other" }), "`azp` is not this client"),
        (json!({ "azp": "" }), "`azp` is not this client"),
        (json!({ "azp": [CLIENT] }), "`azp` is not a string"),
        // When.
        (json!({ "exp": null }), "no `exp`"),
        (json!({ "exp": "4102444800" }), "`exp` is no date"),
        (json!({ "exp": -1 }), "`exp` is no date"),
        (json!({ "exp": 1e300 }), "`exp` is no date"),
        (json!({ "exp": u64::MAX }), "`exp` is no date"),
        (json!({ "exp": true }), "`exp` is no date"),
        (json!({ "exp": 0 }), "has expired"),
        (json!({ "exp": now - 30 }), "has expired"),
        (json!({ "iat": null }), "no `iat`"),
        (json!({ "iat": "now" }), "`iat` is no date"),
        (json!({ "iat": now + 31 }), "`iat` is in the future"),
        (json!({ "nbf": "now" }), "`nbf` is no date"),
        (json!({ "nbf": now + 31 }), "`nbf` is in the future"),
        (json!({ "auth_time": "now" }), "`auth_time` is no date"),
        (json!({ "auth_time": now + 31 }), "`auth_time` is in the future"),
        // Of which sign-in.
        (json!({ "nonce": null }), "has no `nonce`"),
        (json!({ "nonce": "" }), "another sign-in"),
        (json!({ "nonce": format!("{NONCE}2") }), "another sign-in"),
        (json!({ "nonce": [NONCE] }), "`nonce` is not a string"),
        (json!({ "at_hash": 7 }), "`at_hash` is not a string"),
        (json!({ "acr": 7 }), "`acr` is not a string"),
        (json!({ "sid": 7 }), "`sid` is not a string"),
    ];
    for (changes, why) in cases {
        let raw = KEY.sign(&with(&good, changes));
        assert_refused(verify(&client, &raw).await, &raw, why);
    }
}

/// As if it were not there.
#[tokio::test(start_paused = true)]
async fn l4_null_says_nothing() {
    let client = Provider::new().client();
    let good = claims(now().await);
    let null = |name: &str| {
        let mut claims = good.clone();
        claims[name] = Value::Null;
        KEY.sign(&claims)
    };
    for name in ["azp", "acr", "sid", "at_hash", "auth_time", "nbf"] {
        let token = verify(&client, &null(name)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((token.acr(), token.session_id(), token.auth_time()), (None, None, None));
    }
    for (name, why) in [
        ("iss", "no `iss`"),
        ("sub", "no `sub`"),
        ("aud", "`aud` is neither"),
        ("exp", "no `exp`"),
        ("iat", "no `iat`"),
        ("nonce", "has no `nonce`"),
    ] {
        let raw = null(name);
        assert_refused(verify(&client, &raw).await, &raw, why);
    }
}

#[tokio::test(start_paused = true)]
async fn l4_a_nonce_that_nobody_sent_is_of_another_sign_in() {
    let client = Provider::new().client();
    let good = claims(now().await);
    let raw = KEY.sign(&good);
    assert_refused(client.verify_id_token(&raw).verify().await, &raw, "none is expected");
    let raw = KEY.sign(&with(&good, json!({ "nonce": null })));
    client.verify_id_token(&raw).verify().await.expect("none was sent, and none came");
}

#[tokio::test(start_paused = true)]
async fn l4_who_else_a_token_is_for_must_be_trusted() {
    let client = Provider::new().client().trust_audience("api").trust_audience("other");
    let good = claims(now().await);
    let accepted =
        [json!({ "aud": [CLIENT, "api"], "azp": CLIENT }), json!({ "aud": ["other", CLIENT, "api"], "azp": CLIENT })];
    for changes in accepted {
        let raw = KEY.sign(&with(&good, changes));
        verify(&client, &raw).await.expect("all of them are trusted");
    }
    let refused = [
        (json!({ "aud": [CLIENT, "api"] }), "has no `azp`"),
        (json!({ "aud": [CLIENT, "api"], "azp": "api" }), "`azp` is not this client"),
        (json!({ "aud": ["api"], "azp": CLIENT }), "`aud` is not this client"),
        (json!({ "aud": [CLIENT, "api", "third"], "azp": CLIENT }), "`aud` names others"),
    ];
    for (changes, why) in refused {
        let raw = KEY.sign(&with(&good, changes));
        assert_refused(verify(&client, &raw).await, &raw, why);
    }
}

#[tokio::test(start_paused = true)]
async fn l4_headers() {
    let provider = Provider::new();
    let client = provider.client();
    let good = claims(now().await);
    let header = json!({ "alg": "ES256", "kid": "2026-01" });
    for typ in ["JWT", "jwt", "application/jwt"] {
        let raw = KEY.sign_with(&with(&header, json!({ "typ": typ })), &good);
        verify(&client, &raw).await.expect(typ);
    }
    let cases = [
        (json!({ "alg": null }), "no `alg`"),
        (json!({ "alg": 256 }), "`alg` is not a string"),
        (json!({ "alg": "none" }), "not signed by an algorithm"),
        (json!({ "alg": "NONE" }), "not signed by an algorithm"),
        (json!({ "alg": "HS256" }), "not signed by an algorithm"),
        (json!({ "alg": "ES512" }), "not signed by an algorithm"),
        (json!({ "alg": "es256" }), "not signed by an algorithm"),
        // The server's key is of another kind.
        (json!({ "alg": "ES384" }), "no key"),
        (json!({ "alg": "RS256" }), "no key"),
        (json!({ "crit": ["exp"] }), "critical"),
        (json!({ "crit": [] }), "critical"),
        (json!({ "b64": false, "crit": ["b64"] }), "critical"),
        (json!({ "typ": "at+jwt" }), "another kind of token"),
        (json!({ "typ": "logout+jwt" }), "another kind of token"),
        (json!({ "typ": "dpop+jwt" }), "another kind of token"),
        (json!({ "typ": 7 }), "`typ` is not a string"),
        (json!({ "kid": "other" }), "no key"),
        (json!({ "kid": 7 }), "`kid` is not a string"),
    ];
    for (changes, why) in cases {
        let raw = KEY.sign_with(&with(&header, changes), &good);
        assert_refused(verify(&client, &raw).await, &raw, why);
    }
}

#[tokio::test(start_paused = true)]
async fn l4_keys_in_a_header_count_for_nothing() {
    let provider = Provider::new();
    let client = provider.client();
    let good = claims(now().await);
    let forger = FORGER.public_jwk();
    let certificate = "MIIBszCCAVmgAwIBAgIUQ";
    let header = json!({ "alg": "ES256", "kid": "2026-01", "typ": "JWT" });
    for planted in [
        json!({}),
        json!({ "jwk": forger }),
        json!({ "jku": "https://evil.example/keys" }),
        json!({ "x5u": "https://evil.example/certificate" }),
        json!({ "x5c": [certificate], "x5t#S256": "x" }),
        json!({ "jwk": forger, "kid": null }),
        json!({ "jwk": forger, "jku": "https://evil.example/keys", "x5u": "https://evil.example/c", "x5c": [certificate] }),
    ] {
        let header = with(&header, planted.clone());
        let raw = FORGER.sign_with(&header, &good);
        assert_refused(verify(&client, &raw).await, &raw, "signature is not of the server's key");
        let raw = KEY.sign_with(&header, &good);
        verify(&client, &raw).await.unwrap_or_else(|error| panic!("{planted}: {error}"));
    }
    assert!(
        provider.canned.urls().iter().all(|url| url.starts_with("https://id.test/")),
        "a planted URL was asked for"
    );
}

#[tokio::test(start_paused = true)]
async fn l4_what_is_no_signed_jwt() {
    let client = Provider::new().client();
    let good = claims(now().await);
    let raw = KEY.sign(&good);
    let (signed, signature) = raw.rsplit_once('.').expect("three parts");
    let (header, payload) = signed.split_once('.').expect("three parts");
    let json = good.to_string();
    let twice = |extra: &str| encode(json.replacen('{', &format!("{{{extra},"), 1));
    let last = signature.chars().next_back().expect("a signature");
    // Base64url with stray bits: another text for the same bytes.
    let next = char::from_u32(u32::from(last) + 1).expect("a character");
    let stray = format!("{}{next}", &signature[..signature.len() - 1]);
    let deep = encode(format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200)));
    let cases = [
        (String::new(), "no JWT"),
        ("a.b".to_owned(), "no JWT"),
        (format!("{raw}.x"), "no JWT"),
        (signed.to_owned(), "no JWT"),
        (format!("{header}.x.x.x.x"), "encrypted"),
        (format!("{signed}."), "signature is not of"),
        (format!("{header}..{signature}"), "its claims"),
        (format!(".{payload}.{signature}"), "its header"),
        (format!("{header}.{payload}=.{signature}"), "its claims is not in base64url"),
        (format!("{header}.{payload}.{signature}="), "signature is not in base64url"),
        (format!("{header}.{payload}.{stray}"), "signature is not in base64url"),
        (format!(" {raw}"), "its header is not in base64url"),
        (format!("{raw}\n"), "signature is not in base64url"),
        (format!("{header}.{}.{signature}", encode("[]")), "its claims"),
        (format!("{header}.{}.{signature}", encode("\"alice\"")), "its claims"),
        (format!("{header}.{}.{signature}", encode("{")), "its claims"),
        (format!("{header}.{}.{signature}", encode([0xff, 0xfe])), "its claims"),
        (format!("{header}.{}.{signature}", encode(format!("{json} {json}"))), "its claims"),
        (format!("{header}.{deep}.{signature}"), "its claims"),
        // One of two: nobody can tell which one the signer meant.
        (format!("{header}.{}.{signature}", twice(r#""sub":"mallory""#)), "each key once"),
        (format!("{}.{payload}.{signature}", encode(r#"{"alg":"ES256","alg":"none"}"#)), "each key once"),
        (format!("{}.{payload}.{signature}", encode("[]")), "its header"),
        (format!("{header}.{}.{signature}", encode(with(&good, json!({ "sub": "mallory" })).to_string())), "signature"),
        (format!("{header}.{payload}.{}", encode([0; 64])), "signature is not of"),
        (format!("{header}.{payload}.{}", encode([0xff; 64])), "signature is not of"),
        (format!("{header}.{payload}.{}", encode([0; 63])), "signature is not of"),
        (format!("{}.{payload}.", encode(r#"{"alg":"none"}"#)), "not signed by an algorithm"),
    ];
    for (raw, why) in cases {
        assert_refused(verify(&client, &raw).await, &raw, why);
    }
    let padded = |length: usize| {
        let raw = KEY.sign(&with(&good, json!({ "padding": "p".repeat(length) })));
        (raw.len(), raw)
    };
    let (length, raw) = padded(48_500);
    assert!(length <= 64 * 1024, "{length}");
    verify(&client, &raw).await.expect("a long token");
    let (length, raw) = padded(49_200);
    assert!(length > 64 * 1024, "{length}");
    assert_refused(verify(&client, &raw).await, &raw, "longer than 64 KiB");
}

/// A secret that everybody knows: the public key.
#[tokio::test(start_paused = true)]
async fn l4_a_public_key_is_no_shared_secret() {
    let provider = Provider::new();
    let rsa = TestKey::generate(Algorithm::Rs256).with_key_id("2026-01");
    provider.set_keys([rsa.public_jwk()]);
    let client = provider.client();
    let good = claims(now().await);
    let modulus = rsa.public_jwk()["n"].as_str().expect("n").to_owned();
    let raw = TestKey::hmac(modulus).with_key_id("2026-01").sign(&good);
    assert_refused(verify(&client, &raw).await, &raw, "not signed by an algorithm");
    let raw = TestKey::hmac("secret").sign_with(&json!({ "alg": "RS256", "kid": "2026-01" }), &good);
    assert_refused(verify(&client, &raw).await, &raw, "signature is not of");
}

#[tokio::test(start_paused = true)]
async fn l4_the_access_token_is_the_one_that_came_along() {
    // The token and the first hash are those of OpenID Connect Core 1.0, section A.3.
    let token = AccessToken::bearer("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y").expect("a token");
    let other = AccessToken::bearer("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Z").expect("a token");
    let keys = [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa].map(|algorithm| {
        let key = TestKey::generate(algorithm);
        (key, algorithm)
    });
    let provider = Provider::new();
    provider.set_keys(keys.iter().map(|(key, _)| key.public_jwk()));
    let client = provider.client();
    let good = claims(now().await);
    for (key, algorithm) in &keys {
        let hash = match algorithm {
            Algorithm::Es256 => "77QmUPtjPfzWtF2AnpK9RQ",
            Algorithm::Es384 => "jtAeDp945y1dDqU3nkIVGNZP1HjH_MFs",
            _ => "q7nS86GgvvFaZkzALLWqJYaJIKw2wCDAVfCAsm5CrBM",
        };
        let raw = key.sign(&with(&good, json!({ "at_hash": hash })));
        let check = client.verify_id_token(&raw).nonce(NONCE);
        check.verify().await.expect("without a look at the access token");
        check.access_token(&token).verify().await.unwrap_or_else(|error| panic!("{algorithm:?}: {error}"));
        assert_refused(check.access_token(&other).verify().await, &raw, "another access token");
    }
    let key = &keys[0].0;
    for at_hash in ["", "77QmUPtjPfzWtF2AnpK9RQ==", "77QmUPtjPfzWtF2AnpK9R", "jtAeDp945y1dDqU3nkIVGNZP1HjH_MFs"] {
        let raw = key.sign(&with(&good, json!({ "at_hash": at_hash })));
        let check = client.verify_id_token(&raw).nonce(NONCE).access_token(&token);
        assert_refused(check.verify().await, &raw, "another access token");
    }
    // A server need not say.
    let raw = key.sign(&good);
    client.verify_id_token(&raw).nonce(NONCE).access_token(&token).verify().await.expect("without `at_hash`");
}

#[tokio::test(start_paused = true)]
async fn l4_a_logout_token_is_no_id_token() {
    let client = Provider::new().client();
    let good = with(
        &claims(now().await),
        json!({
            "nonce": null, "jti": "j1", "events": { "http://schemas.openid.net/event/backchannel-logout": {} }
        }),
    );
    let raw = KEY.sign(&good);
    assert_refused(client.verify_id_token(&raw).verify().await, &raw, "logout");
    let other: Value = with(&good, json!({ "events": { "urn:example:other": {} } }));
    client.verify_id_token(&KEY.sign(&other)).verify().await.expect("some other event");
}
