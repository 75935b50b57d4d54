//! How a client proves who it is (RFC 6749, section 2.3; RFC 7523; RFC 8705).

mod assertion;
mod secret;
#[cfg(feature = "signing")]
mod signed;

use std::{borrow::Cow, fmt};

use http::HeaderMap;

#[cfg(feature = "signing")]
pub use self::signed::ClientAssertion;
#[cfg(feature = "signing")]
use crate::KeySource;
use crate::{AuthorizationServer, Error, Form, Secret, TokenClient, text::Secrets};

/// How a client proves who it is to the authorization server: exactly one way for each request (T9), the same at every
/// endpoint. What it takes, a secret, a key, a certificate, is read anew for each exchange, so that it can be rotated
/// without a restart.
///
/// ```
/// use oauth_tokens::{ClientAuth, Secret};
///
/// let basic = ClientAuth::secret_basic(Secret::file("/run/secrets/m2m"));
/// let federated = ClientAuth::assertion_file("/var/run/secrets/tokens/id");
/// # let _ = (basic, federated);
/// ```
///
/// # Which one do I need?
///
/// The one that the client is registered with; servers name it `token_endpoint_auth_method` (RFC 7591, section 2). Where you
/// may choose, take the first of these rows that you can have:
///
/// | you have | registered as | here | what goes out |
/// |---|---|---|---|
/// | a token that your platform keeps in a file (Kubernetes, a cloud's workload identity) and a server that trusts its issuer | federated, workload identity; often `private_key_jwt` | [`assertion_file`](Self::assertion_file) | that token; no secret of your own at all |
/// | a SPIFFE JWT-SVID in a file | `spiffe_jwt` | [`spiffe_svid_file`](Self::spiffe_svid_file) | the SVID |
/// | a key pair, also one in a KMS or HSM | `private_key_jwt` | [`private_key_jwt`](Self::private_key_jwt) | an assertion, signed and good for a minute; the key stays with you |
/// | a certificate, and a server that looks at it | `tls_client_auth`, `self_signed_tls_client_auth` | [`tls_client_auth`](Self::tls_client_auth), [`self_signed_tls_client_auth`](Self::self_signed_tls_client_auth) | nothing; TLS proves it |
/// | a secret, and a server that knows this | `client_secret_jwt` | [`client_secret_jwt`](Self::client_secret_jwt) | an assertion; the secret stays with you |
/// | a secret | `client_secret_basic` | [`secret_basic`](Self::secret_basic), [`secret_basic_raw`](Self::secret_basic_raw) | the secret, in a header |
/// | a secret, and a server that takes it in the form only | `client_secret_post` | [`secret_post`](Self::secret_post) | the secret, in the form |
/// | nothing: an app on a device | `none` | [`none`](Self::none) | the client's id |
/// | a grant that says itself who the client is | | [`omitted`](Self::omitted) | nothing |
///
/// An `invalid_client` answer speaks of this. If the secret's, key's or assertion's file has changed meanwhile, it is read
/// again and tried once more at once.
#[derive(Clone)]
pub struct ClientAuth(Method);

#[derive(Clone)]
enum Method {
    None,
    Omitted,
    Basic(Secret),
    RawBasic(Secret),
    Post(Secret),
    Assertion {
        source: Secret,
        assertion_type: Cow<'static, str>,
    },
    #[cfg(feature = "signing")]
    Signed(Box<ClientAssertion>),
    Tls {
        self_signed: bool,
    },
}

impl ClientAuth {
    /// A public client: only its `client_id` is sent (RFC 6749, section 3.2.1).
    #[must_use]
    pub fn none() -> Self {
        Self(Method::None)
    }

    /// Nothing is sent, not even the `client_id`: for a grant whose own assertion says who the client is, where a server
    /// knows no client besides (RFC 7521, section 4.1). Google's service accounts are so. The client's id is then for
    /// messages only.
    #[must_use]
    pub fn omitted() -> Self {
        Self(Method::Omitted)
    }

    /// `client_secret_basic`: id and secret, form-encoded as RFC 6749 (section 2.3.1) asks, in an `Authorization: Basic`
    /// header. The first choice for a secret, where a server supports it.
    #[must_use]
    pub fn secret_basic(secret: impl Into<Secret>) -> Self {
        Self(Method::Basic(secret.into()))
    }

    /// `client_secret_basic` as servers read it that do not know about the form-encoding, Cognito for one: id and secret
    /// as they are. It differs from [`secret_basic`](Self::secret_basic) only for characters other than letters, digits
    /// and `-._~`. The client id cannot hold a colon.
    #[must_use]
    pub fn secret_basic_raw(secret: impl Into<Secret>) -> Self {
        Self(Method::RawBasic(secret.into()))
    }

    /// `client_secret_post`: id and secret as form parameters (RFC 6749, section 2.3.1).
    #[must_use]
    pub fn secret_post(secret: impl Into<Secret>) -> Self {
        Self(Method::Post(secret.into()))
    }

