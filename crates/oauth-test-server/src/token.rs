use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::state::{Model, Shared};

/// What access tokens look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenFormat {
    /// A name that only this server understands.
    #[default]
    Opaque,
    /// A JWT signed with ES256 (RFC 9068): `iss`, `aud`, `sub`, `client_id`, `scope`, `iat`, `exp`,
    /// `jti`, and what else there is to tell. Without a token lifetime there is no `exp`.
    Jwt,
}

/// What a token stands for.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) subject: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) audience: Vec<String>,
    /// Which refresh token all this began with.
    pub(crate) family: Option<u64>,
    pub(crate) confirmation: Confirmation,
    /// Who acts for the subject: the `act` claim (RFC 8693 section 4.1).
    pub(crate) actor: Option<Value>,
    /// RFC 9396 section 7.
    pub(crate) authorization_details: Option<Value>,
    /// The `claims` that the token was asked with.
    pub(crate) requested_claims: Option<Value>,
    /// How the subject has signed in (RFC 9470), and when.
    pub(crate) acr: Option<String>,
    pub(crate) auth_time: Instant,
    /// The `sid` of the session in which this was granted.
    pub(crate) session_id: Option<String>,
    pub(crate) by_password: bool,
}

impl Grant {
    /// A grant of nothing, signed in now.
    pub(crate) fn new(client_id: &str, subject: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            subject: subject.to_owned(),
            scopes: BTreeSet::new(),
            audience: Vec::new(),
            family: None,
            confirmation: Confirmation::default(),
            actor: None,
            authorization_details: None,
            requested_claims: None,
            acr: None,
            auth_time: Instant::now(),
            session_id: None,
            by_password: false,
        }
    }

    pub(crate) fn scope(&self) -> String {
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        scopes.join(" ")
    }

    /// One audience as a string, several as an array.
    pub(crate) fn audience(&self) -> Value {
        match self.audience.as_slice() {
            [one] => json!(one),
            several => json!(several),
        }
    }

    /// What JWTs, introspection and the API tell besides the usual.
    pub(crate) fn extras(&self, shared: &Shared) -> Map<String, Value> {
        let acr = self.acr.as_ref();
        let extras = [
            ("cnf", self.confirmation.to_json()),
            ("act", self.actor.clone()),
            ("authorization_details", self.authorization_details.clone()),
            ("acr", acr.map(|acr| json!(acr))),
            ("auth_time", acr.map(|_| json!(shared.clock.unix(self.auth_time)))),
        ];
        extras.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// What a client must show that it has, beside the token (RFC 7800).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Confirmation {
    /// The thumbprint of a DPoP key (RFC 9449 section 6.1).
    pub(crate) key: Option<String>,
    /// The thumbprint of a certificate (RFC 8705 section 3.1).
    pub(crate) certificate: Option<String>,
}

impl Confirmation {
    /// The `cnf` claim.
    fn to_json(&self) -> Option<Value> {
        let members = [("jkt", &self.key), ("x5t#S256", &self.certificate)];
        let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
        let members: Map<String, Value> = members.collect();
        (!members.is_empty()).then_some(Value::Object(members))
    }

    pub(crate) fn token_type(&self) -> &'static str {
        if self.key.is_some() { "DPoP" } else { "Bearer" }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct AccessToken {
    pub(crate) grant: Grant,
    id: u64,
    issued_at: Instant,
    pub(crate) expires_at: Option<Instant>,
    revoked: bool,
}

impl AccessToken {
    /// RFC 7519 section 4.1.4: at `exp` a token is no longer good.
    pub(crate) fn is_active(&self) -> bool {
        !self.revoked && self.expires_at.is_none_or(|expiry| Instant::now() < expiry)
    }

    /// Whole seconds that are left.
    pub(crate) fn expires_in(&self) -> Option<u64> {
        let expiry = self.expires_at?;
        Some(expiry.saturating_duration_since(Instant::now()).as_secs())
    }

    /// The claims of a JWT, and what introspection tells.
    pub(crate) fn claims(&self, shared: &Shared) -> Value {
        let mut claims = json!({
            "iss": shared.settings.issuer,
            "aud": self.grant.audience(),
            "sub": self.grant.subject,
            "client_id": self.grant.client_id,
            "scope": self.grant.scope(),
            "iat": shared.clock.unix(self.issued_at),
            "jti": self.id.to_string(),
        });
        for (name, value) in self.grant.extras(shared) {
            claims[name] = value;
        }
        if let Some(expiry) = self.expires_at {
            claims["exp"] = json!(shared.clock.unix_ceil(expiry));
        }
        claims
    }
}

#[derive(Clone, Debug)]
pub(crate) struct RefreshToken {
    pub(crate) grant: Grant,
    pub(crate) family: u64,
    pub(crate) state: RefreshState,
}

impl RefreshToken {
    pub(crate) fn is_active(&self) -> bool {
        self.state == RefreshState::Live
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RefreshState {
    Live,
    /// Another has taken its place.
    Replaced,
    Revoked,
}

/// Every token that was ever issued.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) access: HashMap<String, AccessToken>,
    pub(crate) refresh: HashMap<String, RefreshToken>,
    /// The access token issued last, by client.
    pub(crate) last: HashMap<String, String>,
    issued: u64,
}

impl Tokens {
    /// A number that no token of this server has, so that no two tokens are alike.
    pub(crate) fn number(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }

    pub(crate) fn issue_refresh_token(&mut self, mut grant: Grant) -> String {
        let number = self.number();
        let family = *grant.family.get_or_insert(number);
        let token = format!("refresh-{number}-{:016x}", fastrand::u64(..));
        self.refresh.insert(token.clone(), RefreshToken { grant, family, state: RefreshState::Live });
        token
    }

    /// An access token alone; a refresh token with all that came from it.
    pub(crate) fn revoke(&mut self, token: &str) {
        if let Some(token) = self.access.get_mut(token) {
            token.revoked = true;
        } else if let Some(token) = self.refresh.get(token) {
            self.revoke_family(token.family);
        }
    }

    pub(crate) fn revoke_family(&mut self, family: u64) {
        for token in self.refresh.values_mut().filter(|t| t.family == family) {
            token.state = RefreshState::Revoked;
        }
        for token in self.access.values_mut() {
            token.revoked |= token.grant.family == Some(family);
        }
    }

    pub(crate) fn revoke_access_tokens(&mut self) {
        self.access.values_mut().for_each(|t| t.revoked = true);
    }

    pub(crate) fn revoke_all(&mut self) {
        self.revoke_access_tokens();
        for token in self.refresh.values_mut() {
            token.state = RefreshState::Revoked;
        }
    }
}

impl Model {
    pub(crate) fn issue_access_token(&mut self, shared: &Shared, grant: Grant) -> String {
        let now = Instant::now();
        let client_id = grant.client_id.clone();
        let access = AccessToken {
            grant,
            id: self.tokens.number(),
            issued_at: now,
            // A lifetime past the end of time never ends.
            expires_at: self.token_lifetime.and_then(|lifetime| now.checked_add(lifetime)),
            revoked: false,
        };
        let token = match shared.settings.token_format {
            TokenFormat::Opaque => format!("access-{}-{:016x}", access.id, fastrand::u64(..)),
            TokenFormat::Jwt => self.keys.sign("at+jwt", &access.claims(shared)),
        };
        self.tokens.last.insert(client_id, token.clone());
        self.tokens.access.insert(token.clone(), access);
        token
    }
}
