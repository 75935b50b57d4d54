//! Whatever comes: no panic, no secret in an error, and nothing believed that was not signed.

use std::sync::LazyLock;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use oauth_test_server::TestKey;
use oauth_tokens::{AccessToken, ErrorKind, TokenClient};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tests::{canned::json as json_response, support::shown};
use tokio::runtime::Runtime;

use super::{CLIENT, FORGER, ISSUER, KEY, Provider};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..4_102_444_800_u64).prop_map(Value::from),
        prop_oneof![
            Just(""),
            Just(ISSUER),
            Just(CLIENT),
            Just("alice"),
            Just("none"),
            Just("ES256"),
            Just("2026-01"),
            Just("JWT")
        ]
        .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..4).prop_map(|members| Value::from(Map::from_iter(members))),
        ]
    })
}

fn any_object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(names), any_value()), 0..6).prop_map(|members| {
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
    })
}

const CLAIMS: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "iat",
    "nbf",
    "auth_time",
    "nonce",
    "at_hash",
    "acr",
    "sid",
    "jti",
    "events",
    "tid",
];
const HEADER: &[&str] = &["alg", "kid", "typ", "crit", "jwk", "jku", "x5c", "b64", "zip"];

/// All that may read a text from elsewhere; says whether any of it believed.
async fn read(client: &TokenClient, provider: &Provider, raw: &str) -> Vec<&'static str> {
    static TOKEN: LazyLock<AccessToken> = LazyLock::new(|| AccessToken::bearer("t0k3n").expect("a token"));
    let mut believed = Vec::new();
    let mut judge = |what: &'static str, error: Option<oauth_tokens::Error>| match error {
        None => believed.push(what),
        Some(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidIdToken, "{error}");
            let text = shown(&error);
            let hidden = raw.split('.').filter(|part| part.len() > 12);
            assert!(hidden.into_iter().all(|part| !text.contains(part)), "{text}");
        }
    };
    let check = client.verify_id_token(raw);
    judge("an ID token", check.access_token(&TOKEN).max_age(std::time::Duration::from_secs(1)).verify().await.err());
    judge("an ID token", check.nonce("alice").verify().await.err());
    judge("a logout token", client.verify_logout_token(raw).await.err());
    let mut response = json_response(200, raw);
    response.headers_mut().insert("content-type", "application/jwt".parse().expect("a value"));
    provider.set_userinfo([response]);
    judge("userinfo", client.userinfo(&TOKEN, "alice").await.err());
    believed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn s1_any_text(raw in prop_oneof![".{0,200}", "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,90}(\\..*)?"]) {
        let provider = Provider::new();
        prop_assert!(runtime().block_on(read(&provider.client(), &provider, &raw)).is_empty());
    }

    #[test]
    fn s1_any_claims_and_any_header(header in any_object(HEADER), claims in any_object(CLAIMS), by_header in any::<bool>()) {
        let provider = Provider::new();
        let fixed = json!({ "alg": "ES256", "kid": "2026-01" });
        let header = if by_header { header } else { fixed };
        let raw = |key: &TestKey| key.sign_with(&header, &claims);
        let (client, genuine, forged) = (provider.client(), raw(&KEY), raw(&FORGER));
        runtime().block_on(async {
            assert!(read(&client, &provider, &forged).await.is_empty(), "a forged one is believed");
            read(&client, &provider, &genuine).await;
        });
    }

    #[test]
    fn l4_no_bit_of_a_token_may_change(at in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=";
        let claims = json!({
            "iss": ISSUER, "sub": "alice", "aud": CLIENT, "exp": 4_102_444_800_u64, "iat": 1, "auth_time": 1, "nonce": "alice"
        });
        let raw = KEY.sign(&claims);
        let mut changed = raw.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] = ALPHABET[to.index(ALPHABET.len())];
        let changed = String::from_utf8(changed).expect("ASCII");
        let provider = Provider::new();
        let believed = runtime().block_on(read(&provider.client(), &provider, &changed));
        prop_assert_eq!(believed.is_empty(), changed != raw);
    }

    #[test]
    fn s1_any_key(members in any_object(&["kty", "crv", "x", "y", "n", "e", "use", "alg", "key_ops", "kid", "issuer", "d"]),
                  kind in prop::sample::select(&["EC", "RSA", "OKP"][..]),
                  name in prop::sample::select(&["ES256", "ES384", "RS256", "PS512", "EdDSA"][..]),
                  number in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut jwk = members;
        let number = BASE64_URL_SAFE_NO_PAD.encode(number);
        for (member, value) in [("kty", kind), ("n", &number), ("x", &number), ("y", &number)] {
            if jwk.get(member).is_none() {
                jwk[member] = value.into();
            }
        }
        let provider = Provider::new();
        provider.set_keys([jwk]);
        let raw = KEY.sign_with(&json!({ "alg": name }), &json!({ "iss": ISSUER }));
        prop_assert!(runtime().block_on(read(&provider.client(), &provider, &raw)).is_empty());
    }
}
