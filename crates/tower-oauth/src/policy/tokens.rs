//! Where the tokens of an origin come from.

use std::{any::Any, fmt, hash::Hash, sync::Arc};

use oauth_tokens::{TokenCache, TokenPool};

use crate::RequestHead;

/// Where the tokens of an origin come from.
#[derive(Clone)]
pub(crate) enum Tokens {
    Cache(TokenCache),
    Selected(Selector),
    Keyed(Arc<dyn KeyedTokens>),
}

pub(crate) type Selector = Arc<dyn Fn(&RequestHead<'_>) -> Option<TokenCache> + Send + Sync>;

/// The key that a service was given, of whatever type; behind a pointer, as each request clones its service.
pub(crate) type GivenKey = Arc<dyn Any + Send + Sync>;

/// A pool of tokens, whatever its keys are.
pub(crate) trait KeyedTokens: Send + Sync {
    /// The tokens of a request's key, asked for with these scopes besides. They are not kept: the pool could not let go of them.
    fn find(&self, head: &RequestHead<'_>, given: Option<&GivenKey>, scopes: &[String])
    -> Result<TokenCache, NotFound>;

    /// Whether both requests are of the same key.
    #[cfg(feature = "reqwest-middleware")]
    fn is_same_key(&self, one: &RequestHead<'_>, other: &RequestHead<'_>) -> bool;

    fn is_pool(&self, other: &dyn Any) -> bool;

    fn pool(&self) -> &dyn Any;
}

/// Why there are no tokens of a key.
pub(crate) enum NotFound {
    NoKey(MissingKey),
    NoTokens(oauth_tokens::Error),
}

/// Where a key was looked for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MissingKey {
    NotGiven,
    NoExtensions,
    NotAmongExtensions,
    NotInRequest,
}

/// Where the key of a request is.
pub(crate) enum KeyOf<K> {
    /// The service was given it.
    Service,
    /// Among the request's extensions.
    Extension,
    /// Wherever this function finds it.
    Request(KeyFn<K>),
}

pub(crate) type KeyFn<K> = Box<dyn Fn(&RequestHead<'_>) -> Option<K> + Send + Sync>;

/// A pool, and where the key of a request is.
pub(crate) struct Pooled<K> {
    pub(crate) pool: TokenPool<K>,
    pub(crate) key: KeyOf<K>,
}

impl<K: Eq + Hash + Clone + Send + Sync + 'static> KeyedTokens for Pooled<K> {
    fn find(
        &self,
        head: &RequestHead<'_>,
        given: Option<&GivenKey>,
        scopes: &[String],
    ) -> Result<TokenCache, NotFound> {
        let made;
        let (key, missing) = match &self.key {
            KeyOf::Service => (given.and_then(|key| key.downcast_ref()), MissingKey::NotGiven),
            KeyOf::Extension => match head.extensions {
                Some(extensions) => (extensions.get(), MissingKey::NotAmongExtensions),
                None => (None, MissingKey::NoExtensions),
            },
            KeyOf::Request(key_of) => {
                made = key_of(head);
                (made.as_ref(), MissingKey::NotInRequest)
            }
        };
        let key: &K = key.ok_or(NotFound::NoKey(missing))?;
        let found = if scopes.is_empty() { self.pool.get(key) } else { self.pool.get_scoped(key, scopes) };
        found.map_err(NotFound::NoTokens)
    }

    #[cfg(feature = "reqwest-middleware")]
    fn is_same_key(&self, one: &RequestHead<'_>, other: &RequestHead<'_>) -> bool {
        match &self.key {
            KeyOf::Service | KeyOf::Extension => true,
            KeyOf::Request(key_of) => key_of(one).is_some_and(|key| key_of(other) == Some(key)),
        }
    }

    fn is_pool(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<TokenPool<K>>().is_some_and(|other| other.is_clone_of(&self.pool))
    }

    fn pool(&self) -> &dyn Any {
        &self.pool
    }
}

impl Tokens {
    /// Whether whoever has tokens of these may have tokens of the others (R15). Of selectors nobody knows.
    pub(crate) fn are_shared_with(&self, others: &Self) -> bool {
        match (self, others) {
            (Self::Cache(these), Self::Cache(others)) => these.is_clone_of(others),
            (Self::Keyed(these), Self::Keyed(others)) => these.is_pool(others.pool()),
            _ => false,
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cache(cache) => cache.fmt(f),
            Self::Selected(_) => f.write_str("selected for each request"),
            Self::Keyed(_) => f.write_str("of a pool, by key"),
        }
    }
}
