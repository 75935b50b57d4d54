//! Keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037).

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use serde_core::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use zeroize::Zeroizing;

use super::der;
use crate::Error;

/// What kind of key it is, in DER (RFC 5480, section 2.1.1; RFC 8017, appendix A.1; RFC 8410, section 3).
const P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

/// The public half of a key: the members of a JWK that make the key, and no others (RFC 7517, RFC 7638 section 3.2).
///
/// ```
/// use oauth_tokens::PublicJwk;
///
/// // RFC 8037, appendix A.3.
/// let key = PublicJwk::from_json(r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)?;
/// assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicJwk(BTreeMap<&'static str, String>);

impl PublicJwk {
    /// A public key from its JWK. Members that do not make the key are left out; a private key is taken for its public
    /// half.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when it is no EC, RSA or OKP key, or lacks a member.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        Self::from_members(&Members::parse(json)?)
    }

    /// A public key from PEM (`PUBLIC KEY`, RFC 7468, section 13), as KMSes give it: EC on P-256 or P-384, RSA, Ed25519.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when it is no such key.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, Error> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_ref());
        der.ok().and_then(|der| Self::from_der(&der)).ok_or_else(|| {
            Error::config(
                "the public key cannot be used: PEM of EC on P-256 or P-384, RSA or Ed25519 is expected (-----BEGIN PUBLIC \
                 KEY-----)",
            )
        })
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        match der::subject_public_key_info(der)? {
            (P256, point) => Self::ec("P-256", point, 32),
            (P384, point) => Self::ec("P-384", point, 48),
            (RSA, key) => Self::rsa(key),
            (ED25519, key) if key.len() == 32 => Some(Self::ed25519(key)),
            _ => None,
        }
    }

    pub(super) fn from_members(members: &Members) -> Result<Self, Error> {
        let names: &[&str] = match members.required("kty")? {
            "EC" => &["crv", "kty", "x", "y"],
            "RSA" => &["e", "kty", "n"],
            "OKP" => &["crv", "kty", "x"],
            _ => return Err(Error::config("the JWK's `kty` is not EC, RSA or OKP")),
        };
        let member = |name: &&'static str| Ok((*name, members.required(name)?.to_owned()));
        names.iter().map(member).collect::<Result<_, Error>>().map(Self)
    }

    /// The point is uncompressed: 4, x, y (SEC 1, section 2.3.3).
    pub(super) fn ec(curve: &str, point: &[u8], length: usize) -> Option<Self> {
        let (4, coordinates) = point.split_first()? else { return None };
        let (x, y) = coordinates.split_at_checked(length).filter(|(_, y)| y.len() == length)?;
        Some(Self::new([("crv", curve.to_owned()), ("kty", "EC".to_owned()), ("x", encode(x)), ("y", encode(y))]))
    }

    /// The key as RFC 8017 (appendix A.1.1) has it: n, e.
    pub(super) fn rsa(key: &[u8]) -> Option<Self> {
        let (n, e) = der::two_integers(key)?;
        Some(Self::new([("e", encode(e)), ("kty", "RSA".to_owned()), ("n", encode(n))]))
    }

    pub(super) fn ed25519(x: &[u8]) -> Self {
        Self::new([("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", encode(x))])
    }

    fn new<const N: usize>(members: [(&'static str, String); N]) -> Self {
        Self(BTreeMap::from(members))
    }

    /// The JWK as JSON; [`Display`](fmt::Display) gives it as text.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.0.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect())
    }

    /// The key's thumbprint: base64url of SHA-256 (RFC 7638, section 3).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        encode(digest(&SHA256, self.to_string().as_bytes()).as_ref())
    }
}

/// Without spaces, the members in the order of their names: as RFC 7638 wants it.
impl fmt::Display for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members =
            self.0.iter().map(|(name, value)| format!("{}:{}", Value::from(*name), Value::from(value.as_str())));
        write!(f, "{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

impl fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicJwk({self})")
    }
}

/// The members of a JWK that are strings. They may be a private key's: zeroed when dropped.
pub(super) struct Members(BTreeMap<String, Zeroizing<String>>);

impl Members {
    /// Errors do not repeat the input.
    pub(super) fn parse(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json)
            .map_err(|error| Error::config(format!("the JWK is not one JSON object (line {})", error.line())))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| Error::config(format!("the JWK has no `{name}`")))
    }

    /// A member's bytes, written in base64url.
    pub(super) fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(self.required(name)?.trim_end_matches('='));
        decoded.map(Zeroizing::new).map_err(|_| Error::config(format!("the JWK's `{name}` is not base64url")))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UniqueStrings;

        impl<'de> Visitor<'de> for UniqueStrings {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    let value = match map.next_value()? {
                        Value::String(text) => text,
                        _ => String::new(),
                    };
                    if members.insert(name, Zeroizing::new(value)).is_some() {
                        return Err(A::Error::custom("duplicate member"));
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(UniqueStrings)
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
