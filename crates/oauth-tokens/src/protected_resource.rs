//! An API that says itself which authorization servers it trusts (RFC 9728), as MCP servers do.

mod metadata;
mod place;

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{Response, StatusCode};

use self::{
    metadata::{ResourceMetadata, shown},
    place::{Places, acceptable},
};
use crate::{
    Error, ErrorKind, HttpClient, Rejection, TokenCache, TokenClient, TokenRequest, TokenSet, TokenSource,
    clock::Clock,
    document::{Document, Pace, get, max_age},
    endpoint_url::{EndpointUrl, PlainHttp},
    grant::ClientCredentials,
    request::within_deadline,
    retry::retry_after,
    timer,
};

/// How long metadata are used before they are fetched again, where the resource does not say; and within which bounds it may.
const AGE: Duration = Duration::from_secs(3600);
const MIN_AGE: Duration = Duration::from_secs(300);
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// The least time between two looks at the metadata, whatever challenges say and however the first one ended (D7).
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// For one look; a little less than a document's deadline, which would not wait for the next look.
const LOOK_DEADLINE: Duration = Duration::from_secs(7);

/// Tokens for an API that says itself which authorization servers it trusts: a protected resource with metadata (RFC 9728),
/// as MCP servers are.
///
/// The API names the servers; which of them may be used is for you to [allow](Self::allow), client by client. Nothing else is
/// ever contacted, whatever the API says: the client's secret goes only to servers that you know. Of the servers that the API
/// names, the first that is allowed issues a token for this API alone, by client credentials and with `resource` set (RFC 8707).
///
/// ```
/// use oauth_tokens::{AuthorizationServer, ClientAuth, ProtectedResource, Secret};
///
/// # #[cfg(feature = "reqwest")] {
/// let client = AuthorizationServer::issuer("https://id.example.com")?
///     .client("agent", ClientAuth::secret_basic(Secret::file("/run/secrets/agent")))?;
///
/// let tokens = ProtectedResource::new("https://api.example.com/mcp")?.allow(client).scope("mcp:tools").cached()?;
/// # let _ = tokens;
/// # }
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
///
/// # Where the metadata are
///
/// At the well-known URL of RFC 9728 (section 3.1), which is `https://api.example.com/.well-known/oauth-protected-resource/mcp`
/// here; when there is nothing, at that of the whole host, as MCP servers often have it; or where the API says when it rejects
/// a token (`resource_metadata` in a challenge, section 5.1), if that is of its own origin. They must speak for exactly this
/// resource (section 3.3).
///
/// They are fetched without credentials, at most once a minute (only the first time at both well-known URLs), and kept as long as `Cache-Control: max-age` says, at least
/// 5 minutes and at most 24 hours (an hour where it says nothing). While they cannot be fetched, those that are known serve on.
/// Redirects are not followed, and `signed_metadata` is not read.
#[must_use]
pub struct ProtectedResource {
    resource: EndpointUrl,
    http: HttpClient,
    clock: Clock,
    allowed: Vec<Allowed>,
    scopes: Vec<String>,
    ceiling: Vec<String>,
    accepts_claims: bool,
    metadata: Document<ResourceMetadata>,
    places: Mutex<Places>,
}

struct Allowed {
    /// None: the client's server was given without one.
    issuer: Option<String>,
    client: TokenClient,
}

impl ProtectedResource {
    /// An API by its resource identifier, exactly as it spells it; its metadata are fetched over the default HTTP client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when it is not an https URL (or http to loopback).
    #[cfg(feature = "reqwest")]
    pub fn new(resource: &str) -> Result<Self, Error> {
        Self::via(HttpClient::reqwest(), resource)
    }

    /// An API by its resource identifier, exactly as it spells it; its metadata are fetched over this HTTP client, which is to
    /// follow no redirects and to show no credentials of its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when it is not an https URL (or http to loopback).
    pub fn via(http: HttpClient, resource: &str) -> Result<Self, Error> {
        let resource = EndpointUrl::parse(resource, PlainHttp::LoopbackOnly)
            .map_err(|why| Error::config(format!("the protected resource's URL cannot be used: {why}")))?;
        Ok(Self {
            metadata: Document::named(format!("the resource metadata of {resource}")),
            resource,
            http,
            clock: Clock::new(),
            allowed: Vec::new(),
            scopes: Vec::new(),
            ceiling: Vec::new(),
            accepts_claims: false,
            places: Mutex::default(),
        })
    }

    /// Allows the authorization server of this client, and that it is asked as this client. The API must name it by its issuer,
    /// letter by letter.
    pub fn allow(mut self, client: TokenClient) -> Self {
        let issuer = client.server().expected_issuer().map(str::to_owned);
        self.allowed.push(Allowed { issuer, client });
        self
    }

