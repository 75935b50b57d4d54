//! Keeps one token fresh.
//!
//! | file | idea |
//! |---|---|
//! | `freshness.rs` | when a token is to be renewed, and when it is no longer used |
//! | `shared.rs` | what all clones of a cache share; the fresh path |
//! | `copy.rs` | a copy of the token for one holder, who shares nothing with others |
//! | `renewal.rs` | how callers come by a token that is not at hand |
//! | `flight.rs` | one detached renewal at a time: how it is started, and what becomes of it |
//! | `ledger.rs` | what is remembered between renewals: failures, and how long to wait |
//! | `guard.rs` | what keeps rejections from causing a storm of renewals |
//! | `warm.rs` | renewals before anybody asks |

mod copy;
mod flight;
mod freshness;
mod guard;
mod ledger;
mod renewal;
mod shared;
mod warm;

use std::{fmt, sync::Arc, time::Duration};

pub use self::copy::TokenCopy;
#[cfg(feature = "store")]
pub(crate) use self::flight::MIN_LIFETIME;
#[cfg(feature = "store")]
pub(crate) use self::freshness::due_and_used;
use self::renewal::Need;
pub(crate) use self::shared::{AnyCache, Shared};
use crate::{AccessToken, Error, Rejection, TokenSet, TokenSource, source_fn};

/// Keeps one access token fresh, for everybody who holds a clone.
///
/// - A fresh token costs one atomic load: no lock, no allocation.
/// - In its refresh window (the server's `refresh_in`, else the last third of its life, at most an hour) a token is
///   still used while one renewal runs in the background. It is used until it expires, less a skew of 5 % of its life,
///   at most 10 s, however often renewing fails.
/// - A renewal runs detached on the tokio runtime of whoever asked first, and is shared by all who wait: dropping any or
///   all of them does not cancel it. When its runtime ends or stands still, a waiter takes over.
/// - A failed renewal is remembered: transient errors from 1 s up to 10 s, permanent ones from 30 s up to 5 minutes, or
///   as long as the server's `Retry-After` says. Nobody asks the server meanwhile.
/// - A token without a lifetime is renewed hourly while it is used.
///
/// It works in a `static`, from several runtimes.
///
/// ```
/// use oauth_tokens::TokenCache;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), oauth_tokens::Error> {
/// let tokens = TokenCache::fixed("t0k3n")?;
/// let token = tokens.token().await?;
/// assert_eq!(token.authorization(), "Bearer t0k3n");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenCache(Arc<AnyCache>);

impl TokenCache {
    /// A cache over any source. No I/O: the first token is fetched when it is asked for.
    #[must_use]
    pub fn new(source: impl TokenSource) -> Self {
        Self::over(Arc::new(Shared::new(source)))
    }

    /// A token that never changes: for tests, and for APIs with static tokens. It cannot be renewed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidResponse`](crate::ErrorKind::InvalidResponse) when the token cannot be sent in a header.
    pub fn fixed(token: &str) -> Result<Self, Error> {
        let tokens = TokenSet::new(AccessToken::bearer(token)?);
        let cache = Self::new(source_fn({
            let tokens = tokens.clone();
            move || std::future::ready(Ok(tokens.clone()))
        }));
        cache.0.publish_fixed(tokens.access_token);
        Ok(cache)
    }

    pub(crate) fn over(shared: Arc<AnyCache>) -> Self {
        Self(shared)
    }

    /// A token, from memory if there is a usable one, else as soon as a renewal brings it.
    ///
    /// Drop the future whenever you like; put a timeout around it if you must not wait for the exchange's deadline (10 s).
    ///
    /// # Errors
    ///
    /// Why the renewal failed, the same error for all who waited; or the remembered error of a renewal that failed a
    /// moment ago. [`ErrorKind::NoRuntime`](crate::ErrorKind::NoRuntime) outside a tokio runtime.
    pub async fn token(&self) -> Result<AccessToken, Error> {
        match self.cached() {
            Some(token) => Ok(token),
            None => self.0.obtain(Need::Any).await,
        }
    }

    /// A token that lives for at least so long, if the server gives any that does: for a long upload, say. One that lives too
    /// short is renewed, and waited for; while renewing fails, it serves.
    ///
    /// Where the server's tokens live shorter than that, one that has four fifths of its life before it will do.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token).
    pub async fn token_valid_for(&self, min: Duration) -> Result<AccessToken, Error> {
        match self.cached() {
            Some(token) if self.0.lasts(&token, min) => Ok(token),
            _ => self.0.obtain(Need::ValidFor(min)).await,
        }
    }

    /// The token in memory, if it is usable: one atomic load while it is fresh. In the refresh window this starts a
    /// renewal in the background.
    #[must_use]
    pub fn cached(&self) -> Option<AccessToken> {
        self.0.cached()
    }

    /// The token in memory, usable or not; starts nothing.
    pub(crate) fn held(&self) -> Option<AccessToken> {
        self.0.held()
    }

