//! How a layer is told what to protect.

mod keyed;

use std::{fmt, sync::Arc};

use oauth_tokens::TokenCache;
use tower_layer::Layer;

use crate::{
    CloneService, Error, ErrorKind, OAuth, Origin, RequestHead, StepUp,
    policy::{GivenKey, Policy, Route, Selector, Tokens},
};

/// Puts access tokens on requests to the origins it was told of, and on a 401 renews the token and retries once.
///
/// Requests to any other origin pass through without a token. The layer belongs below whatever follows redirects, and
/// directly above the client.
///
/// ```
/// use tower::{Layer, ServiceBuilder};
/// use tower_oauth::{OAuthLayer, oauth_tokens::TokenCache};
///
/// # let client = tower::service_fn(|_: http::Request<String>| async {
/// #     Ok::<_, tower_oauth::BoxError>(http::Response::new(String::new()))
/// # });
/// let orders = TokenCache::fixed("t0k3n-of-orders")?;
/// let stock = TokenCache::fixed("t0k3n-of-stock")?;
///
/// // One origin; or several, each with its own tokens.
/// let layer = OAuthLayer::new("https://orders.example.com", orders)?
///     .origin("https://stock.example.com:8443/v2", stock)?;
/// let api = layer.layer(client);
/// # let _ = api;
/// # Ok::<(), tower_oauth::BoxError>(())
/// ```
#[derive(Clone)]
pub struct OAuthLayer {
    policy: Arc<Policy>,
    /// Whose tokens, where that is said beforehand.
    key: Option<GivenKey>,
}

