#[cfg(feature = "signing")]
use crate::SignedAssertion;
use crate::{Error, Exchange, Form, Grant, Secret, TokenSet};

/// The JWT-bearer grant (RFC 7523, section 2.1): an assertion is handed in, and the token speaks of whom it speaks.
///
/// The assertion is a value, a file or an async function, read anew for each attempt; or, with the feature `signing`, one that
/// is made and signed for each attempt: see `SignedAssertion`.
///
/// ```
/// # #[cfg(feature = "reqwest")] {
/// # use oauth_tokens::{AuthorizationServer, ClientAuth};
/// use oauth_tokens::Secret;
///
/// # let client = AuthorizationServer::issuer("https://id.example.com")?.client("app", ClientAuth::none())?;
/// let tokens = client.jwt_bearer(Secret::file("/var/run/secrets/tokens/partner")).scope("orders").cached()?;
/// # let _ = tokens;
/// # }
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Debug)]
pub struct JwtBearer(Assertion);

#[derive(Debug)]
enum Assertion {
    Given(Secret),
    #[cfg(feature = "signing")]
    Signed(SignedAssertion),
}

impl JwtBearer {
    /// A grant that hands in this assertion.
    #[must_use]
    pub fn new(assertion: impl Into<Self>) -> Self {
        assertion.into()
    }

    async fn form(&self) -> Result<Form, Error> {
        let assertion = match &self.0 {
            Assertion::Given(secret) => secret.read("assertion").await?,
            #[cfg(feature = "signing")]
            Assertion::Signed(assertion) => assertion.sign().await?,
        };
        Ok(Form::new().with("assertion", assertion.as_str()))
    }
}

impl Grant for JwtBearer {
    fn grant_type(&self) -> &str {
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    }

    fn holds_state(&self) -> bool {
        false
    }

    async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        exchange.send_fresh(|| self.form()).await
    }

    async fn identity(&self) -> Result<Option<Form>, Error> {
        Ok(Some(match &self.0 {
            Assertion::Given(_) => self.form().await?,
            #[cfg(feature = "signing")]
            Assertion::Signed(assertion) => assertion.identity(),
        }))
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        match &self.0 {
            Assertion::Given(secret) => secret.fingerprint(),
            #[cfg(feature = "signing")]
            Assertion::Signed(assertion) => assertion.fingerprint(),
        }
    }

    fn validate(&self) -> Result<(), Error> {
        match &self.0 {
            Assertion::Given(secret) => secret.validate("assertion"),
            #[cfg(feature = "signing")]
            Assertion::Signed(assertion) => assertion.validate(),
        }
    }
}

impl From<Secret> for JwtBearer {
    fn from(assertion: Secret) -> Self {
        Self(Assertion::Given(assertion))
    }
}

impl From<&str> for JwtBearer {
    fn from(assertion: &str) -> Self {
        Secret::from(assertion).into()
    }
}

impl From<String> for JwtBearer {
    fn from(assertion: String) -> Self {
        Secret::from(assertion).into()
    }
}

#[cfg(feature = "signing")]
impl From<SignedAssertion> for JwtBearer {
    fn from(assertion: SignedAssertion) -> Self {
        Self(Assertion::Signed(assertion))
    }
}
