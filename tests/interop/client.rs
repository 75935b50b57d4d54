//! Clients of the servers, as a user would make them.

use oauth_tokens::{AuthorizationServer, ClientAuth, ClientCredentials, TokenCache, TokenClient, TokenRequest};

use crate::server::RealServer;

impl RealServer {
    /// The server by its token endpoint.
    pub(crate) fn by_token_endpoint(&self) -> AuthorizationServer {
        AuthorizationServer::token_endpoint(self.token_endpoint()).expect("loopback may be http")
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
