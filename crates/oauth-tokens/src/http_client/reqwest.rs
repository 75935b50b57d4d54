//! The default client: reqwest with redirects off.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use reqwest::{Certificate, Client, ClientBuilder, redirect::Policy};
use tokio::runtime::{Handle, Id};

use super::{Exchange, HttpClient, SendError, Sent, whole};
use crate::{BoxError, Error, endpoint_url::is_loopback};

/// How long a connection may take to be made (T3).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How many runtimes at once keep connections of their own.
const MAX_RUNTIMES: usize = 32;

impl HttpClient {
    /// The default client. It is built on first use; building reads the system's root certificates.
    #[must_use]
    pub fn reqwest() -> Self {
        Self::configured(|builder| builder)
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
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when there is no certificate in it.
    pub fn with_root_certificates(pem: &[u8]) -> Result<Self, Error> {
        let unreadable = "the root certificates cannot be read: PEM is expected (-----BEGIN CERTIFICATE-----)";
        let certificates =
            Certificate::from_pem_bundle(pem).map_err(|error| Error::config(unreadable).caused_by(error))?;
        if certificates.is_empty() {
            return Err(Error::config(unreadable));
        }
        // Tried once here, so that a certificate of no use is found where it was given.
        let builder = Client::builder().tls_certs_merge(certificates.clone());
        builder.build().map_err(|error| Error::config(unreadable).caused_by(error))?;
        Ok(Self::configured(move |builder| builder.tls_certs_merge(certificates.clone())))
    }

    /// The default client with more settings of reqwest's: a proxy, client certificates, a user agent. Redirects are
    /// switched off again after your settings.
    ///
    /// ```
    /// use oauth_tokens::HttpClient;
    ///
    /// let http = HttpClient::configured(|builder| builder.user_agent("inventory/1.0"));
    /// ```
    #[must_use]
    pub fn configured(configure: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static) -> Self {
        let configure = Box::new(configure);
        Self { service: Arc::new(Reqwest { configure, clients: Mutex::default() }), pins_localhost: true }
    }
}

/// Reqwest clients, one for each runtime that asks: a pooled connection lives on the runtime that opened it, and would
/// hang on a runtime that nobody drives any more (F13).
struct Reqwest {
    configure: Box<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>,
    clients: Mutex<Vec<(Id, Clients)>>,
}

#[derive(Clone)]
struct Clients {
    anywhere: Client,
    /// To this machine: no proxy from the environment sees it (T12), and `localhost` is this machine (T1).
    loopback: Client,
}

impl Reqwest {
    fn clients(&self) -> Result<Clients, BoxError> {
        let runtime = Handle::try_current()?.id();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        // The one that was used last stands last, and the first is the first to go.
        if let Some(at) = clients.iter().position(|(id, _)| *id == runtime) {
            clients[at..].rotate_left(1);
        } else {
            let built = self.build()?;
            if clients.len() == MAX_RUNTIMES {
                clients.remove(0);
            }
            clients.push((runtime, built));
        }
        clients.last().map(|(_, clients)| clients.clone()).ok_or_else(|| "there is no client".into())
    }

    fn build(&self) -> reqwest::Result<Clients> {
        let builder = || {
            (self.configure)(Client::builder().connect_timeout(CONNECT_TIMEOUT).referer(false)).redirect(Policy::none())
        };
        let localhost = [([127, 0, 0, 1], 0).into(), ([0, 0, 0, 0, 0, 0, 0, 1], 0).into()];
        Ok(Clients {
            anywhere: builder().build()?,
            loopback: builder().no_proxy().resolve_to_addrs("localhost", &localhost).build()?,
        })
    }
}

impl Exchange for Reqwest {
    fn send(&self, request: Request<Full<Bytes>>) -> Pin<Box<dyn Future<Output = Sent> + Send>> {
        let clients = self.clients();
        Box::pin(async move {
            let clients = clients.map_err(SendError::Unsent)?;
            let client = if is_loopback(request.uri()) { clients.loopback } else { clients.anywhere };
            // The URL is left out of the error: it is in the message, checked, and a query may hold a key.
            let failed = |error: reqwest::Error| match error.is_connect() || error.is_builder() {
                true => SendError::Unsent(error.without_url().into()),
                false => SendError::Failed(error.without_url().into()),
            };
            let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap)).map_err(failed)?;
            let response = client.execute(request).await.map_err(failed)?;
            whole(response.into()).await
        })
    }
}
