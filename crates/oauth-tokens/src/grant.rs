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

use std::future::ready;

use crate::{Error, Exchange, Form, TokenSet};

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

    /// Who or what its tokens speak of, as far as they differ from those of another grant of the same type: for a token store,
    /// which has a digest of it as the record's name (F14). So nothing belongs there that is secret and can be guessed, as a
    /// password. Read anew for each exchange. None: that cannot be told, and the tokens are stored by a name only
    /// (`TokenRequest::stored_as`, feature `store`). Default: none.
    fn identity(&self) -> impl Future<Output = Result<Option<Form>, Error>> + Send {
        ready(Ok(None))
    }

    /// Whether the grant remembers something from one exchange to the next, as a refresh token does that the server replaces; see
    /// [`TokenSource::holds_state`](crate::TokenSource::holds_state). Default: yes.
    fn holds_state(&self) -> bool {
        true
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
