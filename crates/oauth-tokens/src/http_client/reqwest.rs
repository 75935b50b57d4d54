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

use super::{Exchange, HttpClient, SendError, Sent, identity::Identity, whole};
use crate::endpoint_url::is_loopback;

/// How long a connection may take to be made (T3).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How many runtimes at once keep connections of their own.
const MAX_RUNTIMES: usize = 32;

impl HttpClient {
    pub(super) fn over_reqwest(reqwest: Reqwest) -> Self {
        Self { service: Arc::new(reqwest), pins_localhost: true }
    }
}

/// Reqwest clients, one for each runtime that asks: a pooled connection lives on the runtime that opened it, and would
/// hang on a runtime that nobody drives any more (F13).
#[derive(Default)]
pub(super) struct Reqwest {
    roots: Vec<Certificate>,
    identity: Option<Identity>,
    settings: Vec<Setting>,
    built: Mutex<Vec<Built>>,
}

/// Settings of the user's own.
pub(super) type Setting = Box<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

struct Built {
    runtime: Id,
    /// What the identity's fingerprint was.
    identity: Option<u64>,
    clients: Clients,
}

#[derive(Clone)]
struct Clients {
    anywhere: Client,
    /// To this machine: no proxy from the environment sees it (T12), and `localhost` is this machine (T1).
    loopback: Client,
}

impl Reqwest {
    pub(super) fn new(roots: Vec<Certificate>, identity: Option<Identity>, settings: Vec<Setting>) -> Self {
        Self { roots, identity, settings, built: Mutex::default() }
    }

    fn clients(&self) -> Result<Clients, SendError> {
        let runtime = Handle::try_current().map_err(|error| SendError::Unsent(error.into()))?.id();
        // Looked at before the files are read: a change in between is found the next time.
        let identity = self.identity.as_ref().and_then(Identity::fingerprint);
        let mut all = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().position(|built| built.runtime == runtime).map(|at| all.remove(at));
        let built = match known {
            Some(built) if built.identity == identity => built,
            known => match (self.build(), known) {
                (Ok(clients), _) => Built { runtime, identity, clients },
                (Err(SendError::Identity(error)), Some(old)) => {
                    tracing::warn!(%error, "a changed client certificate cannot be used; the old one serves on");
                    old
                }
                (Err(error), _) => return Err(error),
            },
        };
        let clients = built.clients.clone();
        // The one that was used last stands last, and the first is the first to go.
        if all.len() == MAX_RUNTIMES {
            all.remove(0);
        }
        all.push(built);
        Ok(clients)
    }

    fn build(&self) -> Result<Clients, SendError> {
        let identity = self.identity.as_ref().map(Identity::read).transpose().map_err(SendError::Identity)?;
        let builder = || {
            // Rustls by name: another crate in the build may turn on another backend of reqwest's.
            let mut builder = Client::builder().tls_backend_rustls().connect_timeout(CONNECT_TIMEOUT).referer(false);
            if !self.roots.is_empty() {
                builder = builder.tls_certs_merge(self.roots.clone());
            }
            if let Some(identity) = &identity {
                builder = builder.identity(identity.clone());
            }
            self.settings.iter().fold(builder, |builder, setting| setting(builder)).redirect(Policy::none())
        };
        let failed = |error: reqwest::Error| match &self.identity {
            Some(identity) => SendError::Identity(identity.refused(error)),
            None => SendError::Unsent(error.into()),
        };
        let localhost = [([127, 0, 0, 1], 0).into(), ([0, 0, 0, 0, 0, 0, 0, 1], 0).into()];
        Ok(Clients {
            anywhere: builder().build().map_err(failed)?,
            loopback: builder().no_proxy().resolve_to_addrs("localhost", &localhost).build().map_err(failed)?,
        })
    }
}

impl Exchange for Reqwest {
    fn send(&self, request: Request<Full<Bytes>>) -> Pin<Box<dyn Future<Output = Sent> + Send>> {
        let clients = self.clients();
        Box::pin(async move {
            let clients = clients?;
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

    fn has_identity(&self) -> Option<bool> {
        match (&self.identity, self.settings.is_empty()) {
            (Some(_), _) => Some(true),
            (None, true) => Some(false),
            // The user's settings may bring one.
            (None, false) => None,
        }
    }

    fn identity_fingerprint(&self) -> Option<u64> {
        self.identity.as_ref().and_then(Identity::fingerprint)
    }
}
