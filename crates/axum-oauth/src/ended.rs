//! Which sign-ins have ended, for the whole fleet.
//!
//! A session's record may outlive the sign-in: another request that is under way can write it back after it was deleted, and
//! nobody knows which sessions a server means that says "all of this user". So what has ended is written down by name: the key of a
//! sign-in, the session at the server (`sid`), the user (`sub`), or the user where the sign-in knows no session. Each is one small record, which stays for as long as any
//! session can that it is about. A request of a signed-in user looks up three of them, side by side.

use std::time::Duration;

use futures_util::future::try_join3;
use oauth_tokens::{Error, Record, SharedStore, StoreKey, TokenClient};
use zeroize::Zeroizing;

use crate::{UserKey, clock, session::SignedInUser};

/// How often a record is taken at its word while others change it.
const MAX_ROUNDS: u32 = 3;
/// Clocks of a fleet differ.
pub(crate) const CLOCKS_DIFFER_BY: Duration = Duration::from_secs(60);

pub(crate) struct Ended {
    store: SharedStore,
    /// The server and the client: a user of one is none of another.
    issuer: String,
    client_id: String,
    /// How long a session can be about what has ended.
    lifetime: Duration,
}

/// What has ended.
#[derive(Clone, Copy)]
pub(crate) enum Name<'a> {
    SignIn(&'a UserKey),
    /// A session at the server.
    Session(&'a str),
    /// Whoever it is, everywhere.
    Subject(&'a str),
    /// Whoever it is, where the ID token named no session: it may be the one that has ended.
    SubjectWithoutSession(&'a str),
}

impl Ended {
    pub(crate) fn new(store: SharedStore, client: &TokenClient, lifetime: Duration) -> Self {
        Self { store, issuer: client.server().to_string(), client_id: client.id().to_owned(), lifetime }
    }

    /// Whether a sign-in has ended, by whatever name.
    ///
    /// What the server ended counts for ID tokens up to that moment, by the server's own clock: whoever signs in again is signed in,
    /// even if the server gives its session the same name.
    pub(crate) async fn has_ended(&self, user: &SignedInUser) -> Result<bool, Error> {
        let session = user.sid.as_deref().map_or(Name::SubjectWithoutSession(&user.sub), Name::Session);
        let names = [Name::SignIn(&user.key), session, Name::Subject(&user.sub)];
        let [sign_in, session, subject] = names.map(|name| self.ended_at(name));
        let (sign_in, session, subject) = try_join3(sign_in, session, subject).await?;
        let covers = |ended: Option<u64>| ended.is_some_and(|at| user.issued_at <= at);
        Ok(sign_in.is_some() || covers(session) || covers(subject))
    }

    /// Ends what has this name, if it is not newer than this moment (seconds since 1970). Saved when this returns.
    pub(crate) async fn end(&self, name: Name<'_>, at: u64) -> Result<(), Error> {
        let key = self.key(name);
        for _ in 0..MAX_ROUNDS {
            let previous = self.store.load(&key).await?;
            let known = previous.as_ref().and_then(read);
            let at = known.map_or(at, |known| known.max(at));
            let previous = previous.map(|record| record.version);
            let record = Record {
                version: previous.unwrap_or_default().saturating_add(1),
                expires_at: clock::wall().checked_add(self.lifetime.saturating_add(CLOCKS_DIFFER_BY)),
                content: Zeroizing::new(at.to_string().into_bytes()),
            };
            if self.store.replace(&key, previous, &record).await? {
                return Ok(());
            }
        }
        Err(Error::source_failed("the end of a sign-in could not be saved: others save the same one all the time"))
    }

    async fn ended_at(&self, name: Name<'_>) -> Result<Option<u64>, Error> {
        let record = self.store.load(&self.key(name)).await?;
        // It was there to say that something ended; what it says of the moment cannot be read, so that is every moment.
        Ok(record.map(|record| read(&record).unwrap_or(u64::MAX)))
    }

    fn key(&self, name: Name<'_>) -> StoreKey {
        let key;
        let (kind, name): (&[u8], &str) = match name {
            Name::SignIn(sign_in) => {
                key = sign_in.to_string();
                (b"sign-in", &key)
            }
            Name::Session(sid) => (b"sid", sid),
            Name::Subject(sub) => (b"sub", sub),
            Name::SubjectWithoutSession(sub) => (b"sub-without-sid", sub),
        };
        StoreKey::digest(&[b"ended", kind, self.issuer.as_bytes(), self.client_id.as_bytes(), name.as_bytes()])
    }
}

fn read(record: &Record) -> Option<u64> {
    std::str::from_utf8(&record.content).ok()?.parse().ok()
}
