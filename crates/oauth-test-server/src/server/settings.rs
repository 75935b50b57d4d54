use std::time::Duration;

use serde_json::{Map, Value};

use crate::client::Client;
use crate::issuer::TrustedIssuer;
use crate::metadata::metadata;
use crate::server::TestServer;
use crate::token::Grant;

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
        self.issue_access_token_for(client_id, client_id, scope)
    }

    /// An access token of a user who has signed in at a client, such as one to exchange (RFC 8693). The
    /// counters do not count it.
    pub fn issue_access_token_for(&self, subject: &str, client_id: &str, scope: &str) -> String {
        let grant = self.grant(client_id, subject, scope);
        self.shared.lock().issue_access_token(&self.shared, grant)
    }

    fn grant(&self, client_id: &str, subject: &str, scope: &str) -> Grant {
        Grant {
            scopes: scope.split_whitespace().map(str::to_owned).collect(),
            audience: vec![self.shared.settings.api_origin.clone()],
            ..Grant::new(client_id, subject)
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

    /// Registers a client, or puts it in the place of the one with the same id: for keys and
    /// certificates that change.
    pub fn set_client(&self, client: Client) {
        self.shared.lock().clients.insert(client.id.clone(), client);
    }

    /// Lets another issuer's JWTs in, or puts it in the place of the one with the same name.
    pub fn trust_issuer(&self, issuer: TrustedIssuer) {
        self.shared.lock().issuers.insert(issuer.name.clone(), issuer);
    }

    /// The `aud` that a client's own assertions must have from now on, as a single string, in place of
    /// the issuer.
    pub fn set_assertion_audience(&self, audience: impl Into<String>) {
        self.shared.lock().assertion_audience = Some(audience.into());
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
        metadata(&self.shared)
    }
}
