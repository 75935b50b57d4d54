#![allow(clippy::unwrap_used)]

use base64::Engine;
use serde_json::json;

use super::*;

const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const RSA_2048: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-\
    yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R\
    2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW\
    yuXpoQ";
const RS256_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5j\
    ujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOL\
    n6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_Ioyp\
    GlUPQGe77Rw";

/// RFC 7515 appendix A.1 to A.3.
#[test]
fn the_jwts_of_the_rfc() {
    let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let secret = PublicKey::Secret(URL_SAFE_NO_PAD.decode(secret).unwrap());
    let rsa = json!({ "kty": "RSA", "n": RSA_2048, "e": "AQAB" });
    let ec = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let jwts = [
        (secret, "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        (PublicKey::from_jwk(&rsa).unwrap(), "eyJhbGciOiJSUzI1NiJ9", RS256_SIGNATURE),
        (
            PublicKey::from_jwk(&ec).unwrap(),
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ];
    for (at, (key, header, signature)) in jwts.iter().enumerate() {
        let jws = Jws::parse(&format!("{header}.{PAYLOAD}.{signature}")).unwrap();
        assert_eq!(jws.claims.text("iss"), Some("joe"));
        assert_eq!(jws.verify(key), Ok(()), "{header}");
        for (other, _, _) in jwts.iter().take(at).chain(jwts.iter().skip(at + 1)) {
            assert!(jws.verify(other).is_err(), "{header} with {other:?}");
        }
    }
}

/// RFC 8037 appendix A.2 to A.5.
#[test]
fn ed25519_of_the_rfc() {
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let key = PublicKey::from_jwk(&jwk).unwrap();
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(key.verify(Algorithm::EdDsa, message, &signature));
    assert!(!key.verify(Algorithm::EdDsa, b"another", &signature));
    assert!(!key.verify(Algorithm::Es256, message, &signature));
    assert_eq!(thumbprint(&jwk).unwrap(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

/// RFC 7638 section 3.1.
#[test]
fn the_thumbprint_of_the_rfc() {
    let jwk = json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o\
            knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6\
            qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awap\
            JzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    });
    assert_eq!(thumbprint(&jwk).unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(thumbprint(&json!({ "kty": "RSA", "n": "AQAB" })), None);
    assert_eq!(thumbprint(&json!({ "kty": "other" })), None);
}

#[test]
fn each_key_verifies_what_it_has_signed_and_nothing_else() {
    let keys: Vec<TestKey> = Algorithm::ASYMMETRIC.into_iter().map(TestKey::generate).collect();
    for key in &keys {
        let jwt = key.sign(&json!({ "sub": "alice" }));
        let jws = Jws::parse(&jwt).unwrap();
        assert_eq!((jws.algorithm, jws.media_type().as_deref()), (key.algorithm(), Some("jwt")));
        for other in &keys {
            let verified = jws.verify(&PublicKey::from_jwk(&other.public_jwk()).unwrap());
            assert_eq!(verified.is_ok(), key.key_id() == other.key_id(), "{key:?} {other:?}");
        }
        let (head, signature) = jwt.rsplit_once('.').unwrap();
        let (header, _) = head.split_once('.').unwrap();
        let claims = URL_SAFE_NO_PAD.encode(json!({ "sub": "mallory" }).to_string());
        let tampered = Jws::parse(&format!("{header}.{claims}.{signature}")).unwrap();
        assert!(tampered.verify(&PublicKey::from_jwk(&key.public_jwk()).unwrap()).is_err());
    }
}

#[test]
fn private_keys_are_whole() {
    for algorithm in Algorithm::ASYMMETRIC {
        let key = TestKey::generate(algorithm);
        let (public, private) = (key.public_jwk(), key.private_jwk());
        assert!(!has_private_part(&public) && has_private_part(&private), "{algorithm:?}");
        assert_eq!(thumbprint(&public), thumbprint(&private));
        let names: &[(&str, usize)] = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => {
                &[("n", 256), ("d", 256), ("p", 128), ("q", 128), ("dp", 128), ("dq", 128), ("qi", 128)]
            }
            Algorithm::Es384 => &[("x", 48), ("y", 48), ("d", 48)],
            Algorithm::Es256 => &[("x", 32), ("y", 32), ("d", 32)],
            _ => &[("x", 32), ("d", 32)],
        };
        for (name, length) in names {
            let number = URL_SAFE_NO_PAD.decode(private[name].as_str().unwrap()).unwrap();
            // A number of an RSA key may happen to begin with zeros, which are left out.
            assert!(number.len() <= *length && number.len() > length - 4, "{algorithm:?} {name} {}", number.len());
        }
        let pem = key.private_key_pem();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n") && pem.ends_with("-----END PRIVATE KEY-----\n"));
        assert!(pem.lines().all(|line| line.len() <= 64));
        let shown = format!("{key:?}");
        assert!(!shown.contains(private["d"].as_str().unwrap()), "{shown}");
    }
    let key = TestKey::hmac("s3cr3t");
    assert_eq!((key.private_key_pem().as_str(), key.key_id()), ("s3cr3t", None));
    assert_eq!(key.private_jwk()["k"], URL_SAFE_NO_PAD.encode("s3cr3t"));
    assert_eq!(key.public_jwk().get("k"), None);
    assert!(!format!("{key:?}").contains("s3cr3t"));
}

#[test]
fn what_is_no_jwt() {
    let key = TestKey::generate(Algorithm::Es256);
    let good = key.sign(&json!({}));
    let with = |header: serde_json::Value| key.sign_with(&header, &json!({}));
    assert!(Jws::parse(&good).is_ok());
    for (jwt, why) in [
        (String::new(), "not a JWT"),
        ("a.b".to_owned(), "not a JWT"),
        ("a.b.c".to_owned(), "not a JWT"),
        (format!("{good}.x"), "not a JWT"),
        (format!("{good}="), "not a JWT"),
        (good.replace('.', " ."), "not a JWT"),
        (with(json!({ "alg": "none" })), "the JWT's alg is unknown"),
        (with(json!({ "alg": "es256" })), "the JWT's alg is unknown"),
        (with(json!({ "alg": "HS512" })), "the JWT's alg is unknown"),
        (with(json!({})), "the JWT's alg is unknown"),
        (with(json!({ "alg": "ES256", "crit": ["x"], "x": 1 })), "the JWT has critical extensions"),
        (with(json!([])), "the JWT's header and claims must be objects"),
        (key.sign(&json!([])), "the JWT's header and claims must be objects"),
    ] {
        assert_eq!(Jws::parse(&jwt).err(), Some(why), "{jwt}");
    }
}

#[test]
fn the_key_that_kid_names() {
    let [one, two] = ["1", "2"].map(|id| TestKey::generate(Algorithm::Es256).with_key_id(id));
    let rsa = TestKey::generate(Algorithm::Rs256).with_key_id("3");
    let mut keys = KeySet::default();
    keys.add_set(&json!({ "keys": [
        one.public_jwk(), two.public_jwk(), rsa.public_jwk(), { "kty": "new" },
        { "kty": "EC", "crv": "P-256", "x": "", "y": "" },
    ] }));
    let check = |jwt: String| Jws::parse(&jwt).unwrap().verify_with(&keys);
    let no_key = Err("no registered key fits the JWT's kid and alg");
    let wrong = Err("the JWT's signature does not verify");
    for (key, result) in [
        (one.clone(), Ok(())),
        (two.clone(), Ok(())),
        (rsa.clone(), Ok(())),
        (two.clone().without_key_id(), Ok(())),
        (one.clone().with_key_id("2"), wrong),
        (one.clone().with_key_id("3"), no_key),
        (one.clone().with_key_id("4"), no_key),
        (TestKey::generate(Algorithm::Es256).without_key_id(), wrong),
        (TestKey::generate(Algorithm::EdDsa).without_key_id(), no_key),
        (TestKey::hmac("x"), no_key),
    ] {
        assert_eq!(check(key.sign(&json!({}))), result, "{key:?}");
    }
    let number = one.sign_with(&json!({ "alg": "ES256", "kid": 1 }), &json!({}));
    assert_eq!(check(number), Err("the JWT's kid is no string"));

    let mut encryption = one.public_jwk();
    encryption["use"] = json!("enc");
    let mut keys = KeySet::default();
    keys.add(&encryption);
    assert_eq!(Jws::parse(&one.sign(&json!({}))).unwrap().verify_with(&keys), no_key);
}

#[test]
fn an_rsa_key_is_for_the_alg_in_its_jwk() {
    let key = TestKey::generate(Algorithm::Ps256);
    let jws = Jws::parse(&key.sign(&json!({}))).unwrap();
    let check = |change: &dyn Fn(&mut Value)| {
        let mut jwk = key.public_jwk();
        change(&mut jwk);
        let mut keys = KeySet::default();
        keys.add(&jwk);
        jws.verify_with(&keys)
    };
    assert_eq!(check(&|_| {}), Ok(()));
    assert_eq!(check(&|jwk| drop(jwk.as_object_mut().unwrap().remove("alg"))), Ok(()));
    let no_key = Err("no registered key fits the JWT's kid and alg");
    assert_eq!(check(&|jwk| jwk["alg"] = json!("RS256")), no_key);

    // The padding is the one that alg says.
    let lie = Jws::parse(&key.sign_with(&json!({ "alg": "RS256" }), &json!({}))).unwrap();
    assert!(lie.verify(&PublicKey::from_jwk(&key.public_jwk()).unwrap()).is_err());
}

#[test]
fn keys_that_are_none() {
    let point = |x: &str| json!({ "kty": "EC", "crv": "P-256", "x": x, "y": x });
    for jwk in [
        json!({}),
        json!({ "kty": "oct", "k": "AAAA" }),
        json!({ "kty": "EC", "crv": "P-521", "x": "AAAA", "y": "AAAA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AAAA" }),
        json!({ "kty": "RSA", "n": "AQAB" }),
        json!({ "kty": "RSA", "n": "+", "e": "AQAB" }),
        point("AAAA"),
        point(&URL_SAFE_NO_PAD.encode([0; 33])),
    ] {
        assert!(PublicKey::from_jwk(&jwk).is_err(), "{jwk}");
    }
    // Of the right length, and no point of the curve.
    let key = PublicKey::from_jwk(&point(&URL_SAFE_NO_PAD.encode([1; 32]))).unwrap();
    assert!(!key.verify(Algorithm::Es256, b"x", &[0; 64]));
}
