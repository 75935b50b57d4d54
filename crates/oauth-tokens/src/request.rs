//! A token request: a grant, and what is asked for with it.

use std::{fmt, time::Duration};

use http::Uri;
use serde_json::Value;

use crate::{
    Error, ErrorKind, Exchange, Form, Grant, Rejection, TokenCache, TokenClient, TokenSet, TokenSource,
    form::is_protocols_own, timer,
};

/// How long one exchange may take, discovery, secrets and all attempts included (T3).
pub(crate) const EXCHANGE_DEADLINE: Duration = Duration::from_secs(10);

/// What a client asks a token for: a [`Grant`] with scope, resource, audience and extra parameters.
///
/// [`cached`](Self::cached) makes of it a token that stays fresh; [`fetch`](TokenSource::fetch) asks once.
///
/// ```
/// # #[cfg(feature = "reqwest")] {
/// # use oauth_tokens::{AuthorizationServer, ClientAuth};
/// # let client = AuthorizationServer::issuer("https://id.example.com")?.client("m2m", ClientAuth::secret_basic("s"))?;
/// let tokens = client
///     .client_credentials()
///     .scope("orders.read orders.write")
///     .resource("https://api.example.com/")
///     .param("tenant", "42")
///     .cached()?;
/// # let _ = tokens;
/// # }
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct TokenRequest<G> {
    pub(crate) client: TokenClient,
    pub(crate) grant: G,
    scopes: Vec<String>,
    resources: Vec<String>,
    audiences: Vec<String>,
    authorization_details: Option<Value>,
    extra: Form,
    accepts_claims: bool,
}

impl<G> TokenRequest<G> {
    pub(crate) fn new(client: TokenClient, grant: G) -> Self {
        Self {
            client,
            grant,
            scopes: Vec::new(),
            resources: Vec::new(),
            audiences: Vec::new(),
            authorization_details: None,
            extra: Form::new(),
            accepts_claims: false,
        }
    }

    /// Asks for a scope, or several separated by spaces; call it again for more (RFC 6749, section 3.3).
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        let scopes = scope.as_ref().split(' ').filter(|scope| !scope.is_empty());
        self.scopes.extend(scopes.map(str::to_owned));
        self
    }

    /// Names a resource that the token is for, an absolute URI; call it again for more (RFC 8707).
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Names the audience, as Auth0 and others ask for it; a token exchange may have several: call it again for more
    /// (RFC 8693, section 2.1).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Says in detail what the token is to be good for, where a scope says too little (RFC 9396): an array of objects, each
    /// with a `type`. Another call replaces it. What was granted is in the answer's
    /// [`TokenSet::authorization_details`].
    ///
    /// ```
    /// # #[cfg(feature = "reqwest")] {
    /// # use oauth_tokens::{AuthorizationServer, ClientAuth};
    /// # let client = AuthorizationServer::issuer("https://id.example.com")?.client("m2m", ClientAuth::secret_basic("s"))?;
    /// let tokens = client
    ///     .client_credentials()
    ///     .authorization_details(serde_json::json!([{
    ///         "type": "account_information",
    ///         "actions": ["read_balances"],
    ///         "locations": ["https://api.example.com/accounts"],
    ///     }]))
    ///     .cached()?;
    /// # let _ = tokens;
    /// # }
    /// # Ok::<(), oauth_tokens::Error>(())
    /// ```
    pub fn authorization_details(mut self, details: impl Into<Value>) -> Self {
        self.authorization_details = Some(details.into());
        self
    }

    /// Adds a parameter of the server's own. A parameter of the protocol's is refused by [`cached`](Self::cached) (T4).
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra.push(name.into(), value);
        self
    }

    /// Heeds the claims that an API names when it rejects a token (`claims` in its challenge; OpenID Connect Core, section
    /// 5.5), as Entra's continuous access evaluation does: they go with the one request for the next token, instead of a
    /// `claims` [`param`](Self::param), and are not kept. Whoever answers for the API then has a say in what the token holds;
    /// so this is off by default (R14).
    pub fn accept_claims_challenges(mut self) -> Self {
        self.accepts_claims = true;
        self
    }

    /// All that goes with the grant, checked; with claims instead of the request's own.
    pub(crate) fn parameters(&self, claims: Option<&str>) -> Result<Form, Error> {
        let mut form = Form::new();
        if !self.scopes.is_empty() {
            if !self.scopes.iter().all(|scope| is_scope_token(scope)) {
                return Err(Error::config("a scope holds characters that no scope may hold (RFC 6749, section 3.3)"));
            }
            form.push("scope", self.scopes.join(" "));
        }
        self.push_resources(&mut form)?;
        for audience in &self.audiences {
            if audience.is_empty() {
                return Err(Error::config("the audience is empty"));
            }
            form.push("audience", audience);
        }
        if let Some(details) = &self.authorization_details {
            if !is_authorization_details(details) {
                let message =
                    "the authorization details are not an array of objects, each with a `type` (RFC 9396, section 2)";
                return Err(Error::config(message));
            }
            form.push("authorization_details", details.to_string());
        }
        for (name, value) in self.extra.iter() {
            let odd = name.is_empty() || name.trim() != name || name.contains(char::is_control);
            if odd || form.contains(name) || is_protocols_own(name) {
                return Err(Error::config(format!(
                    "the extra parameter {name:?} is empty or odd, given twice, or the protocol's own: it has a method of its own"
                )));
            }
            if claims.is_none() || name != CLAIMS {
                form.push(name.to_owned(), value);
            }
        }
        if let Some(claims) = claims {
            form.push(CLAIMS, claims);
        }
        Ok(form)
    }

    pub(crate) fn push_resources(&self, form: &mut Form) -> Result<(), Error> {
        for resource in &self.resources {
            if !is_absolute_uri(resource) {
                let message = "a resource is not an absolute URI without a fragment (RFC 8707, section 2)";
                return Err(Error::config(message));
            }
            form.push("resource", resource);
        }
        Ok(())
    }

    /// What every request shows of itself, whatever its grant.
    pub(crate) fn debug(&self, grant_type: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("client", &self.client)
            .field("grant", &grant_type)
            .field("scopes", &self.scopes)
            // Only how many: until they are checked, URLs may hold a password.
            .field("resources", &self.resources.len())
            .field("audiences", &self.audiences.len())
            .field("authorization_details", &self.authorization_details.is_some())
            .field("extra", &self.extra)
            .finish()
    }
}

