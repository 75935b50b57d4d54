//! What a cache is found by in a pool, and where its tokens come from.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::{Error, Rejection, TokenSet, TokenSource, source::AnySource};

/// Makes the sources of a pool's keys.
pub(super) struct Maker<K>(Box<Make<K>>);

type Make<K> = dyn Fn(&dyn AnyKey<K>) -> Result<Box<dyn AnySource>, Error> + Send + Sync;

impl<K: 'static> Maker<K> {
    pub(super) fn new<S: TokenSource>(source: impl Fn(&K) -> Result<S, Error> + Send + Sync + 'static) -> Self {
        Self(Box::new(move |of: &dyn AnyKey<K>| {
            let source = source(of.key())?;
            let scopes = of.scopes();
            let source = if scopes.is_empty() { source } else { source.scoped(scopes)? };
            Ok(Box::new(source))
        }))
    }
}

/// A key and the scopes that are asked for besides: what a cache is found by.
pub(super) trait AnyKey<K> {
    fn key(&self) -> &K;
    fn scopes(&self) -> &[String];
}

impl<K: Hash> Hash for dyn AnyKey<K> + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
        self.scopes().hash(state);
    }
}

impl<K: Eq> PartialEq for dyn AnyKey<K> + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key() && self.scopes() == other.scopes()
    }
}

impl<K: Eq> Eq for dyn AnyKey<K> + '_ {}

/// A key that is looked for.
pub(super) struct Wanted<'a, K> {
    pub(super) key: &'a K,
    pub(super) scopes: &'a [String],
}

impl<K> AnyKey<K> for Wanted<'_, K> {
    fn key(&self) -> &K {
        self.key
    }

    fn scopes(&self) -> &[String] {
        self.scopes
    }
}

/// The source of a pool's cache: made of the key for each fetch, so that a cache costs little while nothing happens.
pub(super) struct Keyed<K> {
    maker: Arc<Maker<K>>,
    pub(super) key: K,
    /// What few have: behind one pointer.
    extra: Option<Box<Extra>>,
}

struct Extra {
    scopes: Box<[String]>,
    /// A source that remembers something from one fetch to the next.
    kept: Option<Box<dyn AnySource>>,
}

impl<K: Clone> Keyed<K> {
    pub(super) fn new(maker: &Arc<Maker<K>>, of: &dyn AnyKey<K>) -> Result<Self, Error> {
        let source = (maker.0)(of)?;
        let kept = source.holds_state().then_some(source);
        let scopes: Box<[String]> = of.scopes().into();
        let extra = (kept.is_some() || !scopes.is_empty()).then(|| Box::new(Extra { scopes, kept }));
        Ok(Self { maker: Arc::clone(maker), key: of.key().clone(), extra })
    }
}

impl<K> AnyKey<K> for Keyed<K> {
    fn key(&self) -> &K {
        &self.key
    }

    fn scopes(&self) -> &[String] {
        self.extra.as_ref().map(|extra| &*extra.scopes).unwrap_or_default()
    }
}

enum Source<'a> {
    Kept(&'a dyn AnySource),
    Made(Box<dyn AnySource>),
}

impl Source<'_> {
    fn get(&self) -> &dyn AnySource {
        match self {
            Self::Kept(source) => *source,
            Self::Made(source) => &**source,
        }
    }
}

impl<K: Send + Sync + 'static> Keyed<K> {
    fn source(&self) -> Result<Source<'_>, Error> {
        match self.extra.as_ref().and_then(|extra| extra.kept.as_deref()) {
            Some(kept) => Ok(Source::Kept(kept)),
            None => (self.maker.0)(self).map(Source::Made),
        }
    }
}

impl<K: Send + Sync + 'static> TokenSource for Keyed<K> {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        self.source()?.get().fetch().await
    }

    async fn fetch_after(&self, rejection: &Rejection) -> Result<TokenSet, Error> {
        self.source()?.get().fetch_after(rejection).await
    }

    fn accepts_claims(&self) -> bool {
        self.source().is_ok_and(|source| source.get().accepts_claims())
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        self.source().ok()?.get().credential_fingerprint()
    }
}
