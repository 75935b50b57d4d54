//! A second copy of a request's body, for the retry after a 401.
//!
//! Bodies that are values ([`Full`], [`Empty`], `String`, ...) are cloned: nothing needs to be done for them, and there
//! is no limit to their size. A streaming body is wrapped in [`Replay`], by hand or by a [`ReplayLayer`] above the
//! OAuth layer: what it yields goes out at once, and up to 64 KiB of it are remembered until the response has come.
//!
//! Whether a stream can be sent again is known only when the 401 is there, so there are two steps:
//! [`keep`](ReplayBody::keep) before the request is sent, and [`restore`](ReplayBody::restore) after the 401.
//!
//! # A streaming body
//!
//! ```
//! use bytes::Bytes;
//! use http_body::Frame;
//! use http_body_util::{BodyExt, StreamBody};
//! use tower_oauth::{Replay, ReplayBody};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let frames = ["a ", "stream"].map(|part| Ok::<_, std::io::Error>(Frame::data(Bytes::from(part))));
//! let mut first = Replay::new(StreamBody::new(futures_util::stream::iter(frames)));
//!
//! let kept = first.keep().ok_or("this body had failed before")?;
//! assert_eq!(first.collect().await?.to_bytes(), "a stream");      // sent; the answer is a 401
//! let second = Replay::restore(kept)?;
//! assert_eq!(second.collect().await?.to_bytes(), "a stream");     // and sent again
//! # Ok(())
//! # }
//! ```
//!
//! [`Full`]: http_body_util::Full
//! [`Empty`]: http_body_util::Empty

mod body;
mod layer;
mod tape;
mod values;

#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;

pub use self::body::{KeptReplay, Replay};
pub use self::layer::{ReplayLayer, ReplayService};

/// A request body of which a second copy can be had after a 401.
///
/// There are two steps, because whether a streaming body can be sent again is known only at the 401.
///
/// Implemented for the bodies that are plain values, for [`Replay`], and for the boxed bodies of `http-body-util`, which
/// can never be sent again unless they are wrapped in a [`Replay`]. An own body type that is a value clones itself:
///
/// ```
/// use tower_oauth::{NotReplayable, ReplayBody};
///
/// #[derive(Clone)]
/// struct Form(String);
///
/// impl ReplayBody for Form {
///     type Kept = Self;
///
///     fn keep(&mut self) -> Option<Self> {
///         Some(self.clone())
///     }
///
///     fn restore(kept: Self) -> Result<Self, NotReplayable> {
///         Ok(kept)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a second copy of the body `{Self}` cannot be had for the retry after a 401",
    label = "this body does not implement `ReplayBody`",
    note = "wrap the body in `tower_oauth::Replay`, or put a `tower_oauth::ReplayLayer` above the OAuth layer",
    note = "implement `ReplayBody` for an own body type; `keep` may return `None`, then a 401 only renews the token"
)]
pub trait ReplayBody: Sized {
    /// What is held while the request is under way. Dropping it gives up the retry and frees what it held.
    type Kept;

    /// Whether requests with this body are gRPC calls. Then `grpc-status: 16` among a response's headers counts as a 401, and
    /// the request's `grpc-timeout` bounds the wait for a token. Default: no.
    const GRPC: bool = false;

    /// Called before the body is sent. `None`: this body can never be sent again.
    fn keep(&mut self) -> Option<Self::Kept>;

    /// Called after a 401: the body for the retry.
    ///
    /// # Errors
    ///
    /// The reason why there is none. The first body is then left as it is.
    fn restore(kept: Self::Kept) -> Result<Self, NotReplayable>;
}

/// Why a request's body cannot be sent a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotReplayable {
    /// The body's type cannot be copied, or it yielded something that cannot.
    Opaque,
    /// The body is longer than the limit up to which it is remembered, or in very many very small pieces.
    TooLarge,
    /// The body has been sent in part only.
    Unfinished,
    /// The body failed while it was sent.
    Failed,
}

impl fmt::Display for NotReplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opaque => "the request body cannot be copied; wrap it in `Replay` to have it sent again",
            Self::TooLarge => "the request body is larger than what is remembered of it",
            Self::Unfinished => "the request body had been sent only in part",
            Self::Failed => "the request body failed while it was sent",
        })
    }
}

impl Error for NotReplayable {}

/// The error of a [`Replay`] body whose copy has been sent in its stead.
///
/// It never ends the stream instead: a client that still reads the older body must not take it for complete.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Superseded;

impl fmt::Display for Superseded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is being sent again; this older body yields no more")
    }
}

impl Error for Superseded {}
