//! A token request: a grant, and what is asked for with it.

use std::{fmt, time::Duration};

use http::Uri;

use crate::{
    Error, ErrorKind, Exchange, Form, Grant, TokenCache, TokenClient, TokenSet, TokenSource, form::is_protocols_own,
    timer,
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
#[must_use]
pub struct TokenRequest<G> {
    client: TokenClient,
    grant: G,
    scopes: Vec<String>,
    resources: Vec<String>,
    audience: Option<String>,
    extra: Form,
}

impl<G: Grant> TokenRequest<G> {
    pub(crate) fn new(client: TokenClient, grant: G) -> Self {
        Self { client, grant, scopes: Vec::new(), resources: Vec::new(), audience: None, extra: Form::new() }
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

    /// Names the audience, as Auth0 and others ask for it.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Adds a parameter of the server's own. A parameter of the protocol's is refused by [`cached`](Self::cached) (T4).
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extra.push(name.into(), value);
        self
    }

    /// A token that stays fresh. No I/O: the first token is fetched when it is asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when something was asked for that cannot be sent.
    pub fn cached(self) -> Result<TokenCache, Error> {
        self.parameters()?;
        Ok(TokenCache::new(self))
    }

    /// All that goes with the grant, checked.
    fn parameters(&self) -> Result<Form, Error> {
        self.grant.validate()?;
        let mut form = Form::new();
        if !self.scopes.is_empty() {
            if !self.scopes.iter().all(|scope| is_scope_token(scope)) {
                return Err(Error::config("a scope holds characters that no scope may hold (RFC 6749, section 3.3)"));
            }
            form.push("scope", self.scopes.join(" "));
        }
        for resource in &self.resources {
            if !is_absolute_uri(resource) {
                let message = "a resource is not an absolute URI without a fragment (RFC 8707, section 2)";
                return Err(Error::config(message));
            }
            form.push("resource", resource);
        }
        if let Some(audience) = &self.audience {
            if audience.is_empty() {
                return Err(Error::config("the audience is empty"));
            }
            form.push("audience", audience);
        }
        for (name, value) in self.extra.iter() {
            let odd = name.is_empty() || name.trim() != name || name.contains(char::is_control);
            if odd || form.contains(name) || is_protocols_own(name) {
                return Err(Error::config(format!(
                    "the extra parameter {name:?} is empty or odd, given twice, or the protocol's own: it has a method of its own"
                )));
            }
            form.push(name.to_owned(), value);
        }
        Ok(form)
    }
}

impl<G: Grant> TokenSource for TokenRequest<G> {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        let parameters = self.parameters()?;
        let exchange = Exchange::new(&self.client, self.grant.grant_type(), &parameters);
        let redeemed = timer::timeout(EXCHANGE_DEADLINE, exchange.traced(self.grant.redeem(&exchange))).await?;
        redeemed.unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "{exchange} did not end within {} s; check that the server is up and reachable",
                    EXCHANGE_DEADLINE.as_secs()
                ),
            ))
        })
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        self.client.auth().fingerprint()
    }
}

/// `scope-token` of RFC 6749, section 3.3.
fn is_scope_token(scope: &str) -> bool {
    scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

/// Any scheme: resources are often `urn:` or `api:` identifiers, which a URL parser would refuse.
fn is_absolute_uri(text: &str) -> bool {
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
        f.debug_struct("TokenRequest")
            .field("client", &self.client)
            .field("grant", &self.grant.grant_type())
            .field("scopes", &self.scopes)
            // Only how many: until they are checked, URLs may hold a password.
            .field("resources", &self.resources.len())
            .field("audience", &self.audience.is_some())
            .field("extra", &self.extra)
            .finish()
    }
}
