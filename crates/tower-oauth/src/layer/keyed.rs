//! Layers whose tokens are those of a key: a tenant, a user.

use std::{hash::Hash, sync::Arc};

use oauth_tokens::TokenPool;

use crate::{
    Error, KeyedLayer, OAuthLayer, Origin, RequestHead,
    policy::{KeyFn, KeyOf, Pooled, Tokens},
};

/// Three ways to say whose a request is. The pool is asked at each request, after the origin; where there is no key, nothing is
/// sent.
impl OAuthLayer {
    /// A layer for one origin whose tokens are those of a key, which [`Keyed::key`](crate::Keyed::key) is given: a forgotten
    /// tenant does not compile.
    ///
    /// ```
    /// use tower::ServiceExt;
    /// use tower_oauth::{OAuthLayer, oauth_tokens::TokenPool};
    ///
    /// # async fn example(tenants: TokenPool<u32>) -> Result<(), tower_oauth::BoxError> {
    /// # let client = tower::service_fn(|_: http::Request<String>| async {
    /// #     Ok::<_, tower_oauth::BoxError>(http::Response::new(String::new()))
    /// # });
    /// let crm = OAuthLayer::keyed("https://crm.example.com", tenants)?.layer(client);
    ///
    /// let request = http::Request::get("https://crm.example.com/customers").body(String::new())?;
    /// let response = crm.key(42).oneshot(request).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn keyed<K, O>(origin: O, pool: impl Into<TokenPool<K>>) -> Result<KeyedLayer<K>, Error>
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        Self::empty().origin_of_keyed(origin, pool.into()).map(KeyedLayer::new)
    }

    /// A layer for one origin whose tokens are those of a key among each request's extensions: those of an `http::Request`, of
    /// a gRPC call, or of reqwest-middleware. Give the key a type of its own, so that nobody else's extension is taken for it.
    ///
    /// ```
    /// use tower_oauth::{OAuthLayer, oauth_tokens::TokenPool};
    ///
    /// #[derive(Clone, PartialEq, Eq, Hash)]
    /// struct Tenant(u32);
    ///
    /// # fn example(tenants: TokenPool<Tenant>) -> Result<(), tower_oauth::BoxError> {
    /// let layer = OAuthLayer::keyed_by_extension::<Tenant>("https://crm.example.com", tenants)?;
    /// let request = http::Request::get("https://crm.example.com/customers").extension(Tenant(42)).body(())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A request without the key is refused ([`ErrorKind::MissingKey`](crate::ErrorKind::MissingKey)); so is every plain
    /// `reqwest::Request`, which has no extensions.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn keyed_by_extension<K>(
        origin: impl TryInto<Origin, Error: Into<Error>>,
        pool: impl Into<TokenPool<K>>,
    ) -> Result<Self, Error>
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
    {
        Self::empty().origin_keyed_by_extension(origin, pool)
    }

    /// A layer for one origin whose tokens are those of the key that this function finds in a request: in its URL, its headers,
    /// or several extensions. None: the request is refused ([`ErrorKind::MissingKey`](crate::ErrorKind::MissingKey)). It is
    /// asked for requests to the origin only, and once for each, retries included.
    ///
    /// What it goes by decides whose token is sent: let it be set by your own code, never by whoever calls your service. An API
    /// can change a URL by a redirect: `OAuthLayer::reqwest` follows none that would change the key; where somebody else
    /// follows redirects above the layer, take the key from a header or an extension.
    ///
    /// ```
    /// use tower_oauth::{OAuthLayer, oauth_tokens::TokenPool};
    ///
    /// # fn example(tenants: TokenPool<String>) -> Result<(), tower_oauth::BoxError> {
    /// // https://crm.example.com/tenants/acme/customers
    /// let layer = OAuthLayer::keyed_by("https://crm.example.com/tenants", tenants, |request| {
    ///     request.path.split('/').nth(2).map(str::to_owned)
    /// })?;
    /// # let _ = layer;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn keyed_by<K, O>(
        origin: O,
        pool: impl Into<TokenPool<K>>,
        key: impl Fn(&RequestHead<'_>) -> Option<K> + Send + Sync + 'static,
    ) -> Result<Self, Error>
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        Self::empty().origin_keyed_by(origin, pool, key)
    }

    /// Another origin, [keyed by extension](Self::keyed_by_extension), with a pool of its own.
    ///
    /// # Errors
    ///
    /// As [`origin`](Self::origin).
    pub fn origin_keyed_by_extension<K>(
        self,
        origin: impl TryInto<Origin, Error: Into<Error>>,
        pool: impl Into<TokenPool<K>>,
    ) -> Result<Self, Error>
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
    {
        let origin = origin.try_into().map_err(Into::into)?;
        self.add_own(origin, pooled(pool.into(), KeyOf::Extension))
    }

    /// Another origin, [keyed by a function](Self::keyed_by), with a pool of its own.
    ///
    /// # Errors
    ///
    /// As [`origin`](Self::origin).
    pub fn origin_keyed_by<K, O>(
        self,
        origin: O,
        pool: impl Into<TokenPool<K>>,
        key: impl Fn(&RequestHead<'_>) -> Option<K> + Send + Sync + 'static,
    ) -> Result<Self, Error>
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        let key: KeyFn<K> = Box::new(key);
        self.add_own(origin.try_into()?, pooled(pool.into(), KeyOf::Request(key)))
    }

    /// Another origin, for the key that the service will be given.
    pub(crate) fn origin_of_keyed<K, O>(self, origin: O, pool: TokenPool<K>) -> Result<Self, Error>
    where
        K: Eq + Hash + Clone + Send + Sync + 'static,
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        self.add_own(origin.try_into()?, pooled(pool, KeyOf::Service))
    }
}

fn pooled<K: Eq + Hash + Clone + Send + Sync + 'static>(pool: TokenPool<K>, key: KeyOf<K>) -> Tokens {
    Tokens::Keyed(Arc::new(Pooled { pool, key }))
}
