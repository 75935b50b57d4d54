//! L4, S1: ID tokens, what is said of a user, and whatever else a server signs for its client.

mod keys;
mod properties;
mod refused;
mod renewals;
mod secrets;
mod signatures;
mod tenants;
mod times;
mod userinfo;

use std::{
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use oauth_test_server::{Algorithm, TestKey};
use oauth_tokens::{AuthorizationServer, ClientAuth, Error, ErrorKind, IdToken, TokenClient};
use serde_json::{Map, Value, json};
use tests::{
    canned::{Canned, json, status},
    support::shown,
};
use tokio::time::{Instant, advance};

pub(crate) const ISSUER: &str = "https://id.test";
pub(crate) const CLIENT: &str = "shop";
pub(crate) const NONCE: &str = "n-0S6_WzA2Mj";

/// The server's key in most of these tests.
pub(crate) static KEY: LazyLock<TestKey> = LazyLock::new(|| TestKey::generate(Algorithm::Es256).with_key_id("2026-01"));
/// A key that is nobody's.
pub(crate) static FORGER: LazyLock<TestKey> =
    LazyLock::new(|| TestKey::generate(Algorithm::Es256).with_key_id("2026-01"));

/// A server that publishes metadata and keys, and knows a user.
#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) canned: Canned,
    state: Arc<Mutex<State>>,
}

struct State {
    metadata: Map<String, Value>,
    keys: Vec<Value>,
    userinfo: Vec<Response<Bytes>>,
}

impl Provider {
    /// Its key is [`KEY`], and its metadata name all algorithms.
    pub(crate) fn new() -> Self {
        let metadata = json!({
            "issuer": ISSUER,
            "jwks_uri": "https://id.test/keys",
            "userinfo_endpoint": "https://id.test/me",
            "end_session_endpoint": "https://id.test/end",
            "id_token_signing_alg_values_supported": ["none", "HS256", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
                "ES256", "ES384", "EdDSA", "Ed25519"],
            "userinfo_signing_alg_values_supported": ["none", "RS256", "ES256"],
        });
        let Value::Object(metadata) = metadata else { unreachable!("an object") };
        let state = State { metadata, keys: vec![KEY.public_jwk()], userinfo: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let canned = Canned::new({
            let state = Arc::clone(&state);
            move |request| answer(&mut lock(&state), request)
        });
        Self { canned, state }
    }

    pub(crate) fn set_metadata(&self, name: &str, value: impl Into<Value>) {
        lock(&self.state).metadata.insert(name.to_owned(), value.into());
    }

    pub(crate) fn remove_metadata(&self, name: &str) {
        lock(&self.state).metadata.remove(name);
    }

    pub(crate) fn set_keys(&self, keys: impl IntoIterator<Item = Value>) {
        lock(&self.state).keys = keys.into_iter().collect();
    }

    /// The answers about the user, one after another, the last for ever.
    pub(crate) fn set_userinfo(&self, answers: impl IntoIterator<Item = Response<Bytes>>) {
        lock(&self.state).userinfo = answers.into_iter().collect();
    }

    pub(crate) fn server(&self) -> AuthorizationServer {
        AuthorizationServer::via(self.canned.http()).issuer(ISSUER).expect("an issuer")
    }

    pub(crate) fn client(&self) -> TokenClient {
        self.server().client(CLIENT, ClientAuth::none()).expect("a client")
    }

    /// How often this path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.canned.requests().iter().filter(|request| request.uri().path() == path).count()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(state: &mut State, request: &Request<Bytes>) -> Response<Bytes> {
    match request.uri().path() {
        "/.well-known/openid-configuration" => json(200, Value::from(state.metadata.clone()).to_string()),
        "/keys" => json(200, json!({ "keys": state.keys }).to_string()),
        "/token" => json(200, r#"{"access_token":"bound-token","token_type":"DPoP","expires_in":3600}"#),
        "/me" if state.userinfo.len() > 1 => state.userinfo.remove(0),
        "/me" => state.userinfo.first().cloned().unwrap_or_else(|| status(StatusCode::UNAUTHORIZED)),
        _ => status(StatusCode::NOT_FOUND),
    }
}

/// The time of day in seconds, half a second ago: what is a second before or after a limit is so whatever the machine's load.
pub(crate) async fn now() -> u64 {
    /// As the clock of the crate reads it.
    static ANCHOR: LazyLock<(Instant, SystemTime)> =
        LazyLock::new(|| (Instant::from_std(std::time::Instant::now()), SystemTime::now()));
    let (instant, wall) = *ANCHOR;
    let now = Instant::now();
    let wall = wall + now.saturating_duration_since(instant) - instant.saturating_duration_since(now);
    let since_epoch = wall.duration_since(UNIX_EPOCH).expect("after 1970");
    let next_half = Duration::from_millis(1_500) - Duration::from_nanos(since_epoch.subsec_nanos().into());
    advance(next_half).await;
    since_epoch.as_secs() + 1
}

/// What an ID token must say, and a nonce.
pub(crate) fn claims(now: u64) -> Value {
    json!({ "iss": ISSUER, "sub": "alice", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": NONCE })
}

/// The same with these members, or without those that are null.
pub(crate) fn with(claims: &Value, changes: Value) -> Value {
    let mut changed = claims.as_object().expect("an object").clone();
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => changed.remove(name),
            value => changed.insert(name.clone(), value.clone()),
        };
    }
    changed.into()
}

/// Verifies a token of the sign-in with [`NONCE`].
pub(crate) async fn verify(client: &TokenClient, raw: &str) -> Result<IdToken, Error> {
    client.verify_id_token(raw).nonce(NONCE).verify().await
}

/// It was refused for this reason, and nothing of it shows.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(result: Result<T, Error>, raw: &str, why: &str) {
    let error = result.expect_err(why);
    let text = shown(&error);
    assert_eq!(error.kind(), ErrorKind::InvalidIdToken, "{text}");
    assert!(error.to_string().contains(why), "{why}: {error}");
    assert!(!error.is_transient(), "{error}");
    let parts = raw.split('.').filter(|part| part.len() > 8);
    assert!(parts.into_iter().all(|part| !text.contains(part)), "the token shows: {text}");
    for secret in ["alice", NONCE, "mallory"] {
        assert!(!text.contains(secret), "{secret} shows: {text}");
    }
}
