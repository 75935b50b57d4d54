//! Sign-ins that are under way: bound to one browser, good for one callback, and for ten minutes.
//!
//! Each has a cookie of its own, so that tabs which sign in side by side do not get in each other's way; the cookie's name tells the
//! sign-ins apart, its value is a secret. The record is found only by both the callback's state and that secret, and whoever
//! deletes it has it: of two callbacks at once, one finds nothing.

use std::time::Duration;

use http::{HeaderMap, header::COOKIE};
use oauth_tokens::{Error, PendingSignIn, Record, SharedStore, StoreKey};
use tower_sessions::cookie::{Cookie, SameSite, time};
use zeroize::Zeroizing;

use crate::{clock, origin::Origin, random::random_text};

/// How long a user may take to sign in (L2).
const TIME: Duration = Duration::from_secs(10 * 60);
/// How many sign-ins one browser may have under way.
const AT_ONCE: usize = 8;
/// A fresh record has no predecessor.
const VERSION: u64 = 1;
/// For so long after a sign-in another one does not cure what is wrong.
const JUST_NOW: time::Duration = time::Duration::MINUTE;
/// So much of a digest tells the sign-ins of one browser apart.
const NAME_DIGITS: usize = 16;

pub(crate) struct PendingSignIns {
    store: SharedStore,
    prefix: String,
    /// The cookie of a browser that has just signed in.
    just_signed_in: String,
    is_https: bool,
}

impl PendingSignIns {
    pub(crate) fn new(store: SharedStore, origin: &Origin) -> Self {
        Self {
            store,
            prefix: origin.cookie_name("sign-in-"),
            just_signed_in: origin.cookie_name("signed-in"),
            is_https: origin.is_https(),
        }
    }

    /// Remembers a sign-in of the browser that sent these headers, and gives the cookies that bind it.
    pub(crate) async fn remember(
        &self,
        pending: &PendingSignIn,
        headers: &HeaderMap,
    ) -> Result<Vec<Cookie<'static>>, Error> {
        let secret = random_text()?;
        let content = serde_json::to_vec(pending)
            .map_err(|error| Error::source_failed("a sign-in could not be written down").caused_by(error))?;
        let record =
            Record { version: VERSION, expires_at: clock::wall().checked_add(TIME), content: Zeroizing::new(content) };
        let key = record_key(pending.state(), &secret);
        if !self.store.replace(&key, None, &record).await? {
            return Err(Error::source_failed("a sign-in could not be written down: its place is taken"));
        }
        let mut cookies = self.oldest_beyond(headers, AT_ONCE - 1);
        cookies.push(self.cookie(self.name(pending.state()), secret.as_str(), time::Duration::try_from(TIME).ok()));
        Ok(cookies)
    }

    /// The sign-in that a callback with this state belongs to, if this browser began it; once.
    pub(crate) async fn take(&self, state: &str, headers: &HeaderMap) -> Result<Option<PendingSignIn>, Error> {
        let name = self.name(state);
        let mut secrets = cookies(headers).filter(|(found, _)| *found == name);
        // Two of one name: somebody has put one of them there.
        let (Some((_, secret)), None) = (secrets.next(), secrets.next()) else { return Ok(None) };
        let key = record_key(state, secret);
        let Some(record) = self.store.load(&key).await? else { return Ok(None) };
        if !self.store.delete(&key, record.version).await? {
            return Ok(None);
        }
        Ok(serde_json::from_slice(&record.content).ok())
    }

    /// Takes a sign-in's cookie out of the browser.
    pub(crate) fn removal(&self, state: &str) -> Cookie<'static> {
        self.cookie(self.name(state), "", Some(time::Duration::ZERO))
    }

    /// Marks a browser that has just signed in. If nobody is signed in at its next request all the same, its session does not stick,
    /// and to send it to the server again would go round in circles.
    pub(crate) fn just_signed_in(&self) -> Cookie<'static> {
        self.cookie(self.just_signed_in.clone(), "1", Some(JUST_NOW))
    }

    pub(crate) fn no_longer_just_signed_in(&self) -> Cookie<'static> {
        self.cookie(self.just_signed_in.clone(), "", Some(time::Duration::ZERO))
    }

    pub(crate) fn has_just_signed_in(&self, headers: &HeaderMap) -> bool {
        cookies(headers).any(|(name, _)| name == self.just_signed_in)
    }

    /// Browsers send the oldest cookies first (RFC 6265, section 5.4).
    fn oldest_beyond(&self, headers: &HeaderMap, most: usize) -> Vec<Cookie<'static>> {
        let ours: Vec<_> =
            cookies(headers).map(|(name, _)| name).filter(|name| name.starts_with(&self.prefix)).collect();
        let too_many = ours.iter().take(ours.len().saturating_sub(most));
        too_many.map(|name| self.cookie((*name).to_owned(), "", Some(time::Duration::ZERO))).collect()
    }

    fn name(&self, state: &str) -> String {
        let digest = StoreKey::digest(&[b"sign-in-cookie", state.as_bytes()]);
        format!("{}{}", self.prefix, digest.as_str().get(..NAME_DIGITS).unwrap_or_default())
    }

    fn cookie(&self, name: String, value: &str, age: Option<time::Duration>) -> Cookie<'static> {
        let mut cookie = Cookie::new(name, value.to_owned());
        cookie.set_http_only(true);
        // The callback is a navigation from another site: stricter, and it would not come with it.
        cookie.set_same_site(SameSite::Lax);
        cookie.set_secure(self.is_https);
        cookie.set_path("/");
        cookie.set_max_age(age);
        cookie
    }
}

fn record_key(state: &str, secret: &str) -> StoreKey {
    StoreKey::digest(&[b"pending-sign-in", state.as_bytes(), secret.as_bytes()])
}

/// Names and values as they were sent. Whatever is not plain text is somebody else's, and says nothing of those beside it.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let pairs = headers.get_all(COOKIE).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let texts = pairs.filter(|pair| pair.is_ascii()).filter_map(|pair| std::str::from_utf8(pair).ok());
    let is_space = |letter| matches!(letter, ' ' | '\t');
    texts
        .filter_map(|pair| pair.split_once('='))
        .map(move |(name, value)| (name.trim_matches(is_space), value.trim_matches(is_space)))
}