    /// Another token than the one that was rejected.
    ///
    /// Renews only if the rejected token is still the current one; if a renewal has brought another meanwhile, that one is
    /// the answer at once.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token); [`ErrorKind::SameToken`](crate::ErrorKind::SameToken) when the server hands out the
    /// rejected token again; [`ErrorKind::Held`](crate::ErrorKind::Held) when renewing has not cured the rejections so far.
    pub async fn renew(&self, rejected: &AccessToken) -> Result<AccessToken, Error> {
        self.renew_for("", rejected).await
    }

    /// [`renew`](Self::renew), on behalf of the origin that rejected the token.
    ///
    /// Rejections are counted for each origin: after a renewal, the next one that the same origin causes waits 5 s, then
    /// 10 s, up to 5 minutes, until a call there [succeeds](Self::accepted). Beyond that an origin causes at most 20 renewals
    /// at once, all origins together at most 60; and 20 a minute, in equal shares.
    ///
    /// # Errors
    ///
    /// As [`renew`](Self::renew).
    pub async fn renew_for(&self, origin: &str, rejected: &AccessToken) -> Result<AccessToken, Error> {
        self.renew_after(&Rejection::new(origin, rejected.clone())).await
    }

    /// [`renew_for`](Self::renew_for), with what the API said when it rejected the token. A renewal that runs already is
    /// joined, whatever caused it.
    ///
    /// # Errors
    ///
    /// As [`renew`](Self::renew).
    pub async fn renew_after(&self, rejection: &Rejection) -> Result<AccessToken, Error> {
        self.0.obtain(Need::Instead(rejection)).await
    }

    /// Whether a renewal heeds the claims of a [`Rejection`].
    #[must_use]
    pub fn accepts_claims(&self) -> bool {
        self.0.accepts_claims()
    }

    /// Starts what [`renew_for`](Self::renew_for) waits for, and does not wait: for a request that is not tried again,
    /// so that the next one finds another token.
    pub fn renew_in_background(&self, origin: &str, rejected: &AccessToken) {
        self.renew_in_background_after(&Rejection::new(origin, rejected.clone()));
    }

    /// [`renew_in_background`](Self::renew_in_background), with what the API said when it rejected the token.
    pub fn renew_in_background_after(&self, rejection: &Rejection) {
        self.0.start(Need::Instead(rejection));
    }

    /// Notes that an origin accepted a token, which ends the waiting that [`renew_for`](Self::renew_for) speaks of. Costs
    /// one relaxed atomic load while nobody waits.
    pub fn accepted(&self, origin: &str, token: &AccessToken) {
        self.0.accepted(origin, token);
    }

    /// Whether there is anything for [`accepted`](Self::accepted) to note: one relaxed atomic load.
    #[must_use]
    #[inline]
    pub fn awaits_acceptance(&self) -> bool {
        self.0.awaits_acceptance()
    }

    /// Waits until there is a usable token: for readiness checks.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token).
    pub async fn ready(&self) -> Result<(), Error> {
        self.token().await.map(drop)
    }

    /// Keeps the token fresh even while nobody asks for it, so that no call ever waits for one: a task fetches the first token at
    /// once, renews each in its refresh window, and tries again after failures as [`TokenCache`] says. It ends with the last
    /// clone of the cache. When its runtime ends, the next call that finds the token in its refresh window, or expired, starts
    /// it again on its own.
    ///
    /// Opt-in, as an idle service then costs its authorization server requests all the same.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRuntime`](crate::ErrorKind::NoRuntime) outside a tokio runtime.
    ///
    /// ```
    /// # async fn example(client: oauth_tokens::TokenClient) -> Result<(), oauth_tokens::Error> {
    /// let tokens = client.client_credentials().scope("api").cached()?;
    /// tokens.keep_warm()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_warm(&self) -> Result<(), Error> {
        self.0.keep_warm()
    }

    /// Whether both are clones of one cache.
    #[must_use]
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A look at the state, for health checks. Starts nothing.
    #[must_use]
    pub fn status(&self) -> TokenStatus {
        self.0.status()
    }
}

/// What a [`TokenCache`] knows of its token; see [`TokenCache::status`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenStatus {
    /// Whether there is a token that can be used now.
    pub usable: bool,
    /// How long the token can still be used. None: there is no token, or it has no lifetime.
    pub expires_in: Option<Duration>,
    /// After how long it is renewed in the background. None: there is no token.
    pub refresh_in: Option<Duration>,
    /// Whether a renewal runs.
    pub renewing: bool,
    /// How many renewals brought a new token so far.
    pub renewals: u64,
    /// The scope that the server said it granted; it may be less than what was asked for.
    pub scope: Option<String>,
    /// Why the latest renewal failed. None: it did not.
    pub last_error: Option<Error>,
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenCache").field(&self.status()).finish()
    }
}
