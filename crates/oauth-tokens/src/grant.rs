//! Grants: each is a value that becomes form parameters.

mod client_credentials;
mod refresh_token;

pub use client_credentials::ClientCredentials;
pub use refresh_token::RefreshToken;

use crate::{Error, Exchange, TokenSet};

/// A grant (RFC 6749, section 1.3): what is handed in for a token. Implement it for a grant of your own:
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

    /// What can be known to be wrong without asking the server.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), at the moment the grant is put to use.
    fn validate(&self) -> Result<(), Error> {
        Ok(())
    }
}
