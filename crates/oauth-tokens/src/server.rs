//! An authorization server: where its endpoints are. The entrance to this crate.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    ClientAuth, Error, ErrorKind, HttpClient, Metadata, TokenClient,
    clock::Clock,
    discovery::{Discovery, Issuer},
    endpoint_url::{EndpointUrl, PlainHttp},
    gate::{Gate, MAX_IN_FLIGHT},
    jwks::JwkCache,
};

/// An authorization server, known by its issuer or by its token endpoint. Making one does no I/O; clones, and all clients
/// made from it, share its metadata, and the gate that keeps them from overwhelming it (see
/// [`max_in_flight`](AuthorizationServerBuilder::max_in_flight)).
///
/// ```
/// use oauth_tokens::{AuthorizationServer, ClientAuth, Secret};
/// # #[cfg(feature = "reqwest")] {
/// let server = AuthorizationServer::issuer("https://id.example.com")?;
/// let client = server.client("m2m", ClientAuth::secret_basic(Secret::file("/run/secrets/m2m")))?;
/// let tokens = client.client_credentials().scope("api").cached()?;
/// # let _ = tokens;
/// # }
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct AuthorizationServer(Arc<Inner>);

struct Inner {
    http: HttpClient,
    clock: Clock,
    place: Place,
    /// Endpoints that are where the caller says, whatever the metadata say.
    overrides: BTreeMap<String, EndpointUrl>,
    jwks: JwkCache,
    gate: Gate,
}

enum Place {
    TokenEndpoint(EndpointUrl),
    Issuer(Box<Discovery>),
}

/// The name of the token endpoint in the metadata (RFC 8414, section 2).
pub(crate) const TOKEN_ENDPOINT: &str = "token_endpoint";

impl AuthorizationServer {
    /// A server by its issuer, over the default HTTP client. Its endpoints are discovered on first use (OpenID Connect
    /// Discovery 1.0, then RFC 8414), for issuers with a path too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the issuer is not an https URL (or http to loopback).
    #[cfg(feature = "reqwest")]
    pub fn issuer(issuer: &str) -> Result<Self, Error> {
        Self::via(HttpClient::reqwest()).issuer(issuer)
    }

    /// A server by its token endpoint, over the default HTTP client. Nothing is discovered.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when it is not an https URL (or http to loopback).
    #[cfg(feature = "reqwest")]
    pub fn token_endpoint(url: &str) -> Result<Self, Error> {
        Self::via(HttpClient::reqwest()).token_endpoint(url)
    }

    /// A server reached over this HTTP client: settings first, then [`issuer`](AuthorizationServerBuilder::issuer) or
    /// [`token_endpoint`](AuthorizationServerBuilder::token_endpoint).
    pub fn via(http: HttpClient) -> AuthorizationServerBuilder {
        AuthorizationServerBuilder {
            http,
            plain_http: PlainHttp::LoopbackOnly,
            metadata_issuer: None,
            overrides: Vec::new(),
            max_in_flight: MAX_IN_FLIGHT,
        }
    }

    /// A client of this server.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the id or the secret is empty or holds control characters, or
    /// when the client's authentication cannot work here: a certificate is needed and the HTTP client has none, or it
    /// cannot be known for whom an assertion is.
    pub fn client(&self, client_id: impl Into<String>, auth: impl Into<ClientAuth>) -> Result<TokenClient, Error> {
        let auth = auth.into();
        auth.validate_at(self)?;
        TokenClient::new(self.clone(), client_id.into(), auth)
    }