const CLAIMS: &str = "claims";

impl<G: Grant> TokenRequest<G> {
    /// A token that stays fresh. No I/O: the first token is fetched when it is asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when something was asked for that cannot be sent.
    pub fn cached(self) -> Result<TokenCache, Error> {
        self.grant.validate()?;
        self.parameters(None)?;
        Ok(TokenCache::new(self))
    }

    async fn exchange(&self, claims: Option<&str>) -> Result<TokenSet, Error> {
        self.grant.validate()?;
        let parameters = self.parameters(claims)?;
        let exchange = Exchange::new(&self.client, self.grant.grant_type(), &parameters);
        let redeemed = exchange.within_deadline(self.grant.redeem(&exchange));
        exchange.traced(redeemed, |tokens| tokens.expires_in).await
    }
}

impl<G: Grant> TokenSource for TokenRequest<G> {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        self.exchange(None).await
    }

    async fn fetch_after(&self, rejection: &Rejection) -> Result<TokenSet, Error> {
        self.exchange(rejection.claims.as_deref().filter(|_| self.accepts_claims)).await
    }

    fn accepts_claims(&self) -> bool {
        self.accepts_claims
    }

    fn scoped(mut self, scopes: &[String]) -> Result<Self, Error> {
        for scope in scopes {
            self = self.scope(scope);
        }
        self.parameters(None)?;
        Ok(self)
    }

    fn holds_state(&self) -> bool {
        self.grant.holds_state()
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        match (self.client.credential_fingerprint(), self.grant.credential_fingerprint()) {
            (None, None) => None,
            // Any mixture will do that changes when one of them does.
            (client, grant) => Some(client.unwrap_or_default().rotate_left(1) ^ grant.unwrap_or_default()),
        }
    }
}

/// Holds a call of a client's to the deadline for all its attempts (T3).
pub(crate) async fn within_deadline<T>(
    what: impl fmt::Display,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    // On the heap: all that a call goes through is too much for the stacks of those who nest this in futures of their own.
    timer::timeout(EXCHANGE_DEADLINE, Box::pin(call)).await?.unwrap_or_else(|| {
        let message = format!(
            "{what} did not end within {} s; check that the server is up and reachable",
            EXCHANGE_DEADLINE.as_secs()
        );
        Err(Error::new(ErrorKind::Timeout, message))
    })
}

/// `authorization_details` of RFC 9396, section 2.
fn is_authorization_details(details: &Value) -> bool {
    let has_type = |detail: &Value| detail["type"].as_str().is_some_and(|kind| !kind.is_empty());
    details.as_array().is_some_and(|details| !details.is_empty() && details.iter().all(has_type))
}

/// `scope-token` of RFC 6749, section 3.3.
fn is_scope_token(scope: &str) -> bool {
    scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

/// Any scheme: resources are often `urn:` or `api:` identifiers, which a URL parser would refuse.
pub(crate) fn is_absolute_uri(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
    let mut bytes = scheme.bytes();
    let scheme_is_right = bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let hierarchical_is_right = !text[scheme.len()..].starts_with("://")
        || text
            .parse::<Uri>()
            .is_ok_and(|uri| uri.authority().is_none_or(|authority| !authority.as_str().contains('@')));
    scheme_is_right && hierarchical_is_right && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

impl<G: Grant> fmt::Debug for TokenRequest<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.debug(self.grant.grant_type(), f)
    }
}
