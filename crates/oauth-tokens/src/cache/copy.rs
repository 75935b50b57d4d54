//! A holder's own copy of a token: nothing that it touches is written to by other threads.
//!
//! Every clone of a header value counts references in one place. Eight threads that send the same token wait for each other
//! there, and for nothing else. A copy has a place of its own, and whether it still holds is two comparisons.

use std::fmt;

use super::TokenCache;
use crate::{AccessToken, clock::Tick};

/// One holder's own copy of a cache's token, for where each nanosecond counts: asking it takes half the time of
/// [`TokenCache::cached`], and many threads, each with a copy, do not wait for each other.
///
/// It never outlives its use: as soon as the cache has another token, or it is time to renew this one, the copy gives none, and
/// the cache is to be asked. `tower-oauth` keeps one in each clone of a service.
///
/// ```
/// use oauth_tokens::{AccessToken, TokenCache, TokenCopy};
///
/// fn token(copy: &mut Option<TokenCopy>, cache: &TokenCache) -> Option<AccessToken> {
///     if copy.as_ref().and_then(TokenCopy::token).is_none() {
///         *copy = cache.copy();
///     }
///     // In the refresh window a copy is good for nothing; the cache starts a renewal then.
///     copy.as_ref().and_then(TokenCopy::token).cloned().or_else(|| cache.cached())
/// }
/// # let cache = TokenCache::fixed("t0k3n")?;
/// # assert_eq!(token(&mut None, &cache), cache.cached());
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
pub struct TokenCopy {
    cache: TokenCache,
    token: AccessToken,
    renewals: u32,
    fresh_until: Tick,
}

impl TokenCache {
    /// A copy of the token in memory, for its holder alone: it allocates. None: there is none that is fresh, or it is bound to
    /// a key (DPoP). Starts nothing.
    #[must_use]
    pub fn copy(&self) -> Option<TokenCopy> {
        let (token, renewals, fresh_until) = self.0.fresh().filter(|(.., fresh_until)| Tick::now() < *fresh_until)?;
        Some(TokenCopy { cache: self.clone(), token: token.copy()?, renewals, fresh_until })
    }
}

impl TokenCopy {
    /// The token, while it is the cache's and fresh; then the cache is to be asked.
    #[must_use]
    #[inline]
    pub fn token(&self) -> Option<&AccessToken> {
        let holds = self.cache.0.is_still(self.renewals) && Tick::now() < self.fresh_until;
        holds.then_some(&self.token)
    }

    /// The token, whether it holds or not: for what was sent with it.
    #[must_use]
    #[inline]
    pub fn last_token(&self) -> &AccessToken {
        &self.token
    }

    /// The cache whose token it is.
    #[must_use]
    #[inline]
    pub fn cache(&self) -> &TokenCache {
        &self.cache
    }
}

impl fmt::Debug for TokenCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCopy").field("token", &self.token).finish_non_exhaustive()
    }
}
