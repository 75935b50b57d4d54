//! A [tower] layer that puts OAuth 2 access tokens on outbound requests, and on a 401 renews the token and retries once.
//!
//! The caller's code never mentions tokens: it talks to a protected API as if the API were open.
//!
//! ```no_run
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::{Layer, ServiceExt};
//! use tower_oauth::OAuthLayer;
//! use tower_oauth::oauth_tokens::{AuthorizationServer, ClientAuth, Secret};
//!
//! # #[cfg(feature = "reqwest")]
//! # async fn example() -> Result<(), tower_oauth::BoxError> {
//! // Where tokens come from. No I/O: everything is discovered and fetched on first use.
//! let server = AuthorizationServer::issuer("https://id.example.com")?;
//! let client = server.client("m2m", ClientAuth::secret_basic(Secret::file("/run/secrets/m2m")))?;
//! let tokens = client.client_credentials().scope("api").cached()?;
//!
//! // Where they go: this origin, and no other.
//! let hyper = Client::builder(TokioExecutor::new()).build_http();
//! let api = OAuthLayer::new("https://api.example.com", tokens)?.layer(hyper);
//!
//! let request = Request::get("https://api.example.com/orders").body(Full::<Bytes>::default())?;
//! let response = api.oneshot(request).await?;
//! # Ok(())
//! # }
//! ```
//!
//! With reqwest's own manners (feature `reqwest-middleware`, on by default):
//!
//! ```no_run
//! # use tower_oauth::{OAuthLayer, oauth_tokens::TokenCache};
//! # #[cfg(feature = "reqwest-middleware")]
//! # async fn example(tokens: TokenCache) -> Result<(), Box<dyn std::error::Error>> {
//! let api = OAuthLayer::new("https://api.example.com", tokens)?.reqwest(reqwest::Client::builder())?;
//! let response = api.get("https://api.example.com/orders").send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What happens to a request
//!
//! 1. Is its origin one that the layer was told of? If not, it passes through without a token.
//! 2. Is there a fresh token? One atomic load. If not, the request waits for one that all callers share; if there is
//!    none to be had, it is refused with [`ErrorKind::NoToken`], and nothing is sent.
//! 3. The token's prebuilt header is put in, and the request goes to the inner service. Anything but a 401 is the answer.
//!
//! # What happens to a 401
//!
//! 1. Would another token help? The [challenges](challenge) say: not for `insufficient_scope`, for example.
//! 2. *That* token is renewed: if another request has already done so, its token is taken.
//! 3. The request is sent once more, if its body can be: clonable bodies can, streams within a [`ReplayLayer`]. Whatever
//!    comes is the answer, and its extensions say [`RetryOutcome::Retried`].
//! 4. If any of this fails, the caller gets the first answer, unread, with a [`RetryOutcome::NotRetried`] that says why.
//!
//! # Streaming bodies
//!
//! [`ReplayLayer`], above this layer, remembers up to 64 KiB of a streaming body while it is sent:
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_oauth::{OAuthLayer, ReplayLayer};
//! # use tower_oauth::oauth_tokens::TokenCache;
//!
//! # type Streaming = tower_oauth::Replay<http_body_util::Full<bytes::Bytes>>;
//! # let client = tower::service_fn(|_: http::Request<Streaming>| async {
//! #     Ok::<_, tower_oauth::BoxError>(http::Response::new(String::new()))
//! # });
//! let api = ServiceBuilder::new()
//!     .layer(ReplayLayer::new())
//!     .layer(OAuthLayer::new("https://api.example.com", TokenCache::fixed("t0k3n")?)?)
//!     .service(client);
//! # let _ = api;
//! # Ok::<(), tower_oauth::BoxError>(())
//! ```
//!
//! # Many tenants
//!
//! A [`TokenPool`](oauth_tokens::TokenPool) has tokens by key, and [`OAuthLayer::keyed`] puts them on requests: see
//! [`guide::many_tenants`].
//!
//! More in the [`guide`]: where the layer belongs in a stack, a page for each kind of client, how identity servers are
//! configured, how to test, what errors mean.
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `reqwest` | yes | the layer over `reqwest::Client` as a tower service; the default HTTP client for tokens |
//! | `reqwest-middleware` | yes | `OAuthLayer::reqwest`: a client with reqwest's manners; the layer as a middleware |
//! | `signing` | no | signed client assertions; see [`oauth_tokens`] |
//! | `dpop` | no | access tokens that are bound to a key (RFC 9449); see [`oauth_tokens`] |
//! | `tonic` | no | `OAuthLayer::grpc`: the layer over a tonic channel |
//! | `reqwest-0-12` | no | the layer over a `reqwest::Client` of version 0.12 as a tower service |
//! | `axum` | no | request bodies of axum's, which a handler passes on, are sent again |
//! | `config` | no | [`OAuthConfig`](guide::configuration): a layer from TOML, JSON or the environment |
//! | `store` | no | token stores and user tokens; see [`oauth_tokens`] |
//! | `metrics` | no | figures for the `metrics` facade: `describe_metrics` |
//! | `test-util` | no | puts the clock on tokio's, so that tests can pause and advance it |
//!
//! [tower]: https://docs.rs/tower

#[cfg(feature = "axum")]
mod axum;
pub mod challenge;
#[cfg(feature = "config")]
mod config;
mod deadline;
mod drain;
mod error;
mod future;
mod grpc;
pub mod guide;
mod keyed;
mod layer;
mod message;
mod options;
mod outcome;
mod policy;
#[cfg(feature = "reqwest-middleware")]
mod redirect;
mod replay;
#[cfg(any(feature = "reqwest", feature = "reqwest-0-12"))]
mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
mod service;
mod step_up;
mod target;
mod telemetry;
mod timer;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(feature = "config")]
pub use config::{ConfigError, ConfiguredLayer, OAuthConfig};
pub use error::{Error, ErrorKind};
pub use future::ResponseFuture;
pub use keyed::{Keyed, KeyedLayer};
pub use layer::OAuthLayer;
pub use message::{CloneService, ProtectedRequest, ProtectedResponse, RequestHead};
pub use oauth_tokens::{self, BoxError};
pub use options::TokenOptions;
pub use outcome::{NotRetried, RetryOutcome};
pub use replay::{KeptReplay, NotReplayable, Replay, ReplayBody, ReplayLayer, ReplayService, Superseded};
#[cfg(feature = "reqwest-middleware")]
pub use reqwest_middleware::OAuthMiddleware;
pub use service::OAuth;
pub use step_up::{Demand, StepUp};
pub use target::{InvalidOrigin, Origin};
#[cfg(feature = "metrics")]
pub use telemetry::describe_metrics;
#[cfg(feature = "tonic")]
pub use tonic::{GrpcChannel, GrpcFuture};
