//! The token source of one user.

use std::{
    fmt::Display,
    hash::Hash,
    sync::{Arc, OnceLock},
};

use super::renewal::Users;
use crate::{AccessToken, Error, ErrorKind, Rejection, StoreKey, TokenSet, TokenSource, pool::WeakPool};

/// It remembers nothing: what must not be lost is with all users.
pub(super) struct UserSource<K> {
    users: Arc<Users>,
    pool: Arc<OnceLock<WeakPool<K>>>,
    user: K,
    key: StoreKey,
}

impl<K: Display + Clone> UserSource<K> {
    pub(super) fn new(users: &Arc<Users>, pool: &Arc<OnceLock<WeakPool<K>>>, user: &K) -> Self {
        Self { users: Arc::clone(users), pool: Arc::clone(pool), user: user.clone(), key: users.key(user) }
    }
}

impl<K: Eq + Hash + Clone + Send + Sync + 'static> UserSource<K> {
    async fn obtain(&self, rejected: Option<&AccessToken>) -> Result<TokenSet, Error> {
        let result = self.users.obtain(&self.key, rejected).await;
        // The user may sign in at another process: who asks the pool next looks into the store again.
        if let Err(error) = &result
            && error.kind() == ErrorKind::SignInRequired
            && let Some(pool) = self.pool.get().and_then(WeakPool::upgrade)
        {
            pool.forget(&self.user);
        }
        result
    }
}

impl<K: Eq + Hash + Clone + Send + Sync + 'static> TokenSource for UserSource<K> {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        self.obtain(None).await
    }

    async fn fetch_after(&self, rejection: &Rejection) -> Result<TokenSet, Error> {
        self.obtain(Some(&rejection.token)).await
    }

    fn holds_state(&self) -> bool {
        false
    }

    /// A sign-in ends what was remembered against the one before, for those who hold its cache.
    fn credential_fingerprint(&self) -> Option<u64> {
        Some(self.users.fingerprint(&self.key))
    }
}
