//! Public keys as JWKs (RFC 7517, RFC 7518 section 6, RFC 8037).

use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::jws::Algorithm;

/// A key that verifies, public but for [`Secret`](Self::Secret).
#[derive(Clone, Debug)]
pub(crate) enum PublicKey {
    /// An uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    Ed25519(Vec<u8>),
    Secret(Vec<u8>),
}

impl PublicKey {
    pub(crate) fn from_jwk(jwk: &Value) -> Result<Self, &'static str> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| {
            let text = text(name).ok_or("the JWK lacks a member")?;
            URL_SAFE_NO_PAD.decode(text).map_err(|_| "a member of the JWK is not base64url")
        };
        let point = |size: usize| {
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != size || y.len() != size {
                return Err("a coordinate of the JWK has the wrong length");
            }
            // SEC 1, uncompressed: a tag, then both coordinates.
            Ok([&[4][..], &x, &y].concat())
        };
        match (text("kty"), text("crv")) {
            (Some("EC"), Some("P-256")) => Ok(Self::P256(point(32)?)),
            (Some("EC"), Some("P-384")) => Ok(Self::P384(point(48)?)),
            (Some("RSA"), _) => Ok(Self::Rsa { modulus: bytes("n")?, exponent: bytes("e")? }),
            (Some("OKP"), Some("Ed25519")) => Ok(Self::Ed25519(bytes("x")?)),
            _ => Err("the JWK's kind of key is not supported"),
        }
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Hs256 => matches!(self, Self::Secret(_)),
            Algorithm::Es256 => matches!(self, Self::P256(_)),
            Algorithm::Es384 => matches!(self, Self::P384(_)),
            Algorithm::Rs256 | Algorithm::Ps256 => matches!(self, Self::Rsa { .. }),
            Algorithm::EdDsa => matches!(self, Self::Ed25519(_)),
        }
    }

    /// False, too, if the key is no key, or not one for that algorithm.
    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let ecdsa = |curve: &'static EcdsaVerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(curve, point).verify(message, signature).is_ok()
        };
        match (self, algorithm) {
            (Self::P256(point), Algorithm::Es256) => ecdsa(&ECDSA_P256_SHA256_FIXED, point),
            (Self::P384(point), Algorithm::Es384) => ecdsa(&ECDSA_P384_SHA384_FIXED, point),
            (Self::Rsa { modulus, exponent }, Algorithm::Rs256 | Algorithm::Ps256) => {
                let padding = match algorithm {
                    Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
                    _ => &RSA_PSS_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(padding, message, signature).is_ok()
            }
            (Self::Ed25519(key), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
            }
            (Self::Secret(secret), Algorithm::Hs256) => {
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), message, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// The keys of a client or of an issuer.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet(Vec<RegisteredKey>);

#[derive(Clone, Debug)]
struct RegisteredKey {
    id: Option<String>,
    /// The only algorithm that the key is for, by its JWK.
    algorithm: Option<String>,
    key: PublicKey,
}

impl KeySet {
    /// Adds a key. What is not for signatures, or not supported, is left out (RFC 7517 section 5).
    pub(crate) fn add(&mut self, jwk: &Value) {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|usage| usage != "sig") {
            return;
        }
        if let Ok(key) = PublicKey::from_jwk(jwk) {
            let owned = |name| text(name).map(str::to_owned);
            self.0.push(RegisteredKey { id: owned("kid"), algorithm: owned("alg"), key });
        }
    }

    /// Adds the keys of a JWK set.
    pub(crate) fn add_set(&mut self, jwks: &Value) {
        let keys = jwks.get("keys").and_then(Value::as_array);
        keys.into_iter().flatten().for_each(|jwk| self.add(jwk));
    }

    pub(super) fn fitting(&self, id: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &PublicKey> {
        let fits = move |key: &&RegisteredKey| {
            id.is_none_or(|id| key.id.as_deref() == Some(id))
                && key.algorithm.as_deref().is_none_or(|name| name == algorithm.name())
                && key.key.fits(algorithm)
        };
        self.0.iter().filter(fits).map(|key| &key.key)
    }
}

/// RFC 7638: the hash of the members that make the key, in order and without space.
pub(crate) fn thumbprint(jwk: &Value) -> Option<String> {
    let members: &[&str] = match jwk.get("kty")?.as_str()? {
        "EC" => &["crv", "kty", "x", "y"],
        "RSA" => &["e", "kty", "n"],
        "OKP" => &["crv", "kty", "x"],
        "oct" => &["k", "kty"],
        _ => return None,
    };
    let members = members.iter().map(|name| {
        let value = Value::String(jwk.get(name)?.as_str()?.to_owned());
        Some(format!("\"{name}\":{value}"))
    });
    let members: Vec<String> = members.collect::<Option<_>>()?;
    Some(sha256(format!("{{{}}}", members.join(",")).as_bytes()))
}

/// RFC 9449 section 4.3: a proof with a private key in it gives the key away.
pub(crate) fn has_private_part(jwk: &Value) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.get(name).is_some())
}

/// The SHA-256 hash in base64url, as thumbprints and `ath` have it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes))
}
