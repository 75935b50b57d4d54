//! Obtains OAuth 2 access tokens and keeps them fresh.
//!
//! A service that calls a protected API needs an access token (RFC 6749), and needs it valid at every moment. This crate
//! gets it from an authorization server and keeps it: shared by all callers, renewed before it expires, renewed once when
//! an API rejects it, and served on while the authorization server is down.
//!
//! ```no_run
//! use oauth_tokens::{AuthorizationServer, ClientAuth, Secret};
//!
//! # #[cfg(feature = "reqwest")]
//! # async fn example() -> Result<(), oauth_tokens::Error> {
//! let server = AuthorizationServer::issuer("https://id.example.com")?; // no I/O: discovered on first use
//! let client = server.client("m2m", ClientAuth::secret_basic(Secret::file("/run/secrets/m2m")))?;
//! let tokens = client.client_credentials().scope("api").cached()?; // a TokenCache: Clone, Send, Sync
//!
//! let token = tokens.token().await?;
//! println!("{:?}", token.authorization()); // shows `Sensitive`: a token is never printed by accident
//! # Ok(())
//! # }
//! ```
//!
//! To put the token on requests, and to renew and retry after a 401, use the crate `tower-oauth`, which re-exports this
//! one.
//!
//! # The way of a token
//!
//! [`AuthorizationServer`] (where) → [`TokenClient`] and [`ClientAuth`] (who) → a [`Grant`] in a [`TokenRequest`] (what)
//! → [`TokenCache`] (keeps it). The cache takes any [`TokenSource`]: a [`TokenRequest`], a [`TokenFile`] that somebody
//! else keeps fresh, or one of your own.
//!
//! # Refresh token
//!
//! ```
//! # #[cfg(feature = "reqwest")] {
//! # use oauth_tokens::{AuthorizationServer, ClientAuth};
//! # let client = AuthorizationServer::issuer("https://id.example.com")?.client("app", ClientAuth::none())?;
//! let tokens = client.refresh_token("8xLOxBtZp8").cached()?;
//! # let _ = tokens;
//! # }
//! # Ok::<(), oauth_tokens::Error>(())
//! ```
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `reqwest` | yes | the default [`HttpClient`]: reqwest with rustls, redirects off |
//! | `test-util` | no | puts the clock on tokio's, so that tests can pause and advance it |

mod cache;
mod client;
mod client_auth;
mod clock;
mod discovery;
mod endpoint;
mod endpoint_url;
mod error;
mod form;
mod grant;
mod http_client;
mod json;
mod request;
mod response;
mod retry;
mod secret;
mod server;
mod source;
mod text;
mod timer;
mod token;
mod token_file;

pub use cache::{TokenCache, TokenStatus};
pub use client::TokenClient;
pub use client_auth::ClientAuth;
pub use discovery::Metadata;
pub use endpoint::Exchange;
pub use error::{BoxError, Error, ErrorKind, OAuthError};
pub use form::Form;
pub use grant::{ClientCredentials, Grant, RefreshToken};
pub use http_client::HttpClient;
pub use request::TokenRequest;
pub use secret::Secret;
pub use server::{AuthorizationServer, AuthorizationServerBuilder};
pub use source::{SourceFn, TokenSource, source_fn};
pub use token::{AccessToken, TokenSet};
pub use token_file::TokenFile;
