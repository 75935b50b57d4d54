use std::collections::BTreeSet;

use serde_json::Value;

use crate::jws::{Jws, KeySet, TestKey};
use crate::state::{Model, Shared};

/// Another issuer whose JWTs the server takes: as client assertions (workload identity federation, RFC
/// 7523 section 2.2), as authorization grants (section 2.1) and as tokens to exchange (RFC 8693).
///
/// ```
/// use oauth_test_server::{Algorithm, Client, TestKey, TestServer, TrustedIssuer};
/// use serde_json::json;
///
/// let key = TestKey::generate(Algorithm::Rs256);
/// let server = TestServer::builder()
///     .trusted_issuer(TrustedIssuer::new("https://cluster.test").key(&key))
///     .client(Client::new("app").federated("https://cluster.test", "system:serviceaccount:ns:app"))
///     .build();
/// let assertion = key.sign(&json!({
///     "iss": "https://cluster.test",
///     "sub": "system:serviceaccount:ns:app",
///     "aud": [server.issuer()],
///     "exp": 4_000_000_000_u64,
/// }));
/// # let _ = assertion;
/// ```
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    pub(crate) name: String,
    pub(crate) keys: KeySet,
    pub(crate) audience: Option<String>,
    pub(crate) scopes: Option<BTreeSet<String>>,
    single_use: bool,
}

impl TrustedIssuer {
    /// An issuer by its `iss`, or a SPIFFE trust domain such as `spiffe://example.org`. Give it keys.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), keys: KeySet::default(), audience: None, scopes: None, single_use: false }
    }

    /// Adds a key that signs its JWTs.
    pub fn key(mut self, key: &TestKey) -> Self {
        self.keys.add(&key.public_jwk());
        self
    }

    /// Adds the keys of a JWK set (RFC 7517). Those that are not supported are left out.
    pub fn jwks(mut self, jwks: &Value) -> Self {
        self.keys.add_set(jwks);
        self
    }

    /// The `aud` that its JWTs must have, as a string or as an array of this alone. Default: the
    /// server's issuer.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Lets a JWT-bearer grant come without any client, as service accounts of some clouds do: the
    /// issuer is then the client, and these are the scopes that it may ask for.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Asks each JWT for a `jti`, and takes each once. Without this a token from a file may come again
    /// until it expires.
    pub fn single_use(mut self) -> Self {
        self.single_use = true;
        self
    }
}

impl Model {
    /// Verifies a JWT of another issuer. `also_for` is a second audience that will do. It must expire,
    /// but may live for long: such tokens are made for many uses.
    pub(crate) fn verify_foreign(
        &mut self,
        shared: &Shared,
        issuer: &str,
        jws: &Jws,
        also_for: Option<&str>,
    ) -> Result<(), &'static str> {
        let issuer = self.issuers.get(issuer).ok_or("the JWT's issuer is not trusted")?;
        jws.verify_with(&issuer.keys)?;
        let until = jws.claims.check_dates(shared.clock.now(), None)?;
        let audience = issuer.audience.as_deref().unwrap_or(&shared.settings.issuer);
        let audiences: Vec<&str> = [audience].into_iter().chain(also_for).collect();
        jws.claims.check_only_audience(&audiences)?;
        jws.claims.required_text("sub", "the JWT has no sub")?;
        if issuer.single_use {
            let jti = jws.claims.required_text("jti", "the JWT has no jti")?;
            let id = format!("issuer {} {jti}", issuer.name);
            self.spend(shared, id, until)?;
        }
        Ok(())
    }
}
