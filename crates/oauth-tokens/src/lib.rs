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
//! else keeps fresh, a [`ProtectedResource`] that says itself which servers it trusts, or one of your own.
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
//! # On behalf of a caller: token exchange
//!
//! ```
//! # #[cfg(feature = "reqwest")] {
//! # use oauth_tokens::{AuthorizationServer, ClientAuth, SecurityToken};
//! # let client = AuthorizationServer::issuer("https://id.example.com")?.client("orders", ClientAuth::secret_basic("s"))?;
//! # let caller = "accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC";
//! let tokens = client.token_exchange(SecurityToken::access_token(caller)).scope("stock.read").cached()?;
//! # let _ = tokens;
//! # }
//! # Ok::<(), oauth_tokens::Error>(())
//! ```
//!
//! # By an assertion: JWT bearer
//!
//! ```
//! # #[cfg(feature = "reqwest")] {
//! # use oauth_tokens::{AuthorizationServer, ClientAuth, Secret};
//! # let client = AuthorizationServer::issuer("https://id.example.com")?.client("app", ClientAuth::omitted())?;
//! let tokens = client.jwt_bearer(Secret::file("/var/run/secrets/tokens/partner")).cached()?;
//! # let _ = tokens;
//! # }
//! # Ok::<(), oauth_tokens::Error>(())
//! ```
//!
//! # By a user at another device: device authorization
//!
//! ```no_run
//! # async fn example(client: oauth_tokens::TokenClient) -> Result<(), oauth_tokens::Error> {
//! let mut device = client.device_authorization().scope("orders offline_access").begin().await?;
//! println!("Open {} and enter {}", device.verification_uri(), device.user_code());
//! let tokens = device.cached().await?;
//! # let _ = tokens;
//! # Ok(())
//! # }
//! ```
//!
//! # By a user in the browser: authorization code
//!
//! With the feature `sign-in`: a web application sends the browser away, and keeps what is pending in the session of that
//! browser until it comes back. The crate `axum-oauth` does this for axum.
//!
//! ```no_run
//! # #[cfg(feature = "sign-in")]
//! # async fn example(client: oauth_tokens::TokenClient, query: &str) -> Result<(), oauth_tokens::Error> {
//! use oauth_tokens::Callback;
//!
//! let sign_in = client.sign_in("https://app.example.com/callback").scope("openid offline_access orders");
//! let (url, pending) = sign_in.return_to("/orders").begin().await?.into_parts();
//! # let _ = url; // redirect the browser there, with `pending` in its session
//!
//! // At /callback, with `pending` taken out of the session:
//! let signed_in = client.finish_sign_in(pending, &Callback::from_query(query)?).await?;
//! let user = signed_in.id_token.as_ref().map(|user| user.subject());
//! println!("{user:?} goes on to {}", signed_in.return_to());
//! let tokens = client.refresh_token(signed_in.into_tokens()).cached()?;
//! # let _ = tokens;
//! # Ok(())
//! # }
//! ```
//!
//! # For many: a pool by key
//!
//! ```
//! # #[cfg(feature = "reqwest")] {
//! # use oauth_tokens::{AuthorizationServer, ClientAuth, TokenPool};
//! # let client = AuthorizationServer::issuer("https://id.example.com")?.client("crm", ClientAuth::secret_basic("s"))?;
//! let tenants = TokenPool::new(move |tenant: &String| Ok(client.client_credentials().param("tenant", tenant)));
//! let acme = tenants.get(&"acme".to_owned())?; // a TokenCache
//! # let _ = acme;
//! # }
//! # Ok::<(), oauth_tokens::Error>(())
//! ```
//!
//! With the feature `store`, tokens can outlive the process, or be shared by a fleet (`TokenRequest::stored`), and `UserTokens`
//! keeps those of users who signed in.
//!
//! # Besides tokens
//!
//! A client can also [revoke](TokenClient::revoke) a token, ask [what one is](TokenClient::introspect), and
//! [hand in an authorization request](TokenClient::push_authorization_request); a server's public keys are at
//! [`AuthorizationServer::jwks`].
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `reqwest` | yes | the default [`HttpClient`]: reqwest with rustls, redirects off |
//! | `signing` | no | keys and signatures over aws-lc-rs: [`SigningKey`], [`Signer`], and client authentication by signed assertions |
//! | `sign-in` | no | users who sign in: the authorization code flow, ID tokens, userinfo and logout |
//! | `native` | no | sign-in in the browser of this machine (RFC 8252), for command-line tools and desktop programs |
//! | `store` | no | token stores: tokens that outlive the process, or are shared by a fleet; user tokens |
//! | `metrics` | no | figures for the `metrics` facade |
//! | `test-util` | no | puts the clock on tokio's, so that tests can pause and advance it |

