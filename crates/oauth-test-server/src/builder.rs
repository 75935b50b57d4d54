use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::listen;
use crate::server::TestServer;
use crate::state::Shared;
use crate::token::TokenFormat;

/// Configures a [`TestServer`].
///
/// Without any setting: the client `m2m` with the secret `secret` and the scope `api`, opaque tokens
/// that live an hour, no scope required.
#[derive(Clone, Debug)]
#[must_use = "finish with `build` or `start`"]
pub struct Builder {
    settings: Settings,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) clients: Vec<Client>,
    pub(crate) issuer: String,
    pub(crate) api_origin: String,
    pub(crate) token_lifetime: Option<Duration>,
    pub(crate) token_format: TokenFormat,
    pub(crate) refresh_tokens: bool,
    pub(crate) rotate_refresh_tokens: bool,
    pub(crate) required_scope: Option<String>,
    pub(crate) required_audience: Option<String>,
    pub(crate) openid_discovery: bool,
    pub(crate) oauth_discovery: bool,
    pub(crate) resource_metadata: bool,
    pub(crate) reject_early: bool,
    pub(crate) keep_requests: usize,
    pub(crate) tls: bool,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings {
                clients: Vec::new(),
                issuer: "https://id.test".to_owned(),
                api_origin: "https://api.test".to_owned(),
                token_lifetime: Some(Duration::from_secs(3600)),
                token_format: TokenFormat::Opaque,
                refresh_tokens: false,
                rotate_refresh_tokens: true,
                required_scope: None,
                required_audience: None,
                openid_discovery: true,
                oauth_discovery: true,
                resource_metadata: false,
                reject_early: false,
                keep_requests: 50_000,
                tls: false,
            },
        }
    }

    /// Registers a client. May be called several times; the default client then does not exist.
    pub fn client(mut self, client: Client) -> Self {
        self.settings.clients.push(client);
        self
    }

    /// How long access tokens live. The answer's `expires_in` is this, rounded down to seconds.
    /// With `None` the answer has no `expires_in`, and tokens live until they are revoked.
    pub fn token_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.settings.token_lifetime = lifetime;
        self
    }

    /// What access tokens look like. Default: [`TokenFormat::Opaque`].
    pub fn token_format(mut self, format: TokenFormat) -> Self {
        self.settings.token_format = format;
        self
    }

    /// Whether the client-credentials grant answers with a refresh token too, as some servers do
    /// although RFC 6749 section 4.4.3 advises against it. Default: no. The refresh-token grant works
    /// either way, with tokens from [`TestServer::issue_refresh_token`].
    pub fn refresh_tokens(mut self, yes: bool) -> Self {
        self.settings.refresh_tokens = yes;
        self
    }

    /// Whether each use of a refresh token replaces it. An old one that comes again then revokes
    /// every token of its family (RFC 9700 section 4.14.2). Default: yes. Without rotation the
    /// answer has no `refresh_token`.
    pub fn rotate_refresh_tokens(mut self, yes: bool) -> Self {
        self.settings.rotate_refresh_tokens = yes;
        self
    }

    /// The scope that the API asks of a token; others get a 403 `insufficient_scope`.
    pub fn required_scope(mut self, scope: impl Into<String>) -> Self {
        self.settings.required_scope = Some(scope.into());
        self
    }

    /// The audience that the API asks of a token; others get a 401 `invalid_token`. Without this the
    /// API does not look at the audience.
    pub fn required_audience(mut self, audience: impl Into<String>) -> Self {
        self.settings.required_audience = Some(audience.into());
        self
    }

    /// Whether `/.well-known/openid-configuration` is served. Default: yes.
    pub fn openid_discovery(mut self, yes: bool) -> Self {
        self.settings.openid_discovery = yes;
        self
    }

    /// Whether `/.well-known/oauth-authorization-server` (RFC 8414) is served. Default: yes.
    pub fn oauth_discovery(mut self, yes: bool) -> Self {
        self.settings.oauth_discovery = yes;
        self
    }

    /// Whether the API's challenges name its protected resource metadata (RFC 9728), which the API
    /// serves at `/.well-known/oauth-protected-resource` in any case. Default: no.
    pub fn resource_metadata(mut self, yes: bool) -> Self {
        self.settings.resource_metadata = yes;
        self
    }

    /// Whether the API refuses a request as soon as it has seen its headers, while the body is still
    /// on its way. Default: no, it reads all of the body first.
    pub fn reject_early(mut self, yes: bool) -> Self {
        self.settings.reject_early = yes;
        self
    }

    /// How many requests [`TestServer::requests`] remembers, the newest. Default: 50,000.
    pub fn keep_requests(mut self, count: usize) -> Self {
        self.settings.keep_requests = count;
        self
    }

    /// The issuer identifier, default `https://id.test`. With [`start`](Self::start) only its path
    /// counts: scheme, host and port are those of the socket.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.settings.issuer = issuer.into();
        self
    }

    /// The API's origin, default `https://api.test`. With [`start`](Self::start) it is the socket's.
    pub fn api_origin(mut self, origin: impl Into<String>) -> Self {
        self.settings.api_origin = origin.into();
        self
    }

    /// Serves https, with a certificate for `localhost`, `127.0.0.1` and `::1` that is made at start
    /// and signed by [`TestServer::ca_certificate_pem`]. Only for [`start`](Self::start).
    #[cfg(feature = "tls")]
    pub fn tls(mut self) -> Self {
        self.settings.tls = true;
        self
    }

    /// A server without sockets: use [`TestServer::authorization_service`] and
    /// [`TestServer::api_service`].
    #[must_use]
    pub fn build(self) -> TestServer {
        TestServer::new(Arc::new(Shared::new(self.settings)), None)
    }

    /// Listens on two free ports of 127.0.0.1, one for the authorization server, one for the API.
    ///
    /// # Errors
    ///
    /// When no port can be bound or no certificate made.
    pub async fn start(mut self) -> io::Result<TestServer> {
        let listeners = listen::Listeners::bind(self.settings.tls).await?;
        let path = issuer_path(&self.settings.issuer).to_owned();
        self.settings.issuer = format!("{}{path}", listeners.authorization_origin());
        self.settings.api_origin = listeners.api_origin();
        let shared = Arc::new(Shared::new(self.settings));
        let sockets = listeners.serve(&shared);
        Ok(TestServer::new(shared, Some(Arc::new(sockets))))
    }
}

/// The issuer's path as it was given: empty, or with a leading slash.
pub(crate) fn issuer_path(issuer: &str) -> &str {
    let after_scheme = issuer.find("://").map_or(0, |at| at + 3);
    let rest = &issuer[after_scheme..];
    rest.find('/').map_or("", |at| &rest[at..])
}