    /// `client_secret_jwt`: an assertion for each attempt, signed with the secret by HS256 (RFC 7523, section 2.2). The
    /// secret has at least 32 bytes (RFC 7518, section 3.2): whoever sees an assertion can try out a shorter one at leisure.
    ///
    /// What the assertion says: see [`ClientAssertion`].
    #[cfg(feature = "signing")]
    #[must_use]
    pub fn client_secret_jwt(secret: impl Into<Secret>) -> Self {
        ClientAssertion::shared_secret(secret).into()
    }

    /// `private_key_jwt`: an assertion for each attempt, signed with the client's private key (RFC 7523, section 2.2): a
    /// [`SigningKey`](crate::SigningKey), a key [file](crate::SigningKey::file) that may be replaced at any time, or a
    /// [`Signer`](crate::Signer) of your own. The server knows the public half.
    ///
    /// What the assertion says: see [`ClientAssertion`].
    ///
    /// ```
    /// use oauth_tokens::{ClientAuth, SigningKey};
    ///
    /// let auth = ClientAuth::private_key_jwt(SigningKey::file("/run/secrets/client-key.pem").with_key_id("billing-2025"));
    /// # let _ = auth;
    /// ```
    #[cfg(feature = "signing")]
    #[must_use]
    pub fn private_key_jwt(key: impl Into<KeySource>) -> Self {
        ClientAssertion::private_key(key).into()
    }

    /// An assertion that somebody else signs and keeps in a file (RFC 7523, section 2.2): a Kubernetes projected
    /// service-account token, a cloud's workload identity. The server trusts its issuer, and knows its subject as this
    /// client. The file is read anew for each attempt.
    ///
    /// The `client_id` is sent along: RFC 7521 (section 4.2) leaves it to the client, Entra ID wants it, and where a server
    /// finds the client by the assertion's subject, it must be that client's.
    #[must_use]
    pub fn assertion_file(path: impl Into<std::path::PathBuf>) -> Self {
        Self::assertion(assertion::JWT_BEARER, Secret::file(path))
    }

    /// A SPIFFE JWT-SVID in a file, as the SPIFFE helper writes it, by SPIFFE's assertion type
    /// (`urn:ietf:params:oauth:client-assertion-type:jwt-spiffe`, draft-ietf-oauth-spiffe-client-auth). The file is read
    /// anew for each attempt.
    ///
    /// A server that knows workloads by the common type takes the SVID by [`assertion_file`](Self::assertion_file).
    #[must_use]
    pub fn spiffe_svid_file(path: impl Into<std::path::PathBuf>) -> Self {
        Self::assertion(assertion::SPIFFE, Secret::file(path))
    }

    /// An assertion of any type (RFC 7521, section 4.2), from anywhere: a file, or an async function that gets it from a
    /// metadata server. It is read anew for each attempt.
    ///
    /// ```
    /// use oauth_tokens::{ClientAuth, Secret};
    /// # async fn identity_token() -> Result<String, oauth_tokens::BoxError> { Ok("eyJ…".to_owned()) }
    ///
    /// let auth = ClientAuth::assertion(
    ///     "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    ///     Secret::from_fn(|| async { identity_token().await }),
    /// );
    /// # let _ = auth;
    /// ```
    #[must_use]
    pub fn assertion(assertion_type: impl Into<Cow<'static, str>>, assertion: impl Into<Secret>) -> Self {
        Self(Method::Assertion { source: assertion.into(), assertion_type: assertion_type.into() })
    }

    /// `tls_client_auth`: the client's certificate, from an authority that the server trusts (RFC 8705, section 2.1). Only the
    /// `client_id` is sent; the certificate comes with the connection: the server's
    /// [`HttpClient`](crate::HttpClient) brings it along (see [`HttpClientBuilder`](crate::HttpClientBuilder)), or the
    /// service that you made one of. Where the metadata name other endpoints for it (`mtls_endpoint_aliases`), those are
    /// called.
    ///
    /// Tokens may then be bound to the certificate (RFC 8705, section 3): the API's client has to show it, too.
    ///
    /// ```
    /// # #[cfg(feature = "reqwest")] {
    /// use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient};
    ///
    /// let http = HttpClient::builder().identity_files("/run/tls/tls.crt", "/run/tls/tls.key").build()?;
    /// let server = AuthorizationServer::via(http).issuer("https://id.example.com")?;
    /// let client = server.client("billing", ClientAuth::tls_client_auth())?;
    /// # let _ = client;
    /// # }
    /// # Ok::<(), oauth_tokens::Error>(())
    /// ```
    #[must_use]
    pub fn tls_client_auth() -> Self {
        Self(Method::Tls { self_signed: false })
    }

    /// `self_signed_tls_client_auth`: the client's certificate, which the server knows itself (RFC 8705, section 2.2). The
    /// rest as for [`tls_client_auth`](Self::tls_client_auth).
    #[must_use]
    pub fn self_signed_tls_client_auth() -> Self {
        Self(Method::Tls { self_signed: true })
    }

