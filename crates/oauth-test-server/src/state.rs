use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::builder::{Settings, issuer_path};
use crate::client::Client;
use crate::clock::Clock;
use crate::faults::Queue;
use crate::jwt::Key;
use crate::record::{Counters, Endpoint, Log};
use crate::token::Tokens;

/// All that the two services and the test's handle share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) key: Key,
    /// Woken whenever a request arrives.
    pub(crate) arrivals: Notify,
    model: Mutex<Model>,
}

/// What changes while the server runs. Its lock is never held across an await.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) clients: HashMap<String, Client>,
    pub(crate) tokens: Tokens,
    pub(crate) token_lifetime: Option<Duration>,
    /// Members of every token answer that a test has set; `null` removes one.
    pub(crate) token_response: Map<String, Value>,
    /// Members of the metadata that a test has set; `null` removes one.
    pub(crate) metadata: Map<String, Value>,
    pub(crate) faults: HashMap<Endpoint, Queue>,
    pub(crate) counters: Counters,
    pub(crate) log: Log,
}

impl Shared {
    pub(crate) fn new(mut settings: Settings) -> Self {
        if settings.clients.is_empty() {
            let default = Client::new("m2m").secret("secret").scopes(["api"]);
            settings.clients.push(default);
        }
        let clients = settings.clients.drain(..).map(|client| (client.id.clone(), client)).collect();
        let model = Model {
            clients,
            tokens: Tokens::default(),
            token_lifetime: settings.token_lifetime,
            token_response: Map::new(),
            metadata: Map::new(),
            faults: HashMap::new(),
            counters: Counters::default(),
            log: Log::new(settings.keep_requests),
        };
        Self { settings, clock: Clock::new(), key: Key::generate(), arrivals: Notify::new(), model: Mutex::new(model) }
    }

    /// A test that panicked with the lock held must not make the others panic too.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path before each endpoint's own: empty, or with a leading slash and without a trailing one.
    pub(crate) fn base_path(&self) -> &str {
        issuer_path(&self.settings.issuer).trim_end_matches('/')
    }

    pub(crate) fn endpoint_url(&self, name: &str) -> String {
        format!("{}{name}", self.settings.issuer.trim_end_matches('/'))
    }
}

/// Sets members of a JSON object; `null` removes one.
pub(crate) fn overlay(object: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, value) in changes {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}
