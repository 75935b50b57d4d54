//! A private key in memory, over aws-lc-rs.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
        RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use zeroize::Zeroizing;

use super::{
    Algorithm, PublicJwk, Signer, SigningKeyFile, der,
    jwk::{Members, encode},
};
use crate::{BoxError, Error};

/// A private key in memory: a [`Signer`] over aws-lc-rs. Cheap to clone; never shown.
///
/// ```
/// use oauth_tokens::{Algorithm, ClientAuth, SigningKey};
///
/// let key = SigningKey::generate(Algorithm::Es256)?.with_key_id("billing-2025");
/// assert_eq!(format!("{key:?}"), r#"SigningKey(ES256, key id "billing-2025")"#);
/// let auth = ClientAuth::private_key_jwt(key);
/// # let _ = auth;
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Pair>,
    algorithm: Algorithm,
    key_id: Option<String>,
    certificate_thumbprint: Option<String>,
}

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A key from PEM, not encrypted: PKCS#8 (`PRIVATE KEY`), SEC 1 (`EC PRIVATE KEY`) or PKCS#1 (`RSA PRIVATE KEY`). If its
    /// certificate stands there too, before any other, its thumbprint goes into the header (`x5t#S256`), as Entra ID wants
    /// it.
    ///
    /// EC keys on P-256 and P-384 sign by ES256 and ES384, RSA keys of 2048 to 8192 bits by RS256 (see
    /// [`with_algorithm`](Self::with_algorithm) for PS256), Ed25519 keys by EdDSA.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when there is no such key.
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Self, Error> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_ref()).map(Zeroizing::new).map_err(|_| {
            Error::config(
                "there is no private key in the PEM: an unencrypted one is expected (-----BEGIN PRIVATE KEY-----)",
            )
        })?;
        let pair = match &*der {
            PrivateKeyDer::Sec1(sec1) => Pair::from_ec(sec1.secret_sec1_der()),
            PrivateKeyDer::Pkcs1(pkcs1) => Pair::from_rsa(RsaKeyPair::from_der(pkcs1.secret_pkcs1_der())),
            PrivateKeyDer::Pkcs8(pkcs8) => Pair::from_pkcs8(pkcs8.secret_pkcs8_der()),
            _ => Err(unsupported()),
        };
        let mut key = pair.map(Self::new)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_ref()).ok();
        key.certificate_thumbprint = certificate.map(|der| encode(digest(&SHA256, &der).as_ref()));
        Ok(key)
    }

    /// A key from a private JWK (RFC 7517): EC on P-256 or P-384, RSA with all its private members (RFC 7518, section
    /// 6.3.2), or OKP on Ed25519 (RFC 8037). Its `alg` and `kid` are kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when there is no such key; what the JWK holds is not repeated.
    pub fn from_jwk(json: &str) -> Result<Self, Error> {
        let members = Members::parse(json)?;
        if members.get("use").is_some_and(|purpose| purpose != "sig") {
            return Err(Error::config("the JWK is not for signing: its `use` is not sig"));
        }
        let key = Self::new(Pair::from_jwk(&members)?);
        let key = match members.get("kid") {
            Some(key_id) => key.with_key_id(key_id),
            None => key,
        };
        match members.get("alg").map(Algorithm::from_name) {
            Some(Some(algorithm)) => key.with_algorithm(algorithm),
            Some(None) => {
                Err(Error::config("the JWK's `alg` is no known one: ES256, RS256, PS256 or EdDSA, for example"))
            }
            None => Ok(key),
        }
    }

    /// A key in a file, PEM or JWK, that is read anew for each exchange: it can be replaced without a restart.
    #[must_use]
    pub fn file(path: impl Into<std::path::PathBuf>) -> SigningKeyFile {
        SigningKeyFile::new(path.into())
    }

    /// A new key, which ends with the program; RSA keys have 2048 bits, and take their time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when there is no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, Error> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::P256),
            Algorithm::Es384 => EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Pair::P384),
            Algorithm::EdDsa | Algorithm::Ed25519 => Ed25519KeyPair::generate().map(Pair::Ed25519),
            _ => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rsa),
        };
        let pair = pair.map_err(|error| Error::config("a new key could not be made").caused_by(error))?;
        Ok(Self { pair: Arc::new(pair), algorithm, key_id: None, certificate_thumbprint: None })
    }

    /// Names the key, as the authorization server does: `kid` in the header (RFC 7515, section 4.1.4).
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Signs by this algorithm: PS256 or one with a longer hash with an RSA key, or Ed25519 by its own name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when the key is for another one.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, Error> {
        let fits = match &*self.pair {
            Pair::P256(_) => algorithm == Algorithm::Es256,
            Pair::P384(_) => algorithm == Algorithm::Es384,
            Pair::Rsa(_) => rsa_encoding(algorithm).is_some(),
            Pair::Ed25519(_) => matches!(algorithm, Algorithm::EdDsa | Algorithm::Ed25519),
        };
        if !fits {
            return Err(Error::config(format!("this key signs by {}, not by {algorithm}", self.algorithm)));
        }
        self.algorithm = algorithm;
        Ok(self)
    }

    fn new(pair: Pair) -> Self {
        let algorithm = match &pair {
            Pair::P256(_) => Algorithm::Es256,
            Pair::P384(_) => Algorithm::Es384,
            Pair::Rsa(_) => Algorithm::Rs256,
            Pair::Ed25519(_) => Algorithm::EdDsa,
        };
        Self { pair: Arc::new(pair), algorithm, key_id: None, certificate_thumbprint: None }
    }
}

