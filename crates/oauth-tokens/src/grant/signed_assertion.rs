use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    Error, Form, KeySource,
    clock::Clock,
    jws::{sign_jws, unique_id},
};

/// As long as travel and clocks that differ need.
const LIFETIME: Duration = Duration::from_secs(60);
/// The longest that servers are known to take.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);

/// An assertion of our own for the JWT-bearer grant (RFC 7523, section 3): made and signed for each attempt, with a `jti` of
/// its own, valid for a minute.
///
/// Google's service accounts are the example. The values are those of the key file that Google's console gives; `sub` is only
/// for an account that may act for users.
///
/// ```
/// # #[cfg(all(feature = "reqwest", feature = "signing"))]
/// # fn example(key_file: &str) -> Result<(), Box<dyn std::error::Error>> {
/// use oauth_tokens::{AuthorizationServer, ClientAuth, SignedAssertion, SigningKey};
///
/// let key_file: serde_json::Value = serde_json::from_str(key_file)?;
/// let text = |name: &str| key_file[name].as_str().unwrap_or_default();
///
/// let key = SigningKey::from_pem(text("private_key"))?.with_key_id(text("private_key_id"));
/// let assertion = SignedAssertion::new(key, text("client_email"), text("token_uri"))
///     .claim("scope", "https://www.googleapis.com/auth/devstorage.read_only");
/// let tokens = AuthorizationServer::token_endpoint(text("token_uri"))?
///     .client(text("client_email"), ClientAuth::omitted())?
///     .jwt_bearer(assertion)
///     .cached()?;
/// # let _ = tokens;
/// # Ok(())
/// # }
/// ```
pub struct SignedAssertion {
    key: KeySource,
    issuer: String,
    audience: String,
    lifetime: Duration,
    claims: Map<String, Value>,
    clock: Clock,
}

impl SignedAssertion {
    /// An assertion by this key and issuer (`iss`) for this audience (`aud`): the server's issuer or its token endpoint, whichever it
    /// asks for.
    #[must_use]
    pub fn new(key: impl Into<KeySource>, issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            issuer: issuer.into(),
            audience: audience.into(),
            lifetime: LIFETIME,
            claims: Map::new(),
            clock: Clock::new(),
        }
    }

    /// Says whom the token is to speak of (`sub`). RFC 7523 asks for it; some servers, Google's for one, go without.
    #[must_use]
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.claim("sub", subject.into())
    }

    /// Adds a claim of the server's own. Not one of `iss`, `aud`, `iat`, `exp`, `jti`.
    #[must_use]
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Makes it valid for so long, from a second to an hour, instead of a minute.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        let own = ["iss", "aud", "iat", "exp", "jti"];
        if let Some(name) = own.into_iter().find(|name| self.claims.contains_key(*name)) {
            return Err(Error::config(format!(
                "the assertion's claim `{name}` has a method of its own, or is made anew"
            )));
        }
        if self.issuer.is_empty() || self.audience.is_empty() {
            return Err(Error::config("the assertion's issuer or audience is empty"));
        }
        if !(Duration::from_secs(1)..=MAX_LIFETIME).contains(&self.lifetime) {
            return Err(Error::config("the assertion's lifetime is not from a second to an hour"));
        }
        self.key.validate()
    }

    pub(super) fn fingerprint(&self) -> Option<u64> {
        self.key.fingerprint()
    }

    /// What stays the same from one assertion to the next.
    pub(super) fn identity(&self) -> Form {
        let claims = Value::Object(self.claims.clone()).to_string();
        Form::new().with("iss", &self.issuer).with("aud", &self.audience).with("claims", claims)
    }

    pub(super) async fn sign(&self) -> Result<Zeroizing<String>, Error> {
        let now = self.clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = self.claims.clone();
        claims.insert("iss".to_owned(), self.issuer.as_str().into());
        claims.insert("aud".to_owned(), self.audience.as_str().into());
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), now.saturating_add(self.lifetime.as_secs()).into());
        claims.insert("jti".to_owned(), unique_id().into());
        let header = Map::from_iter([("typ".to_owned(), "JWT".into())]);
        sign_jws(&*self.key.signer().await?, header, &Value::Object(claims)).await
    }
}

impl fmt::Debug for SignedAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedAssertion")
            .field("key", &self.key)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