    /// What can be known to be wrong without I/O.
    pub(crate) fn validate(&self, client_id: &str) -> Result<(), Error> {
        match &self.0 {
            Method::RawBasic(_) if client_id.contains(':') => {
                Err(Error::config("a client id with a colon cannot be sent as raw Basic; use secret_basic"))
            }
            Method::Basic(secret) | Method::RawBasic(secret) | Method::Post(secret) => secret.validate("client secret"),
            Method::Assertion { source, assertion_type } => assertion::validate(source, assertion_type),
            #[cfg(feature = "signing")]
            Method::Signed(signed) => signed.validate(),
            Method::None | Method::Omitted | Method::Tls { .. } => Ok(()),
        }
    }

    /// Whether this way can be gone at this server.
    pub(crate) fn validate_at(&self, server: &AuthorizationServer) -> Result<(), Error> {
        match &self.0 {
            #[cfg(feature = "signing")]
            Method::Signed(signed) => signed.audience_at(server).map(drop),
            Method::Tls { .. } if server.http().has_identity() == Some(false) => Err(Error::config(
                "the client proves itself by a TLS certificate, but the server's HTTP client has none: give it one by \
                 HttpClient::builder",
            )),
            _ => Ok(()),
        }
    }

    /// Whether it takes a connection with the client's certificate.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.0, Method::Tls { .. })
    }

    /// A number that changes when the credential may have changed; none if that cannot be known cheaply.
    pub(crate) fn fingerprint_at(&self, server: &AuthorizationServer) -> Option<u64> {
        match &self.0 {
            Method::Basic(secret) | Method::RawBasic(secret) | Method::Post(secret) => secret.fingerprint(),
            Method::Assertion { source, .. } => source.fingerprint(),
            #[cfg(feature = "signing")]
            Method::Signed(signed) => signed.fingerprint(),
            Method::Tls { .. } => server.http().identity_fingerprint(),
            Method::None | Method::Omitted => None,
        }
    }

    /// The name in the registry of token endpoint authentication methods (RFC 7591), for messages.
    pub(crate) fn name(&self) -> &'static str {
        match &self.0 {
            Method::None => "none",
            Method::Omitted => "no client authentication",
            Method::Basic(_) => "client_secret_basic",
            Method::RawBasic(_) => "client_secret_basic (raw)",
            Method::Post(_) => "client_secret_post",
            Method::Assertion { .. } => "client assertion",
            #[cfg(feature = "signing")]
            Method::Signed(signed) => signed.name(),
            Method::Tls { self_signed: false } => "tls_client_auth",
            Method::Tls { self_signed: true } => "self_signed_tls_client_auth",
        }
    }

    /// What to look at after `invalid_client`.
    pub(crate) fn hint(&self) -> &'static str {
        match &self.0 {
            Method::None | Method::Omitted => {
                "check the client id, and whether the server wants this client to authenticate"
            }
            Method::Basic(_) | Method::RawBasic(_) | Method::Post(_) => {
                "check the client id and the secret, and whether the server wants them by secret_basic or by secret_post"
            }
            Method::Assertion { .. } => {
                "check that the assertion has not expired, that the server trusts its issuer and is its audience, and that \
                 the server knows its subject as this client"
            }
            #[cfg(feature = "signing")]
            Method::Signed(signed) => signed.hint(),
            Method::Tls { .. } => {
                "check the client id, that the connection shows the certificate, and that the server knows this client by it \
                 (its subject for tls_client_auth, the very certificate for self_signed_tls_client_auth)"
            }
        }
    }

    /// Writes to form and headers, and nowhere else; says which secrets went out.
    pub(crate) async fn apply(
        &self,
        client: &TokenClient,
        form: &mut Form,
        headers: &mut HeaderMap,
        secrets: &mut Secrets,
    ) -> Result<(), Error> {
        match &self.0 {
            Method::Omitted => {}
            Method::None | Method::Tls { .. } => form.push_once("client_id", client.id()),
            Method::Basic(secret) => secret::basic(client.id(), secret, headers, secrets).await?,
            Method::RawBasic(secret) => secret::raw_basic(client.id(), secret, headers, secrets).await?,
            Method::Post(secret) => secret::post(client.id(), secret, form, secrets).await?,
            Method::Assertion { source, assertion_type } => {
                let assertion = assertion::read(source).await?;
                assertion::push(client.id(), assertion_type, &assertion, form, secrets);
            }
            #[cfg(feature = "signing")]
            Method::Signed(signed) => {
                let assertion = signed.sign(client, secrets).await?;
                assertion::push(client.id(), assertion::JWT_BEARER, &assertion, form, secrets);
            }
        }
        Ok(())
    }
}

#[cfg(feature = "signing")]
impl From<ClientAssertion> for ClientAuth {
    fn from(assertion: ClientAssertion) -> Self {
        Self(Method::Signed(Box::new(assertion)))
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientAuth({})", self.name())
    }
}
