//! What a session holds of the user: a key, and claims that are shown. No token.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use oauth_tokens::IdToken;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower_sessions::{Session, session};

use crate::{UserKey, clock};

const USER: &str = "axum-oauth.user";
/// The longest claim that is kept, in bytes of JSON.
const MAX_CLAIM: usize = 4096;

/// Who is signed in, as the session's record has it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SignedInUser {
    pub(crate) key: UserKey,
    /// Whose user: a session store may be shared by several applications.
    realm: String,
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) sid: Option<String>,
    /// When the server issued the ID token, by its clock, in seconds since 1970.
    pub(crate) issued_at: u64,
    /// When the user was signed in, by our clock, in seconds since 1970.
    pub(crate) signed_in_at: u64,
    pub(crate) claims: BTreeMap<String, Value>,
}

impl SignedInUser {
    pub(crate) fn new(key: UserKey, realm: &str, token: &IdToken, wanted: &[String]) -> Self {
        let mut user = Self {
            key,
            realm: realm.to_owned(),
            iss: token.issuer().to_owned(),
            sub: token.subject().to_owned(),
            sid: token.session_id().map(str::to_owned),
            issued_at: seconds_of(token.issued_at()),
            signed_in_at: clock::seconds(),
            claims: BTreeMap::new(),
        };
        user.add_claims(wanted, |name| token.claim(name));
        user
    }

    /// Keeps those of the wanted claims that are not known yet.
    pub(crate) fn add_claims<'a>(&mut self, wanted: &[String], claim: impl Fn(&str) -> Option<&'a Value>) {
        for name in wanted {
            let found = claim(name).filter(|value| value.to_string().len() <= MAX_CLAIM);
            if let (Some(value), false) = (found, self.claims.contains_key(name)) {
                self.claims.insert(name.clone(), value.clone());
            }
        }
    }

    /// For how long the user has been signed in, by our clock.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_secs(clock::seconds().saturating_sub(self.signed_in_at))
    }
}

/// Who is signed in to this realm, if anybody is; a record that cannot be read is nobody's.
pub(crate) async fn load(session: &Session, realm: &str) -> Result<Option<SignedInUser>, session::Error> {
    let value = session.get_value(USER).await?;
    let user = value.and_then(|value| serde_json::from_value::<SignedInUser>(value).ok());
    Ok(user.filter(|user| user.realm == realm))
}

/// Signs a user in: under an id that nobody knew before (session fixation), and without what another user has left.
pub(crate) async fn begin(
    session: &Session,
    previous: Option<&SignedInUser>,
    user: &SignedInUser,
) -> Result<(), session::Error> {
    let is_the_same = previous.is_some_and(|previous| (&previous.iss, &previous.sub) == (&user.iss, &user.sub));
    // Whoever it was, if that cannot be read.
    if !is_the_same && session.get_value(USER).await?.is_some() {
        session.clear().await;
    }
    let begun = async {
        session.cycle_id().await?;
        session.insert(USER, user).await?;
        // The layer would do it later, and could tell nobody that it did not work.
        session.save().await
    };
    let begun = begun.await;
    if begun.is_err() {
        // Or the layer would try again, with a user who has no tokens.
        session.clear().await;
    }
    begun
}

pub(crate) fn seconds_of(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
