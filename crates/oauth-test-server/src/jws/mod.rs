//! Signed JWTs (RFC 7515, RFC 7519), read strictly: what is not exactly right is refused.

mod claims;
mod der;
mod jwk;
mod test_key;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

pub(crate) use claims::Claims;
pub(crate) use jwk::{KeySet, PublicKey, has_private_part, sha256, thumbprint};
pub use test_key::TestKey;

/// How a JWT is signed, by the names of RFC 7518 section 3.1 and RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// `HS256`: HMAC with SHA-256 and a shared secret.
    Hs256,
    /// `ES256`: ECDSA on P-256 with SHA-256.
    Es256,
    /// `ES384`: ECDSA on P-384 with SHA-384.
    Es384,
    /// `RS256`: RSA PKCS #1 v1.5 with SHA-256.
    Rs256,
    /// `PS256`: RSA PSS with SHA-256.
    Ps256,
    /// `EdDSA`: Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Those with a public key.
    pub(crate) const ASYMMETRIC: [Self; 5] = [Self::Es256, Self::Es384, Self::Rs256, Self::Ps256, Self::EdDsa];

    /// The value of the header's `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) fn is_rsa(self) -> bool {
        matches!(self, Self::Rs256 | Self::Ps256)
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Hs256].into_iter().chain(Self::ASYMMETRIC).find(|algorithm| algorithm.name() == name)
    }

    pub(crate) fn asymmetric_names() -> [&'static str; 5] {
        Self::ASYMMETRIC.map(Self::name)
    }
}

/// A JWT that was taken apart and not yet verified.
#[derive(Debug)]
pub(crate) struct Jws {
    pub(crate) header: Map<String, Value>,
    pub(crate) algorithm: Algorithm,
    pub(crate) claims: Claims,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl Jws {
    /// RFC 7515 section 5.2, compact form, with an algorithm that this server knows. `none` is not one.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let jwt = DecodedJwt::decode(text).ok_or("not a JWT")?;
        let (Value::Object(header), Value::Object(claims)) = (jwt.header, jwt.claims) else {
            return Err("the JWT's header and claims must be objects");
        };
        if header.contains_key("crit") {
            return Err("the JWT has critical extensions");
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::from_name);
        let algorithm = algorithm.ok_or("the JWT's alg is unknown")?;
        let (signed, signature) = text.rsplit_once('.').ok_or("not a JWT")?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "not a JWT")?;
        Ok(Self { header, algorithm, claims: Claims(claims), signed: signed.as_bytes().to_vec(), signature })
    }

    /// The media type in `typ`, in lower case, without the `application/` that RFC 7515 section 4.1.9
    /// lets one leave out.
    pub(crate) fn media_type(&self) -> Option<String> {
        let typ = self.header.get("typ")?.as_str()?.to_ascii_lowercase();
        Some(typ.strip_prefix("application/").map_or(typ.clone(), str::to_owned))
    }

    pub(crate) fn verify(&self, key: &PublicKey) -> Result<(), &'static str> {
        if key.verify(self.algorithm, &self.signed, &self.signature) {
            Ok(())
        } else {
            Err("the JWT's signature does not verify")
        }
    }

    /// By the key that `kid` names; without `kid`, by any that fits.
    pub(crate) fn verify_with(&self, keys: &KeySet) -> Result<(), &'static str> {
        let kid = match self.header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or("the JWT's kid is no string")?),
        };
        let mut fitting = keys.fitting(kid, self.algorithm).peekable();
        if fitting.peek().is_none() {
            return Err("no registered key fits the JWT's kid and alg");
        }
        if fitting.any(|key| self.verify(key).is_ok()) { Ok(()) } else { Err("the JWT's signature does not verify") }
    }
}

/// The header and claims of a JWT, not verified: to look at what a client sent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DecodedJwt {
    /// The JOSE header (RFC 7515 section 4).
    pub header: Value,
    /// The claims set (RFC 7519 section 4).
    pub claims: Value,
}

impl DecodedJwt {
    /// Takes a JWT apart; `None` if it is none.
    ///
    /// ```
    /// use oauth_test_server::{Algorithm, DecodedJwt, TestKey};
    /// use serde_json::json;
    ///
    /// let key = TestKey::generate(Algorithm::Es256).with_key_id("k1");
    /// let jwt = DecodedJwt::decode(&key.sign(&json!({ "sub": "alice" }))).expect("a JWT");
    /// assert_eq!(jwt.header["kid"], "k1");
    /// assert_eq!(jwt.claims["sub"], "alice");
    /// ```
    pub fn decode(jwt: &str) -> Option<Self> {
        let mut parts = jwt.split('.');
        let (header, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
            return None;
        };
        let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        Some(Self { header: part(header)?, claims: part(claims)? })
    }
}

#[cfg(test)]
mod tests;
