mod hooks;
mod settings;
mod sign_in;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::authorization;
use crate::builder::Builder;
use crate::device;
use crate::faults::Faults;
use crate::listen::Sockets;
use crate::pushed::PUSHED_AUTHORIZATION;
use crate::record::{Counters, Endpoint, RecordedRequest};
use crate::service::{Side, TestService};
use crate::state::Shared;
#[cfg(feature = "tls")]
use crate::tls::Authority;

/// An authorization server and the API that it protects.
///
/// Clones are handles to the same server. Its sockets close when the last one is dropped.
#[derive(Clone, Debug)]
pub struct TestServer {
    shared: Arc<Shared>,
    /// Kept for as long as somebody has the server.
    _sockets: Option<Arc<Sockets>>,
}

impl TestServer {
    /// What can be set: see [`Builder`].
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A server on two free ports of 127.0.0.1, with the default settings of [`Builder`].
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    pub(crate) fn new(shared: Arc<Shared>, sockets: Option<Arc<Sockets>>) -> Self {
        Self { shared, _sockets: sockets }
    }

    /// The authorization server as a tower service, with or without sockets.
    pub fn authorization_service(&self) -> TestService {
        TestService::new(self.shared.clone(), Side::Authorization)
    }

    /// The API as a tower service, with or without sockets.
    pub fn api_service(&self) -> TestService {
        TestService::new(self.shared.clone(), Side::Api)
    }
}

/// Where things are.
impl TestServer {
    /// The issuer identifier, exactly as the metadata has it.
    pub fn issuer(&self) -> &str {
        &self.shared.settings.issuer
    }

    /// URL of the token endpoint.
    pub fn token_endpoint(&self) -> String {
        self.shared.endpoint_url(authorization::TOKEN)
    }

    /// URL of the introspection endpoint.
    pub fn introspection_endpoint(&self) -> String {
        self.shared.endpoint_url(authorization::INTROSPECT)
    }

    /// URL of the revocation endpoint.
    pub fn revocation_endpoint(&self) -> String {
        self.shared.endpoint_url(authorization::REVOKE)
    }

    /// URL of the device authorization endpoint (RFC 8628).
    pub fn device_authorization_endpoint(&self) -> String {
        self.shared.endpoint_url(device::AUTHORIZATION)
    }

    /// URL of the page where a user types a device's code.
    pub fn verification_uri(&self) -> String {
        self.shared.endpoint_url(device::VERIFICATION)
    }

    /// URL of the pushed authorization request endpoint (RFC 9126).
    pub fn pushed_authorization_endpoint(&self) -> String {
        self.shared.endpoint_url(PUSHED_AUTHORIZATION)
    }

    /// Scheme, host and port where the authorization server asks for a client certificate, if it was
    /// built with `Builder::mtls`. The paths are those of the issuer.
    pub fn mtls_origin(&self) -> Option<&str> {
        self.shared.settings.mtls_origin.as_deref()
    }

    /// URL of the key set that verifies JWT access tokens.
    pub fn jwks_uri(&self) -> String {
        self.shared.endpoint_url(authorization::JWKS)
    }

    /// Scheme, host and port of the API.
    pub fn api_origin(&self) -> &str {
        &self.shared.settings.api_origin
    }

    /// URL of a path of the API, such as `/things?page=2`.
    pub fn api_url(&self, path: &str) -> String {
        format!("{}/{}", self.api_origin(), path.trim_start_matches('/'))
    }

    /// The certificate to trust, if the server was built with `Builder::tls` and started, or has issued
    /// a client certificate.
    pub fn ca_certificate_pem(&self) -> Option<&str> {
        Some(self.shared.authority.get()?.certificate_pem())
    }

    /// The authority of a started server, or one that is made now.
    #[cfg(feature = "tls")]
    fn authority(&self) -> io::Result<&Authority> {
        let authority = &self.shared.authority;
        if authority.get().is_none() {
            // If another thread is faster, its authority is the one.
            authority.set(Authority::generate()?).ok();
        }
        authority.get().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Faults on demand.
impl TestServer {
    /// The faults of the next requests to an endpoint.
    pub fn faults(&self, endpoint: Endpoint) -> Faults {
        Faults::new(self.shared.clone(), endpoint)
    }

    /// The faults of the next requests to the token endpoint.
    pub fn token_faults(&self) -> Faults {
        self.faults(Endpoint::Token)
    }

    /// The faults of the next requests for metadata.
    pub fn discovery_faults(&self) -> Faults {
        self.faults(Endpoint::Discovery)
    }

    /// The faults of the next requests to the API.
    pub fn api_faults(&self) -> Faults {
        self.faults(Endpoint::Api)
    }
}

/// What has happened.
impl TestServer {
    /// The time since the Unix epoch by the server's clock, which moves with tokio's: what `iat` and `exp`
    /// are held against.
    pub fn unix_time(&self) -> Duration {
        self.shared.clock.now()
    }

    /// What the server has done so far.
    pub fn counters(&self) -> Counters {
        self.shared.lock().counters
    }

    /// The requests so far, in the order in which they arrived.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.lock().log.all()
    }

    /// The requests to one endpoint so far, in the order in which they arrived.
    pub fn requests_to(&self, endpoint: Endpoint) -> Vec<RecordedRequest> {
        let mut requests = self.requests();
        requests.retain(|request| request.endpoint == endpoint);
        requests
    }

    /// Forgets the requests so far; the counters go on.
    pub fn clear_requests(&self) {
        self.shared.lock().log.clear();
    }

    /// Waits until `count` requests in all have arrived at an endpoint: for tests that must not act
    /// before one is under way, and must not sleep.
    pub async fn arrived(&self, endpoint: Endpoint, count: u64) {
        self.until(|| self.counters().requests_to(endpoint) >= count).await;
    }

    async fn until(&self, done: impl Fn() -> bool) {
        let mut arrival = std::pin::pin!(self.shared.arrivals.notified());
        loop {
            // Listens before it looks, so that none comes in between.
            arrival.as_mut().enable();
            if done() {
                return;
            }
            arrival.as_mut().await;
            arrival.set(self.shared.arrivals.notified());
        }
    }
}
