//! Assertions that the client signs itself (RFC 7523, sections 2.2 and 3).

use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    AuthorizationServer, Error, ErrorKind, KeySource, Secret, TokenClient,
    jws::{mac_jws, sign_jws, unique_id},
    text::Secrets,
};

/// How long an assertion is good. It is used at once; the rest is for clocks that differ.
const LIFETIME: Duration = Duration::from_secs(60);
/// A key for HS256 is as long as its hash, or longer (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;
const TOO_SHORT: &str =
    "the client secret is too short to sign with: HS256 takes 32 bytes or more (RFC 7518, section 3.2)";
/// Says what it is, so that it is of no use as anything else (draft-ietf-oauth-rfc7523bis, section 4).
const HEADER_TYPE: &str = "client-authentication+jwt";

/// Client authentication by an assertion that the client signs itself, where the settings of
/// [`ClientAuth::private_key_jwt`](crate::ClientAuth::private_key_jwt) and
/// [`ClientAuth::client_secret_jwt`](crate::ClientAuth::client_secret_jwt) do not fit a server.
///
/// The assertion (RFC 7523, section 3) is made anew for each attempt: `iss` and `sub` are the client's id, `jti` is new,
/// `exp` is 60 seconds after `iat`, and `aud` is the issuer that the server was given by, one string. It is never a value
/// that the server's metadata name: a server could then ask for assertions that are good at another one.
///
/// ```
/// use oauth_tokens::{AuthorizationServer, ClientAssertion, SigningKey};
///
/// # #[cfg(feature = "reqwest")] {
/// let server = AuthorizationServer::token_endpoint("https://id.example.com/token")?;
/// let auth = ClientAssertion::private_key(SigningKey::file("/run/secrets/client-key.pem"))
///     .audience("https://id.example.com/token")
///     .header_type("JWT");
/// let client = server.client("billing", auth)?;
/// # let _ = client;
/// # }
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct ClientAssertion {
    key: Key,
    audience: Option<String>,
    header_type: String,
}

#[derive(Clone)]
enum Key {
    Private(KeySource),
    Shared(Secret),
}

impl ClientAssertion {
    /// `private_key_jwt`: signed by this key.
    pub fn private_key(key: impl Into<KeySource>) -> Self {
        Self::new(Key::Private(key.into()))
    }

    /// `client_secret_jwt`: signed by HS256 with this secret, of 32 bytes or more.
    pub fn shared_secret(secret: impl Into<Secret>) -> Self {
        Self::new(Key::Shared(secret.into()))
    }

    fn new(key: Key) -> Self {
        Self { key, audience: None, header_type: HEADER_TYPE.to_owned() }
    }

    /// Says this as `aud`, instead of the issuer: for servers that want their token endpoint's URL there, as Entra ID
    /// documents it, and for a server that is given without an issuer. Such an assertion is good wherever this is
    /// accepted: never give what another server has named.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Says this as `typ` in the header, instead of `client-authentication+jwt`, by which the assertion cannot be taken
    /// for another kind of JWT (draft-ietf-oauth-rfc7523bis, section 4). Servers from before that take `JWT` only.
    pub fn header_type(mut self, header_type: impl Into<String>) -> Self {
        self.header_type = header_type.into();
        self
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let odd = |text: &str| text.is_empty() || text.chars().any(char::is_control);
        if self.audience.as_deref().is_some_and(odd) || odd(&self.header_type) {
            return Err(Error::config("the assertion's audience or header type is empty or holds a control character"));
        }
        match &self.key {
            Key::Private(key) => key.validate(),
            Key::Shared(secret) if secret.value().is_some_and(|secret| secret.len() < MIN_SECRET_BYTES) => {
                Err(Error::config(TOO_SHORT))
            }
            Key::Shared(secret) => secret.validate("client secret"),
        }
    }

    pub(super) fn audience_at<'a>(&'a self, server: &'a AuthorizationServer) -> Result<&'a str, Error> {
        self.audience.as_deref().or_else(|| server.expected_issuer()).ok_or_else(|| {
            Error::config(format!(
                "the server with the token endpoint {server} was given without an issuer, so nothing says for whom an \
                 assertion is: give the issuer, or ClientAssertion::audience"
            ))
        })
    }

    pub(super) fn fingerprint(&self) -> Option<u64> {
        match &self.key {
            Key::Private(key) => key.fingerprint(),
            Key::Shared(secret) => secret.fingerprint(),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self.key {
            Key::Private(_) => "private_key_jwt",
            Key::Shared(_) => "client_secret_jwt",
        }
    }

    pub(super) fn hint(&self) -> &'static str {
        match self.key {
            Key::Private(_) => {
                "check the client id, that the server knows the public key (by its kid, where it has one) and its algorithm, \
                 that the assertion's audience and header type are what it wants (see ClientAssertion), and both clocks"
            }
            Key::Shared(_) => {
                "check the client id and the secret, that the server wants HS256, that the assertion's audience and header type \
                 are what it wants (see ClientAssertion), and both clocks"
            }
        }
    }

    pub(super) async fn sign(&self, client: &TokenClient, secrets: &mut Secrets) -> Result<Zeroizing<String>, Error> {
        let claims = self.claims(client)?;
        let header = Map::from_iter([("typ".to_owned(), Value::from(self.header_type.as_str()))]);
        match &self.key {
            Key::Private(key) => sign_jws(&*key.signer().await?, header, &claims).await,
            Key::Shared(secret) => {
                let secret = secret.read("client secret").await?;
                secrets.add(&secret);
                if secret.len() < MIN_SECRET_BYTES {
                    return Err(Error::new(ErrorKind::Credential, TOO_SHORT));
                }
                Ok(mac_jws(secret.as_bytes(), header, &claims))
            }
        }
    }

    fn claims(&self, client: &TokenClient) -> Result<Value, Error> {
        let now = client.server().clock().wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(serde_json::json!({
            "iss": client.id(),
            "sub": client.id(),
            "aud": self.audience_at(client.server())?,
            "jti": unique_id(),
            "iat": now.as_secs(),
            "exp": (now + LIFETIME).as_secs(),
        }))
    }
}

impl fmt::Debug for ClientAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAssertion")
            .field("method", &self.name())
            .field("audience", &self.audience)
            .field("header_type", &self.header_type)
            .finish()
    }
}
