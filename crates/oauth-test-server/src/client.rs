use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::certificate::CertificateName;
use crate::jws::{Algorithm, KeySet, TestKey};

/// A client registered at the authorization server.
///
/// ```
/// use oauth_test_server::{Client, ClientAuthMethod};
///
/// let client = Client::new("m2m")
///     .secret("s3cr3t")
///     .scopes(["read", "write"])
///     .auth_methods([ClientAuthMethod::ClientSecretPost]);
/// # let _ = client;
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) auth_methods: Vec<ClientAuthMethod>,
    pub(crate) raw_basic: bool,
    pub(crate) grant_types: Option<BTreeSet<String>>,
    pub(crate) targets: Option<BTreeSet<String>>,
    pub(crate) keys: KeySet,
    pub(crate) assertion_algorithm: Option<Algorithm>,
    /// Issuers and the subjects by which they know the client.
    pub(crate) federated: Vec<(String, String)>,
    pub(crate) spiffe_id: Option<String>,
    pub(crate) certificate: Option<CertificateName>,
    pub(crate) thumbprints: Vec<String>,
    pub(crate) certificate_bound_tokens: bool,
    pub(crate) require_dpop: bool,
    pub(crate) name: Option<String>,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) post_logout_redirect_uris: Vec<String>,
    pub(crate) backchannel_logout_uri: Option<String>,
    pub(crate) id_token_algorithm: Algorithm,
    pub(crate) userinfo_algorithm: Option<Algorithm>,
    pub(crate) ask_consent: bool,
    pub(crate) require_pkce: bool,
    pub(crate) require_pushed_requests: bool,
}

impl Client {
    /// A public client without scopes. Give it a [`secret`](Self::secret), a [`key`](Self::key) or a
    /// [`certificate`](Self::certificate) to make it confidential.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: None,
            scopes: BTreeSet::new(),
            auth_methods: vec![ClientAuthMethod::None],
            raw_basic: false,
            grant_types: None,
            targets: None,
            keys: KeySet::default(),
            assertion_algorithm: None,
            federated: Vec::new(),
            spiffe_id: None,
            certificate: None,
            thumbprints: Vec::new(),
            certificate_bound_tokens: false,
            require_dpop: false,
            name: None,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            id_token_algorithm: Algorithm::Rs256,
            userinfo_algorithm: None,
            ask_consent: true,
            require_pkce: false,
            require_pushed_requests: false,
        }
    }

    /// Makes the client confidential: it authenticates by `client_secret_basic` or
    /// `client_secret_post`, until [`auth_methods`](Self::auth_methods) says otherwise.
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self.confidential(&[ClientAuthMethod::ClientSecretBasic, ClientAuthMethod::ClientSecretPost])
    }

    /// Registers a public key, one of several perhaps: the client authenticates by `private_key_jwt`,
    /// until [`auth_methods`](Self::auth_methods) says otherwise. If an assertion names a `kid`, only
    /// the key with that id will do.
    pub fn key(mut self, key: &TestKey) -> Self {
        self.keys.add(&key.public_jwk());
        self.confidential(&[ClientAuthMethod::PrivateKeyJwt])
    }

    /// The same as [`key`](Self::key), with the keys of a JWK set (RFC 7517). Those that are not
    /// supported are left out.
    pub fn jwks(mut self, jwks: &Value) -> Self {
        self.keys.add_set(jwks);
        self.confidential(&[ClientAuthMethod::PrivateKeyJwt])
    }

    /// The only `alg` that the client's assertions may have (`token_endpoint_auth_signing_alg` of
    /// OpenID Connect Registration).
    pub fn assertion_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.assertion_algorithm = Some(algorithm);
        self
    }

    /// Lets a [`TrustedIssuer`](crate::TrustedIssuer) speak for the client: its JWTs with this subject
    /// are the client's assertions, as in workload identity federation (RFC 7523 section 2.2).
    pub fn federated(mut self, issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        self.federated.push((issuer.into(), subject.into()));
        self.confidential(&[ClientAuthMethod::FederatedJwt])
    }

    /// The SPIFFE ID of the client, whose JWT-SVIDs are its assertions
    /// (draft-ietf-oauth-spiffe-client-auth). Its trust domain must be a
    /// [`TrustedIssuer`](crate::TrustedIssuer).
    pub fn spiffe_id(mut self, id: impl Into<String>) -> Self {
        self.spiffe_id = Some(id.into());
        self.confidential(&[ClientAuthMethod::SpiffeJwt])
    }

    /// The name in the certificates by which the client authenticates (`tls_client_auth`, RFC 8705
    /// section 2.1). They are issued by `TestServer::issue_client_certificate`.
    pub fn certificate(mut self, name: CertificateName) -> Self {
        self.certificate = Some(name);
        self.confidential(&[ClientAuthMethod::TlsClientAuth])
    }

    /// Registers a certificate by its SHA-256 thumbprint, one of several perhaps
    /// (`self_signed_tls_client_auth`, RFC 8705 section 2.2).
    pub fn certificate_thumbprint(mut self, thumbprint: impl Into<String>) -> Self {
        self.thumbprints.push(thumbprint.into());
        self.confidential(&[ClientAuthMethod::SelfSignedTlsClientAuth])
    }

    /// What a client without an authentication gets with its first one.
    fn confidential(mut self, methods: &[ClientAuthMethod]) -> Self {
        if self.auth_methods == [ClientAuthMethod::None] {
            self.auth_methods = methods.to_vec();
        }
        self
    }

    /// The scopes that the client may ask for. It gets all of them when it asks for none.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The only ways in which the client may authenticate; others are refused as `invalid_client`.
    /// Call it last: until then, what is registered first decides.
    pub fn auth_methods(mut self, methods: impl IntoIterator<Item = ClientAuthMethod>) -> Self {
        self.auth_methods = methods.into_iter().collect();
        self
    }

    /// Takes the id and secret of `client_secret_basic` as they are, without form decoding, against
    /// RFC 6749 section 2.3.1. Some real servers do so.
    pub fn raw_basic(mut self) -> Self {
        self.raw_basic = true;
        self
    }

    /// The only grant types that the client may use; others are refused as `unauthorized_client`.
    /// Without this, it may use all.
    pub fn grant_types(mut self, grant_types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.grant_types = Some(grant_types.into_iter().map(Into::into).collect());
        self
    }

    /// The only resources (RFC 8707) and audiences that the client may ask for; others are refused as
    /// `invalid_target`. Without this, it may ask for all.
    pub fn targets(mut self, targets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.targets = Some(targets.into_iter().map(Into::into).collect());
        self
    }

    /// Binds the client's access tokens to its certificate (RFC 8705 section 3), however it
    /// authenticates. A token request without a certificate is refused as `invalid_request`.
    pub fn certificate_bound_tokens(mut self) -> Self {
        self.certificate_bound_tokens = true;
        self
    }

    /// Refuses token requests without a DPoP proof as `invalid_dpop_proof`
    /// (`dpop_bound_access_tokens`, RFC 9449 section 5.2). For a server with `Builder::dpop`.
    pub fn require_dpop(mut self) -> Self {
        self.require_dpop = true;
        self
    }

    /// The name that people see on the pages, instead of the id.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Registers a redirect URI, one of several perhaps. A request must name it exactly; only the port of
    /// http to `127.0.0.1` or `[::1]` may differ (RFC 8252 section 7.3).
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Registers a URI to which a user may go after the session has ended (OpenID Connect RP-Initiated
    /// Logout section 3), one of several perhaps.
    pub fn post_logout_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.post_logout_redirect_uris.push(uri.into());
        self
    }

    /// Where the client learns that a session has ended (OpenID Connect Back-Channel Logout section 2.2):
    /// a server with sockets posts a logout token there, see
    /// [`TestServer::backchannel_logouts`](crate::TestServer::backchannel_logouts).
    pub fn backchannel_logout_uri(mut self, uri: impl Into<String>) -> Self {
        self.backchannel_logout_uri = Some(uri.into());
        self
    }

    /// How the client's ID tokens are signed (`id_token_signed_response_alg`). Default: RS256. With
    /// [`Algorithm::Hs256`] the key is the client's secret.
    pub fn id_token_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.id_token_algorithm = algorithm;
        self
    }

    /// Answers the userinfo request with a JWT that is signed in this way (`userinfo_signed_response_alg`).
    /// Default: plain JSON.
    pub fn userinfo_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.userinfo_algorithm = Some(algorithm);
        self
    }

    /// Takes the user's consent for granted, as for an application of the house; `prompt=consent` asks all
    /// the same. Default: each user is asked once for each scope.
    pub fn without_consent(mut self) -> Self {
        self.ask_consent = false;
        self
    }

    /// Refuses authorization requests without PKCE (RFC 7636), which public clients always need.
    pub fn require_pkce(mut self) -> Self {
        self.require_pkce = true;
        self
    }

    /// Refuses authorization requests that were not pushed
    /// (`require_pushed_authorization_requests`, RFC 9126 section 6).
    pub fn require_pushed_requests(mut self) -> Self {
        self.require_pushed_requests = true;
        self
    }

    pub(crate) fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    /// Whether it has nothing to authenticate with.
    pub(crate) fn is_public(&self) -> bool {
        self.auth_methods == [ClientAuthMethod::None]
    }

    pub(crate) fn may_use(&self, grant_type: &str) -> bool {
        self.grant_types.as_ref().is_none_or(|allowed| allowed.contains(grant_type))
    }
}

