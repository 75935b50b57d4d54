//! A client: who we are at an authorization server.

use std::{fmt, sync::Arc};

use crate::{
    AuthorizationServer, ClientAuth, Error, Grant, TokenRequest,
    grant::{ClientCredentials, RefreshToken},
};

/// A client of an authorization server (RFC 6749, section 2): its id, and how it proves it. Cheap to clone; each grant
/// begins here.
#[derive(Clone)]
pub struct TokenClient(Arc<Inner>);

struct Inner {
    server: AuthorizationServer,
    id: String,
    auth: ClientAuth,
}

impl TokenClient {
    pub(crate) fn new(server: AuthorizationServer, id: String, auth: ClientAuth) -> Result<Self, Error> {
        if id.is_empty() || id.chars().any(char::is_control) {
            return Err(Error::config("the client id is empty or holds a control character"));
        }
        auth.validate(&id)?;
        Ok(Self(Arc::new(Inner { server, id, auth })))
    }

    /// The client-credentials grant (RFC 6749, section 4.4): a service that acts for itself.
    pub fn client_credentials(&self) -> TokenRequest<ClientCredentials> {
        self.grant(ClientCredentials)
    }

    /// The refresh-token grant (RFC 6749, section 6), with rotation in memory. To keep a rotated token, give
    /// [`grant`](Self::grant) a [`RefreshToken`] that saves it.
    pub fn refresh_token(&self, refresh_token: impl Into<String>) -> TokenRequest<RefreshToken> {
        self.grant(RefreshToken::new(refresh_token))
    }

    /// Any grant, one of your own for example.
    pub fn grant<G: Grant>(&self, grant: G) -> TokenRequest<G> {
        TokenRequest::new(self.clone(), grant)
    }

    /// The client's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The server that this client belongs to.
    #[must_use]
    pub fn server(&self) -> &AuthorizationServer {
        &self.0.server
    }

    pub(crate) fn auth(&self) -> &ClientAuth {
        &self.0.auth
    }
}

impl fmt::Debug for TokenClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClient")
            .field("server", &self.0.server)
            .field("id", &self.0.id)
            .field("auth", &self.0.auth)
            .finish()
    }
}
