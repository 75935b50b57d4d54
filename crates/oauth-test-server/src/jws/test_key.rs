use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::jws::{Algorithm, der, jwk};

/// A key for a test's client or issuer, and the JWTs that it signs.
///
/// ```
/// use oauth_test_server::{Algorithm, Client, TestKey};
///
/// let key = TestKey::generate(Algorithm::Es256).with_key_id("2026-01");
/// let registered = Client::new("m2m").key(&key);
/// let for_the_client = key.private_key_pem();
/// # let _ = (registered, for_the_client);
/// ```
#[derive(Clone)]
pub struct TestKey {
    algorithm: Algorithm,
    id: Option<String>,
    pair: Arc<Pair>,
}

enum Pair {
    Secret(Vec<u8>),
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl TestKey {
    /// A new key: RSA ones have 2048 bits and take a moment, HMAC ones 256 bits. Its id is its
    /// thumbprint.
    pub fn generate(algorithm: Algorithm) -> Self {
        // Nothing is asked of these but randomness, which does not run out.
        const MADE: &str = "a key is made";
        let pair = match algorithm {
            Algorithm::Hs256 => {
                // Text, so that it can be a client secret.
                let secret = format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..));
                Pair::Secret(secret.into_bytes())
            }
            Algorithm::Es256 => Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect(MADE)),
            Algorithm::Es384 => Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect(MADE)),
            Algorithm::Rs256 | Algorithm::Ps256 => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect(MADE)),
            Algorithm::EdDsa => Pair::Ed25519(Ed25519KeyPair::generate().expect(MADE)),
        };
        Self::new(algorithm, pair)
    }

    /// The `HS256` key that is this client secret. It has no id.
    pub fn hmac(secret: impl Into<String>) -> Self {
        Self::new(Algorithm::Hs256, Pair::Secret(secret.into().into_bytes())).without_key_id()
    }

    fn new(algorithm: Algorithm, pair: Pair) -> Self {
        let mut key = Self { algorithm, id: None, pair: Arc::new(pair) };
        key.id = Some(key.thumbprint());
        key
    }

    /// The same RSA key for another padding.
    pub(crate) fn for_rsa(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The same key under another `kid`.
    #[must_use]
    pub fn with_key_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The same key without a `kid`, in its JWK and in its JWTs.
    #[must_use]
    pub fn without_key_id(mut self) -> Self {
        self.id = None;
        self
    }

    /// The `kid`.
    pub fn key_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The `alg` of its JWTs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The thumbprint of its JWK (RFC 7638), which a DPoP-bound token has as `cnf.jkt`.
    pub fn thumbprint(&self) -> String {
        // An HMAC key has no public members; its private ones make its thumbprint.
        let members = match &*self.pair {
            Pair::Secret(secret) => json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret) }),
            _ => self.public_members(),
        };
        jwk::thumbprint(&members).unwrap_or_default()
    }

    /// The public JWK (RFC 7517) with `alg`, `use` and `kid`. An HMAC key has none of its secret in it.
    pub fn public_jwk(&self) -> Value {
        let mut jwk = self.public_members();
        jwk["alg"] = json!(self.algorithm.name());
        jwk["use"] = json!("sig");
        if let Some(id) = &self.id {
            jwk["kid"] = json!(id);
        }
        jwk
    }

    /// The private JWK (RFC 7518 section 6).
    pub fn private_jwk(&self) -> Value {
        let mut jwk = self.public_jwk();
        let mut set = |name: &str, bytes: &[u8]| jwk[name] = json!(URL_SAFE_NO_PAD.encode(bytes));
        match &*self.pair {
            Pair::Secret(secret) => set("k", secret),
            Pair::Ecdsa(pair) => {
                let key: Result<EcPrivateKeyBin<'_>, _> = pair.private_key().as_be_bytes();
                set("d", key.expect("a generated key has a private part").as_ref());
            }
            Pair::Rsa(_) => {
                let pkcs8 = self.pkcs8();
                let numbers = der::rsa_private(&pkcs8).unwrap_or_default();
                for (name, number) in ["d", "p", "q", "dp", "dq", "qi"].into_iter().zip(numbers) {
                    set(name, number);
                }
            }
            Pair::Ed25519(pair) => {
                let seed: Result<Curve25519SeedBin<'_>, _> = pair.seed().and_then(|seed| seed.as_be_bytes());
                set("d", seed.expect("a generated key has a private part").as_ref());
            }
        }
        jwk
    }

    /// The private key in PKCS #8 as PEM (RFC 5958, RFC 7468). An HMAC key gives its secret as it is.
    pub fn private_key_pem(&self) -> String {
        if let Pair::Secret(secret) = &*self.pair {
            return String::from_utf8_lossy(secret).into_owned();
        }
        pem("PRIVATE KEY", &self.pkcs8())
    }

    /// A JWT with these claims; its header has `alg`, the `kid` if there is one, and `typ: JWT`.
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = json!({ "alg": self.algorithm.name(), "typ": "JWT" });
        if let Some(id) = &self.id {
            header["kid"] = json!(id);
        }
        self.sign_with(&header, claims)
    }

    /// A JWT with this header, as it is: it may lie about `alg` and `kid`.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.signature(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        const SIGNED: &str = "a good key signs any message";
        let random = SystemRandom::new();
        match &*self.pair {
            Pair::Secret(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec(),
            Pair::Ecdsa(pair) => pair.sign(&random, message).expect(SIGNED).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let padding = match self.algorithm {
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).expect(SIGNED);
                signature
            }
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    fn public_members(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &*self.pair {
            Pair::Secret(_) => json!({ "kty": "oct" }),
            Pair::Ecdsa(pair) => {
                // SEC 1, uncompressed: a tag, then both coordinates.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if self.algorithm == Algorithm::Es384 { "P-384" } else { "P-256" };
                json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
            }
            Pair::Rsa(pair) => {
                let [modulus, exponent] = der::rsa_public(pair.public_key().as_ref()).unwrap_or_default();
                json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
        }
    }

    fn pkcs8(&self) -> Vec<u8> {
        const WRITTEN: &str = "a generated key can be written";
        match &*self.pair {
            Pair::Secret(secret) => secret.clone(),
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().expect(WRITTEN).as_ref().to_vec(),
            Pair::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).expect(WRITTEN).as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().expect(WRITTEN).as_ref().to_vec(),
        }
    }
}

/// RFC 7468: base64 in lines of 64.
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

impl fmt::Debug for TestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestKey").field("algorithm", &self.algorithm).field("id", &self.id).finish_non_exhaustive()
    }
}
