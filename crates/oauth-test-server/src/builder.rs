use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::dpop::NoncePolicy;
use crate::issuer::TrustedIssuer;
use crate::listen::Listeners;
use crate::server::TestServer;
use crate::state::Shared;
use crate::tls::Authority;
use crate::token::TokenFormat;
use crate::user::User;

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
    /// Where a client certificate is asked for.
    pub(crate) mtls_origin: Option<String>,
    pub(crate) issuers: Vec<TrustedIssuer>,
    pub(crate) assertion_audience: Option<String>,
    pub(crate) authorization_details_types: Option<Vec<String>>,
    pub(crate) device_interval: Option<Duration>,
    pub(crate) device_code_lifetime: Duration,
    pub(crate) jwks_max_age: Option<Duration>,
    pub(crate) dpop: Dpop,
    pub(crate) token_nonces: NoncePolicy,
    pub(crate) api_nonces: NoncePolicy,
    /// Whether it can post to others.
    pub(crate) over_sockets: bool,
    pub(crate) users: Vec<User>,
    /// Refresh tokens only for the scope `offline_access`.
    pub(crate) offline_access: bool,
    pub(crate) refresh_id_tokens: bool,
    pub(crate) id_token_lifetime: Duration,
    pub(crate) claims_in_id_token: bool,
    pub(crate) session_lifetime: Duration,
    pub(crate) response_iss: bool,
    pub(crate) require_pushed_requests: bool,
}

