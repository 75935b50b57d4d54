//! An embedded OAuth 2 authorization server and the API that it protects: for tests of code that gets
//! tokens and calls APIs with them.
//!
//! One [`TestServer`] is both, and serves in two ways.
//!
//! # Over sockets
//!
//! [`TestServer::start`] listens on two free ports of 127.0.0.1, with TLS if asked.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, StatusCode};
//! use http_body_util::{BodyExt, Full};
//! use hyper_util::client::legacy::Client;
//! use hyper_util::rt::TokioExecutor;
//! use oauth_test_server::TestServer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::start().await?;
//! let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//!
//! let form = "grant_type=client_credentials&client_id=m2m&client_secret=secret";
//! let request = Request::post(server.token_endpoint())
//!     .header("content-type", "application/x-www-form-urlencoded")
//!     .body(Full::from(form))?;
//! let body = client.request(request).await?.into_body().collect().await?.to_bytes();
//! let answer: serde_json::Value = serde_json::from_slice(&body)?;
//! let token = answer["access_token"].as_str().ok_or("no token")?;
//!
//! let request = Request::get(server.api_url("/things"))
//!     .header("authorization", format!("Bearer {token}"))
//!     .body(Full::default())?;
//! assert_eq!(client.request(request).await?.status(), StatusCode::OK);
//!
//! assert_eq!(server.counters().tokens_issued, 1);
//! assert_eq!(server.counters().api_accepted, 1);
//! # Ok(()) }
//! ```
//!
//! # Without sockets, in paused time
//!
//! [`TestServer::authorization_service`] and [`TestServer::api_service`] are plain tower services on
//! tokio's clock. With that clock paused an hour takes no time, and each tick can be looked at.
//!
//! ```
//! use std::time::Duration;
//!
//! use http::{Request, StatusCode};
//! use http_body_util::Empty;
//! use oauth_test_server::{Fault, TestServer};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::builder()
//!     .token_lifetime(Some(Duration::from_secs(3600)))
//!     .build();
//! let token = server.issue_access_token("m2m", "api");
//! let call = || {
//!     let request = Request::get(server.api_url("/things"))
//!         .header("authorization", format!("Bearer {token}"))
//!         .body(Empty::<bytes::Bytes>::new())
//!         .expect("a request");
//!     server.api_service().oneshot(request)
//! };
//!
//! tokio::time::advance(Duration::from_millis(3_599_999)).await;
//! assert_eq!(call().await?.status(), StatusCode::OK);
//! tokio::time::advance(Duration::from_millis(1)).await;
//! assert_eq!(call().await?.status(), StatusCode::UNAUTHORIZED);
//!
//! // What goes wrong on demand: see `Fault`.
//! server.api_faults().push(1, Fault::Disconnect);
//! assert!(call().await.is_err());
//! assert_eq!(server.counters().api_unauthorized, 1);
//! # Ok(()) }
//! ```
//!
//! # What the authorization server does
//!
//! - Metadata at `{issuer}/.well-known/openid-configuration` and, by RFC 8414, at
//!   `/.well-known/oauth-authorization-server{path of the issuer}`; either can be switched off.
//! - Token endpoint `{issuer}/token` with the grants `client_credentials` and `refresh_token`; scopes,
//!   `resource` (RFC 8707) and `audience`, several of each. Clients authenticate by
//!   `client_secret_basic`, `client_secret_post` or `none`, and never by two at once. Refresh tokens
//!   rotate, and an old one that comes again revokes its whole family.
//! - Introspection `{issuer}/introspect` (RFC 7662), revocation `{issuer}/revoke` (RFC 7009) and, for
//!   JWT access tokens, keys `{issuer}/jwks`.
//!
//! # What the API does
//!
//! It reads the whole request, asks for a bearer token (RFC 6750) and answers:
//!
//! | path | answer |
//! |---|---|
//! | any other | JSON: `method`, `path`, `query`, `body_len`, and `client_id`, `sub`, `scope`, `aud` of the token |
//! | `/echo` | the request's body |
//! | `/status/{code}` | that status |
//! | `/redirect?to=URL` | 302 to the URL; `/redirect/307?to=URL` for another status |
//! | `/public`, `/public/...` | the same, without a token |
//! | `/.well-known/oauth-protected-resource` | its metadata (RFC 9728), without a token |
//!
//! # What it does not do
//!
//! No sign-in pages, signed client assertions, DPoP or mutual TLS. Its keys and tokens come from a fast
//! generator that is not secret, and its log keeps every request with all secrets in it: for tests
//! only.

mod api;
mod authorization;
mod body;
mod builder;
mod client;
mod client_auth;
mod clock;
mod faults;
mod form;
mod jwt;
mod listen;
mod record;
mod respond;
mod server;
mod service;
mod state;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod token;
mod token_endpoint;

pub use body::ResponseBody;
pub use builder::Builder;
pub use client::{Client, ClientAuthMethod};
pub use faults::{Fault, Faults};
pub use record::{Counters, Endpoint, RecordedRequest};
pub use server::TestServer;
pub use service::TestService;
pub use token::TokenFormat;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
