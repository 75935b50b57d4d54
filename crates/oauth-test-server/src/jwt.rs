use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

/// The key that signs access tokens with ES256. A new one for each server.
pub(crate) struct Key {
    signing: SigningKey,
    id: String,
}

impl Key {
    /// From a generator that is fast and not secret: it protects tests only.
    pub(crate) fn generate() -> Self {
        let signing = loop {
            let mut bytes = [0; 32];
            fastrand::fill(&mut bytes);
            // All but a handful of the values are keys.
            if let Ok(key) = SigningKey::from_slice(&bytes) {
                break key;
            }
        };
        Self { signing, id: format!("test-{:016x}", fastrand::u64(..)) }
    }

    /// A JWT access token (RFC 9068).
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": self.id });
        let mut token = format!("{}.{}", encode(&header), encode(claims));
        let signature: Signature = self.signing.sign(token.as_bytes());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature.to_bytes()));
        token
    }

    /// The key set (RFC 7517) with which others verify.
    pub(crate) fn jwks(&self) -> Value {
        // SEC 1, uncompressed: a tag, then both coordinates.
        let point = self.signing.verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]})
    }
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.id).finish()
    }
}