/// What a client authenticates with shows nowhere.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Client");
        debug.field("id", &self.id).field("scopes", &self.scopes).field("auth_methods", &self.auth_methods);
        debug.field("redirect_uris", &self.redirect_uris).finish_non_exhaustive()
    }
}

/// How a client authenticates, by the names of the IANA registry (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientAuthMethod {
    /// `client_secret_basic`: id and secret, form-encoded, in an `Authorization: Basic` header.
    ClientSecretBasic,
    /// `client_secret_post`: id and secret in the form.
    ClientSecretPost,
    /// `client_secret_jwt`: an assertion signed with the secret, `HS256` (OpenID Connect Core section 9).
    /// A client with a secret has it only by [`Client::auth_methods`].
    ClientSecretJwt,
    /// `private_key_jwt`: an assertion signed with a private key (RFC 7523 section 2.2).
    PrivateKeyJwt,
    /// An assertion that another issuer has signed for the client (RFC 7523 section 2.2). In metadata
    /// it goes by `private_key_jwt`.
    FederatedJwt,
    /// `spiffe_jwt`: a JWT-SVID (draft-ietf-oauth-spiffe-client-auth).
    SpiffeJwt,
    /// `tls_client_auth`: a certificate of the server's authority (RFC 8705 section 2.1).
    TlsClientAuth,
    /// `self_signed_tls_client_auth`: a certificate registered as it is (RFC 8705 section 2.2).
    SelfSignedTlsClientAuth,
    /// `none`: a public client sends its id only.
    None,
}

impl ClientAuthMethod {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt | Self::FederatedJwt => "private_key_jwt",
            Self::SpiffeJwt => "spiffe_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
            Self::None => "none",
        }
    }

    pub(crate) fn is_assertion(self) -> bool {
        matches!(self, Self::ClientSecretJwt | Self::PrivateKeyJwt | Self::FederatedJwt | Self::SpiffeJwt)
    }
}
