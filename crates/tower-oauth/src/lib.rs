//! A tower layer that puts OAuth 2 access tokens on requests, and on a 401 renews the token and retries once.
//!
//! Under construction.

pub mod challenge;
mod drain;
mod error;
mod future;
mod layer;
mod message;
mod outcome;
mod policy;
#[cfg(feature = "reqwest-middleware")]
mod redirect;
mod replay;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
mod service;
mod target;
mod timer;

pub use error::{Error, ErrorKind};
pub use future::ResponseFuture;
pub use layer::OAuthLayer;
pub use message::{ProtectedRequest, ProtectedResponse, RequestHead};
pub use oauth_tokens::{self, BoxError};
pub use outcome::{NotRetried, RetryOutcome};
pub use replay::{KeptReplay, NotReplayable, Replay, ReplayBody, ReplayLayer, ReplayService, Superseded};
#[cfg(feature = "reqwest-middleware")]
pub use reqwest_middleware::OAuthMiddleware;
pub use service::OAuth;
pub use target::{InvalidOrigin, Origin};
