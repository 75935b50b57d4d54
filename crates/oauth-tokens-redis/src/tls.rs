//! TLS with a crypto provider by name: none needs to be installed, and none is. (The redis crate's own TLS asks for the
//! process's default one, which is a panic where two are linked, and reads the system's roots for each connection.)

use std::{io, sync::Arc};

use rustls::{
    ClientConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use tokio::{net::TcpStream, sync::OnceCell};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How connections are encrypted. The system's roots are read when the first one is made.
#[derive(Default)]
pub(crate) struct Tls {
    roots: Vec<CertificateDer<'static>>,
    identity: Option<Identity>,
    connector: OnceCell<TlsConnector>,
}

/// The client's own certificate, its chain after it, and its key.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(crate) fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, &'static str> {
        let chain = certificates(certificate).ok_or("its certificate cannot be read: PEM is expected")?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "its key cannot be read: PEM, not encrypted, is expected")?;
        let identity = Self { chain, key };
        // Tried once here, so that a key that does not fit is found where it was given.
        let trial = builder()
            .and_then(|builder| identity.apply(builder.with_root_certificates(rustls::RootCertStore::empty())));
        trial.map(|_| identity).map_err(|_| "its key does not fit its certificate")
    }

    fn apply(
        &self,
        builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    ) -> Result<ClientConfig, rustls::Error> {
        builder.with_client_auth_cert(self.chain.clone(), self.key.clone_key())
    }
}

/// The certificates in a PEM text; none if there is none, or one that cannot be read.
pub(crate) fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    let mut trial = rustls::RootCertStore::empty();
    let usable = certificates.iter().all(|certificate| trial.add(certificate.clone()).is_ok());
    Some(certificates).filter(|certificates| usable && !certificates.is_empty())
}

fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()
}

impl Tls {
    pub(crate) fn new(roots: Vec<CertificateDer<'static>>, identity: Option<Identity>) -> Self {
        Self { roots, identity, connector: OnceCell::new() }
    }

    pub(crate) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let connector = self.connector.get_or_try_init(|| self.connector()).await?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        connector.connect(name, stream).await
    }

    async fn connector(&self) -> io::Result<TlsConnector> {
        let roots = self.roots.clone();
        // The system's roots are files.
        let verifier = tokio::task::spawn_blocking(move || Verifier::new_with_extra_roots(roots, provider()));
        let verifier = Arc::new(verifier.await?.map_err(io::Error::other)?);
        let builder = builder().map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(verifier);
        let config = match &self.identity {
            Some(identity) => identity.apply(builder).map_err(io::Error::other)?,
            None => builder.with_no_client_auth(),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}
