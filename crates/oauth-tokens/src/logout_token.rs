//! Tokens by which a server says that a session has ended (OpenID Connect Back-Channel Logout 1.0).

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use crate::{
    Error, TokenClient,
    id_token::{
        Bearer, Failure,
        claims::{TOLERANCE, subject},
        jwt::{Jwt, audiences, date, required, string},
        names, verified, verify_jwt,
    },
    json::Object,
};

/// The member of `events` that makes a token a logout token (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A token is taken this long after it was issued, even if it says that it lives on: this long it is remembered.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// So many tokens are remembered.
const MAX_SEEN: usize = 10_000;

impl TokenClient {
    /// Verifies a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6), which a server posts to the application as
    /// `logout_token`: the sessions that it names are to be ended.
    ///
    /// Signature, `iss`, `aud` and times are checked as those of an [ID token](Self::verify_id_token). Besides, it must be about a
    /// logout (`events`), name a session (`sid`) or a user (`sub`) or both, and have no `nonce`; its `typ`, if it has one, is
    /// `logout+jwt` or `JWT`. It is taken for an hour after it was issued, if it does not expire before.
    ///
    /// Each is taken once (`jti`), by this client and all that were cloned or made from it; other processes of a fleet do not
    /// know of it. It has been taken when [`LogoutToken::taken`] says so: one that is dropped before, because the sessions could
    /// not be ended or the server hung up, may be brought again. Meanwhile the same one is refused.
    ///
    /// 10,000 are remembered. When a server sends more than these within their time, the one that would expire first is
    /// forgotten: no logout is refused for lack of room, and what could be replayed then is a logout.
    ///
    /// ```no_run
    /// # async fn example(client: oauth_tokens::TokenClient, posted: &str) -> Result<(), oauth_tokens::Error> {
    /// let logout = client.verify_logout_token(posted).await?;
    /// match (logout.session_id(), logout.subject()) {
    ///     (Some(session), _) => println!("end the session {session}"),
    ///     (None, subject) => println!("end all sessions of {subject:?} of {}", logout.issuer()),
    /// }
    /// logout.taken();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidIdToken`](crate::ErrorKind::InvalidIdToken) when it must not be believed, or was taken before: answer
    /// it with 400. Else as [`IdTokenCheck::verify`](crate::IdTokenCheck::verify).
    pub async fn verify_logout_token(&self, raw: &str) -> Result<LogoutToken, Error> {
        verified(self, "a logout token", self.checked_logout_token(raw)).await
    }

    async fn checked_logout_token(&self, raw: &str) -> Result<LogoutToken, Failure> {
        let jwt = Jwt::parse(raw)?;
        jwt.check_type(&["logout+jwt"])?;
        let expected = verify_jwt(self, &jwt, "id_token_signing_alg_values_supported", Bearer::Anybody).await?;
        let claims = jwt.claims;
        expected.check_issuer(&claims)?;
        expected.check_audience(&audiences(&claims)?, string(&claims, "azp")?)?;
        let issued_at = date(&claims, "iat")?.ok_or("it has no `iat`")?;
        let expires_at = date(&claims, "exp")?.ok_or("it has no `exp`")?;
        let expires_at = issued_at.checked_add(MAX_AGE).map_or(expires_at, |latest| expires_at.min(latest));
        expected.check_times(Some(expires_at), &claims)?;
        check_logout(&claims)?;
        let token_id = required(&claims, "jti")?;
        let forget_at = expires_at.checked_add(TOLERANCE).ok_or("its `exp` is no date")?;
        let taking = self.rules().seen_logout_tokens.take(token_id, forget_at, expected.now);
        let taking = taking.ok_or("it was taken before, or is being taken")?;
        Ok(LogoutToken { claims, issued_at, taking })
    }
}

/// What makes a token a logout token, if it is there.
pub(crate) fn logout_event(claims: &Object) -> Option<&Value> {
    claims.get("events")?.get(EVENT)
}

