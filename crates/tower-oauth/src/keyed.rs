//! Many tenants: nothing is sent before it is said whose it is.

use std::{fmt, hash::Hash, marker::PhantomData, sync::Arc};

use oauth_tokens::TokenPool;

use crate::{CloneService, Error, OAuth, OAuthLayer, Origin};

/// A layer whose tokens are those of a key (a tenant, a user); made by [`OAuthLayer::keyed`].
///
/// It is no [`Layer`](tower_layer::Layer), as what it makes is no service yet: [`Keyed`] waits for its key.
///
/// ```
/// use tower::ServiceExt;
/// use tower_oauth::{OAuthLayer, oauth_tokens::TokenPool};
///
/// # async fn example(tenants: TokenPool<String>) -> Result<(), tower_oauth::BoxError> {
/// # let client = tower::service_fn(|_: http::Request<String>| async {
/// #     Ok::<_, tower_oauth::BoxError>(http::Response::new(String::new()))
/// # });
/// let crm = OAuthLayer::keyed("https://crm.example.com", tenants)?.layer(client);
///
/// let request = http::Request::get("https://crm.example.com/customers").body(String::new())?;
/// let response = crm.key("acme".to_owned()).oneshot(request).await?;
/// # Ok(())
/// # }
/// ```
///
/// Without a key it does not compile:
///
/// ```compile_fail
/// # use tower::ServiceExt;
/// # async fn example(tenants: oauth_tokens::TokenPool<String>) -> Result<(), tower_oauth::BoxError> {
/// # let client = tower::service_fn(|_: http::Request<String>| async {
/// #     Ok::<_, tower_oauth::BoxError>(http::Response::new(String::new()))
/// # });
/// let crm = tower_oauth::OAuthLayer::keyed("https://crm.example.com", tenants)?.layer(client);
/// # let request = http::Request::get("https://crm.example.com/customers").body(String::new())?;
/// let response = crm.oneshot(request).await?; // whose?
/// # Ok(())
/// # }
/// ```
// Rustc shows the lines within the brackets where it says that `KeyedLayer` is no layer, and does not say why.
#[must_use]
pub struct KeyedLayer<
    // Whose tokens? It is a layer as soon as it has a key: `.key(tenant)` gives one.
    K,
> {
    /// Without a key it refuses every request to its origins.
    unkeyed: OAuthLayer,
    keys: PhantomData<fn(K)>,
}

impl<K: Eq + Hash + Clone + Send + Sync + 'static> KeyedLayer<K> {
    pub(crate) fn new(unkeyed: OAuthLayer) -> Self {
        Self { unkeyed, keys: PhantomData }
    }

    /// The layer for the tokens of one key; for clients of their own kinds (`reqwest`, `middleware`, `grpc`), which then are
    /// that key's alone. Cheap, but for what those make: where keys come and go, see
    /// [`OAuthLayer::keyed_by`].
    #[must_use]
    pub fn key(&self, key: K) -> OAuthLayer {
        self.unkeyed.clone().with_key(Arc::new(key))
    }

    /// Goes over a client, once for all keys.
    pub fn layer<S: CloneService>(&self, inner: S) -> Keyed<S, K> {
        Keyed { inner, layer: self.clone() }
    }

    /// Another origin, with a pool of its own: a key there is another's, or the same one's with other tokens.
    ///
    /// # Errors
    ///
    /// As [`OAuthLayer::origin`]: the same pool at two origins has to be said by
    /// [`origin_sharing_with`](Self::origin_sharing_with) (R15).
    pub fn origin<O>(self, origin: O, pool: impl Into<TokenPool<K>>) -> Result<Self, Error>
    where
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        self.unkeyed.origin_of_keyed(origin, pool.into()).map(Self::new)
    }

    /// As [`OAuthLayer::origin_sharing_with`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn origin_sharing_with<O>(self, origin: O, known: O) -> Result<Self, Error>
    where
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        self.unkeyed.origin_sharing_with(origin, known).map(Self::new)
    }

    /// As [`OAuthLayer::over_one_connection`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn over_one_connection(self) -> Result<Self, Error> {
        self.unkeyed.over_one_connection().map(Self::new)
    }

    /// As [`OAuthLayer::refuse_caller_authorization`].
    pub fn refuse_caller_authorization(self) -> Self {
        Self::new(self.unkeyed.refuse_caller_authorization())
    }

    /// As [`OAuthLayer::renew_on_other_schemes`].
    pub fn renew_on_other_schemes(self) -> Self {
        Self::new(self.unkeyed.renew_on_other_schemes())
    }

    /// As [`OAuthLayer::never_retry`].
    pub fn never_retry(self) -> Self {
        Self::new(self.unkeyed.never_retry())
    }
}

impl<K> Clone for KeyedLayer<K> {
    fn clone(&self) -> Self {
        Self { unkeyed: self.unkeyed.clone(), keys: PhantomData }
    }
}

impl<K> fmt::Debug for KeyedLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyedLayer").field(&self.unkeyed).finish()
    }
}

/// A client whose requests get the tokens of a key, as soon as it is said which; made by [`KeyedLayer::layer`].
// Rustc shows the lines within the brackets where it says that `Keyed` is no service, and does not say why.
pub struct Keyed<
    // Whose tokens? It is a service as soon as it has a key: `.key(tenant)` gives one.
    S,
    K,
> {
    inner: S,
    layer: KeyedLayer<K>,
}

impl<S: CloneService, K: Eq + Hash + Clone + Send + Sync + 'static> Keyed<S, K> {
    /// The service for the tokens of one key. It costs a clone of the client, and holds no token: the pool is asked at each
    /// request.
    #[must_use]
    pub fn key(&self, key: K) -> OAuth<S> {
        let layer = self.layer.key(key);
        tower_layer::Layer::layer(&layer, self.inner.clone())
    }

    /// The client.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: Clone, K> Clone for Keyed<S, K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S: fmt::Debug, K> fmt::Debug for Keyed<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}