    /// Allows a client's authorization server under this name: for an API that spells an issuer in another way, or a server
    /// that was given by its token endpoint.
    pub fn allow_as(mut self, issuer: impl Into<String>, client: TokenClient) -> Self {
        self.allowed.push(Allowed { issuer: Some(issuer.into()), client });
        self
    }

    /// Asks for a scope, or several separated by spaces; call it again for more (RFC 6749, section 3.3).
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        self.scopes.extend(scope.as_ref().split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned));
        self
    }

    /// Asks for those of these scopes, too, that the API's metadata name (`scopes_supported`). Default: whatever the metadata
    /// name is not asked for (R14).
    pub fn allow_scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.ceiling.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Heeds the claims that the API names when it rejects a token, as
    /// [`TokenRequest::accept_claims_challenges`](crate::TokenRequest::accept_claims_challenges) does. Default: no (R14).
    pub fn accept_claims_challenges(mut self) -> Self {
        self.accepts_claims = true;
        self
    }

    /// A token that stays fresh. No I/O: metadata and token are fetched when the first token is asked for.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when no client is allowed, or two of one server, or a client whose server has no issuer; or when
    /// a scope cannot be sent.
    pub fn cached(self) -> Result<TokenCache, Error> {
        self.validate()?;
        Ok(TokenCache::new(self))
    }

    fn validate(&self) -> Result<(), Error> {
        if self.allowed.is_empty() {
            let message = format!(
                "no authorization server is allowed for {}: allow at least one client (ProtectedResource::allow)",
                self.resource
            );
            return Err(Error::config(message));
        }
        for (index, Allowed { issuer, client }) in self.allowed.iter().enumerate() {
            let Some(issuer) = issuer else {
                let message = format!(
                    "the server {} was given without an issuer, so no resource can name it: give the issuer, or use \
                     ProtectedResource::allow_as",
                    client.server()
                );
                return Err(Error::config(message));
            };
            if self.allowed[..index].iter().any(|other| other.issuer.as_ref() == Some(issuer)) {
                let message = format!("two clients are allowed for the authorization server {}", shown(issuer));
                return Err(Error::config(message));
            }
            self.request(client, &self.ceiling).cached()?;
        }
        Ok(())
    }

    fn request(&self, client: &TokenClient, more_scopes: &[String]) -> TokenRequest<ClientCredentials> {
        let mut scopes: Vec<&str> = Vec::new();
        for scope in self.scopes.iter().chain(more_scopes) {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope);
            }
        }
        let request = client.client_credentials().resource(self.resource.as_str()).scope(scopes.join(" "));
        if self.accepts_claims { request.accept_claims_challenges() } else { request }
    }

    /// A token within an exchange's deadline, the metadata included (T3).
    async fn obtain(&self, rejection: Option<&Rejection>) -> Result<TokenSet, Error> {
        self.validate()?;
        within_deadline(format!("getting a token for {}", self.resource), self.token(rejection)).await
    }

    async fn token(&self, rejection: Option<&Rejection>) -> Result<TokenSet, Error> {
        let metadata = self.metadata(rejection).await?;
        let issued = match self.choose(&metadata) {
            Ok(client) => {
                let scopes: Vec<String> =
                    self.ceiling.iter().filter(|scope| metadata.names_scope(scope)).cloned().collect();
                let request = self.request(client, &scopes);
                // Boxed, as it is many times larger than the rest.
                match rejection {
                    Some(rejection) => Box::pin(request.fetch_after(rejection)).await,
                    None => Box::pin(request.fetch()).await,
                }
            }
            Err(error) => Err(error),
        };
        if issued.is_err() {
            // The resource may trust another server by now.
            self.metadata.suspect(LOOK_EVERY, &self.clock);
        }
        issued
    }

    /// The client at the first of the named servers that is allowed.
    fn choose(&self, metadata: &ResourceMetadata) -> Result<&TokenClient, Error> {
        let allowed = |named: &String| self.allowed.iter().find(|allowed| allowed.issuer.as_ref() == Some(named));
        let found = metadata.authorization_servers().iter().find_map(allowed);
        found.map(|allowed| &allowed.client).ok_or_else(|| self.none_allowed(metadata))
    }

    fn none_allowed(&self, metadata: &ResourceMetadata) -> Error {
        let allowed: Vec<String> =
            self.allowed.iter().filter_map(|allowed| allowed.issuer.as_deref()).map(shown).collect();
        let message = format!(
            "{} names {}, but only these are allowed: {}; if you trust what it names, allow a client there \
             (ProtectedResource::allow), else ask the operator of the API",
            self.resource,
            metadata.named_servers(),
            allowed.join(", ")
        );
        Error::new(ErrorKind::ServerNotAllowed, message)
    }

    /// What the resource says of itself; looked at anew when it says, in a challenge, that this may have changed (RFC 9728,
    /// section 5.2).
    async fn metadata(&self, rejection: Option<&Rejection>) -> Result<Arc<ResourceMetadata>, Error> {
        let told = rejection.and_then(|rejection| self.acceptable_url(rejection));
        let is_told = told.is_some();
        if is_told {
            self.places().told = told;
        }
        let look = |pace| self.look(pace);
        let known = self.metadata.get(&self.clock, look).await?;
        if !is_told {
            return Ok(known);
        }
        self.metadata.other_than(&known, LOOK_EVERY, &self.clock, look).await
    }

    fn acceptable_url(&self, rejection: &Rejection) -> Option<EndpointUrl> {
        let url = rejection.resource_metadata.as_deref()?;
        let accepted = acceptable(url, &rejection.origin, &self.resource);
        if let Err(why) = &accepted {
            tracing::debug!(resource = %self.resource, why, "the metadata URL in a challenge is not used");
        }
        accepted.ok()
    }

    async fn look(&self, pace: Pace) -> Result<(ResourceMetadata, Duration), Error> {
        let places = self.places().next(&self.resource);
        let found = timer::timeout(LOOK_DEADLINE, self.look_at(&places, pace.timeout())).await?;
        found.unwrap_or_else(|| Err(self.too_slow())).map_err(|error| {
            // What a challenge said leads nowhere: the next look is where it should be.
            self.places().told.take_if(|told| places.first() == Some(&*told));
            let pause = error.retry_after().unwrap_or_default();
            // What was never sent is no look.
            let pause = if error.is_unsent() { pause } else { pause.max(LOOK_EVERY) };
            error.with_retry_after(Some(pause).filter(|pause| !pause.is_zero()))
        })
    }

    /// Looks at each place in turn; one where there is nothing sends on to the next, anything worse ends the search. Nothing is
    /// asked for twice (D7).
    async fn look_at(&self, places: &[EndpointUrl], timeout: Duration) -> Result<(ResourceMetadata, Duration), Error> {
        let mut nothing_there = None;
        for url in places {
            let what = format!("the request for the resource metadata of {} at {url}", self.resource);
            let response = get(&self.http, url, &what, timeout).await?;
            let status = response.status();
            if status == StatusCode::OK {
                let age = max_age(response.headers()).unwrap_or(AGE).clamp(MIN_AGE, MAX_AGE);
                self.places().found_at(url, &self.resource);
                return Ok((ResourceMetadata::parse(response.body(), &what, &self.resource)?, age));
            }
            let error = self.unexpected_status(&what, &response);
            if !status.is_client_error() || status == StatusCode::TOO_MANY_REQUESTS {
                return Err(error);
            }
            self.places().nothing_at(url, &self.resource);
            nothing_there = Some(error);
        }
        Err(nothing_there.unwrap_or_else(|| Error::config("the protected resource has no well-known URL")))
    }

    fn unexpected_status(&self, what: &str, response: &Response<bytes::Bytes>) -> Error {
        let status = response.status();
        let hint = if status.is_redirection() {
            "redirects of metadata requests are never followed (D7)"
        } else {
            "check the resource's URL, or get its tokens without metadata, from its authorization server itself"
        };
        let message = format!("{what} was answered with HTTP {}; {hint}", status.as_u16());
        let wait = retry_after(status, response.headers(), self.clock.wall());
        Error::new(ErrorKind::UnexpectedResponse, message).with_status(status).with_retry_after(wait)
    }

    fn too_slow(&self) -> Error {
        let message = format!(
            "the resource metadata of {} were not had within {} s; check that it is up and reachable",
            self.resource,
            LOOK_DEADLINE.as_secs()
        );
        Error::new(ErrorKind::Timeout, message)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenSource for ProtectedResource {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        self.obtain(None).await
    }

    async fn fetch_after(&self, rejection: &Rejection) -> Result<TokenSet, Error> {
        self.obtain(Some(rejection)).await
    }

    fn accepts_claims(&self) -> bool {
        self.accepts_claims
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        let of = |allowed: &Allowed| allowed.client.client_credentials().credential_fingerprint();
        let all: Vec<Option<u64>> = self.allowed.iter().map(of).collect();
        all.iter().any(Option::is_some).then(|| {
            let mut hasher = DefaultHasher::new();
            all.hash(&mut hasher);
            hasher.finish()
        })
    }
}

impl fmt::Debug for ProtectedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectedResource")
            .field("resource", &self.resource)
            .field("allowed", &self.allowed.iter().map(|allowed| &allowed.client).collect::<Vec<_>>())
            .field("scopes", &self.scopes)
            .field("allowed_scopes", &self.ceiling)
            .finish()
    }
}