mod cache;
mod call;
mod client;
mod client_auth;
mod clock;
mod device;
mod discovery;
mod document;
#[cfg(feature = "dpop")]
mod dpop;
#[cfg(not(feature = "dpop"))]
#[path = "no_dpop.rs"]
mod dpop;
mod endpoint;
mod endpoint_url;
mod error;
mod form;
mod gate;
mod grant;
mod http_client;
#[cfg(feature = "sign-in")]
mod id_token;
mod introspection;
mod json;
mod jwks;
#[cfg(feature = "signing")]
mod jws;
#[cfg(feature = "sign-in")]
mod logout;
#[cfg(feature = "sign-in")]
mod logout_token;
#[cfg(feature = "native")]
mod native;
mod pool;
mod protected_resource;
mod pushed_request;
mod renewed_user;
mod request;
mod response;
mod retry;
mod revocation;
mod secret;
mod server;
#[cfg(feature = "sign-in")]
mod sign_in;
#[cfg(feature = "signing")]
mod signer;
mod source;
#[cfg(feature = "store")]
mod store;
mod telemetry;
mod text;
mod timer;
mod token;
mod token_file;
#[cfg(feature = "store")]
mod user_tokens;
#[cfg(feature = "sign-in")]
mod userinfo;

pub use cache::{TokenCache, TokenCopy, TokenStatus};
pub use client::TokenClient;
#[cfg(feature = "signing")]
pub use client_auth::ClientAssertion;
pub use client_auth::ClientAuth;
pub use device::{DeviceAuthorization, DeviceCode};
pub use discovery::Metadata;
#[cfg(feature = "dpop")]
pub use dpop::DpopKey;
pub use endpoint::Exchange;
pub use error::{BoxError, Error, ErrorKind, OAuthError};
pub use form::Form;
#[cfg(feature = "signing")]
pub use grant::SignedAssertion;
pub use grant::{
    ClientCredentials, Grant, IssuedToken, JwtBearer, RefreshToken, SecurityToken, TokenExchange, TokenType,
};
pub use http_client::HttpClient;
#[cfg(feature = "reqwest")]
pub use http_client::HttpClientBuilder;
#[cfg(feature = "sign-in")]
pub use id_token::{IdToken, IdTokenCheck};
pub use introspection::{Introspection, IntrospectionRequest};
pub use jwks::{Jwk, JwkSet};
#[cfg(feature = "sign-in")]
pub use logout::EndSession;
#[cfg(feature = "sign-in")]
pub use logout_token::LogoutToken;
#[cfg(feature = "native")]
pub use native::NativeSignIn;
pub use pool::{PoolStatus, TokenPool};
pub use protected_resource::ProtectedResource;
pub use pushed_request::PushedRequest;
pub use request::TokenRequest;
pub use revocation::{Revocation, TokenHint};
pub use secret::Secret;
pub use server::{AuthorizationServer, AuthorizationServerBuilder};
#[cfg(feature = "sign-in")]
pub use sign_in::{Callback, PendingSignIn, Prompt, SignInRequest, SignInStarted, SignedIn};
#[cfg(feature = "signing")]
pub use signer::{Algorithm, KeySource, PublicJwk, Signer, SigningKey, SigningKeyFile};
pub use source::{Rejection, SourceFn, TokenSource, source_fn};
#[cfg(feature = "store")]
pub use store::{FileStore, Lease, MemoryStore, Record, SharedStore, StoreKey, StoreKeys, StoredSource, TokenStore};
#[cfg(feature = "metrics")]
pub use telemetry::describe_metrics;
pub use token::{AccessToken, Proof, TokenSet};
pub use token_file::TokenFile;
#[cfg(feature = "store")]
pub use user_tokens::{NewSignIn, UserTokens};
#[cfg(feature = "sign-in")]
pub use userinfo::UserInfo;