/// That it is about a logout, and whose (section 2.4).
fn check_logout(claims: &Object) -> Result<(), Failure> {
    if !logout_event(claims).is_some_and(Value::is_object) {
        return Err("its `events` do not name a logout".into());
    }
    if claims.get("nonce").is_some() {
        return Err("it has a `nonce`, as only an ID token may".into());
    }
    let sid = string(claims, "sid")?.filter(|sid| !sid.is_empty());
    if claims.get("sub").is_some() {
        subject(claims)?;
    } else if sid.is_none() {
        return Err("it names neither a session (`sid`) nor a user (`sub`)".into());
    }
    Ok(())
}

/// That a session has ended, or all of a user's: a logout token that was verified; see [`TokenClient::verify_logout_token`].
#[must_use = "sessions are to be ended"]
pub struct LogoutToken {
    claims: Object,
    issued_at: SystemTime,
    taking: Taking,
}

impl LogoutToken {
    /// The server that says so: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.claims.text("iss").unwrap_or_default()
    }

    /// The session that has ended: `sid`, as in its [ID tokens](crate::IdToken::session_id). None: all sessions of the user.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.claims.text("sid")
    }

    /// The user whose session it was: `sub`.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.text("sub")
    }

    /// When it was issued: `iat`. Sessions that began later are not meant.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// Says that the sessions have ended: the same token is not taken again.
    pub fn taken(mut self) {
        self.taking.is_done = true;
    }

    /// Any claim.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }
}

/// Claims are named only.
impl fmt::Debug for LogoutToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogoutToken").field(&names(&self.claims)).finish()
    }
}

/// The tokens that were taken, each until it would not be taken for its age.
#[derive(Default)]
pub(crate) struct SeenTokens(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    forget_at: HashMap<Digest, SystemTime>,
    in_order: BTreeSet<(SystemTime, Digest)>,
}

type Digest = [u8; 32];

impl SeenTokens {
    /// Remembers a token until then; none if it is remembered already.
    fn take(self: &Arc<Self>, token_id: &str, forget_at: SystemTime, now: SystemTime) -> Option<Taking> {
        let id = Digest::try_from(digest(&SHA256, token_id.as_bytes()).as_ref()).ok()?;
        let mut seen = self.lock();
        let Seen { forget_at: known, in_order } = &mut *seen;
        while let Some(first) = in_order.first().copied().filter(|(at, _)| *at <= now) {
            in_order.remove(&first);
            known.remove(&first.1);
        }
        if known.contains_key(&id) {
            return None;
        }
        if known.len() >= MAX_SEEN
            && let Some((_, first)) = in_order.pop_first()
        {
            known.remove(&first);
        }
        known.insert(id, forget_at);
        in_order.insert((forget_at, id));
        Some(Taking { seen: Arc::clone(self), id, is_done: false })
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token that is being taken; forgotten if that is given up.
struct Taking {
    seen: Arc<SeenTokens>,
    id: Digest,
    is_done: bool,
}

impl Drop for Taking {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut seen = self.seen.lock();
        if let Some(forget_at) = seen.forget_at.remove(&self.id) {
            seen.in_order.remove(&(forget_at, self.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l4_what_is_given_up_or_expired_takes_no_room() {
        let seen = Arc::new(SeenTokens::default());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let room = || {
            let seen = seen.lock();
            (seen.forget_at.len(), seen.in_order.len())
        };
        drop(seen.take("a", now + TOLERANCE, now).expect("it is the first"));
        assert_eq!(room(), (0, 0));
        seen.take("a", now + TOLERANCE, now).expect("it is the first").is_done = true;
        assert_eq!(room(), (1, 1));
        assert!(seen.take("a", now + TOLERANCE, now + TOLERANCE - Duration::from_nanos(1)).is_none());
        let again = seen.take("b", now + MAX_AGE, now + TOLERANCE);
        assert_eq!(room(), (1, 1));
        drop(again);
        assert_eq!(room(), (0, 0));
    }
}
