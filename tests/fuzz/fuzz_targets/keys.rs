//! Keys as files and key stores write them, and signatures of KMSes: none of it panics, shows, or is taken for what it is not.
//!
//! The first byte chooses what is read; in texts `$S` stands for a secret.

#![no_main]

#[path = "../canned.rs"]
#[allow(dead_code, reason = "nothing is sent")]
mod canned;

use canned::shown;
use libfuzzer_sys::fuzz_target;
use oauth_tokens::{Algorithm, Error, PublicJwk, Signer, SigningKey};

const SECRET: &str = "Q7s3cr3tQ7s3cr3t";

fuzz_target!(|data: &[u8]| {
    let [what, data @ ..] = data else { return };
    if what % 5 == 0 {
        return signature(data);
    }
    let text = String::from_utf8_lossy(data).replace("$S", SECRET);
    match what % 5 {
        1 => private(SigningKey::from_jwk(&text)),
        2 => private(SigningKey::from_pem(&text)),
        3 => public(PublicJwk::from_json(&text)),
        _ => public(PublicJwk::from_pem(&text)),
    }
});

fn private(key: Result<SigningKey, Error>) {
    match key {
        Ok(key) => {
            // A key id is no secret, and shows.
            assert!(key.key_id().is_some_and(|id| id.contains(SECRET)) || !format!("{key:?}").contains(SECRET));
            public(key.public_jwk().ok_or_else(|| unreachable!("a key in memory tells its public half")));
        }
        Err(error) => assert!(!shown(&error).contains(SECRET), "{error}"),
    }
}

fn public(jwk: Result<PublicJwk, Error>) {
    match jwk {
        Ok(jwk) => {
            let json = jwk.to_json();
            for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(json.get(private).is_none(), "{private} in a public key");
            }
            assert_eq!(jwk.thumbprint().len(), 43, "SHA-256 in base64url");
        }
        Err(error) => assert!(!shown(&error).contains(SECRET), "{error}"),
    }
}

fn signature(der: &[u8]) {
    for (algorithm, length) in [(Algorithm::Es256, Some(64)), (Algorithm::Es384, Some(96)), (Algorithm::Rs256, None)] {
        if let Ok(signature) = algorithm.signature_from_der(der) {
            assert_eq!(Some(signature.len()), length);
        }
    }
}
