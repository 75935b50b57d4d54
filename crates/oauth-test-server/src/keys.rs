use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::jws::{Algorithm, Jws, KeySet, TestKey};

/// The keys that sign tokens, the newest of each algorithm first. ES256, for access tokens, is always there;
/// the others are made when they are first needed.
#[derive(Debug)]
pub(crate) struct ServerKeys {
    es256: VecDeque<TestKey>,
    others: Vec<(Algorithm, VecDeque<TestKey>)>,
    /// How many RSA keys were taken.
    rsa: usize,
}

impl ServerKeys {
    pub(crate) fn generate() -> Self {
        Self { es256: [named(TestKey::generate(Algorithm::Es256))].into(), others: Vec::new(), rsa: 0 }
    }

    fn make(&mut self, algorithm: Algorithm) -> TestKey {
        if !algorithm.is_rsa() {
            return named(TestKey::generate(algorithm));
        }
        self.rsa += 1;
        named(rsa(self.rsa - 1).for_rsa(algorithm))
    }

    pub(crate) fn rotate(&mut self) {
        self.es256.push_front(named(TestKey::generate(Algorithm::Es256)));
        for at in 0..self.others.len() {
            let key = self.make(self.others[at].0);
            self.others[at].1.push_front(key);
        }
    }

    pub(crate) fn drop_old(&mut self) {
        self.es256.truncate(1);
        self.others.iter_mut().for_each(|(_, keys)| keys.truncate(1));
    }

    /// The key that signs with this algorithm now.
    pub(crate) fn current(&mut self, algorithm: Algorithm) -> TestKey {
        if algorithm == Algorithm::Es256 {
            return self.es256[0].clone();
        }
        if let Some((_, keys)) = self.others.iter().find(|(known, _)| *known == algorithm) {
            return keys[0].clone();
        }
        let key = self.make(algorithm);
        self.others.push((algorithm, [key.clone()].into()));
        key
    }

    /// A JWT by the newest key: `at+jwt` for an access token (RFC 9068).
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        let key = &self.es256[0];
        let header = json!({ "alg": key.algorithm().name(), "typ": typ, "kid": key.key_id() });
        key.sign_with(&header, claims)
    }

    /// Whether one of these keys has signed it.
    pub(crate) fn verify(&self, jws: &Jws) -> bool {
        let mut keys = KeySet::default();
        self.all().for_each(|key| keys.add(&key.public_jwk()));
        jws.verify_with(&keys).is_ok()
    }

    /// The key set (RFC 7517) with which others verify; these algorithms are in it.
    pub(crate) fn jwks(&mut self, algorithms: &[Algorithm]) -> Value {
        for algorithm in algorithms {
            self.current(*algorithm);
        }
        let keys: Vec<Value> = self.all().map(TestKey::public_jwk).collect();
        json!({ "keys": keys })
    }

    fn all(&self) -> impl Iterator<Item = &TestKey> {
        self.es256.iter().chain(self.others.iter().flat_map(|(_, keys)| keys))
    }
}

/// No two servers have a key of the same name.
fn named(key: TestKey) -> TestKey {
    key.with_key_id(format!("test-{:016x}", fastrand::u64(..)))
}

/// The RSA keys of the process: they take long to make, so its servers share them.
fn rsa(number: usize) -> TestKey {
    static KEYS: Mutex<Vec<TestKey>> = Mutex::new(Vec::new());
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    while keys.len() <= number {
        keys.push(TestKey::generate(Algorithm::Rs256));
    }
    keys[number].clone()
}