    /// The server's metadata (RFC 8414), fetched if need be: shared, cached for at most 24 h, served stale while the
    /// server is down.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingEndpoint`] for a server that was given by its token
    /// endpoint; else whatever keeps the metadata from being read.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, Error> {
        match &self.0.place {
            Place::Issuer(discovery) => discovery.metadata(&self.0.http, &self.0.clock).await,
            Place::TokenEndpoint(url) => Err(Error::new(
                ErrorKind::MissingEndpoint,
                format!("the server with the token endpoint {url} was given without an issuer, so it has no metadata"),
            )),
        }
    }

    /// An endpoint by its name in the metadata, for a client that authenticates like this.
    pub(crate) async fn find_endpoint(&self, name: &str, auth: &ClientAuth) -> Result<EndpointUrl, Error> {
        if let Some(url) = self.0.overrides.get(name) {
            return Ok(url.clone());
        }
        match &self.0.place {
            Place::TokenEndpoint(url) if name == TOKEN_ENDPOINT => Ok(url.clone()),
            Place::TokenEndpoint(url) => Err(Error::new(
                ErrorKind::MissingEndpoint,
                format!(
                    "the server with the token endpoint {url} was given without an issuer, so nothing names its `{name}`: \
                     give the issuer, or AuthorizationServerBuilder::override_endpoint"
                ),
            )),
            Place::Issuer(_) => {
                let with_certificate = auth.is_tls() || self.0.http.has_identity() == Some(true);
                self.metadata().await?.checked_endpoint(name, with_certificate)
            }
        }
    }

    /// A page of the server's, by its name in the metadata: where a browser goes, which has no certificate of the client's.
    #[cfg(feature = "sign-in")]
    pub(crate) async fn find_page(&self, name: &str) -> Result<EndpointUrl, Error> {
        match (&self.0.place, self.0.overrides.get(name)) {
            (Place::Issuer(_), None) => self.metadata().await?.checked_endpoint(name, false),
            _ => self.find_endpoint(name, &ClientAuth::none()).await,
        }
    }

    /// The issuer that the server was given by, as its metadata must spell it.
    pub(crate) fn expected_issuer(&self) -> Option<&str> {
        match &self.0.place {
            Place::TokenEndpoint(_) => None,
            Place::Issuer(discovery) => Some(discovery.expected_issuer()),
        }
    }

    /// The endpoint that metadata named did not answer as one should: it may have moved.
    pub(crate) fn suspect_metadata(&self) {
        if let (Place::Issuer(discovery), None) = (&self.0.place, self.0.overrides.get(TOKEN_ENDPOINT)) {
            discovery.suspect(&self.0.clock);
        }
    }

    /// Which server it is, to the last byte. A query may be a secret, so this is for digests only.
    #[cfg(any(feature = "sign-in", feature = "store"))]
    pub(crate) fn identity(&self) -> String {
        let place = match &self.0.place {
            Place::TokenEndpoint(url) => url.as_str().to_owned(),
            Place::Issuer(discovery) => discovery.issuer().as_str().to_owned(),
        };
        // No URL holds a line break.
        match self.0.overrides.get(TOKEN_ENDPOINT) {
            Some(url) => format!("{place}\n{}", url.as_str()),
            None => place,
        }
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.0.http
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn jwk_cache(&self) -> &JwkCache {
        &self.0.jwks
    }
}

impl fmt::Display for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.place {
            Place::TokenEndpoint(url) => write!(f, "{url}"),
            Place::Issuer(discovery) => write!(f, "{}", discovery.issuer()),
        }
    }
}

impl fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorizationServer({self})")
    }
}

/// Settings of an [`AuthorizationServer`]; see [`AuthorizationServer::via`].
#[derive(Clone)]
#[must_use]
pub struct AuthorizationServerBuilder {
    http: HttpClient,
    plain_http: PlainHttp,
    metadata_issuer: Option<String>,
    overrides: Vec<(String, String)>,
    max_in_flight: usize,
}

impl AuthorizationServerBuilder {
    /// Uses this token endpoint instead of the one that the metadata names: for clusters that reach the server by
    /// another name than the world does. It may be http to loopback even where the issuer is https (D5).
    pub fn override_token_endpoint(self, url: impl Into<String>) -> Self {
        self.override_endpoint(TOKEN_ENDPOINT, url)
    }

    /// Uses this URL for the endpoint of this name (RFC 8414, section 2), `revocation_endpoint` or `jwks_uri` for example,
    /// instead of the one that the metadata names, and for a server that is given by its token endpoint. The rest as for
    /// [`override_token_endpoint`](Self::override_token_endpoint).
    pub fn override_endpoint(mut self, name: impl Into<String>, url: impl Into<String>) -> Self {
        self.overrides.push((name.into(), url.into()));
        self
    }