impl OAuthLayer {
    /// A layer for one origin: scheme, host and port, with a path prefix if only a part of the host is meant.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when it is no origin, or plain http beyond loopback; see [`Origin`].
    pub fn new<O>(origin: O, tokens: TokenCache) -> Result<Self, Error>
    where
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        Self::empty().add(origin.try_into()?, Tokens::Cache(tokens))
    }

    /// A layer for a service that always talks to this origin, and whose requests therefore carry no authority: a gRPC
    /// channel, a single HTTP/2 connection (R5).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn for_connection<O>(origin: O, tokens: TokenCache) -> Result<Self, Error>
    where
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        let origin = origin.try_into()?;
        let layer = Self::empty().add(origin.clone(), Tokens::Cache(tokens))?;
        Ok(layer.change(|policy| policy.for_connection = Some(origin)))
    }

    /// A layer for these origins whose tokens are selected for each request: by its method, a header, an extension. For a
    /// request without tokens the selector has `None`, and the request is refused (R3). Requests to other origins pass
    /// through without a token, and the selector is not asked.
    ///
    /// Where redirects are followed above the layer, the selector is asked again for where they lead. So do not select whose
    /// token it is by the path or the query: an API could choose that by a redirect. For tenants there is
    /// [`keyed`](Self::keyed).
    ///
    /// ```
    /// use tower_oauth::{OAuthLayer, oauth_tokens::TokenCache};
    ///
    /// let (read, write) = (TokenCache::fixed("r")?, TokenCache::fixed("w")?);
    /// let layer = OAuthLayer::selecting(["https://api.example.com"], move |request| {
    ///     Some(if request.method.is_safe() { read.clone() } else { write.clone() })
    /// })?;
    /// # let _ = layer;
    /// # Ok::<(), tower_oauth::BoxError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and when there is no origin at all.
    pub fn selecting<O>(
        origins: impl IntoIterator<Item = O>,
        select: impl Fn(&RequestHead<'_>) -> Option<TokenCache> + Send + Sync + 'static,
    ) -> Result<Self, Error>
    where
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        let select: Selector = Arc::new(select);
        let mut layer = Self::empty();
        for origin in origins {
            layer = layer.add(origin.try_into()?, Tokens::Selected(Arc::clone(&select)))?;
        }
        if layer.policy.routes.is_empty() {
            return Err(Error::new(ErrorKind::Config, "a layer without any origin would never send a token"));
        }
        Ok(layer)
    }

    /// Another origin, with tokens of its own.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); [`ErrorKind::Config`] too when the origin is there already, or the tokens are another
    /// origin's: sharing is done by [`origin_sharing`](Self::origin_sharing) (R15).
    pub fn origin<O>(self, origin: O, tokens: TokenCache) -> Result<Self, Error>
    where
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        self.add_own(origin.try_into()?, Tokens::Cache(tokens))
    }

    /// Another origin that gets the same tokens as one that is there already: whoever runs one of them can use a token
    /// at the other (R15).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); [`ErrorKind::Config`] too when the origin is there already.
    pub fn origin_sharing<O>(self, origin: O, tokens: TokenCache) -> Result<Self, Error>
    where
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        self.add(origin.try_into()?, Tokens::Cache(tokens))
    }

    /// Another origin that gets its tokens as `known` does, an origin that is there already: from the same cache, selector or
    /// pool, by the same key. Whoever runs one of them can use a token at the other (R15).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); [`ErrorKind::Config`] too when the origin is there already, or `known` is not.
    pub fn origin_sharing_with<O>(self, origin: O, known: O) -> Result<Self, Error>
    where
        O: TryInto<Origin>,
        Error: From<O::Error>,
    {
        let (origin, known) = (origin.try_into()?, known.try_into()?);
        let Some(tokens) = self.policy.routes.iter().find(|route| route.origin == known).map(|route| &route.tokens)
        else {
            let message =
                format!("{origin} cannot share the tokens of {known}, which is not among the layer's origins");
            return Err(Error::new(ErrorKind::Config, message));
        };
        let tokens = tokens.clone();
        self.add(origin, tokens)
    }

    /// Says that the service below always talks to the layer's one origin, and that its requests therefore carry no authority: what
    /// [`for_connection`](Self::for_connection) says of a single token, for layers that are made in other ways (R5).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when there are several origins.
    pub fn over_one_connection(self) -> Result<Self, Error> {
        let [Route { origin, .. }] = self.policy.routes.as_slice() else {
            let message = "a single connection leads to a single origin, and the layer has several";
            return Err(Error::new(ErrorKind::Config, message));
        };
        let origin = origin.clone();
        Ok(self.change(|policy| policy.for_connection = Some(origin)))
    }

    /// Refuses requests to protected origins that carry an `Authorization` header already. Default: they are sent as they
    /// are, and not retried (R1).
    #[must_use]
    pub fn refuse_caller_authorization(self) -> Self {
        self.change(|policy| policy.refuse_caller_authorization = true)
    }

    /// Renews and retries after a 401 whose challenges are all of other schemes, too: for APIs that answer `Basic` to an
    /// expired bearer token. Default: no (R6).
    #[must_use]
    pub fn renew_on_other_schemes(self) -> Self {
        self.change(|policy| policy.renew_on_other_schemes = true)
    }

    /// Sends a request again with a stronger token when the API asks for one (`insufficient_scope`, RFC 9470), in a 401 or a
    /// 403. Default: no; the demand is the caller's to read, by [`Demand::of`](crate::Demand::of).
    ///
    /// Not for origins whose tokens are [selected](Self::selecting) for each request, or [those of a key](Self::keyed): what was
    /// got for one caller would serve another. There, say it beforehand by [`TokenOptions::scope`](crate::TokenOptions::scope).
    ///
    /// The stronger token serves that request alone: the next one begins with the tokens of its origin again, so that no
    /// request has more power than it needs.
    #[must_use]
    pub fn step_up(self, step_up: StepUp) -> Self {
        self.change(|policy| policy.step_up = Some(step_up))
    }

    /// Never sends a request again; a 401 only renews the token for the next one. No copies of requests are kept then.
    #[must_use]
    pub fn never_retry(self) -> Self {
        self.change(|policy| policy.never_retry = true)
    }

    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn given_key(&self) -> Option<&GivenKey> {
        self.key.as_ref()
    }

    pub(crate) fn with_key(self, key: GivenKey) -> Self {
        Self { key: Some(key), ..self }
    }

    fn empty() -> Self {
        Self { policy: Arc::default(), key: None }
    }

    /// Tokens that no other origin has.
    fn add_own(self, origin: Origin, tokens: Tokens) -> Result<Self, Error> {
        if let Some(owner) = self.policy.routes.iter().find(|route| route.tokens.are_shared_with(&tokens)) {
            let message = format!(
                "the tokens for {origin} are those of {}: whoever runs one origin could use them at the other; if that \
                 is meant, say origin_sharing or origin_sharing_with",
                owner.origin
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        self.add(origin, tokens)
    }

    fn add(self, origin: Origin, tokens: Tokens) -> Result<Self, Error> {
        if self.policy.routes.iter().any(|route| route.origin == origin) {
            return Err(Error::new(ErrorKind::Config, format!("the origin {origin} is named twice")));
        }
        Ok(self.change(|policy| {
            let mut usual_form = origin.usual_form();
            for route in policy.routes.iter_mut().filter(|route| route.origin.is_same_server(&origin)) {
                (route.usual_form, usual_form) = (None, None);
            }
            policy.routes.push(Route { origin, tokens, usual_form });
            // A longer text is a longer prefix where origins are alike, and makes no difference where they are not.
            policy.routes.sort_by_key(|route| std::cmp::Reverse(route.origin.as_str().len()));
        }))
    }

    fn change(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(Arc::make_mut(&mut self.policy));
        self
    }
}

impl<S: CloneService> Layer<S> for OAuthLayer {
    type Service = OAuth<S>;

    fn layer(&self, inner: S) -> OAuth<S> {
        OAuth::new(inner, Arc::clone(&self.policy), self.key.clone())
    }
}

impl fmt::Debug for OAuthLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key: it may name a person.
        f.debug_struct("OAuthLayer").field("policy", &self.policy).field("keyed", &self.key.is_some()).finish()
    }
}
