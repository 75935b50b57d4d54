//! ID tokens (OpenID Connect Core section 2).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::jws::{Algorithm, Jws, PublicKey, TestKey};
use crate::state::{Model, Shared};
use crate::token::Grant;

/// A JWT that is about to be signed, for a test to spoil.
///
/// With the header's `alg` set to `none` it gets no signature; everything else in the header is only
/// what it says, and [`key`](Self::key) signs in its own way.
///
/// ```
/// use oauth_test_server::{Algorithm, Client, JwtDraft, TestKey, TestServer};
///
/// let server = TestServer::builder().client(Client::new("app").scopes(["openid"])).build();
/// server.tamper_id_tokens(|jwt: &mut JwtDraft| {
///     jwt.claims.remove("nonce");
///     jwt.set_claim("aud", "somebody-else");
/// });
/// let another = TestKey::generate(Algorithm::Rs256);
/// server.tamper_id_tokens(move |jwt| jwt.key = another.clone());
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct JwtDraft {
    /// The JOSE header: `alg`, `kid`, `typ`.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
    /// The key that signs.
    pub key: TestKey,
}

impl JwtDraft {
    pub(crate) fn new(typ: &str, claims: Map<String, Value>, key: TestKey) -> Self {
        let mut header = Map::new();
        header.insert("alg".to_owned(), json!(key.algorithm().name()));
        header.insert("typ".to_owned(), json!(typ));
        header.insert("kid".to_owned(), json!(key.key_id()));
        Self { header, claims, key }
    }

    /// Sets a member of the header.
    pub fn set_header(&mut self, name: &str, value: impl Into<Value>) {
        self.header.insert(name.to_owned(), value.into());
    }

    /// Sets a claim.
    pub fn set_claim(&mut self, name: &str, value: impl Into<Value>) {
        self.claims.insert(name.to_owned(), value.into());
    }

    pub(crate) fn sign(self) -> String {
        let unsigned = self.header.get("alg").is_some_and(|alg| alg == "none");
        let (header, claims) = (Value::Object(self.header), Value::Object(self.claims));
        if unsigned {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            return format!("{}.{}.", part(&header), part(&claims));
        }
        self.key.sign_with(&header, &claims)
    }
}

/// What a token says shows nowhere.
impl fmt::Debug for JwtDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtDraft").field("header", &self.header).finish_non_exhaustive()
    }
}

/// What a test does to JWTs before they are signed.
#[derive(Clone, Default)]
pub(crate) struct Tamper(pub(crate) Option<Change>);

pub(crate) type Change = Arc<dyn Fn(&mut JwtDraft) + Send + Sync>;

impl Tamper {
    pub(crate) fn sign(&self, mut draft: JwtDraft) -> String {
        if let Some(change) = &self.0 {
            change(&mut draft);
        }
        draft.sign()
    }
}

impl fmt::Debug for Tamper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tamper").field(&self.0.is_some()).finish()
    }
}

/// The ID token of a token answer.
pub(crate) fn issue(
    shared: &Shared,
    model: &mut Model,
    grant: &Grant,
    nonce: Option<&str>,
    access_token: &str,
) -> Option<String> {
    let client = model.clients.get(&grant.client_id)?.clone();
    let mut draft = draft(shared, model, &client, grant, nonce);
    draft.set_claim("at_hash", half_hash(client.id_token_algorithm, access_token));
    Some(model.tamper_id_tokens.clone().sign(draft))
}

pub(crate) fn draft(
    shared: &Shared,
    model: &mut Model,
    client: &Client,
    grant: &Grant,
    nonce: Option<&str>,
) -> JwtDraft {
    let now = shared.clock.now().as_secs();
    let mut claims = Map::new();
    if shared.settings.claims_in_id_token
        && let Some(user) = model.users.get(&grant.subject)
    {
        claims = user.claims_for(|scope| grant.scopes.contains(scope));
    }
    let mut insert = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    insert("iss", json!(shared.settings.issuer));
    insert("sub", json!(grant.subject));
    insert("aud", json!(client.id));
    insert("iat", json!(now));
    insert("exp", json!(now.saturating_add(shared.settings.id_token_lifetime.as_secs())));
    insert("auth_time", json!(shared.clock.unix(grant.auth_time)));
    if let Some(nonce) = nonce {
        insert("nonce", json!(nonce));
    }
    if let Some(session) = &grant.session_id {
        insert("sid", json!(session));
    }
    if let Some(acr) = &grant.acr {
        insert("acr", json!(acr));
    }
    if grant.by_password {
        insert("amr", json!(["pwd"]));
    }
    JwtDraft::new("JWT", claims, model.signing_key(client, client.id_token_algorithm))
}

/// What an ID token of this server says, however old it is.
pub(crate) struct Hint {
    pub(crate) client_id: String,
    pub(crate) subject: String,
}

impl Model {
    /// Reads an ID token that comes back as `id_token_hint`.
    pub(crate) fn read_hint(&self, hint: &str) -> Option<Hint> {
        let jws = Jws::parse(hint).ok()?;
        let (client_id, subject) = (jws.claims.text("aud")?.to_owned(), jws.claims.text("sub")?.to_owned());
        let secret = self.clients.get(&client_id).and_then(|client| client.secret.clone());
        let verified = match jws.algorithm {
            Algorithm::Hs256 => {
                secret.is_some_and(|secret| jws.verify(&PublicKey::Secret(secret.into_bytes())).is_ok())
            }
            _ => self.keys.verify(&jws),
        };
        // Its logout tokens and access tokens are of another type.
        (verified && jws.media_type().as_deref() == Some("jwt")).then_some(Hint { client_id, subject })
    }

    /// The key that signs for a client; with HMAC it is the client's secret (OpenID Connect Core section
    /// 10.1).
    pub(crate) fn signing_key(&mut self, client: &Client, algorithm: Algorithm) -> TestKey {
        match algorithm {
            Algorithm::Hs256 => TestKey::hmac(client.secret.clone().unwrap_or_default()),
            algorithm => self.keys.current(algorithm),
        }
    }

    /// The key set, with a key for each algorithm that a client may come to see.
    pub(crate) fn jwks(&mut self) -> Value {
        self.keys.jwks(&self.signing_algorithms())
    }

    /// In what ways ID tokens and the like are signed.
    pub(crate) fn signing_algorithms(&self) -> Vec<Algorithm> {
        let clients = self.clients.values().filter(|client| client.scopes.contains("openid"));
        let used: Vec<Algorithm> =
            clients.flat_map(|client| [Some(client.id_token_algorithm), client.userinfo_algorithm]).flatten().collect();
        Algorithm::ASYMMETRIC.into_iter().filter(|algorithm| used.contains(algorithm)).collect()
    }
}

/// OpenID Connect Core section 3.1.3.6: the left half of the hash that goes with the algorithm; with
/// Ed25519 that is SHA-512.
fn half_hash(algorithm: Algorithm, token: &str) -> String {
    let hash = match algorithm {
        Algorithm::Es384 => &SHA384,
        Algorithm::EdDsa => &SHA512,
        _ => &SHA256,
    };
    let digest = digest::digest(hash, token.as_bytes());
    let (left, _) = digest.as_ref().split_at(digest.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}