impl Pair {
    /// The kinds are tried one after another: each parser refuses the others' keys.
    fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Ok(Self::Ed25519(pair));
        }
        Self::from_ec(der).or_else(|_| Self::from_rsa(RsaKeyPair::from_pkcs8(der)))
    }

    fn from_ec(der: &[u8]) -> Result<Self, Error> {
        let parsed = |algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::from_private_key_der(algorithm, der);
        let p256 = parsed(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::P256);
        p256.or_else(|_| parsed(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Self::P384)).map_err(|_| unsupported())
    }

    fn from_rsa(parsed: Result<RsaKeyPair, aws_lc_rs::error::KeyRejected>) -> Result<Self, Error> {
        parsed.map(Self::Rsa).map_err(|_| unsupported())
    }

    fn from_jwk(members: &Members) -> Result<Self, Error> {
        match (members.required("kty")?, members.get("crv")) {
            ("EC", Some("P-256")) => ec(members, &ECDSA_P256_SHA256_FIXED_SIGNING, 32).map(Self::P256),
            ("EC", Some("P-384")) => ec(members, &ECDSA_P384_SHA384_FIXED_SIGNING, 48).map(Self::P384),
            ("OKP", Some("Ed25519")) => {
                let (seed, public) = (members.bytes("d")?, members.bytes("x")?);
                Ed25519KeyPair::from_seed_and_public_key(&seed, &public).map(Self::Ed25519).map_err(|_| inconsistent())
            }
            ("RSA", _) => {
                let [n, e, d, p, q, dp, dq, qi] =
                    ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(|name| members.bytes(name));
                let der = der::rsa_private_key(&[n?, e?, d?, p?, q?, dp?, dq?, qi?]);
                Self::from_rsa(RsaKeyPair::from_der(&der))
            }
            _ => Err(Error::config("the JWK is no key of these: EC on P-256 or P-384, RSA, OKP on Ed25519")),
        }
    }

    fn public_jwk(&self) -> Option<PublicJwk> {
        match self {
            Self::P256(pair) => PublicJwk::ec("P-256", pair.public_key().as_ref(), 32),
            Self::P384(pair) => PublicJwk::ec("P-384", pair.public_key().as_ref(), 48),
            Self::Rsa(pair) => PublicJwk::rsa(pair.public_key().as_ref()),
            Self::Ed25519(pair) => Some(PublicJwk::ed25519(pair.public_key().as_ref())),
        }
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::P256(pair) | Self::P384(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let padding = rsa_encoding(algorithm).ok_or(aws_lc_rs::error::Unspecified)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

/// None: no algorithm of RSA.
fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &RSA_PSS_SHA256,
        Algorithm::Ps384 => &RSA_PSS_SHA384,
        Algorithm::Ps512 => &RSA_PSS_SHA512,
        _ => return None,
    })
}

fn ec(members: &Members, algorithm: &'static EcdsaSigningAlgorithm, length: usize) -> Result<EcdsaKeyPair, Error> {
    let (d, x, y) = (members.bytes("d")?, members.bytes("x")?, members.bytes("y")?);
    if [&d, &x, &y].iter().any(|number| number.len() != length) {
        return Err(Error::config(
            "the JWK's `d`, `x` or `y` is not as long as the curve wants it (RFC 7518, section 6.2)",
        ));
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &d, &point).map_err(|_| inconsistent())
}

fn unsupported() -> Error {
    Error::config(
        "the private key cannot be used: EC on P-256 or P-384, RSA of 2048 to 8192 bits, or Ed25519 is expected",
    )
}

fn inconsistent() -> Error {
    Error::config("the JWK is no key: its private and public members do not fit each other")
}

impl Signer for SigningKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    fn certificate_thumbprint(&self) -> Option<&str> {
        self.certificate_thumbprint.as_deref()
    }

    fn public_jwk(&self) -> Option<PublicJwk> {
        self.pair.public_jwk()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        Ok(self.pair.sign(self.algorithm, message)?)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}", self.algorithm)?;
        match &self.key_id {
            Some(key_id) => write!(f, ", key id {key_id:?})"),
            None => f.write_str(")"),
        }
    }
}
