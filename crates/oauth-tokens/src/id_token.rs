//! ID tokens (OpenID Connect Core 1.0, section 2): who signed in.
//!
//! | file | idea |
//! |---|---|
//! | `jwt.rs` | a signed JWT taken apart, strictly |
//! | `keys.rs` | whether one of the server's keys signed it; the only cryptography |
//! | `claims.rs` | what it must say, without I/O |
//! | `rules.rs` | what a client accepts, and the checks that all of a server's JWTs have in common |

pub(crate) mod claims;
pub(crate) mod jwt;
mod keys;
mod rules;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use zeroize::Zeroizing;

pub(crate) use self::rules::{Bearer, Failure, Rules, verified, verify_jwt};
use self::{
    claims::{Claims, check_access_token, check_auth_time, check_max_age, check_nonce, check_renewal},
    jwt::{Jwt, string},
};
use crate::{AccessToken, Error, TokenClient, json::Object, logout_token::logout_event};

impl TokenClient {
    /// Verifies an ID token (OpenID Connect Core 1.0, section 3.1.3.7): who brings it gets to be that user.
    ///
    /// It is signed by one of the server's [keys](crate::AuthorizationServer::jwks), by an
    /// [algorithm that is accepted](Self::id_token_algorithm); its `iss` is the server's issuer, its `aud` this client and nobody
    /// else who is not [trusted](Self::trust_audience), its `azp` this client; it has not expired (`exp`), and was not issued in
    /// the future (`iat`, `nbf`). Clocks may be 30 s apart. What a token's header says of keys (`jwk`, `jku`, `x5u`, `x5c`)
    /// counts for nothing, and one with critical extensions, or that is encrypted, is refused.
    ///
    /// It is for tokens that the server handed out to the client itself, not for what callers of an API bring: some servers'
    /// access tokens look the same. `TokenClient::finish_sign_in` does this by itself. For a token that came in another way:
    ///
    /// ```no_run
    /// # async fn example(client: oauth_tokens::TokenClient, raw: &str, nonce: &str) -> Result<(), oauth_tokens::Error> {
    /// let user = client.verify_id_token(raw).nonce(nonce).verify().await?;
    /// println!("{} signed in", user.subject());
    /// # Ok(())
    /// # }
    /// ```
    pub fn verify_id_token<'a>(&'a self, raw: &'a str) -> IdTokenCheck<'a> {
        IdTokenCheck {
            client: self,
            raw,
            nonce: None,
            max_age: None,
            seen_from: None,
            access_token: None,
            renews: None,
        }
    }
}

/// An ID token that is to be verified, and what is known of it; see [`TokenClient::verify_id_token`].
#[derive(Clone, Copy)]
#[must_use = "nothing is verified until `verify` is awaited"]
pub struct IdTokenCheck<'a> {
    client: &'a TokenClient,
    raw: &'a str,
    nonce: Option<&'a str>,
    max_age: Option<Duration>,
    /// When `max_age` is counted back from; now if nobody says.
    seen_from: Option<SystemTime>,
    access_token: Option<&'a AccessToken>,
    renews: Option<&'a IdToken>,
}

impl<'a> IdTokenCheck<'a> {
    /// The nonce that was sent with the authorization request: the token must hold it. Without this, a token that holds one is
    /// refused: it is of a sign-in that is not this one.
    pub fn nonce(self, nonce: &'a str) -> Self {
        Self { nonce: Some(nonce), ..self }
    }

    /// How long ago the user may have signed in at the server, as asked for by `max_age`: the token must say when (`auth_time`).
    pub fn max_age(self, max_age: Duration) -> Self {
        Self { max_age: Some(max_age), ..self }
    }

    /// Counts `max_age` back from the moment when the authorization request was made: whoever signed in after that, and then
    /// thought about the consent for some time, did as was asked.
    pub(crate) fn requested_at(self, at: SystemTime) -> Self {
        Self { seen_from: Some(at), ..self }
    }

    /// The access token that came with it: must be the one that `at_hash` is of, if the token has one (section 3.1.3.8).
    pub fn access_token(self, token: &'a AccessToken) -> Self {
        Self { access_token: Some(token), ..self }
    }

    /// The ID token of the same sign-in that this one came after, with a renewal (section 12.2): `iss`, `sub`, `aud` and `azp`
    /// must be the same, and so `auth_time` and `nonce` where they are there.
    pub fn renews(self, previous: &'a IdToken) -> Self {
        Self { renews: Some(previous), ..self }
    }

