#[cfg(feature = "tls")]
use std::{fmt, io};

use crate::jws::sha256;

/// The certificate with which a client has opened its TLS connection (RFC 8705).
///
/// Over sockets the server finds out by itself. For a plain service it is an extension of the request:
///
/// ```
/// # #[cfg(feature = "tls")] {
/// use oauth_test_server::{PresentedCertificate, TestCertificate};
///
/// # fn main() -> std::io::Result<()> {
/// let certificate = TestCertificate::self_signed("m2m")?;
/// let mut request = http::Request::post("https://mtls.id.test/token").body(()).expect("a request");
/// request.extensions_mut().insert(PresentedCertificate::from(&certificate));
/// # Ok(()) }
/// # main().unwrap();
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedCertificate {
    thumbprint: String,
}

impl PresentedCertificate {
    /// From the certificate in DER.
    pub fn from_der(der: &[u8]) -> Self {
        Self { thumbprint: sha256(der) }
    }

    /// Its SHA-256 thumbprint in base64url, as in `x5t#S256` (RFC 8705 section 3.1).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}

#[cfg(feature = "tls")]
impl From<&TestCertificate> for PresentedCertificate {
    fn from(certificate: &TestCertificate) -> Self {
        Self { thumbprint: certificate.thumbprint.clone() }
    }
}

/// The name in a client's certificate that tells who it is (RFC 8705 section 2.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateName {
    /// The subject `CN=...`, and nothing else in it.
    CommonName(String),
    /// A DNS name among the subject's alternative names.
    Dns(String),
    /// A URI there, such as a SPIFFE ID.
    Uri(String),
}

impl CertificateName {
    /// The subject `CN=...`.
    pub fn common_name(name: impl Into<String>) -> Self {
        Self::CommonName(name.into())
    }

    /// A DNS name.
    pub fn dns(name: impl Into<String>) -> Self {
        Self::Dns(name.into())
    }

    /// A URI.
    pub fn uri(uri: impl Into<String>) -> Self {
        Self::Uri(uri.into())
    }
}

/// A client certificate and its private key.
#[cfg(feature = "tls")]
#[derive(Clone)]
pub struct TestCertificate {
    pub(crate) certificate_pem: String,
    pub(crate) private_key_pem: String,
    pub(crate) thumbprint: String,
}

#[cfg(feature = "tls")]
impl TestCertificate {
    /// A certificate that vouches for itself, with the subject `CN=...`. Register its
    /// [`thumbprint`](Self::thumbprint) with the client.
    ///
    /// # Errors
    ///
    /// When no certificate can be made of that name.
    pub fn self_signed(common_name: &str) -> io::Result<Self> {
        crate::tls::self_signed(common_name)
    }

    /// The certificate as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its private key in PKCS #8 as PEM.
    pub fn private_key_pem(&self) -> &str {
        &self.private_key_pem
    }

    /// Its SHA-256 thumbprint in base64url, as in `x5t#S256` (RFC 8705 section 3.1).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}

#[cfg(feature = "tls")]
impl fmt::Debug for TestCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestCertificate").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}