/// Whether access tokens can be bound to a key (RFC 9449).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dpop {
    Off,
    Offered,
    Required,
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
                mtls_origin: None,
                issuers: Vec::new(),
                assertion_audience: None,
                authorization_details_types: None,
                device_interval: Some(Duration::from_secs(5)),
                device_code_lifetime: Duration::from_secs(600),
                jwks_max_age: Some(Duration::from_secs(300)),
                dpop: Dpop::Off,
                token_nonces: NoncePolicy::None,
                api_nonces: NoncePolicy::None,
                over_sockets: false,
                users: Vec::new(),
                offline_access: false,
                refresh_id_tokens: true,
                id_token_lifetime: Duration::from_secs(3600),
                claims_in_id_token: false,
                session_lifetime: Duration::from_secs(8 * 3600),
                response_iss: true,
                require_pushed_requests: false,
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

    /// Lets another issuer's JWTs in. May be called several times.
    pub fn trusted_issuer(mut self, issuer: TrustedIssuer) -> Self {
        self.settings.issuers.push(issuer);
        self
    }

    /// The `aud` that a client's own assertions must have, as a single string. Default: the issuer, and
    /// nothing else; not even the token endpoint (RFC 7523bis). Once the server runs:
    /// [`TestServer::set_assertion_audience`].
    pub fn assertion_audience(mut self, audience: impl Into<String>) -> Self {
        self.settings.assertion_audience = Some(audience.into());
        self
    }

    /// The only types of `authorization_details` (RFC 9396); others are refused as
    /// `invalid_authorization_details`. Default: all are taken.
    pub fn authorization_details_types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.authorization_details_types = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// How long a device waits between two polls (RFC 8628 section 3.2), default 5 s. It gets
    /// `slow_down` if it does not, and has to wait 5 s more from then on. With `None` the answer leaves
    /// it out, and 5 s it is.
    pub fn device_interval(mut self, interval: Option<Duration>) -> Self {
        self.settings.device_interval = interval;
        self
    }

    /// How long a device code lives, default 10 minutes.
    pub fn device_code_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.device_code_lifetime = lifetime;
        self
    }

    /// The `max-age` of the key set's `Cache-Control`, default 5 minutes. `None`: no such header.
    pub fn jwks_max_age(mut self, max_age: Option<Duration>) -> Self {
        self.settings.jwks_max_age = max_age;
        self
    }

    /// Binds access tokens to the key of the DPoP proof that a token request has (RFC 9449), and checks
    /// the proofs at the API. Without this, proofs are ignored and all tokens are Bearer.
    pub fn dpop(mut self) -> Self {
        self.settings.dpop = self.settings.dpop.max(Dpop::Offered);
        self
    }

    /// [`dpop`](Self::dpop), with an API that takes no other tokens. See [`Client::require_dpop`] for
    /// the token endpoint.
    pub fn require_dpop(mut self) -> Self {
        self.settings.dpop = Dpop::Required;
        self
    }

    /// The nonces that the token endpoint asks of proofs (RFC 9449 section 8). Default: none.
    pub fn token_nonces(mut self, policy: NoncePolicy) -> Self {
        self.settings.token_nonces = policy;
        self
    }

    /// The nonces that the API asks of proofs (RFC 9449 section 9). Default: none.
    pub fn api_nonces(mut self, policy: NoncePolicy) -> Self {
        self.settings.api_nonces = policy;
        self
    }

    /// Registers a user. May be called several times; only registered users may then sign in. Without
    /// any, everybody may, with any name and no password, and has a `name` and an `email`.
    pub fn user(mut self, user: User) -> Self {
        self.settings.users.push(user);
        self
    }

    /// Gives refresh tokens out, and only where the scope `offline_access` was granted (OpenID Connect
    /// Core section 11).
    pub fn offline_access(mut self) -> Self {
        self.settings.refresh_tokens = true;
        self.settings.offline_access = true;
        self
    }

    /// Whether a refresh brings a new ID token too, if `openid` was granted. Default: yes.
    pub fn refresh_id_tokens(mut self, yes: bool) -> Self {
        self.settings.refresh_id_tokens = yes;
        self
    }

    /// How long ID tokens live, default an hour.
    pub fn id_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.id_token_lifetime = lifetime;
        self
    }

    /// Puts the user's claims into ID tokens too, by the scopes that were granted. Default: only the
    /// userinfo endpoint tells them.
    pub fn claims_in_id_tokens(mut self) -> Self {
        self.settings.claims_in_id_token = true;
        self
    }

    /// How long a user stays signed in at the server, default 8 hours.
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.session_lifetime = lifetime;
        self
    }

    /// Whether authorization responses name the issuer (RFC 9207) and the metadata promise it. Default:
    /// yes. To promise without doing: [`TestServer::set_authorization_response`].
    pub fn response_iss(mut self, yes: bool) -> Self {
        self.settings.response_iss = yes;
        self
    }

    /// Refuses authorization requests that were not pushed (RFC 9126 section 5), of all clients. For one
    /// client: [`Client::require_pushed_requests`].
    pub fn require_pushed_requests(mut self) -> Self {
        self.settings.require_pushed_requests = true;
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

    /// Serves https, and asks clients for a certificate (RFC 8705): the API does, and the authorization
    /// server on a port of its own, [`TestServer::mtls_origin`], which the metadata names in
    /// `mtls_endpoint_aliases`. A client may come without one. Without sockets that origin is
    /// `https://mtls.id.test`, and the certificate an extension of the request, a
    /// [`PresentedCertificate`](crate::PresentedCertificate).
    #[cfg(feature = "tls")]
    pub fn mtls(mut self) -> Self {
        self.settings.mtls_origin = Some("https://mtls.id.test".to_owned());
        self.tls()
    }

    /// A server without sockets: use [`TestServer::authorization_service`] and
    /// [`TestServer::api_service`].
    #[must_use]
    pub fn build(self) -> TestServer {
        TestServer::new(Arc::new(Shared::new(self.settings)), None)
    }

    /// Listens on two free ports of 127.0.0.1, one for the authorization server, one for the API; with
    /// `mtls` on a third.
    ///
    /// # Errors
    ///
    /// When no port can be bound or no certificate made.
    pub async fn start(mut self) -> io::Result<TestServer> {
        let authority = if self.settings.tls { Some(Authority::generate()?) } else { None };
        let listeners = Listeners::bind(authority.as_ref(), self.settings.mtls_origin.is_some()).await?;
        let path = issuer_path(&self.settings.issuer).to_owned();
        self.settings.issuer = format!("{}{path}", listeners.authorization_origin());
        self.settings.api_origin = listeners.api_origin();
        self.settings.mtls_origin = listeners.mtls_origin();
        self.settings.over_sockets = true;
        let shared = Arc::new(Shared::new(self.settings));
        if let Some(authority) = authority {
            // Nobody else has had the chance to make one.
            shared.authority.set(authority).ok();
        }
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
