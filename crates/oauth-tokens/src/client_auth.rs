//! How a client proves who it is at the token endpoint (RFC 6749, section 2.3).

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Form, Secret, form::encode, text::Secrets};

/// How a client proves who it is at the token endpoint: exactly one way for each request (T9).
///
/// ```
/// use oauth_tokens::{ClientAuth, Secret};
///
/// let basic = ClientAuth::secret_basic("s3cr3t");
/// let post = ClientAuth::secret_post(Secret::file("/run/secrets/m2m"));
/// # let _ = (basic, post);
/// ```
#[derive(Clone)]
pub struct ClientAuth(Method);

#[derive(Clone)]
enum Method {
    None,
    Basic(Secret),
    RawBasic(Secret),
    Post(Secret),
}

impl ClientAuth {
    /// A public client: only its `client_id` is sent (RFC 6749, section 3.2.1).
    #[must_use]
    pub fn none() -> Self {
        Self(Method::None)
    }

    /// `client_secret_basic`: id and secret, form-encoded as RFC 6749 (section 2.3.1) asks, in an `Authorization: Basic`
    /// header. The first choice where a server supports it.
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

    pub(crate) fn validate(&self, client_id: &str) -> Result<(), Error> {
        if matches!(self.0, Method::RawBasic(_)) && client_id.contains(':') {
            return Err(Error::config("a client id with a colon cannot be sent as raw Basic; use secret_basic"));
        }
        self.secret().map_or(Ok(()), Secret::validate)
    }

    fn secret(&self) -> Option<&Secret> {
        match &self.0 {
            Method::None => None,
            Method::Basic(secret) | Method::RawBasic(secret) | Method::Post(secret) => Some(secret),
        }
    }

    pub(crate) fn fingerprint(&self) -> Option<u64> {
        self.secret().and_then(Secret::fingerprint)
    }

    /// The name in the registry of token endpoint authentication methods (RFC 7591), for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self.0 {
            Method::None => "none",
            Method::Basic(_) => "client_secret_basic",
            Method::RawBasic(_) => "client_secret_basic (raw)",
            Method::Post(_) => "client_secret_post",
        }
    }

    /// Writes to form and headers, and nowhere else; says which secrets went out.
    pub(crate) async fn apply(
        &self,
        client_id: &str,
        form: &mut Form,
        headers: &mut HeaderMap,
        secrets: &mut Secrets,
    ) -> Result<(), Error> {
        let secret = match self.secret() {
            Some(secret) => secret.read().await?,
            None => Zeroizing::default(),
        };
        secrets.add(&secret);
        match &self.0 {
            Method::None => form.push("client_id", client_id),
            Method::Post(_) => {
                form.push("client_id", client_id);
                form.push("client_secret", secret.as_str());
            }
            Method::Basic(_) => basic(&encode(client_id), &encode(&secret), headers, secrets)?,
            Method::RawBasic(_) => basic(client_id, &secret, headers, secrets)?,
        }
        Ok(())
    }
}

fn basic(id: &str, secret: &str, headers: &mut HeaderMap, secrets: &mut Secrets) -> Result<(), Error> {
    let credentials = Zeroizing::new(BASE64_STANDARD.encode(Zeroizing::new(format!("{id}:{secret}"))));
    secrets.add(&credentials);
    let mut value = HeaderValue::try_from(format!("Basic {}", *credentials))
        .map_err(|_| Error::new(ErrorKind::Credential, "the client's credentials do not fit into a header"))?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientAuth({})", self.name())
    }
}
