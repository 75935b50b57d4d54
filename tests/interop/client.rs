//! Clients of the servers, as a user would make them.

use std::{fs, sync::LazyLock};

use oauth_tokens::{
    AuthorizationServer, ClientAuth, ClientCredentials, HttpClient, TokenCache, TokenClient, TokenRequest,
};

use crate::server::RealServer;

impl RealServer {
    /// The server by its token endpoint.
    pub(crate) fn by_token_endpoint(&self) -> AuthorizationServer {
        AuthorizationServer::via(http()).token_endpoint(self.token_endpoint()).expect("loopback may be http")
    }

    /// The server by its issuer.
    pub(crate) fn by_issuer(&self) -> AuthorizationServer {
        let mut there = AuthorizationServer::via(http());
        if !self.is_oidc() {
            // The toolkit's metadata leave these out.
            for name in ["introspection_endpoint", "revocation_endpoint"] {
                there = there.override_endpoint(name, self.text(&format!("/{name}")));
            }
        }
        there.issuer(self.issuer()).expect("loopback may be http")
    }

    /// The client in this role, however it proves that.
    pub(crate) fn client_by(&self, role: &str, auth: impl Into<ClientAuth>) -> TokenClient {
        self.by_issuer().client(self.of_client(role, "id"), auth).expect("a usable client")
    }

    /// The client in this role, with its secret, at all endpoints that the metadata name.
    pub(crate) fn client_by_issuer(&self, role: &str) -> TokenClient {
        self.client_by(role, ClientAuth::secret_basic(self.registered(role).secret))
    }

    /// What is in a file of this client's: a key, a certificate.
    pub(crate) fn file_of(&self, role: &str, what: &str) -> String {
        fs::read_to_string(self.of_client(role, what)).expect("a file")
    }

    /// The client in this role, with its secret in the `Authorization` header.
    pub(crate) fn client(&self, role: &str) -> TokenClient {
        let known = self.registered(role);
        self.by_token_endpoint().client(known.id, ClientAuth::secret_basic(known.secret)).expect("a usable client")
    }

    /// A client-credentials request for all that this client may have.
    pub(crate) fn request(&self, role: &str) -> TokenRequest<ClientCredentials> {
        self.client(role).client_credentials().scope(self.registered(role).scope)
    }

    /// The same, kept fresh.
    pub(crate) fn tokens(&self, role: &str) -> TokenCache {
        self.request(role).cached().expect("a usable request")
    }
}

/// One for all: to build one takes its time.
fn http() -> HttpClient {
    static SHARED: LazyLock<HttpClient> = LazyLock::new(HttpClient::reqwest);
    SHARED.clone()
}

/// A client-credentials request of this client's, for all scopes that there are for clients.
pub(crate) fn of_machine(client: &TokenClient) -> TokenRequest<ClientCredentials> {
    client.client_credentials().scope("api api:read")
}
