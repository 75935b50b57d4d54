use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::authorization;
use crate::builder::Builder;
use crate::faults::Faults;
use crate::listen::Sockets;
use crate::record::{Counters, Endpoint, RecordedRequest};
use crate::service::{Side, TestService};
use crate::state::Shared;
use crate::token::Grant;

/// An authorization server and the API that it protects.
///
/// Clones are handles to the same server. Its sockets close when the last one is dropped.
#[derive(Clone, Debug)]
pub struct TestServer {
    shared: Arc<Shared>,
    sockets: Option<Arc<Sockets>>,
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
        Self { shared, sockets }
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

    /// The certificate to trust, if the server was built with `Builder::tls` and started.
    pub fn ca_certificate_pem(&self) -> Option<&str> {
        self.sockets.as_ref()?.ca_certificate_pem()
    }
}

/// Tokens and settings, at run time.
impl TestServer {
    /// A refresh token of the user `alice`, as if she had signed in and agreed to these scopes
    /// (separated by spaces). The client need not be registered for them.
    pub fn issue_refresh_token(&self, client_id: &str, scope: &str) -> String {
        let grant = self.grant(client_id, "alice", scope);
        self.shared.lock().tokens.issue_refresh_token(grant)
    }

    /// An access token that the API takes, without a request. The counters do not count it.
    pub fn issue_access_token(&self, client_id: &str, scope: &str) -> String {
        let grant = self.grant(client_id, client_id, scope);
        self.shared.lock().issue_access_token(&self.shared, grant)
    }

    fn grant(&self, client_id: &str, subject: &str, scope: &str) -> Grant {
        Grant {
            client_id: client_id.to_owned(),
            subject: subject.to_owned(),
            scopes: scope.split_whitespace().map(str::to_owned).collect(),
            audience: vec![self.shared.settings.api_origin.clone()],
            family: None,
        }
    }

    /// Revokes an access token, or a refresh token and all that came from it.
    pub fn revoke(&self, token: &str) {
        self.shared.lock().tokens.revoke(token);
    }

    /// Revokes every access token; refresh tokens stay good.
    pub fn revoke_access_tokens(&self) {
        self.shared.lock().tokens.revoke_access_tokens();
    }

    /// Revokes every access and refresh token.
    pub fn revoke_all(&self) {
        self.shared.lock().tokens.revoke_all();
    }

    /// Changes a client's secret. An unknown client stays unknown.
    pub fn set_secret(&self, client_id: &str, secret: impl Into<String>) {
        if let Some(client) = self.shared.lock().clients.get_mut(client_id) {
            client.secret = Some(secret.into());
        }
    }

    /// Changes how long access tokens live that are issued from now on.
    pub fn set_token_lifetime(&self, lifetime: Option<Duration>) {
        self.shared.lock().token_lifetime = lifetime;
    }

    /// Sets a member of every answer of the token endpoint from now on, such as `refresh_in` or
    /// another `token_type`; [`Value::Null`] removes it.
    pub fn set_token_response(&self, name: &str, value: impl Into<Value>) {
        let mut model = self.shared.lock();
        model.token_response.insert(name.to_owned(), value.into());
    }

    /// Sets a member of the metadata, such as a wrong `issuer`; [`Value::Null`] removes it.
    pub fn set_metadata(&self, name: &str, value: impl Into<Value>) {
        let mut model = self.shared.lock();
        model.metadata.insert(name.to_owned(), value.into());
    }

    /// The metadata that discovery answers.
    pub fn metadata(&self) -> Map<String, Value> {
        authorization::metadata(&self.shared)
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
        let mut arrival = std::pin::pin!(self.shared.arrivals.notified());
        loop {
            // Listens before it looks, so that none comes in between.
            arrival.as_mut().enable();
            if self.counters().requests_to(endpoint) >= count {
                return;
            }
            arrival.as_mut().await;
            arrival.set(self.shared.arrivals.notified());
        }
    }
}
