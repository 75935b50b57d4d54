//! For people who have a token client already: what maps to what, and how the old one is kept while they move.
//!
//! | coming from | what it becomes | keep it as a source? |
//! |---|---|---|
//! | [`own_client`]: reqwest, a `Mutex` and an `Instant` | a source of ten lines, or none at all | yes, its fetching part |
//! | [`reqwest_middleware`]: a middleware that adds a token | `OAuthLayer::reqwest`, or `.middleware()` | its token provider, as above |
//! | [`oauth2`] | `TokenClient` and its grants | yes; and for user sign-in |
//! | [`huskarl`] | the same for bearer tokens | yes; DPoP stays there |
//! | [`azure_identity`] | an issuer, for client secrets | yes, for managed and workload identity |
//! | [`google_cloud_auth`] | the refresh-token grant, for user credentials | yes, for all others |
//! | [`duende`]: Duende.AccessTokenManagement in .NET | `AuthorizationServer`, `OAuthLayer` | no: a new program |
//! | [`spring`]: Spring Security's OAuth 2 client | `AuthorizationServer`, `OAuthLayer` | no: a new program |
//!
//! # What an old client must do as a source
//!
//! A [`TokenSource`](oauth_tokens::TokenSource) is what [`TokenCache`](oauth_tokens::TokenCache) asks when it wants a token
//! that it does not have. So:
//!
//! - **It brings a new token each time.** Keeping, renewing, sharing and backing off are the cache's. A client that keeps
//!   tokens itself answers a 401 with the token that was rejected: the cache then says
//!   [`SameToken`](oauth_tokens::ErrorKind::SameToken), the caller gets the 401, and the old token stays until the client
//!   lets go of it. Ask such a client below its cache, tell it to forget, or make a new one for each token.
//! - **It says when the token expires**: [`expiring_in`](oauth_tokens::TokenSet::expiring_in), counted from when `fetch` was
//!   called, or [`expiring_at`](oauth_tokens::TokenSet::expiring_at). Subtract no margin: the cache has its own.
//! - **Failures are [`Error::source_failed`](oauth_tokens::Error::source_failed)**, which is tried again after 1 to 10 s;
//!   [`permanent`](oauth_tokens::Error::permanent), which is tried again after 30 s to 5 min; or
//!   [`wait_at_least`](oauth_tokens::Error::wait_at_least) as long as a `Retry-After` said. No secrets in the message. What is
//!   given to [`caused_by`](oauth_tokens::Error::caused_by) shows in `Debug` as it is: a cause that may hold a token stays out.
//! - **It is done within 10 s**, its own retries included; what takes longer is a timeout, and is tried again later.
//! - **It needs no lock**: a cache asks once at a time, however many callers wait.
//!
//! The first rule, seen from outside:
//!
//! ```
//! use tower_oauth::oauth_tokens::{AccessToken, Error, ErrorKind, TokenCache, TokenSet, source_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let keeps_its_token = source_fn(|| async { Ok(TokenSet::new(AccessToken::bearer("t0k3n")?)) });
//! let tokens = TokenCache::new(keeps_its_token);
//!
//! let rejected = tokens.token().await?;
//! let error = tokens.renew(&rejected).await.unwrap_err(); // what the layer does after a 401
//! assert_eq!(error.kind(), ErrorKind::SameToken);
//! # Ok(())
//! # }
//! ```

#[doc = include_str!("coming_from/own_client.md")]
pub mod own_client {}

#[doc = include_str!("coming_from/reqwest_middleware.md")]
pub mod reqwest_middleware {}

#[doc = include_str!("coming_from/oauth2.md")]
pub mod oauth2 {}

#[doc = include_str!("coming_from/huskarl.md")]
pub mod huskarl {}

#[doc = include_str!("coming_from/azure_identity.md")]
pub mod azure_identity {}

#[doc = include_str!("coming_from/google_cloud_auth.md")]
pub mod google_cloud_auth {}

#[doc = include_str!("coming_from/duende.md")]
pub mod duende {}

#[doc = include_str!("coming_from/spring.md")]
pub mod spring {}
