use std::fmt;

use zeroize::Zeroizing;

use crate::{AccessToken, Error, Secret, TokenCache, TokenType};

/// A token that is handed in to get another one, and its type (RFC 8693, section 2.1): the subject or the actor of a
/// [token exchange](crate::TokenClient::token_exchange).
///
/// It is a value, a file, an async function, or whatever a [`TokenCache`] holds; and it is read anew for each exchange.
///
/// ```
/// use oauth_tokens::{Secret, SecurityToken, TokenCache, TokenType};
///
/// let caller = SecurityToken::access_token("accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC");
/// let workload = SecurityToken::jwt(Secret::file("/var/run/secrets/tokens/vault"));
/// let ours = SecurityToken::from(TokenCache::fixed("t0k3n")?);
/// let other = SecurityToken::new(TokenType::uri("urn:example:ticket")?, "pd3n");
/// # let _ = (caller, workload, ours, other);
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct SecurityToken {
    kind: TokenType,
    origin: Origin,
}

#[derive(Clone)]
enum Origin {
    Secret(Secret),
    Cache(TokenCache),
}

/// A security token that was read, and the cache that it came from.
pub(super) struct ReadToken<'a> {
    pub(super) value: Zeroizing<String>,
    pub(super) kind: &'a TokenType,
    pub(super) cached: Option<(&'a TokenCache, AccessToken)>,
}

impl SecurityToken {
    /// A token of this type.
    #[must_use]
    pub fn new(kind: TokenType, token: impl Into<Secret>) -> Self {
        Self { kind, origin: Origin::Secret(token.into()) }
    }

    /// An access token, as a service gets it from its caller. For one that a cache keeps fresh, use `From<TokenCache>`.
    #[must_use]
    pub fn access_token(token: impl Into<Secret>) -> Self {
        Self::new(TokenType::ACCESS_TOKEN, token)
    }

    /// A refresh token.
    #[must_use]
    pub fn refresh_token(token: impl Into<Secret>) -> Self {
        Self::new(TokenType::REFRESH_TOKEN, token)
    }

    /// An ID token of OpenID Connect.
    #[must_use]
    pub fn id_token(token: impl Into<Secret>) -> Self {
        Self::new(TokenType::ID_TOKEN, token)
    }

    /// A JWT of another issuer's, a Kubernetes service account's for example.
    #[must_use]
    pub fn jwt(token: impl Into<Secret>) -> Self {
        Self::new(TokenType::JWT, token)
    }

    /// A SAML 1.1 assertion, encoded as base64url.
    #[must_use]
    pub fn saml1(assertion: impl Into<Secret>) -> Self {
        Self::new(TokenType::SAML1, assertion)
    }

    /// A SAML 2.0 assertion, encoded as base64url.
    #[must_use]
    pub fn saml2(assertion: impl Into<Secret>) -> Self {
        Self::new(TokenType::SAML2, assertion)
    }

    pub(super) fn validate(&self, what: &'static str) -> Result<(), Error> {
        match &self.origin {
            Origin::Secret(secret) => secret.validate(what),
            Origin::Cache(_) => Ok(()),
        }
    }

    pub(super) async fn read(&self, what: &'static str) -> Result<ReadToken<'_>, Error> {
        Ok(match &self.origin {
            Origin::Secret(secret) => ReadToken { value: secret.read(what).await?, kind: &self.kind, cached: None },
            Origin::Cache(cache) => {
                let token = cache.token().await?;
                let value = Zeroizing::new(token.secret().to_owned());
                ReadToken { value, kind: &self.kind, cached: Some((cache, token)) }
            }
        })
    }

    pub(super) fn fingerprint(&self) -> Option<u64> {
        match &self.origin {
            Origin::Secret(secret) => secret.fingerprint(),
            Origin::Cache(_) => None,
        }
    }
}

/// The access token that a cache keeps fresh. If the server does not accept it, the cache renews it, and the exchange is
/// tried once more.
impl From<TokenCache> for SecurityToken {
    fn from(cache: TokenCache) -> Self {
        Self { kind: TokenType::ACCESS_TOKEN, origin: Origin::Cache(cache) }
    }
}

impl From<&TokenCache> for SecurityToken {
    fn from(cache: &TokenCache) -> Self {
        cache.clone().into()
    }
}

impl From<&AccessToken> for SecurityToken {
    fn from(token: &AccessToken) -> Self {
        Self::access_token(token.secret())
    }
}

impl fmt::Debug for SecurityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin: &dyn fmt::Debug = match &self.origin {
            Origin::Secret(secret) => secret,
            Origin::Cache(_) => &"a cache",
        };
        f.debug_struct("SecurityToken").field("kind", &self.kind).field("origin", origin).finish()
    }
}
