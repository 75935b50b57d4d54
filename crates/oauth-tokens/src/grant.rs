//! Grants: each is a value that becomes form parameters.

mod client_credentials;
mod jwt_bearer;
mod refresh_token;
mod security_token;
#[cfg(feature = "signing")]
mod signed_assertion;
mod token_exchange;
mod token_type;

pub use client_credentials::ClientCredentials;
pub use jwt_bearer::JwtBearer;
pub use refresh_token::RefreshToken;
pub use security_token::SecurityToken;
#[cfg(feature = "signing")]
pub use signed_assertion::SignedAssertion;
pub use token_exchange::{IssuedToken, TokenExchange};
pub use token_type::TokenType;

use crate::{Error, Exchange, TokenSet};

/// A grant (RFC 6749, section 1.3): what is handed in for a token. Implement it for a grant of your own.
///
/// The resource owner's password (RFC 6749, section 4.3) is one. There is no type for it here: an application that asks for
/// passwords teaches people to give them away, no second factor fits into it, and RFC 9700 (section 2.4) forbids it; none of the
/// servers that the guide of `tower-oauth` names needs it any more. For a server from before, this is all it takes:
///
/// ```
/// use oauth_tokens::{Error, Exchange, Form, Grant, TokenSet};
///
/// /// The resource owner's password, for a server from before.
/// struct Password { username: String, password: String }
///
/// impl Grant for Password {
///     fn grant_type(&self) -> &str {
///         "password"
///     }
///
///     async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
///         let form = Form::new().with("username", &self.username).with("password", &self.password);
///         exchange.send(form).await
///     }
/// }
/// ```
pub trait Grant: Send + Sync + 'static {
    /// The value of `grant_type`.
    fn grant_type(&self) -> &str;

    /// Makes the exchange: builds the form, sends it, and keeps what must be kept of the answer. Scope, resource,
    /// audience, extra parameters and the client's authentication are added by [`Exchange::send`].
    fn redeem(&self, exchange: &Exchange<'_>) -> impl Future<Output = Result<TokenSet, Error>> + Send;

    /// A number that changes when something that the grant hands in may have changed, a file for example, if that can be
    /// known without blocking for long. After a permanent error, a change ends the waiting for the next attempt. Default:
    /// none.
    fn credential_fingerprint(&self) -> Option<u64> {
        None
    }

    /// What can be known to be wrong without asking the server.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), at the moment the grant is put to use.
    fn validate(&self) -> Result<(), Error> {
        Ok(())
    }
}
