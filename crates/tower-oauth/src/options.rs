//! What a single request asks of its token.

use std::{fmt, time::Duration};

/// What a single request asks of its token: more scopes, a longer life, or none at all. It goes among the extensions of an
/// `http::Request`, or of reqwest-middleware's `RequestBuilder::with_extension`; retries keep it.
///
/// ```
/// use std::time::Duration;
/// use tower_oauth::TokenOptions;
///
/// // A long upload, which a token that ends in between would break.
/// let upload = http::Request::put("https://api.example.com/films/1")
///     .extension(TokenOptions::new().valid_for(Duration::from_secs(600)))
///     .body("film")?;
///
/// // The one page of the API that is open: explicitly without a token.
/// let open = http::Request::get("https://api.example.com/health")
///     .extension(TokenOptions::without_token())
///     .body("")?;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TokenOptions {
    pub(crate) scopes: Vec<String>,
    pub(crate) valid_for: Option<Duration>,
    pub(crate) without_token: bool,
}

impl TokenOptions {
    /// Nothing special.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends the request without a token, as if its origin were none of the layer's. Whoever follows redirects above the layer
    /// is to keep the extension, else what is redirected into the origin has a token again.
    #[must_use]
    pub fn without_token() -> Self {
        Self { without_token: true, ..Self::default() }
    }

    /// Asks for a token with this scope besides those that every token has; or several separated by spaces. Call it again for
    /// more (RFC 6749, section 3.3).
    ///
    /// The pool keeps one token for each key and set of scopes. So it is for layers over a pool only: others refuse the request
    /// ([`ErrorKind::NoPool`](crate::ErrorKind::NoPool)).
    #[must_use]
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        let scopes = scope.as_ref().split(' ').filter(|scope| !scope.is_empty());
        self.scopes.extend(scopes.map(str::to_owned));
        self
    }

    /// Asks for a token that lives for at least so long; see
    /// [`TokenCache::token_valid_for`](oauth_tokens::TokenCache::token_valid_for). Default: one that can be used now.
    #[must_use]
    pub fn valid_for(mut self, min: Duration) -> Self {
        self.valid_for = Some(min);
        self
    }
}

impl fmt::Debug for TokenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenOptions")
            // How many: in settings any text may be a secret in the wrong place.
            .field("scopes", &self.scopes.len())
            .field("valid_for", &self.valid_for)
            .field("without_token", &self.without_token)
            .finish()
    }
}
