//! The tokens of users who signed in: a pool of refresh tokens over a store.
//!
//! | file | idea |
//! |---|---|
//! | `discarded.rs` | whose tokens are not to be revoked, though they are gone |
//! | `new_sign_in.rs` | what a sign-in brings |
//! | `renewal.rs` | one renewal of a user's tokens at a time, in the whole fleet; nothing rotated is lost |
//! | `sign_ins.rs` | which users signed in anew, so that what was remembered against them ends |
//! | `source.rs` | the token source of one user |
//! | `unsaved.rs` | what is saved, and rotated refresh tokens that the store did not take yet |

mod discarded;
mod new_sign_in;
mod renewal;
mod sign_ins;
mod source;
mod unsaved;

use std::{
    fmt::{self, Display},
    hash::Hash,
    sync::{Arc, OnceLock},
    time::Duration,
};

pub use self::new_sign_in::NewSignIn;
use self::{
    renewal::{LEASE, Users, revoke},
    source::UserSource,
};
#[cfg(feature = "sign-in")]
use crate::IdToken;
use crate::{
    AccessToken, Error, ErrorKind, MemoryStore, PoolStatus, SharedStore, StoreKey, TokenCache, TokenClient, TokenPool,
    store::Kept,
};

/// How often a user is taken at their word while others change the same record.
const MAX_ROUNDS: u32 = 3;

/// The tokens of users who signed in: a [`TokenPool`] by user, whose refresh tokens are kept in a store.
///
/// A sign-in brings a refresh token; [`sign_in`](Self::sign_in) takes it over, and from then on [`get`](Self::get) gives the user's
/// access token, renewed when that is due. A user's token never serves another.
///
/// ```
/// # #[cfg(feature = "reqwest")] {
/// # use oauth_tokens::{AuthorizationServer, ClientAuth, Error, ErrorKind, Secret, TokenSet};
/// use oauth_tokens::{FileStore, StoreKeys, UserTokens};
///
/// # let server = AuthorizationServer::issuer("https://id.example.com")?;
/// let client = server.client("shop", ClientAuth::secret_basic(Secret::file("/run/secrets/shop")))?;
/// let store = FileStore::new("/var/lib/shop/users").encrypted(StoreKeys::new(Secret::file("/run/secrets/shop-keys")));
/// let users = UserTokens::<String>::new(client).store(store);
///
/// # async fn example(users: UserTokens<String>, tokens: TokenSet) -> Result<(), Error> {
/// // After the sign-in:
/// users.sign_in(&"alice".to_owned(), tokens).await?;
///
/// // For each call to an API:
/// match users.token(&"alice".to_owned()).await {
///     Ok(token) => println!("{:?}", token.authorization()),
///     Err(error) if error.kind() == ErrorKind::SignInRequired => println!("redirect to the sign-in"),
///     Err(error) => return Err(error),
/// }
///
/// // After the sign-out: deleted here, and revoked at the server.
/// users.forget(&"alice".to_owned()).await?;
/// # Ok(())
/// # }
/// # let _ = users;
/// # }
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
///
/// A layer takes it as a pool: `TokenPool::from(&users)`. The access tokens are for what the user agreed to at the sign-in; scopes
/// that a single request asks for besides are an [`ErrorKind::Config`].
///
/// # Where they are kept
///
/// In this process ([`MemoryStore`]) unless [a store](Self::store) is given. A fleet shares one store; then a user may come to any
/// of its processes. Whoever has the store, and its keys, has the users' refresh tokens: encrypt it.
///
/// A user is known in the store by a digest of the server, the client's id, and the user's text (`Display`): two users never
/// have the same text.
///
/// # Rotation
///
/// A server may take a refresh token that is used twice for stolen (RFC 9700, section 4.14.2), and end the sign-in. So here,
/// unlike for other tokens, the store is a need:
///
/// - Tokens of a user are renewed by one process at a time, the one with the store's lease. While that is not to be had, a token
///   that is valid serves; if there is none, the error is transient.
/// - A new refresh token is saved before the access token that came with it is used. If the store does not take it, it is kept
///   in memory, saving goes on (every 30 s at least, until [`idle`](Self::idle) is over), and is tried again before the next
///   exchange; until then the error is transient.
/// - The old refresh token is kept when none comes back.
/// - What a renewal brought after the user signed in anew, or was forgotten, is not used. It is revoked if the user was
///   forgotten; after a sign-in it may be of the same session at the server, and is left to expire.
///
/// # ID tokens
///
/// With the feature `sign-in`, the ID token of a sign-in is kept, sealed as the refresh token is. When a renewal brings another one,
/// it must be of the same issuer and user (OpenID Connect Core, section 12.2): if not, the sign-in is over, and what came is
/// revoked. It is not used otherwise, and not kept; one that cannot be read, as it is encrypted for example, is passed over.
///
/// # When the sign-in is over
///
/// When the server does not accept a refresh token any more (`invalid_grant`), it is deleted, if it is still the one that the
/// store has. The error is then [`ErrorKind::SignInRequired`], as for somebody who never signed in: it is permanent, and ends
/// with the next sign-in.
pub struct UserTokens<K> {
    users: Arc<Users>,
    pool: TokenPool<K>,
}

