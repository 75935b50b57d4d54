use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_core::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use zeroize::Zeroizing;

use super::{
    place::{check_redirect_uri, is_local_path},
    random::{is_random, random},
};
use crate::{Error, clock::Clock, request::is_absolute_uri};

/// How long a user may take (L2).
const LIFETIME: Duration = Duration::from_secs(600);
/// How far the clocks of those who begin and finish may be apart.
const TOLERANCE: Duration = Duration::from_secs(30);
/// Of the serialised form: another one is not read.
const VERSION: u8 = 1;

/// A sign-in that was begun: what [`TokenClient::finish_sign_in`](crate::TokenClient::finish_sign_in) needs to know what comes
/// back.
///
/// It is serialisable, and small, so that it can wait in the session of the browser that was sent away. It must be bound to that
/// browser, be kept where nobody else reads it (it holds the PKCE verifier and the nonce; in a cookie, it must be encrypted), and
/// be taken out before it is used, because it is good for one callback. After 10 minutes it is good for none.
#[derive(Clone)]
pub struct PendingSignIn {
    pub(super) state: Zeroizing<String>,
    pub(super) nonce: Zeroizing<String>,
    pub(super) verifier: Zeroizing<String>,
    pub(super) asked: Asked,
    /// Whether the server's metadata promise `iss` in its callbacks.
    pub(super) expects_iss: bool,
    /// In seconds since 1970.
    began: u64,
}

/// What is asked for, and of whom: the part of a pending sign-in that is not made up.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) redirect_uri: String,
    pub(super) return_to: String,
    /// What the server is known by.
    pub(super) server: String,
    pub(super) client_id: String,
    pub(super) scope: String,
    pub(super) resources: Vec<String>,
    /// In seconds.
    pub(super) max_age: Option<u64>,
    /// The thumbprint of the key that the code is bound to.
    pub(super) dpop_jkt: Option<String>,
}

impl PendingSignIn {
    pub(super) fn begin(asked: Asked, now: SystemTime) -> Result<Self, Error> {
        Ok(Self {
            state: random()?,
            nonce: random()?,
            verifier: random()?,
            asked,
            expects_iss: false,
            began: seconds(now),
        })
    }

    /// `state`: for an application that keeps several pending sign-ins for one browser, the name to keep this one by. It is a
    /// secret of this browser's.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Where the user wanted to go; see [`SignInRequest::return_to`](crate::SignInRequest::return_to).
    #[must_use]
    pub fn return_to(&self) -> &str {
        &self.asked.return_to
    }

    /// How long it is still good. It is good for 10 minutes from its beginning.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.lifetime_at(Clock::new().wall())
    }

    /// Whether the user took too long.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.expires_in().is_zero()
    }

    pub(super) fn lifetime_at(&self, now: SystemTime) -> Duration {
        let now = seconds(now);
        // One that has yet to begin was not begun by us, or by a clock that nobody can rely on.
        if self.began > now.saturating_add(TOLERANCE.as_secs()) {
            return Duration::ZERO;
        }
        LIFETIME.saturating_sub(Duration::from_secs(now.saturating_sub(self.began)))
    }

    pub(super) fn began_at(&self) -> SystemTime {
        // A year beyond any clock is as good as now: the sign-in is expired then.
        UNIX_EPOCH.checked_add(Duration::from_secs(self.began)).unwrap_or(UNIX_EPOCH)
    }

    pub(super) fn is_openid(&self) -> bool {
        is_openid(&self.asked.scope)
    }

    fn is_sound(&self) -> bool {
        let is_text = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        let are_random = [&self.state, &self.nonce, &self.verifier].into_iter().all(|secret| is_random(secret));
        are_random
            && check_redirect_uri(&self.asked.redirect_uri).is_ok()
            && is_local_path(&self.asked.return_to)
            && is_text(&self.asked.server)
            && is_text(&self.asked.client_id)
            && !self.asked.scope.contains(char::is_control)
            && self.asked.resources.iter().all(|resource| is_absolute_uri(resource))
    }
}

/// Whether the scope asks for an ID token (OpenID Connect Core, section 3.1.2.1).
pub(super) fn is_openid(scope: &str) -> bool {
    scope.split(' ').any(|scope| scope == "openid")
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

type Fields<S, L> = (u8, S, S, S, S, S, S, S, S, L, Option<u64>, Option<S>, bool, u64);

impl Serialize for PendingSignIn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields: Fields<&str, &[String]> = (
            VERSION,
            &self.state,
            &self.nonce,
            &self.verifier,
            &self.asked.redirect_uri,
            &self.asked.return_to,
            &self.asked.server,
            &self.asked.client_id,
            &self.asked.scope,
            &self.asked.resources,
            self.asked.max_age,
            self.asked.dpop_jkt.as_deref(),
            self.expects_iss,
            self.began,
        );
        fields.serialize(serializer)
    }
}

/// What a sign-in could not have begun with is refused, as something of another version of this crate is.
impl<'de> Deserialize<'de> for PendingSignIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Without the format's own words: they may repeat what was read, which is secret.
        let unusable = || D::Error::custom("this is no pending sign-in, or one of another version: begin anew");
        let (
            version,
            state,
            nonce,
            verifier,
            redirect_uri,
            return_to,
            server,
            client_id,
            scope,
            resources,
            max_age,
            dpop_jkt,
            expects_iss,
            began,
        ) = Fields::<String, Vec<String>>::deserialize(deserializer).map_err(|_| unusable())?;
        let pending = Self {
            state: state.into(),
            nonce: nonce.into(),
            verifier: verifier.into(),
            asked: Asked { redirect_uri, return_to, server, client_id, scope, resources, max_age, dpop_jkt },
            expects_iss,
            began,
        };
        if version != VERSION || !pending.is_sound() {
            return Err(unusable());
        }
        Ok(pending)
    }
}

impl fmt::Debug for PendingSignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingSignIn")
            .field("client_id", &self.asked.client_id)
            .field("expires_in", &self.expires_in())
            .finish_non_exhaustive()
    }
}