    /// Accepts metadata that speak for this issuer instead of the one given: for servers whose metadata differ from
    /// their own URL, by a trailing slash or a tenant's placeholder. The comparison stays exact (D2).
    ///
    /// It is the `iss` of ID tokens, too. One with a tenant's placeholder stands for any tenant: whose users are let in is said by
    /// `TokenClient::trust_tenant` (feature `sign-in`).
    pub fn accept_metadata_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.metadata_issuer = Some(issuer.into());
        self
    }

    /// Has at most so many token requests under way at once, over all clients and caches of this server; default 64. The rest
    /// wait for their turn, at most 8 s.
    ///
    /// ```
    /// # #[cfg(feature = "reqwest")] {
    /// # use oauth_tokens::{AuthorizationServer, HttpClient};
    /// let small = AuthorizationServer::via(HttpClient::reqwest()).max_in_flight(4).issuer("https://id.example.com")?;
    /// # let _ = small;
    /// # }
    /// # Ok::<(), oauth_tokens::Error>(())
    /// ```
    pub fn max_in_flight(mut self, max: usize) -> Self {
        self.max_in_flight = max;
        self
    }

    /// Allows plain http to other machines: whoever is on the way reads the client's secret and every token. For a mesh
    /// that encrypts below http, and nothing else.
    pub fn dangerously_allow_plain_http(mut self) -> Self {
        self.plain_http = PlainHttp::Anywhere;
        self
    }

    /// The server with this issuer; its endpoints are discovered on first use.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when a URL is not https (or http to loopback).
    pub fn issuer(self, issuer: &str) -> Result<AuthorizationServer, Error> {
        let url = self.checked(issuer, "issuer")?;
        if url.uri().query().is_some() {
            return Err(Error::config(format!("the issuer {url} cannot be used: an issuer has no query")));
        }
        if self.metadata_issuer.as_ref().is_some_and(|issuer| issuer.contains('@')) {
            return Err(Error::config("the accepted issuer cannot be used: it holds a user name or a password"));
        }
        let issuer = Issuer::new(url, self.metadata_issuer.clone(), self.plain_http);
        self.build(Place::Issuer(Box::new(Discovery::new(issuer))))
    }

    /// The server with this token endpoint; nothing is discovered.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the URL is not https (or http to loopback).
    pub fn token_endpoint(self, url: &str) -> Result<AuthorizationServer, Error> {
        let url = self.checked(url, "token endpoint")?;
        let overridden = self.overrides.iter().any(|(name, _)| name == TOKEN_ENDPOINT);
        if overridden || self.metadata_issuer.is_some() {
            let message = "settings of discovery change nothing for a server that is given by its token endpoint: give its \
                           issuer, or leave them out";
            return Err(Error::config(message));
        }
        self.build(Place::TokenEndpoint(url))
    }

    fn checked(&self, url: &str, what: &str) -> Result<EndpointUrl, Error> {
        // The URL itself is not repeated: what cannot be read may hold a password.
        EndpointUrl::parse(url, self.plain_http)
            .map_err(|why| Error::config(format!("the {what}'s URL cannot be used: {why}")))
    }

    fn build(self, place: Place) -> Result<AuthorizationServer, Error> {
        if self.max_in_flight == 0 {
            return Err(Error::config("no token request could ever be made with 0 of them under way at once"));
        }
        let checked = |(name, url): &(String, String)| Ok((name.clone(), self.checked(url, &name.replace('_', " "))?));
        let overrides = self.overrides.iter().map(checked).collect::<Result<_, Error>>()?;
        Ok(AuthorizationServer(Arc::new(Inner {
            http: self.http,
            clock: Clock::new(),
            place,
            overrides,
            jwks: JwkCache::default(),
            gate: Gate::new(self.max_in_flight),
        })))
    }
}

/// URLs are not shown: until they are checked, they may hold a password.
impl fmt::Debug for AuthorizationServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServerBuilder")
            .field("plain_http", &self.plain_http)
            .field("accepts_other_issuer", &self.metadata_issuer.is_some())
            .field("max_in_flight", &self.max_in_flight)
            .field("overrides", &self.overrides.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
