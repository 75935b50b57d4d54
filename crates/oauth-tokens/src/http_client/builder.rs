//! The default client with settings.

use std::{fmt, path::PathBuf};

use reqwest::{Certificate, Client, ClientBuilder};

use super::{
    HttpClient,
    identity::Identity,
    reqwest::{Reqwest, Setting},
};
use crate::{Error, ErrorKind};

impl HttpClient {
    /// The default client. It is built on first use; building reads the system's root certificates.
    #[must_use]
    pub fn reqwest() -> Self {
        Self::over_reqwest(Reqwest::default())
    }

    /// The default client, trusting these root certificates (PEM, one or many) besides the system's: for a development
    /// certificate, or a company's own authority.
    ///
    /// ```no_run
    /// use oauth_tokens::{AuthorizationServer, HttpClient};
    ///
    /// let http = HttpClient::with_root_certificates(&std::fs::read("dev-root.pem")?)?;
    /// let server = AuthorizationServer::via(http).issuer("https://localhost:5001/master")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when there is no certificate in it.
    pub fn with_root_certificates(pem: &[u8]) -> Result<Self, Error> {
        Self::builder().root_certificates(pem).build()
    }

    /// The default client with more settings of reqwest's: a proxy, a user agent. Redirects are switched off again after
    /// your settings.
    ///
    /// ```
    /// use oauth_tokens::HttpClient;
    ///
    /// let http = HttpClient::configured(|builder| builder.user_agent("inventory/1.0"));
    /// ```
    #[must_use]
    pub fn configured(configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static) -> Self {
        Self::over_reqwest(Reqwest::new(Vec::new(), None, vec![Box::new(configure)]))
    }

    /// The default client with root certificates, a certificate of the client's, and settings of reqwest's.
    pub fn builder() -> HttpClientBuilder {
        HttpClientBuilder { roots: Vec::new(), identity: None, settings: Vec::new() }
    }
}

/// Settings of the default [`HttpClient`]; see [`HttpClient::builder`].
///
/// ```no_run
/// use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient};
///
/// let http = HttpClient::builder()
///     .root_certificates(std::fs::read("/run/tls/ca.crt")?)
///     .identity_files("/run/tls/tls.crt", "/run/tls/tls.key")
///     .configure(|builder| builder.user_agent("inventory/1.0"))
///     .build()?;
/// let server = AuthorizationServer::via(http).issuer("https://id.example.com")?;
/// let client = server.client("inventory", ClientAuth::tls_client_auth())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct HttpClientBuilder {
    roots: Vec<Vec<u8>>,
    identity: Option<Identity>,
    settings: Vec<Setting>,
}

impl HttpClientBuilder {
    /// Trusts these root certificates (PEM, one or many) besides the system's.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Shows this certificate (PEM, its chain after it) to servers that ask for one, with this private key (PEM, not
    /// encrypted).
    pub fn identity(mut self, certificate_pem: impl AsRef<str>, key_pem: impl AsRef<str>) -> Self {
        self.identity = Some(Identity::from_pem(certificate_pem.as_ref(), key_pem.as_ref()));
        self
    }

    /// Shows the certificate in one file to servers that ask for one, with the private key in the other; it may be the same
    /// file. They are read on first use. When they change, the next exchange opens new connections with the new ones; while
    /// they cannot be used, because only one of them has been replaced yet, the old ones serve on.
    pub fn identity_files(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some(Identity::Files { certificate: certificate.into(), key: key.into() });
        self
    }

    /// More settings of reqwest's: a proxy, a user agent. Redirects are switched off again after your settings.
    pub fn configure(mut self, configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static) -> Self {
        self.settings.push(Box::new(configure));
        self
    }

    /// The client. Certificates that were given as values are looked at here; nothing is read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when there is no certificate among the root certificates, or when
    /// the client's certificate and key are not PEM, or do not fit each other.
    pub fn build(self) -> Result<HttpClient, Error> {
        let roots = self.roots.iter().map(|pem| certificates(pem)).collect::<Result<Vec<_>, _>>()?.concat();
        if let Some(given @ Identity::Pem(_)) = &self.identity {
            let identity = given.read().map_err(|error| error.with_kind(ErrorKind::Config))?;
            let trial = Client::builder().tls_backend_rustls().tls_certs_only([]).identity(identity);
            trial.build().map_err(|error| given.refused(error).with_kind(ErrorKind::Config))?;
        }
        Ok(HttpClient::over_reqwest(Reqwest::new(roots, self.identity, self.settings)))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, Error> {
    let unreadable = "the root certificates cannot be read: PEM is expected (-----BEGIN CERTIFICATE-----)";
    let certificates = Certificate::from_pem_bundle(pem).map_err(|error| Error::config(unreadable).caused_by(error))?;
    if certificates.is_empty() {
        return Err(Error::config(unreadable));
    }
    // Tried once here, so that a certificate of no use is found where it was given.
    let trial = Client::builder().tls_backend_rustls().tls_certs_only(certificates.clone());
    trial.build().map_err(|error| Error::config(unreadable).caused_by(error))?;
    Ok(certificates)
}

impl fmt::Debug for HttpClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClientBuilder")
            .field("roots", &self.roots.len())
            .field("identity", &self.identity)
            .field("settings", &self.settings.len())
            .finish()
    }
}
