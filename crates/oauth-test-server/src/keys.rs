use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::jws::{Algorithm, TestKey};

/// The keys that sign access tokens with ES256, the newest first. New ones for each server.
#[derive(Debug)]
pub(crate) struct ServerKeys(VecDeque<TestKey>);

impl ServerKeys {
    pub(crate) fn generate() -> Self {
        Self([Self::key()].into())
    }

    fn key() -> TestKey {
        TestKey::generate(Algorithm::Es256).with_key_id(format!("test-{:016x}", fastrand::u64(..)))
    }

    pub(crate) fn rotate(&mut self) {
        self.0.push_front(Self::key());
    }

    pub(crate) fn drop_old(&mut self) {
        self.0.truncate(1);
    }

    /// A JWT by the newest key: `at+jwt` for an access token (RFC 9068).
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        let key = &self.0[0];
        let header = json!({ "alg": key.algorithm().name(), "typ": typ, "kid": key.key_id() });
        key.sign_with(&header, claims)
    }

    /// The key set (RFC 7517) with which others verify.
    pub(crate) fn jwks(&self) -> Value {
        let keys: Vec<Value> = self.0.iter().map(TestKey::public_jwk).collect();
        json!({ "keys": keys })
    }
}