    /// Verifies it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidIdToken`](crate::ErrorKind::InvalidIdToken) when it must not be believed;
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when the server was given without an issuer; else whatever keeps the
    /// server's metadata and keys from being read.
    pub async fn verify(self) -> Result<IdToken, Error> {
        verified(self.client, "an ID token", self.checked()).await
    }

    async fn checked(self) -> Result<IdToken, Failure> {
        let jwt = Jwt::parse(self.raw)?;
        jwt.check_type(&[])?;
        let expected = verify_jwt(self.client, &jwt, "id_token_signing_alg_values_supported", Bearer::Server).await?;
        let algorithm = jwt.algorithm;
        // By a server that gives neither of them a `typ`.
        if logout_event(&jwt.claims).is_some() {
            return Err("it is a logout token".into());
        }
        let claims = Claims::read(jwt.claims)?;
        expected.check_issuer(&claims.object)?;
        expected.check_audience(&claims.audiences, string(&claims.object, "azp")?)?;
        expected.check_times(Some(claims.expires_at), &claims.object)?;
        check_auth_time(&claims, expected.now)?;
        if let Some(previous) = self.renews {
            check_renewal(&claims, &previous.0.claims)?;
        }
        match (self.nonce, self.renews) {
            // It need not repeat the nonce, but may have no other.
            (None, Some(_)) if string(&claims.object, "nonce")?.is_none() => (),
            (None, Some(previous)) => check_nonce(&claims, string(&previous.0.claims.object, "nonce")?)?,
            (sent, _) => check_nonce(&claims, sent)?,
        }
        if let Some(max_age) = self.max_age {
            check_max_age(&claims, max_age, self.seen_from.unwrap_or(expected.now))?;
        }
        if let Some(token) = self.access_token {
            check_access_token(&claims, algorithm, token.secret())?;
        }
        Ok(IdToken::new(self.raw, claims))
    }
}

/// Neither the token nor the nonce is shown.
impl fmt::Debug for IdTokenCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenCheck").field("client", self.client).finish_non_exhaustive()
    }
}

/// Who signed in: an ID token that was verified (OpenID Connect Core 1.0, section 2). Cheap to clone; never shown.
///
/// A user is known by [`issuer`](Self::issuer) and [`subject`](Self::subject) together, and by nothing else: names and
/// addresses change hands, and some servers let users write them.
#[derive(Clone)]
pub struct IdToken(Arc<Inner>);

struct Inner {
    raw: Zeroizing<String>,
    claims: Claims,
}

impl IdToken {
    fn new(raw: &str, claims: Claims) -> Self {
        Self(Arc::new(Inner { raw: Zeroizing::new(raw.to_owned()), claims }))
    }

    /// One that was verified before, and kept where nobody can change it: its signature and times are not looked at again.
    #[cfg(feature = "store")]
    pub(crate) fn from_store(raw: &str) -> Result<Self, Error> {
        let claims = Jwt::parse(raw).and_then(|jwt| Claims::read(jwt.claims));
        claims
            .map(|claims| Self::new(raw, claims))
            .map_err(|why| Failure::from(why).into_error("reading a kept ID token"))
    }

    /// The token itself: a secret, for `id_token_hint`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.raw
    }

    /// The server that says so: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text("iss").unwrap_or_default()
    }

    /// The user, as the server knows them: `sub`. Never given to somebody else, and of use only with the issuer.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.text("sub").unwrap_or_default()
    }

    /// Whom it is for: `aud`. One of them is the client.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.0.claims.audiences.iter().map(String::as_str)
    }

    /// The user's session at the server: `sid` (OpenID Connect Back-Channel Logout 1.0, section 2.1).
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.text("sid")
    }

    /// When the user signed in at the server, which may be long ago: `auth_time`.
    #[must_use]
    pub fn auth_time(&self) -> Option<SystemTime> {
        self.0.claims.auth_time
    }

    /// When it was issued: `iat`.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.0.claims.issued_at
    }

    /// When it expires: `exp`. It is no measure of how long somebody may stay signed in.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.0.claims.expires_at
    }

    /// How the user signed in, in the server's words: `acr`. What was asked for by `acr_values` is a wish; see for yourself.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.text("acr")
    }

    /// Any claim, `email` or one of the server's own for example.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.0.claims.object.get(name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.claims.text(name)
    }
}

/// Claims are named only: they say who somebody is.
impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdToken").field(&names(&self.0.claims.object)).finish()
    }
}

/// The names of claims, without their values.
pub(crate) fn names(claims: &Object) -> Vec<&str> {
    claims.iter().map(|(name, _)| name).collect()
}
