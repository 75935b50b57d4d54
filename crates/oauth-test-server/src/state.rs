use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::api::ApiState;
use crate::authorize::{Codes, Consents, Interactions};
use crate::builder::{Settings, issuer_path};
use crate::certificate::CertificateName;
use crate::client::Client;
use crate::clock::Clock;
use crate::device::Devices;
use crate::dpop::Nonces;
use crate::faults::Queue;
use crate::id_token::Tamper;
use crate::issuer::TrustedIssuer;
use crate::keys::ServerKeys;
use crate::logout::{Outbox, Questions};
use crate::pushed::PushedRequests;
use crate::record::{Counters, Endpoint, Log};
use crate::replays::Replays;
use crate::session::Sessions;
use crate::tls::Authority;
use crate::token::Tokens;
use crate::user::Users;

/// All that the two services and the test's handle share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    /// Issues certificates; made when it is first needed.
    pub(crate) authority: OnceLock<Authority>,
    /// Woken whenever a request arrives.
    pub(crate) arrivals: Notify,
    model: Mutex<Model>,
}

/// Where it is; what it knows shows nowhere.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { issuer, api_origin, .. } = &self.settings;
        f.debug_struct("Shared").field("issuer", issuer).field("api_origin", api_origin).finish_non_exhaustive()
    }
}

/// What changes while the server runs. Its lock is never held across an await.
pub(crate) struct Model {
    pub(crate) clients: HashMap<String, Client>,
    pub(crate) issuers: HashMap<String, TrustedIssuer>,
    /// What a client's own assertions must have as `aud`, if not the issuer.
    pub(crate) assertion_audience: Option<String>,
    /// The names in the certificates of the authority, by thumbprint.
    pub(crate) certificates: HashMap<String, CertificateName>,
    pub(crate) replays: Replays,
    pub(crate) keys: ServerKeys,
    pub(crate) tokens: Tokens,
    pub(crate) token_nonces: Nonces,
    pub(crate) api_nonces: Nonces,
    pub(crate) devices: Devices,
    pub(crate) pushed: PushedRequests,
    pub(crate) users: Users,
    pub(crate) sessions: Sessions,
    pub(crate) interactions: Interactions,
    pub(crate) consents: Consents,
    pub(crate) codes: Codes,
    /// With what authorization requests are refused, if a test says so.
    pub(crate) authorization_error: Option<String>,
    /// Parameters of every authorization response that a test has set; `null` removes one.
    pub(crate) authorization_response: Map<String, Value>,
    pub(crate) questions: Questions,
    pub(crate) outbox: Outbox,
    /// Members of every userinfo answer that a test has set; `null` removes one.
    pub(crate) userinfo: Map<String, Value>,
    pub(crate) tamper_id_tokens: Tamper,
    pub(crate) tamper_userinfo: Tamper,
    pub(crate) tamper_logout_tokens: Tamper,
    pub(crate) api: ApiState,
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
        let issuers = settings.issuers.drain(..).map(|issuer| (issuer.name.clone(), issuer)).collect();
        let mut users = Users::default();
        settings.users.drain(..).for_each(|user| users.insert(user));
        let model = Model {
            clients,
            issuers,
            assertion_audience: settings.assertion_audience.take(),
            certificates: HashMap::new(),
            replays: Replays::default(),
            keys: ServerKeys::generate(),
            tokens: Tokens::default(),
            token_nonces: Nonces::new(settings.token_nonces),
            api_nonces: Nonces::new(settings.api_nonces),
            devices: Devices::default(),
            pushed: PushedRequests::default(),
            users,
            sessions: Sessions::default(),
            interactions: Interactions::default(),
            consents: Consents::default(),
            codes: Codes::default(),
            authorization_error: None,
            authorization_response: Map::new(),
            questions: Questions::default(),
            outbox: Outbox::default(),
            userinfo: Map::new(),
            tamper_id_tokens: Tamper::default(),
            tamper_userinfo: Tamper::default(),
            tamper_logout_tokens: Tamper::default(),
            api: ApiState::default(),
            token_lifetime: settings.token_lifetime,
            token_response: Map::new(),
            metadata: Map::new(),
            faults: HashMap::new(),
            counters: Counters::default(),
            log: Log::new(settings.keep_requests),
        };
        Self {
            settings,
            clock: Clock::new(),
            authority: OnceLock::new(),
            arrivals: Notify::new(),
            model: Mutex::new(model),
        }
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

    /// The same endpoint on the port that asks for a client certificate (RFC 8705 section 5).
    pub(crate) fn mtls_url(&self, name: &str) -> Option<String> {
        let origin = self.settings.mtls_origin.as_ref()?;
        Some(format!("{origin}{}{name}", self.base_path()))
    }
}

impl Model {
    /// Takes a JWT's identifier, once.
    pub(crate) fn spend(&mut self, shared: &Shared, id: String, until: Duration) -> Result<(), &'static str> {
        if self.replays.first_use(id, shared.clock.now(), until) {
            return Ok(());
        }
        self.counters.replays_refused += 1;
        Err("the JWT's jti was used before")
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
