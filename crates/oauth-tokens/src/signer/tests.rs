//! Vectors of the RFCs, and keys as tools write them. Every signature is verified by aws-lc-rs with the public JWK.

mod keys;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{Algorithm, PublicJwk, Signer, SigningKey};
use crate::{
    ErrorKind,
    jws::{mac_jws, sign_jws, unique_id},
};

/// The payload of the examples in RFC 7515, appendix A.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

fn verifies(algorithm: Algorithm, key: &PublicJwk, message: &[u8], signature: &[u8]) -> bool {
    let key = key.to_json();
    let member = |name: &str| decode(key[name].as_str().expect(name));
    let plain = |algorithm: &'static dyn VerificationAlgorithm, key: Vec<u8>| {
        UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    };
    let point = || [vec![4], member("x"), member("y")].concat();
    let rsa = |parameters| {
        let key = RsaPublicKeyComponents { n: member("n"), e: member("e") };
        key.verify(parameters, message, signature).is_ok()
    };
    match algorithm {
        Algorithm::Es256 => plain(&ECDSA_P256_SHA256_FIXED, point()),
        Algorithm::Es384 => plain(&ECDSA_P384_SHA384_FIXED, point()),
        Algorithm::Rs256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => rsa(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => rsa(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => rsa(&RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => rsa(&RSA_PSS_2048_8192_SHA512),
        Algorithm::EdDsa | Algorithm::Ed25519 => plain(&ED25519, member("x")),
    }
}

#[tokio::test]
async fn signatures_of_the_rfcs() {
    let vectors = [
        // RFC 7515, appendix A.2.
        (
            keys::RSA_JWK,
            format!("eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}"),
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU\
             Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d\
             O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig\
             cN_IoypGlUPQGe77Rw",
        ),
        // RFC 8037, appendix A.4.
        (
            keys::ED25519_JWK,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];
    for (jwk, message, expected) in vectors {
        let key = SigningKey::from_jwk(jwk).expect("a key");
        let signature = Signer::sign(&key, message.as_bytes()).await.expect("a signature");
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(signature), expected);
    }
    // RFC 7515, appendix A.3: signatures differ, so the RFC's own is verified with the public half that we tell.
    let key = SigningKey::from_jwk(keys::P256_JWK).expect("a key").public_jwk().expect("a public key");
    let message = format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}");
    let signature = decode("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
    assert!(verifies(Algorithm::Es256, &key, message.as_bytes(), &signature));
    assert!(!verifies(Algorithm::Es256, &key, b"something else", &signature));
}

#[test]
fn thumbprints_of_the_rfcs() {
    // RFC 7638, section 3.1; the members that make no key are not in it.
    let rsa = PublicJwk::from_json(
        r#"{ "use": "sig", "kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" }"#,
    );
    assert_eq!(rsa.expect("a key").thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    // RFC 8037, appendix A.3, from the private key.
    let ed25519 = SigningKey::from_jwk(keys::ED25519_JWK).expect("a key").public_jwk().expect("a public key");
    assert_eq!(ed25519.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(ed25519, PublicJwk::from_json(keys::ED25519_JWK).expect("a key"));
    assert_eq!(
        ed25519.to_string(),
        r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
    );
    for (json, why) in [
        (r#"{"kty":"oct","k":"c2VjcmV0LW9jdA"}"#, "kty"),
        (r#"{"kty":"EC","crv":"P-256","x":"eHh4"}"#, "`y`"),
        (r#"{"kty":"RSA","kty":"EC"}"#, "one JSON object"),
        ("secret", "one JSON object"),
    ] {
        let error = PublicJwk::from_json(json).expect_err(json);
        assert!(error.to_string().contains(why) && !format!("{error:?}").contains("c2Vj"), "{error:?}");
    }
}

#[test]
fn public_keys_from_pem() {
    for (pem, jwk) in [
        (keys::P256_PUBLIC, keys::P256_JWK),
        (keys::P384_PUBLIC, keys::P384_JWK),
        (keys::RSA_PUBLIC, keys::RSA_JWK),
        (keys::ED25519_PUBLIC, keys::ED25519_JWK),
    ] {
        assert_eq!(PublicJwk::from_pem(pem).expect(pem), PublicJwk::from_json(jwk).expect(jwk));
    }
    let cut = keys::P256_PUBLIC.replace("PUBLIC KEY-----\nM", "PUBLIC KEY-----\nA");
    for pem in [keys::P521_PUBLIC, keys::P256_PKCS8, &cut, ""] {
        assert_eq!(PublicJwk::from_pem(pem).expect_err(pem).kind(), ErrorKind::Config);
    }
}

#[tokio::test]
async fn every_key_signs_from_jwk_and_pem() {
    let vectors = [
        (keys::RSA_JWK, vec![keys::RSA_PKCS1, keys::RSA_PKCS8], Algorithm::Rs256),
        (keys::P256_JWK, vec![keys::P256_SEC1, keys::P256_PKCS8], Algorithm::Es256),
        (keys::P384_JWK, vec![keys::P384_PKCS8], Algorithm::Es384),
        (keys::ED25519_JWK, vec![keys::ED25519_PKCS8], Algorithm::EdDsa),
    ];
    for (jwk, pems, algorithm) in vectors {
        let public = PublicJwk::from_json(jwk).expect("a public key");
        let from_jwk = SigningKey::from_jwk(jwk).expect("a key");
        let mut all = vec![from_jwk];
        all.extend(pems.iter().map(|pem| SigningKey::from_pem(pem).expect(pem)));
        for key in all {
            assert_eq!((key.algorithm(), key.key_id()), (algorithm, None));
            assert_eq!(key.public_jwk().as_ref(), Some(&public));
            let signature = Signer::sign(&key, b"message").await.expect("a signature");
            assert!(verifies(algorithm, &public, b"message", &signature), "{algorithm}");
            assert!(!verifies(algorithm, &public, b"massage", &signature), "{algorithm}");
        }
    }
}

#[tokio::test]
async fn every_algorithm_signs_with_a_new_key() {
    use Algorithm::{Ed25519, EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    for (algorithm, name) in [
        (Es256, "ES256"),
        (Es384, "ES384"),
        (Rs256, "RS256"),
        (Rs384, "RS384"),
        (Rs512, "RS512"),
        (Ps256, "PS256"),
        (Ps384, "PS384"),
        (Ps512, "PS512"),
        (EdDsa, "EdDSA"),
        (Ed25519, "Ed25519"),
    ] {
        let key = SigningKey::generate(algorithm).expect("a key").with_key_id("k1");
        let claims = json!({ "iss": "m2m" });
        let header = Map::from_iter([("typ".to_owned(), Value::from("JWT"))]);
        let jws = sign_jws(&key, header, &claims).await.expect("a JWS");
        let (message, signature) = jws.rsplit_once('.').expect("three parts");
        let public = key.public_jwk().expect("a public key");
        assert!(verifies(algorithm, &public, message.as_bytes(), &decode(signature)), "{algorithm}");
        let (header, payload) = message.split_once('.').expect("three parts");
        let header: Value = serde_json::from_slice(&decode(header)).expect("a header");
        assert_eq!(header, json!({ "alg": name, "kid": "k1", "typ": "JWT" }));
        assert_eq!(decode(payload), claims.to_string().as_bytes());
        assert_eq!(Algorithm::from_name(name), Some(algorithm));
    }
}

#[tokio::test]
async fn a_header_with_the_key_itself_does_not_name_it() {
    let key = SigningKey::from_jwk(keys::P256_JWK).expect("a key").with_key_id("k1");
    let header = Map::from_iter([("jwk".to_owned(), key.public_jwk().expect("a public key").to_json())]);
    let jws = sign_jws(&key, header, &json!({})).await.expect("a JWS");
    let header: Value = serde_json::from_slice(&decode(jws.split('.').next().expect("a header"))).expect("JSON");
    assert!(header.get("kid").is_none() && header["jwk"]["kty"] == "EC" && header["jwk"].get("d").is_none());
}

#[test]
fn a_jwk_says_how_and_by_which_name() {
    let with = |jwk: &str, members: &str| jwk.replacen('{', &format!("{{{members},"), 1);
    let key = SigningKey::from_jwk(&with(keys::RSA_JWK, r#""alg":"PS256","kid":"k1","use":"sig","key_ops":["sign"]"#));
    let key = key.expect("a key");
    assert_eq!((key.algorithm(), key.key_id()), (Algorithm::Ps256, Some("k1")));
    let key = SigningKey::from_jwk(&with(keys::ED25519_JWK, r#""alg":"Ed25519""#)).expect("a key");
    assert_eq!(key.algorithm().name(), "Ed25519");
    for members in [r#""alg":"ES384""#, r#""alg":"RS256""#, r#""alg":"none""#, r#""alg":"HS256""#, r#""use":"enc""#] {
        let error = SigningKey::from_jwk(&with(keys::P256_JWK, members)).expect_err(members);
        assert_eq!(error.kind(), ErrorKind::Config);
    }
    let key = SigningKey::from_jwk(keys::P256_JWK).expect("a key");
    assert!(key.clone().with_algorithm(Algorithm::Es256).is_ok());
    assert!(key.with_algorithm(Algorithm::Es384).is_err());
}

#[test]
fn keys_of_no_use_are_refused_and_not_shown() {
    let broken = keys::P256_PKCS8.replace("hyzf7bnu", "hyzf7bnv");
    for (pem, why) in [
        (keys::RSA_1024, "2048"),
        (keys::P521, "P-256"),
        (keys::ENCRYPTED, "unencrypted"),
        (keys::P256_PUBLIC, "private key"),
        (broken.as_str(), "cannot be used"),
        ("", "PEM"),
        ("-----BEGIN PRIVATE KEY-----\nsecret-key\n-----END PRIVATE KEY-----", "private key"),
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v\n-----END PRIVATE KEY-----", "cannot be used"),
    ] {
        let error = SigningKey::from_pem(pem).expect_err(pem);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(why), "{error}");
        assert!(!format!("{error:?}").contains("secret-key"), "{error:?}");
    }
    let d = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
    let other = "jpsRnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
    for (jwk, why) in [
        (keys::P256_JWK.replace(d, other), "not fit"),
        (keys::P256_JWK.replace(d, "AA"), "long"),
        (keys::P256_JWK.replace(d, "!secret!"), "base64url"),
        (keys::P256_JWK.replace("P-256", "P-384"), "long"),
        (keys::P256_JWK.replace("P-256", "P-521"), "P-256"),
        (keys::P256_JWK.replace("\"d\"", "\"e\""), "`d`"),
        (keys::ED25519_JWK.replace("nWGxne", "nWGxnf"), "not fit"),
        (keys::ED25519_JWK.replace("Ed25519", "X25519"), "Ed25519"),
        (keys::RSA_JWK.replace("\"qi\"", "\"i\""), "`qi`"),
        (keys::RSA_JWK.replace("Eq5xpGnN", "Eq5xpGnM"), "RSA"),
        (keys::P256_JWK.replace('}', ",\"d\":\"AA\"}"), "one JSON object"),
        (format!("[{}]", keys::P256_JWK), "one JSON object"),
        (d.to_owned(), "one JSON object"),
    ] {
        let error = SigningKey::from_jwk(&jwk).expect_err(&jwk);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(why), "{error}");
        for part in ["jpsQ", "nWGx", "Eq5x", "secret"] {
            assert!(!format!("{error:?}").contains(part), "{error:?}");
        }
    }
    let key = SigningKey::from_jwk(keys::P256_JWK).expect("a key").with_key_id("k1");
    assert_eq!(format!("{key:?}"), r#"SigningKey(ES256, key id "k1")"#);
}

#[test]
fn ecdsa_signatures_turn_from_der_into_jose() {
    let long = [&[0x30, 0x81, 0x46, 0x02, 0x21, 0x00][..], &[0xff; 32], &[0x02, 0x21, 0x00], &[0x80; 32]].concat();
    let short = [0x30, 0x06, 0x02, 0x01, 0x7f, 0x02, 0x01, 0x01];
    let es256 = |der: &[u8]| Algorithm::Es256.signature_from_der(der);
    assert_eq!(es256(&long).expect("a signature"), [[0xff; 32], [0x80; 32]].concat());
    let padded = |byte: u8, length: usize| [vec![0; length - 1], vec![byte]].concat();
    assert_eq!(es256(&short).expect("a signature"), [padded(0x7f, 32), padded(1, 32)].concat());
    let es384 = Algorithm::Es384.signature_from_der(&short).expect("a signature");
    assert_eq!(es384, [padded(0x7f, 48), padded(1, 48)].concat());
    let refused: [&[u8]; 12] = [
        &[],
        &[0x30],
        &[0x30, 0x80],
        &[0x30, 0x06, 0x02, 0x01, 0x7f, 0x02, 0x01],
        &[0x30, 0x06, 0x02, 0x01, 0x7f, 0x02, 0x01, 0x01, 0x00],
        &[0x30, 0x03, 0x02, 0x01, 0x7f],
        &[0x30, 0x06, 0x02, 0x01, 0xff, 0x02, 0x01, 0x01],
        &[0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x01],
        &[0x30, 0x07, 0x02, 0x02, 0x00, 0x7f, 0x02, 0x01, 0x01],
        &[0x30, 0x05, 0x02, 0x00, 0x02, 0x01, 0x01],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02, 0x01, 0x01],
        &[0x30, 0x06, 0x03, 0x01, 0x7f, 0x02, 0x01, 0x01],
    ];
    for der in refused {
        assert!(es256(der).is_err(), "{der:x?}");
    }
    let too_long = [&[0x30, 0x26, 0x02, 0x21, 0x01][..], &[0xff; 32], &[0x02, 0x01, 0x01]].concat();
    assert!(es256(&too_long).is_err());
    assert!(Algorithm::Rs256.signature_from_der(&short).is_err());
}

/// A signer that gives the wrong form, or nothing.
struct Odd(Result<Vec<u8>, &'static str>);

impl Signer for Odd {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, crate::BoxError> {
        Ok(self.0.clone()?)
    }
}

#[tokio::test]
async fn a_signature_in_der_or_none_is_an_error_that_says_so() {
    for (signer, why) in [
        (Odd(Ok(vec![0x30; 70])), "signature_from_der"),
        (Odd(Ok(Vec::new())), "0 bytes"),
        (Odd(Err("the HSM is gone")), "could not sign"),
    ] {
        let error = sign_jws(&signer, Map::new(), &json!({})).await.expect_err(why);
        assert_eq!(error.kind(), ErrorKind::Credential);
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn a_mac_is_hs256() {
    let header = Map::from_iter([("typ".to_owned(), Value::from("JWT"))]);
    let jws = mac_jws(&[b'k'; 32], header, &json!({ "iss": "m2m" }));
    let mut parts = jws.split('.');
    let header: Value = serde_json::from_slice(&decode(parts.next().expect("a header"))).expect("JSON");
    assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT" }));
    let (message, mac) = jws.rsplit_once('.').expect("three parts");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[b'k'; 32]);
    assert!(aws_lc_rs::hmac::verify(&key, message.as_bytes(), &decode(mac)).is_ok());
}

#[test]
fn identifiers_are_unique_and_long() {
    let all: std::collections::BTreeSet<String> = (0..1000).map(|_| unique_id()).collect();
    assert_eq!(all.len(), 1000);
    assert!(all.iter().all(|id| decode(id).len() == 16));
}