impl<K: Display + Eq + Hash + Clone + Send + Sync + 'static> UserTokens<K> {
    /// User tokens of this client, in the memory of this process. No I/O.
    #[must_use]
    pub fn new(client: TokenClient) -> Self {
        Self::over(Users::new(client, MemoryStore::new().into()))
    }

    fn over(users: Users) -> Self {
        let users = Arc::new(users);
        // Known to the sources once there is one.
        let own_pool = Arc::new(OnceLock::new());
        let pool = TokenPool::new({
            let (users, own_pool) = (Arc::clone(&users), Arc::clone(&own_pool));
            move |user: &K| Ok(UserSource::new(&users, &own_pool, user))
        });
        let pool = match users.capacity {
            Some(capacity) => pool.capacity(capacity),
            None => pool,
        };
        let _ = own_pool.set(pool.downgrade());
        Self { users, pool }
    }

    /// Keeps them in this store. To be said before anything else.
    #[must_use]
    pub fn store(self, store: impl Into<SharedStore>) -> Self {
        Self::over(self.users.with_store(store.into()))
    }

    /// Forgets a user whose tokens were not renewed for so long, if the store forgets by itself. Default: 90 days, as long as
    /// servers commonly let a refresh token lie idle. To be said before anything else.
    #[must_use]
    pub fn idle(self, idle: Duration) -> Self {
        Self::over(self.users.with_idle(idle))
    }

    /// Names a resource that the access tokens are for, with each renewal (RFC 8707, section 2.2); call it again for more. What a
    /// sign-in brings is taken to be for them. Of a user whose stored access token is for other resources, only the refresh token
    /// is used. To be said before anything else.
    #[must_use]
    pub fn resource(self, resource: impl Into<String>) -> Self {
        Self::over(self.users.with_resource(resource.into()))
    }

    /// Holds the access tokens of so many users in memory at most; see [`TokenPool::capacity`]. The store may hold more. To be
    /// said before anything else.
    #[must_use]
    pub fn capacity(self, users: usize) -> Self {
        Self::over(self.users.with_capacity(users))
    }

    /// Takes over what a user's sign-in brought, in the place of what there was: a [`TokenSet`](crate::TokenSet), or (feature `sign-in`) a
    /// `SignedIn`, whose ID token is kept, too. The tokens are saved when this returns.
    ///
    /// Without a refresh token among them, the user has to sign in again when the access token has had its use.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] when they could not be saved.
    pub async fn sign_in(&self, user: &K, tokens: impl Into<NewSignIn>) -> Result<(), Error> {
        let key = self.users.key(user);
        let NewSignIn { tokens, id_token } = tokens.into();
        let mut kept = self.users.kept(&tokens, self.users.store.now());
        kept.refresh_token = tokens.refresh_token.filter(|token| !token.is_empty());
        kept.id_token = id_token;
        for _ in 0..MAX_ROUNDS {
            let previous = self.users.store.load(&key).await?.map(|record| record.version);
            if self.users.replace(&key, previous, &kept).await? {
                self.users.signed_in(&key);
                self.pool.forget(user);
                return Ok(());
            }
        }
        Err(Error::new(
            ErrorKind::Store,
            "a sign-in could not be saved: others save tokens of the same user all the time",
        ))
    }

    /// The cache of a user's access token. No I/O. As any cache of a [pool](TokenPool::get), it is not to be kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::PoolFull`] when no other user can make room. Those of the cache: [`ErrorKind::SignInRequired`] when nobody
    /// is signed in under this name; [`ErrorKind::Store`] when the store fails and no valid token is at hand; and whatever
    /// keeps a renewal from succeeding.
    pub fn get(&self, user: &K) -> Result<TokenCache, Error> {
        self.pool.get(user)
    }

    /// A user's access token; see [`TokenCache::token`].
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn token(&self, user: &K) -> Result<AccessToken, Error> {
        self.get(user)?.token().await
    }

    /// The ID token of a user's sign-in, as it was verified then; it may have expired since. Read from the store each time.
    ///
    /// It is the hint that a logout sends ([`TokenClient::end_session`]), and says who the user is. None: the sign-in brought
    /// none, or the record is of a key that this process does not have.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] when the store fails.
    #[cfg(feature = "sign-in")]
    pub async fn id_token(&self, user: &K) -> Result<Option<IdToken>, Error> {
        let record = self.users.store.load(&self.users.key(user)).await?;
        let id_token = record.as_ref().and_then(Kept::read).and_then(|kept| kept.id_token);
        Ok(id_token.and_then(|raw| IdToken::from_store(&raw).ok()))
    }

    /// Signs a user out: deletes the tokens, here and in the store, and has the server revoke the refresh token and the access
    /// token (RFC 7009). Other processes, and whoever holds what [`get`](Self::get) gave, may use the access token until it is
    /// due.
    ///
    /// A process whose store does not have the key that a record is sealed with finds no record: it deletes and revokes nothing.
    ///
    /// A server without a revocation endpoint is no error, nor one that does not revoke access tokens.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] when the tokens could not be deleted: nothing is forgotten then. Else why the refresh token could not
    /// be revoked: it is forgotten all the same.
    pub async fn forget(&self, user: &K) -> Result<(), Error> {
        for kept in self.take(user).await? {
            revoke(&self.users.client, &kept).await?;
        }
        Ok(())
    }

    /// Deletes a user's tokens as [`forget`](Self::forget) does, and has the server revoke nothing: for a user whom the server has
    /// signed out itself, or whose next sign-in took the place of this one. Many servers end the next one, too, when a token of
    /// the one before it is revoked. What a renewal that is under way in this process brings is not revoked, either; one of another
    /// process is, as it cannot tell this from a sign-out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] when the tokens could not be deleted: nothing is forgotten then.
    pub async fn discard(&self, user: &K) -> Result<(), Error> {
        // First: what is under way may end at any moment.
        self.users.discarded.put(&self.users.key(user), LEASE);
        self.take(user).await.map(drop)
    }

    /// All that there was of a user.
    async fn take(&self, user: &K) -> Result<impl Iterator<Item = Kept> + use<K>, Error> {
        let key = self.users.key(user);
        let stored = self.delete(&key).await?;
        // Not before: as long as the record is there, its refresh token may be of no use without this one.
        let unsaved = self.users.unsaved.take(&key);
        self.pool.forget(user);
        Ok([unsaved, stored].into_iter().flatten())
    }

    /// What was deleted, if there was anything.
    async fn delete(&self, key: &StoreKey) -> Result<Option<Kept>, Error> {
        for _ in 0..MAX_ROUNDS {
            let Some(record) = self.users.store.load(key).await? else { return Ok(None) };
            if self.users.store.delete(key, record.version).await? {
                self.users.store.raise_floor(key, record.version.saturating_add(1));
                return Ok(Kept::read(&record));
            }
        }
        Err(Error::new(
            ErrorKind::Store,
            "a user could not be forgotten: others save tokens of the same user all the time",
        ))
    }

    /// The pool, for a layer; the same as `TokenPool::from`.
    #[must_use]
    pub fn pool(&self) -> TokenPool<K> {
        self.pool.clone()
    }

    /// A look at all users whose access tokens are in memory, for health checks; see [`TokenPool::status`].
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        self.pool.status()
    }
}

impl<K> Clone for UserTokens<K> {
    fn clone(&self) -> Self {
        Self { users: Arc::clone(&self.users), pool: self.pool.clone() }
    }
}

impl<K> From<&UserTokens<K>> for TokenPool<K> {
    fn from(users: &UserTokens<K>) -> Self {
        users.pool.clone()
    }
}

impl<K> From<UserTokens<K>> for TokenPool<K> {
    fn from(users: UserTokens<K>) -> Self {
        users.pool
    }
}

impl<K> fmt::Debug for UserTokens<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserTokens")
            .field("client", &self.users.client)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}
