use std::fmt;
use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificate::{CertificateName, PresentedCertificate, TestCertificate};
use crate::jws::sha256;

/// A certificate authority of one certificate, made for one server.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

impl Authority {
    pub(crate) fn generate() -> io::Result<Self> {
        let mut params = named("oauth-test-server CA")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem: certificate.pem() })
    }

    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A certificate for a client with one name in it (RFC 8705 section 2.1.2).
    pub(crate) fn issue_client_certificate(&self, name: &CertificateName) -> io::Result<TestCertificate> {
        let mut params = match name {
            CertificateName::CommonName(name) => named(name)?,
            CertificateName::Dns(_) | CertificateName::Uri(_) => named("client")?,
        };
        let text = |text: &String| text.as_str().try_into().map_err(io::Error::other);
        match name {
            CertificateName::CommonName(_) => {}
            CertificateName::Dns(name) => params.subject_alt_names.push(SanType::DnsName(text(name)?)),
            CertificateName::Uri(uri) => params.subject_alt_names.push(SanType::URI(text(uri)?)),
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        Ok(test_certificate(&certificate, &key))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A certificate for a client that vouches for itself.
pub(crate) fn self_signed(common_name: &str) -> io::Result<TestCertificate> {
    let mut params = named(common_name)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    Ok(test_certificate(&certificate, &key))
}

fn named(common_name: &str) -> io::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

fn test_certificate(certificate: &Certificate, key: &KeyPair) -> TestCertificate {
    TestCertificate {
        certificate_pem: certificate.pem(),
        private_key_pem: key.serialize_pem(),
        thumbprint: sha256(certificate.der()),
    }
}

/// The certificate of the server, and whether it asks the client for one.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
}

impl Tls {
    pub(crate) fn new(authority: &Authority, ask_client: bool) -> io::Result<Self> {
        // A leaf named like its issuer looks self-signed to some verifiers.
        let mut leaf = named("localhost")?;
        leaf.subject_alt_names = CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(str::to_owned))
            .map_err(io::Error::other)?
            .subject_alt_names;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = leaf.signed_by(&key, &authority.issuer).map_err(io::Error::other)?;

        // Named, so that it does not matter which provider the process has installed.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let config = if ask_client {
            config.with_client_cert_verifier(Arc::new(AnyCertificate(provider)))
        } else {
            config.with_no_client_auth()
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut config =
            config.with_single_cert(vec![certificate.der().clone()], key.into()).map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<PresentedCertificate>)> {
        let stream = TlsAcceptor::from(self.config.clone()).accept(stream).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(|certificates| certificates.first());
        let certificate = certificate.map(|certificate| PresentedCertificate::from_der(certificate));
        Ok((stream, certificate))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Lets any certificate through whose key the client has. Whose it is, the endpoints decide, as they
/// take self-signed ones too (RFC 8705 section 2.2) and must be able to answer `invalid_client`.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
