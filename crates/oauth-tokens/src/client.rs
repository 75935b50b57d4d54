//! A client: who we are at an authorization server.

use std::{
    fmt,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tracing::Instrument;

#[cfg(feature = "dpop")]
use crate::DpopKey;
#[cfg(feature = "sign-in")]
use crate::id_token::Rules;
use crate::{
    AuthorizationServer, ClientAuth, DeviceCode, Error, Form, Grant, SecurityToken, TokenRequest,
    call::{Call, Reader},
    dpop::BoundKey,
    grant::{ClientCredentials, JwtBearer, RefreshToken, TokenExchange},
    request::within_deadline,
    retry::Repeat,
};

/// A client of an authorization server (RFC 6749, section 2): its id, and how it proves it. Cheap to clone; each grant
/// begins here.
#[derive(Clone)]
pub struct TokenClient(Arc<Inner>);

struct Inner {
    server: AuthorizationServer,
    id: String,
    auth: ClientAuth,
    #[cfg(feature = "dpop")]
    dpop: Option<DpopKey>,
    #[cfg(feature = "sign-in")]
    rules: Rules,
    /// Whether the server refused this client, whatever it asked for, when it was last asked.
    is_refused: AtomicBool,
}

impl TokenClient {
    pub(crate) fn new(server: AuthorizationServer, id: String, auth: ClientAuth) -> Result<Self, Error> {
        if id.is_empty() || id.chars().any(char::is_control) {
            return Err(Error::config("the client id is empty or holds a control character"));
        }
        auth.validate(&id)?;
        Ok(Self(Arc::new(Inner {
            server,
            id,
            auth,
            #[cfg(feature = "dpop")]
            dpop: None,
            #[cfg(feature = "sign-in")]
            rules: Rules::default(),
            is_refused: AtomicBool::new(false),
        })))
    }

    /// A client whose tokens are bound to this key (DPoP, RFC 9449). An answer with a bearer token is then refused (T14).
    #[cfg(feature = "dpop")]
    #[must_use]
    pub fn dpop(&self, key: DpopKey) -> Self {
        self.with(|inner| inner.dpop = Some(key))
    }

    #[cfg(any(feature = "dpop", feature = "sign-in"))]
    fn with(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let Inner { server, id, auth, .. } = &*self.0;
        let mut inner = Inner {
            server: server.clone(),
            id: id.clone(),
            auth: auth.clone(),
            #[cfg(feature = "dpop")]
            dpop: self.0.dpop.clone(),
            #[cfg(feature = "sign-in")]
            rules: self.0.rules.clone(),
            is_refused: AtomicBool::new(false),
        };
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// The same client with other rules for ID tokens.
    #[cfg(feature = "sign-in")]
    pub(crate) fn with_rules(&self, change: impl FnOnce(&mut Rules)) -> Self {
        self.with(|inner| change(&mut inner.rules))
    }

    #[cfg(feature = "sign-in")]
    pub(crate) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// The client-credentials grant (RFC 6749, section 4.4): a service that acts for itself.
    pub fn client_credentials(&self) -> TokenRequest<ClientCredentials> {
        self.grant(ClientCredentials)
    }

    /// The refresh-token grant (RFC 6749, section 6), with rotation in memory: from a refresh token, or from the
    /// [`TokenSet`](crate::TokenSet) that another exchange brought. To keep a rotated token, give [`grant`](Self::grant) a
    /// [`RefreshToken`] that saves it.
    pub fn refresh_token(&self, refresh_token: impl Into<RefreshToken>) -> TokenRequest<RefreshToken> {
        self.grant(refresh_token.into())
    }

    /// The token-exchange grant (RFC 8693): a token for another one, that is for another service, or says who acts for whom.
    ///
    /// ```
    /// # #[cfg(feature = "reqwest")] {
    /// # use oauth_tokens::{AuthorizationServer, ClientAuth, TokenCache};
    /// use oauth_tokens::SecurityToken;
    ///
    /// # let client = AuthorizationServer::issuer("https://id.example.com")?.client("m2m", ClientAuth::secret_basic("s"))?;
    /// # let (caller, ourselves) = ("", TokenCache::fixed("t")?);
    /// # let caller = "accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC";
    /// // On behalf of our caller: we act, for the one who called us (delegation).
    /// let tokens = client
    ///     .token_exchange(SecurityToken::access_token(caller))
    ///     .actor(ourselves)
    ///     .audience("https://orders.example.com")
    ///     .cached()?;
    /// # let _ = tokens;
    /// # }
    /// # Ok::<(), oauth_tokens::Error>(())
    /// ```
    pub fn token_exchange(&self, subject: impl Into<SecurityToken>) -> TokenRequest<TokenExchange> {
        self.grant(TokenExchange::new(subject))
    }

    /// The JWT-bearer grant (RFC 7523, section 2.1): an assertion for a token. It is a [`Secret`](crate::Secret), or with the
    /// feature `signing` a `SignedAssertion` of our own.
    pub fn jwt_bearer(&self, assertion: impl Into<JwtBearer>) -> TokenRequest<JwtBearer> {
        self.grant(assertion.into())
    }

    /// The device authorization grant (RFC 8628): the user says yes on another device. Scope, audience, authorization details
    /// and extra parameters go with the first request, a resource with the polls too.
    ///
    /// ```no_run
    /// # async fn example(client: oauth_tokens::TokenClient) -> Result<(), oauth_tokens::Error> {
    /// let mut device = client.device_authorization().scope("orders offline_access").begin().await?;
    /// println!("Open {} and enter {}", device.verification_uri(), device.user_code());
    /// let tokens = device.cached().await?; // a TokenCache, once the user has said yes
    /// # let _ = tokens;
    /// # Ok(())
    /// # }
    /// ```
    pub fn device_authorization(&self) -> TokenRequest<DeviceCode> {
        TokenRequest::new(self.clone(), DeviceCode)
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

    /// The key for one exchange, and the token that it brings.
    pub(crate) fn bound_key(&self) -> Option<Arc<BoundKey>> {
        #[cfg(feature = "dpop")]
        return self.0.dpop.as_ref().map(DpopKey::current);
        #[cfg(not(feature = "dpop"))]
        None
    }

    /// A number that changes when the credential may have changed, a certificate among them.
    pub(crate) fn credential_fingerprint(&self) -> Option<u64> {
        self.0.auth.fingerprint_at(&self.0.server)
    }

    /// One call at an endpoint besides the token endpoint.
    pub(crate) async fn call<T>(
        &self,
        endpoint: &'static str,
        request: &str,
        form: &Form,
        read: Reader<'_, T>,
    ) -> Result<T, Error> {
        let what = format!("the {request} of client {:?} ({}) at {}", self.id(), self.auth().name(), self.server());
        let call =
            Call { client: self, endpoint, what: &what, repeat: Repeat::Freely, id: 0, key: None, known_secrets: &[] };
        let span = tracing::info_span!("oauth.request", server = %self.server(), endpoint, client_id = self.id());
        within_deadline(&what, call.send(&|| Box::pin(ready(Ok(form.clone()))), read)).instrument(span).await
    }

    /// Notes whether the server refuses the client itself, and says whether that was known.
    pub(crate) fn note_refusal(&self, failure: Option<&Error>) -> bool {
        let is_refused = failure
            .and_then(Error::oauth)
            .is_some_and(|oauth| matches!(oauth.code.as_str(), "invalid_client" | "unauthorized_client"));
        self.0.is_refused.swap(is_refused, Relaxed) && is_refused
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
