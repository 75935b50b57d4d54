//! What a record holds: an access token, what belongs to it, and for a user the refresh token.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::Record;
use crate::{
    AccessToken, TokenSet, TokenType,
    cache::{MIN_LIFETIME, due_and_used},
    dpop::{BoundKey, bind},
    json::Object,
    token::Possession as _,
};

/// Clocks of a fleet differ; what was issued later than this from now is garbage.
const CLOCKS_DIFFER_BY: Duration = Duration::from_secs(60);
/// What is handed out is to last until it is in the cache, and in a request; of short ones, a tenth.
const MOMENT: Duration = Duration::from_millis(500);
/// Moments are counted from here on: what is longer is as good as this, and leaves room to count in.
const MAX_SPAN: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long a record stays whose token says nothing of its lifetime: twice as long as it is used.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(2 * 3600);

/// Tokens as a store keeps them.
#[derive(Clone)]
pub(crate) struct Kept {
    access_token: Zeroizing<String>,
    /// The thumbprint of the key that it is bound to.
    bound_to: Option<String>,
    issued_at: SystemTime,
    expires_in: Option<Duration>,
    refresh_in: Option<Duration>,
    scope: Option<String>,
    issued_token_type: Option<TokenType>,
    authorization_details: Option<Value>,
    pub(crate) refresh_token: Option<Zeroizing<String>>,
    /// The one of the sign-in, which was verified: later ones bring nothing that is needed.
    pub(crate) id_token: Option<Zeroizing<String>>,
    /// A digest of the resources that the access token is for, if any were named.
    pub(crate) resources: Option<String>,
}

impl Kept {
    /// What is kept of tokens that were asked for at this moment; neither the refresh token nor the ID token, which nobody has
    /// verified.
    pub(crate) fn of(tokens: &TokenSet, issued_at: SystemTime) -> Self {
        Self {
            access_token: Zeroizing::new(tokens.access_token.secret().to_owned()),
            bound_to: tokens.access_token.thumbprint().map(str::to_owned),
            issued_at,
            expires_in: tokens.expires_in.map(|span| span.min(MAX_SPAN)),
            refresh_in: tokens.refresh_in.map(|span| span.min(MAX_SPAN)),
            scope: tokens.scope.clone(),
            issued_token_type: tokens.issued_token_type.clone(),
            authorization_details: tokens.authorization_details.clone(),
            refresh_token: None,
            id_token: None,
            resources: None,
        }
    }

    /// Keeps all but the access token, which is not to be used any more.
    pub(crate) fn spend(&mut self) {
        self.expires_in = Some(Duration::ZERO);
    }

    pub(crate) fn access_token(&self) -> &str {
        &self.access_token
    }

    /// When it is of no use any more. A token that does not say is renewed each hour.
    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.issued_at.checked_add(self.expires_in.unwrap_or(UNKNOWN_LIFETIME))
    }

    /// Whether it is time for another one: without jitter, so that of a fleet the first one renews, and the others find it
    /// done.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        self.age(now).is_none_or(|age| age >= self.due_and_used().0)
    }

    /// The tokens, bound to the client's key if they are bound to one. None: they have had their use, come from the future,
    /// or are bound to another key.
    pub(crate) fn tokens(&self, now: SystemTime, key: Option<&Arc<BoundKey>>) -> Option<TokenSet> {
        let age = self.age(now)?;
        let (_, used_for) = self.due_and_used();
        let has_had_its_use =
            |used_for: Duration| age.saturating_add(MOMENT.min(used_for / 10).max(MIN_LIFETIME)) >= used_for;
        if used_for.is_some_and(has_had_its_use) {
            return None;
        }
        let access_token = match (&self.bound_to, key) {
            (None, None) => AccessToken::bearer(&self.access_token).ok()?,
            (Some(thumbprint), Some(key)) if thumbprint == key.thumbprint() => bind(&self.access_token, key).ok()?,
            _ => return None,
        };
        let mut tokens = TokenSet::new(access_token).aged(age);
        tokens.expires_in = self.expires_in.map(|lifetime| lifetime.saturating_sub(age));
        tokens.refresh_in = self.refresh_in.map(|wait| wait.saturating_sub(age));
        tokens.scope.clone_from(&self.scope);
        tokens.issued_token_type.clone_from(&self.issued_token_type);
        tokens.authorization_details.clone_from(&self.authorization_details);
        Some(tokens)
    }

    fn due_and_used(&self) -> (Duration, Option<Duration>) {
        due_and_used(self.expires_in, self.refresh_in)
    }

    /// None: it comes from the future.
    fn age(&self, now: SystemTime) -> Option<Duration> {
        match now.duration_since(self.issued_at) {
            Ok(age) => Some(age),
            Err(ahead) => (ahead.duration() <= CLOCKS_DIFFER_BY).then_some(Duration::ZERO),
        }
    }

    pub(crate) fn to_record(&self, version: u64, expires_at: Option<SystemTime>) -> Record {
        Record { version, expires_at, content: self.encode() }
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            }
        };
        let text = |text: &Zeroizing<String>| Value::from(text.as_str());
        let millis = |span: Duration| Value::from(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        set("access_token", Some(text(&self.access_token)));
        set("jkt", self.bound_to.clone().map(Value::from));
        set("issued_at", Some(millis(self.issued_at.duration_since(UNIX_EPOCH).unwrap_or_default())));
        set("expires_in", self.expires_in.map(millis));
        set("refresh_in", self.refresh_in.map(millis));
        set("scope", self.scope.clone().map(Value::from));
        set("issued_token_type", self.issued_token_type.as_ref().map(|kind| Value::from(kind.as_str())));
        set("authorization_details", self.authorization_details.clone());
        set("refresh_token", self.refresh_token.as_ref().map(text));
        set("id_token", self.id_token.as_ref().map(text));
        set("resources", self.resources.clone().map(Value::from));
        Zeroizing::new(Value::Object(fields).to_string().into_bytes())
    }

    /// What was kept, if it can be read.
    pub(crate) fn read(record: &Record) -> Option<Self> {
        let object = Object::parse(&record.content).ok()?;
        let text = |name: &str| object.text(name).map(str::to_owned);
        let millis = |name: &str| {
            let span = object.get(name).and_then(Value::as_u64).map(Duration::from_millis)?;
            Some(span.min(MAX_SPAN))
        };
        let issued_at = Duration::from_millis(object.get("issued_at")?.as_u64()?);
        Some(Self {
            access_token: Zeroizing::new(text("access_token")?),
            bound_to: text("jkt"),
            issued_at: UNIX_EPOCH.checked_add(issued_at)?,
            expires_in: millis("expires_in"),
            refresh_in: millis("refresh_in"),
            scope: text("scope"),
            issued_token_type: object.text("issued_token_type").and_then(TokenType::read),
            authorization_details: object.get("authorization_details").filter(|details| details.is_array()).cloned(),
            refresh_token: text("refresh_token").map(Zeroizing::new),
            id_token: text("id_token").map(Zeroizing::new),
            resources: text("resources"),
        })
    }
}

/// What a fetch gives counts from when it began, which may be so long ago: others were waited for.
pub(crate) fn counted_from_before(mut tokens: TokenSet, waited: Duration) -> TokenSet {
    tokens.expires_in = tokens.expires_in.map(|left| left.saturating_add(waited));
    tokens.refresh_in = tokens.refresh_in.map(|left| left.saturating_add(waited));
    let age = tokens.age.saturating_sub(waited);
    tokens.aged(age)
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("issued_at", &self.issued_at).finish_non_exhaustive()
    }
}
