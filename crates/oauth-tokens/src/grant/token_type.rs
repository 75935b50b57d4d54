use std::{borrow::Cow, fmt};

use crate::{Error, request::is_absolute_uri};

/// What kind of token a security token is: one of the registered identifiers, or any other URI (RFC 8693, section 3).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TokenType(Cow<'static, str>);

impl TokenType {
    /// An OAuth access token, of whatever form.
    pub const ACCESS_TOKEN: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:access_token"));
    /// An OAuth refresh token.
    pub const REFRESH_TOKEN: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:refresh_token"));
    /// An ID token of OpenID Connect.
    pub const ID_TOKEN: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:id_token"));
    /// A JWT (RFC 7519) that is none of these, or is to be looked at as a JWT.
    pub const JWT: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:jwt"));
    /// A SAML 1.1 assertion, encoded as base64url.
    pub const SAML1: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:saml1"));
    /// A SAML 2.0 assertion, encoded as base64url.
    pub const SAML2: Self = Self(Cow::Borrowed("urn:ietf:params:oauth:token-type:saml2"));

    const REGISTERED: [&'static Self; 6] =
        [&Self::ACCESS_TOKEN, &Self::REFRESH_TOKEN, &Self::ID_TOKEN, &Self::JWT, &Self::SAML1, &Self::SAML2];

    /// A kind of token by its URI: one that a server or a profile has made up.
    ///
    /// ```
    /// use oauth_tokens::TokenType;
    ///
    /// assert_eq!(TokenType::uri("urn:ietf:params:oauth:token-type:jwt")?, TokenType::JWT);
    /// let grant = TokenType::uri("urn:ietf:params:oauth:token-type:id-jag")?;
    /// # let _ = grant;
    /// # Ok::<(), oauth_tokens::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) when it is not an absolute URI.
    pub fn uri(uri: impl Into<String>) -> Result<Self, Error> {
        Self::read(&uri.into())
            .ok_or_else(|| Error::config("a token type is not an absolute URI (RFC 8693, section 3)"))
    }

    /// The type that a server names, if it can be one.
    pub(crate) fn read(text: &str) -> Option<Self> {
        is_absolute_uri(text).then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// The URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Another one may come from a server, and is shown to nobody who did not ask for it.
        let shown = if Self::REGISTERED.contains(&self) { self.as_str() } else { "another URI" };
        write!(f, "TokenType({shown})")
    }
}
