//! What a client accepts of its server's JWTs, whatever they are for.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use super::{claims::Expected, jwt::Jwt, keys};
use crate::{Algorithm, Error, ErrorKind, TokenClient, logout_token::SeenTokens, request::within_deadline};

/// Stands for a tenant in the issuer of Entra ID's metadata.
pub(super) const TENANT: &str = "{tenantid}";

/// What a client accepts.
#[derive(Clone, Default)]
pub(crate) struct Rules {
    algorithm: Option<Algorithm>,
    trusted_audiences: Vec<String>,
    tenants: Vec<String>,
    /// Shared by all that was made of one client, whatever else is different about them.
    pub(crate) seen_logout_tokens: Arc<SeenTokens>,
}

impl TokenClient {
    /// A client that accepts ID tokens, logout tokens and signed answers about the user by this algorithm only: the
    /// `id_token_signed_response_alg` that it is registered with.
    ///
    /// Default: those that the server's metadata name, as far as they are known here; RS256 where they name none (OpenID Connect
    /// Core 1.0, section 3.1.3.7). Neither `none` nor a shared secret (`HS256`) is ever accepted.
    ///
    /// ```
    /// # #[cfg(feature = "reqwest")] {
    /// # use oauth_tokens::{AuthorizationServer, ClientAuth};
    /// use oauth_tokens::Algorithm;
    ///
    /// let server = AuthorizationServer::issuer("https://id.example.com")?;
    /// let client = server.client("shop", ClientAuth::none())?.id_token_algorithm(Algorithm::Es256);
    /// # let _ = client;
    /// # }
    /// # Ok::<(), oauth_tokens::Error>(())
    /// ```
    #[must_use]
    pub fn id_token_algorithm(&self, algorithm: Algorithm) -> Self {
        self.with_rules(|rules| rules.algorithm = Some(algorithm))
    }

    /// A client that accepts ID tokens that are for this audience besides: for servers that issue one token to a group of
    /// clients. It must then still be issued to this client (`azp`). Call it again for more.
    ///
    /// Default: nobody (OpenID Connect Core 1.0, section 3.1.3.7, point 3): whoever else the token is for could present it as
    /// their own.
    #[must_use]
    pub fn trust_audience(&self, audience: impl Into<String>) -> Self {
        self.with_rules(|rules| rules.trusted_audiences.push(audience.into()))
    }

    /// A client whose users may be of this tenant: for servers that have one issuer for each, and a placeholder in their metadata,
    /// as Entra ID has for applications of many organisations. Call it again for more.
    ///
    /// Default: nobody's users. Whoever gets a tenant at such a server makes users there, with whatever names and addresses; a
    /// server's signature says nothing of who they are. A tenant that is not named is as good as another server.
    ///
    /// ```
    /// # #[cfg(feature = "reqwest")] {
    /// # use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient};
    /// let client = AuthorizationServer::via(HttpClient::reqwest())
    ///     .accept_metadata_issuer("https://login.microsoftonline.com/{tenantid}/v2.0")
    ///     .issuer("https://login.microsoftonline.com/organizations/v2.0")?
    ///     .client("5ab46a8c-0f3a-4a4b-9ef0-3b1d9b5f4d2e", ClientAuth::secret_basic("s"))?
    ///     .trust_tenant("72f988bf-86f1-41af-91ab-2d7cd011db47");
    /// # let _ = client;
    /// # }
    /// # Ok::<(), oauth_tokens::Error>(())
    /// ```
    #[must_use]
    pub fn trust_tenant(&self, tenant: impl Into<String>) -> Self {
        self.with_rules(|rules| rules.tenants.push(tenant.into()))
    }

    /// Who may have issued a token: the issuer, as the metadata spell it, or those that it stands for.
    pub(crate) fn issuers(&self) -> Result<Vec<String>, Error> {
        let server = self.server();
        let Some(issuer) = server.expected_issuer() else {
            let message = format!(
                "the server with the token endpoint {server} was given without an issuer, so nothing that it signs can be \
                 verified: give the issuer"
            );
            return Err(Error::config(message));
        };
        if !issuer.contains(TENANT) {
            return Ok(vec![issuer.to_owned()]);
        }
        if self.rules().tenants.is_empty() {
            let message = format!(
                "the issuer of {server} stands for any tenant ({TENANT}), and none is trusted: name yours by \
                 TokenClient::trust_tenant, or give your tenant's own issuer"
            );
            return Err(Error::config(message));
        }
        Ok(self.rules().tenants.iter().map(|tenant| issuer.replace(TENANT, tenant)).collect())
    }

    /// Whether a JWT by this algorithm is taken; the metadata name those that the server signs by.
    async fn accepts(&self, algorithm: Algorithm, supported: &str) -> Result<bool, Error> {
        if let Some(registered) = self.rules().algorithm {
            return Ok(is_same(algorithm, registered.name()));
        }
        let metadata = self.server().metadata().await?;
        Ok(match metadata.value(supported) {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(|name| is_same(algorithm, name)),
            _ => algorithm == Algorithm::Rs256,
        })
    }
}

/// One algorithm has two names (RFC 9864, section 2.2).
fn is_same(algorithm: Algorithm, name: &str) -> bool {
    let ed25519 = ["EdDSA", "Ed25519"];
    algorithm.name() == name || (ed25519.contains(&name) && ed25519.contains(&algorithm.name()))
}

/// Who brings a JWT.
#[derive(Clone, Copy)]
pub(crate) enum Bearer {
    /// The server itself, in answer to a request.
    Server,
    /// Whoever can reach the application.
    Anybody,
}

/// Checks that the client's server signed this, by an algorithm that is accepted; and says what it must hold.
pub(crate) async fn verify_jwt<'a>(
    client: &'a TokenClient,
    jwt: &Jwt<'_>,
    supported: &str,
    bearer: Bearer,
) -> Result<Expected<'a>, Failure> {
    let server = client.server();
    let issuers = client.issuers()?;
    if !client.accepts(jwt.algorithm, supported).await? {
        return Err("it is signed by an algorithm that is not accepted: see TokenClient::id_token_algorithm".into());
    }
    keys::verify(jwt, server, bearer).await?;
    Ok(Expected {
        issuers,
        client_id: client.id(),
        trusted_audiences: &client.rules().trusted_audiences,
        now: server.clock().wall(),
    })
}

/// Verifies within an exchange's deadline, and says of what, if it fails.
pub(crate) async fn verified<T>(
    client: &TokenClient,
    of: &str,
    checks: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Error> {
    let what = format!("verifying {of} for client {:?} of {}", client.id(), client.server());
    let verified = within_deadline(&what, async { checks.await.map_err(|failure| failure.into_error(&what)) }).await;
    if let Err(error) = verified.as_ref()
        && error.kind() == ErrorKind::InvalidIdToken
    {
        tracing::debug!(%error, "what the authorization server signed is not believed");
    }
    verified
}

/// Why something is not believed.
pub(crate) enum Failure {
    /// It must not be. The reason holds nothing of it.
    Refused(Cow<'static, str>),
    /// That cannot be known.
    Unknown(Error),
}

impl Failure {
    pub(crate) fn into_error(self, what: &str) -> Error {
        match self {
            Self::Refused(why) => Error::new(ErrorKind::InvalidIdToken, format!("{what} failed: {why}")),
            Self::Unknown(error) => error,
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Refused(why.into())
    }
}

impl From<&'static str> for Failure {
    fn from(why: &'static str) -> Self {
        Self::Refused(why.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Unknown(error)
    }
}
