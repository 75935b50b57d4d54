//! An authorization server's public keys (RFC 7517).

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use serde_core::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use crate::{
    AuthorizationServer, ClientAuth, Error, ErrorKind,
    document::{Document, Pace, get, max_age, unexpected_status},
    json::Object,
};

/// How long keys are used before they are fetched again, where the server does not say; and within which bounds it may.
const AGE: Duration = Duration::from_secs(3600);
const MIN_AGE: Duration = Duration::from_secs(300);
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// How often an unknown `kid` may cause a fetch: anybody can make one up.
const UNKNOWN_KEY: Duration = Duration::from_secs(60);

/// A server's keys, shared by all who ask.
#[derive(Default)]
pub(crate) struct JwkCache {
    keys: Document<JwkSet>,
    /// When they were last fetched again for something that came from the server itself.
    #[cfg(feature = "sign-in")]
    refetched_at: std::sync::Mutex<Option<tokio::time::Instant>>,
}

impl AuthorizationServer {
    /// The server's public keys (RFC 7517), with which it signs tokens: for a service that verifies JWTs itself.
    ///
    /// They are fetched from `jwks_uri` if need be, and kept as long as `Cache-Control: max-age` says, at least 5 minutes and
    /// at most 24 hours (an hour where it says nothing). One fetch serves all who wait; the old ones are served on while the
    /// server is down.
    ///
    /// ```no_run
    /// # #[cfg(feature = "reqwest")]
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use oauth_tokens::AuthorizationServer;
    ///
    /// let server = AuthorizationServer::issuer("https://id.example.com")?;
    /// let keys = server.jwks().await?;
    /// // A JWK set as JSON, for the library that verifies.
    /// let json = serde_json::to_value(&*keys)?;
    /// # let _ = json;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingEndpoint`] when the metadata name no `jwks_uri`; else whatever keeps the keys from being read, while
    /// there are none from before.
    pub async fn jwks(&self) -> Result<Arc<JwkSet>, Error> {
        self.jwk_cache().keys.get(self.clock(), |pace| self.fetch_jwks(pace)).await
    }

    /// The public key with this `kid`. None: the server has no such key.
    ///
    /// A `kid` that is not known yet makes the keys be fetched again, at most once a minute, as servers rotate their keys.
    ///
    /// # Errors
    ///
    /// As [`jwks`](Self::jwks).
    pub async fn jwk(&self, kid: &str) -> Result<Option<Jwk>, Error> {
        let keys = self.jwks().await?;
        if let Some(key) = keys.get(kid) {
            return Ok(Some(key.clone()));
        }
        Ok(self.newer_jwks(&keys).await?.get(kid).cloned())
    }

    /// The keys, fetched again because these lack one; the same ones if that was done less than a minute ago.
    pub(crate) async fn newer_jwks(&self, lacking: &Arc<JwkSet>) -> Result<Arc<JwkSet>, Error> {
        let fetch = |pace| self.fetch_jwks(pace);
        self.jwk_cache().keys.other_than(lacking, UNKNOWN_KEY, self.clock(), fetch).await
    }

    /// The same for what the server itself handed out just now, counted apart: strangers, who can make up what lacks a key, have
    /// not used it up.
    #[cfg(feature = "sign-in")]
    pub(crate) async fn newer_jwks_for_own(&self, lacking: &Arc<JwkSet>) -> Result<Arc<JwkSet>, Error> {
        let (fetch, now) = (|pace| self.fetch_jwks(pace), || self.clock().now());
        let refrains = |_| {
            let mut at = self.jwk_cache().refetched_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let lately = at.is_some_and(|at| now().saturating_duration_since(at) < UNKNOWN_KEY);
            if !lately {
                *at = Some(now());
            }
            lately
        };
        self.jwk_cache().keys.other_unless(lacking, refrains, self.clock(), fetch).await
    }

    async fn fetch_jwks(&self, pace: Pace) -> Result<(JwkSet, Duration), Error> {
        let fetched = pace.keep(|timeout| self.fetch_jwks_once(timeout)).await;
        if fetched.is_err() {
            // The keys may have moved.
            self.suspect_metadata();
        }
        fetched
    }

    async fn fetch_jwks_once(&self, timeout: Duration) -> Result<(JwkSet, Duration), Error> {
        let url = self.find_endpoint("jwks_uri", &ClientAuth::none()).await?;
        let what = format!("the request for the keys at {url}");
        let response = get(self.http(), &url, &what, timeout).await?;
        if response.status() != StatusCode::OK {
            let hint = "check the `jwks_uri` in the server's metadata";
            return Err(unexpected_status(&what, &response, hint, self.clock()));
        }
        let age = max_age(response.headers()).unwrap_or(AGE).clamp(MIN_AGE, MAX_AGE);
        Ok((JwkSet::parse(response.body(), &what)?, age))
    }
}

/// A set of public keys (RFC 7517, section 5); see [`AuthorizationServer::jwks`]. As JSON it is a JWK set again.
#[derive(Clone)]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

impl JwkSet {
    fn parse(body: &[u8], what: &str) -> Result<Self, Error> {
        let invalid = |problem: &str| {
            Error::new(ErrorKind::UnexpectedResponse, format!("{what} was answered with 200, but {problem}"))
        };
        let object = Object::parse(body).map_err(|problem| invalid(&format!("its body {problem}")))?;
        let keys = object.get("keys").and_then(Value::as_array).ok_or_else(|| invalid("it is no set of keys"))?;
        // What is no key, or none that is public, is left out, as RFC 7517 asks for what is not understood.
        let keys = keys.iter().filter_map(Value::as_object).cloned().map(Jwk).filter(Jwk::is_public).collect();
        Ok(Self { keys })
    }

    /// The key with this `kid`.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&Jwk> {
        self.keys.iter().find(|key| key.key_id() == Some(kid))
    }

    /// All keys, in the server's order.
    pub fn iter(&self) -> impl Iterator<Item = &Jwk> {
        self.keys.iter()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// A public key (RFC 7517, section 4). As JSON it is a JWK again.
#[derive(Clone, PartialEq, Eq)]
pub struct Jwk(Map<String, Value>);

impl Jwk {
    /// The key's name: `kid`.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.text("kid")
    }

    /// `kty`, for example `EC` or `RSA`.
    #[must_use]
    pub fn key_type(&self) -> Option<&str> {
        self.text("kty")
    }

    /// `alg`: the only algorithm that the key is for.
    #[must_use]
    pub fn algorithm(&self) -> Option<&str> {
        self.text("alg")
    }

    /// Any member.
    #[must_use]
    pub fn get(&self, member: &str) -> Option<&Value> {
        self.0.get(member)
    }

    fn text(&self, member: &str) -> Option<&str> {
        self.get(member)?.as_str()
    }

    /// Neither a secret that is shared (`oct`) nor a private half: who uses one of these to verify has been tricked.
    fn is_public(&self) -> bool {
        self.key_type().is_some_and(|kind| kind != "oct") && !self.0.contains_key("d") && !self.0.contains_key("k")
    }
}

impl Serialize for JwkSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut set = serializer.serialize_map(Some(1))?;
        set.serialize_entry("keys", &self.keys)?;
        set.end()
    }
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Debug for JwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.keys).finish()
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk")
            .field("kid", &self.key_id())
            .field("kty", &self.key_type())
            .field("alg", &self.algorithm())
            .finish_non_exhaustive()
    }
}
