//! Who signs: a key in memory, in a file, or in a KMS or HSM.

mod der;
mod jwk;
mod key;
mod key_file;

use std::{fmt, pin::Pin, sync::Arc};

pub use jwk::PublicJwk;
pub use key::SigningKey;
pub use key_file::{KeySource, SigningKeyFile};

use crate::{BoxError, Error};

/// How a key signs: a digital signature algorithm of JOSE (RFC 7518, section 3.1, and RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// Ed25519, by the name that RFC 8037 gave it, and that most servers know: `EdDSA`.
    EdDsa,
    /// Ed25519, by its own name (RFC 9864): `Ed25519`.
    Ed25519,
}

impl Algorithm {
    const ALL: [Self; 10] = [
        Self::Es256,
        Self::Es384,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::EdDsa,
        Self::Ed25519,
    ];

    /// The value of `alg` in a header (RFC 7515, section 4.1.1).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Turns an ECDSA signature in DER, as KMSes, HSMs and OpenSSL give it, into the form of JOSE: both numbers at their
    /// full length, one after the other (RFC 7518, section 3.4).
    ///
    /// ```
    /// use oauth_tokens::Algorithm;
    ///
    /// let der = [0x30, 0x06, 0x02, 0x01, 0x05, 0x02, 0x01, 0x07];
    /// let signature = Algorithm::Es256.signature_from_der(&der)?;
    /// assert_eq!((signature.len(), signature[31], signature[63]), (64, 5, 7));
    /// # Ok::<(), oauth_tokens::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when it is no such signature, or the algorithm is not ECDSA.
    pub fn signature_from_der(self, der: &[u8]) -> Result<Vec<u8>, Error> {
        let Some(length) = self.signature_length() else {
            return Err(Error::config(format!("signatures of {self} are not in DER: use them as they are")));
        };
        der::fixed_length(der, length / 2)
            .ok_or_else(|| Error::config(format!("this is not a signature of {self} in DER")))
    }

    /// How long a signature is in JOSE, where that does not depend on the key.
    pub(crate) fn signature_length(self) -> Option<usize> {
        match self {
            Self::Es256 => Some(64),
            Self::Es384 => Some(96),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that signs: a [`SigningKey`], or a key in a KMS or HSM that never comes out.
///
/// ```
/// use oauth_tokens::{Algorithm, BoxError, ClientAuth, Signer};
/// # struct Kms;
/// # impl Kms { async fn sign(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, BoxError> { Ok(Vec::new()) } }
///
/// struct KmsKey {
///     kms: Kms,
///     arn: String,
/// }
///
/// impl Signer for KmsKey {
///     fn algorithm(&self) -> Algorithm {
///         Algorithm::Es256
///     }
///
///     fn key_id(&self) -> Option<&str> {
///         Some("billing-2025")
///     }
///
///     async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
///         let der = self.kms.sign(&self.arn, message).await?;
///         Ok(self.algorithm().signature_from_der(&der)?)
///     }
/// }
///
/// let auth = ClientAuth::private_key_jwt(KmsKey { kms: Kms, arn: "…".into() });
/// # let _ = auth;
/// ```
pub trait Signer: Send + Sync + 'static {
    /// How it signs.
    fn algorithm(&self) -> Algorithm;

    /// The key's name at the authorization server: `kid` in the header (RFC 7515, section 4.1.4). Default: none.
    fn key_id(&self) -> Option<&str> {
        None
    }

    /// The SHA-256 thumbprint of the key's certificate, in base64url: `x5t#S256` in the header (RFC 7515, section 4.1.8), by
    /// which Entra ID finds the key. Default: none.
    fn certificate_thumbprint(&self) -> Option<&str> {
        None
    }

    /// The public half of the key; [`PublicJwk::from_pem`] makes it of what a KMS gives. Needed for DPoP (RFC 9449), where each
    /// proof carries it. Default: none.
    fn public_jwk(&self) -> Option<PublicJwk> {
        None
    }

    /// Signs a message, in the form of JOSE (RFC 7518, section 3): for ECDSA both numbers one after the other, not DER;
    /// see [`Algorithm::signature_from_der`]. It runs within the exchange's deadline.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from signing: it becomes the `source()` of an
    /// [`ErrorKind::Credential`](crate::ErrorKind::Credential) error, and must hold no secret.
    fn sign(&self, message: &[u8]) -> impl Future<Output = Result<Vec<u8>, BoxError>> + Send;
}

impl<S: Signer> Signer for Arc<S> {
    fn algorithm(&self) -> Algorithm {
        S::algorithm(self)
    }

    fn key_id(&self) -> Option<&str> {
        S::key_id(self)
    }

    fn certificate_thumbprint(&self) -> Option<&str> {
        S::certificate_thumbprint(self)
    }

    fn public_jwk(&self) -> Option<PublicJwk> {
        S::public_jwk(self)
    }

    fn sign(&self, message: &[u8]) -> impl Future<Output = Result<Vec<u8>, BoxError>> + Send {
        S::sign(self, message)
    }
}

/// A [`Signer`] that is shared, of whatever type.
pub(crate) type SharedSigner = Arc<dyn AnySigner>;

/// A [`Signer`] behind a pointer.
pub(crate) trait AnySigner: Send + Sync {
    fn algorithm(&self) -> Algorithm;
    fn key_id(&self) -> Option<&str>;
    fn certificate_thumbprint(&self) -> Option<&str>;
    fn sign<'a>(&'a self, message: &'a [u8]) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, BoxError>> + Send + 'a>>;
}

impl<S: Signer> AnySigner for S {
    fn algorithm(&self) -> Algorithm {
        Signer::algorithm(self)
    }

    fn key_id(&self) -> Option<&str> {
        Signer::key_id(self)
    }

    fn certificate_thumbprint(&self) -> Option<&str> {
        Signer::certificate_thumbprint(self)
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, BoxError>> + Send + 'a>> {
        Box::pin(Signer::sign(self, message))
    }
}

#[cfg(test)]
mod tests;
