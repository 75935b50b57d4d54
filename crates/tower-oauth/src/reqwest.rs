//! `reqwest::Request` over `reqwest::Client` as a tower service, and `http::Request<reqwest::Body>`, in every version of
//! reqwest that a feature names.

use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Response, StatusCode, header::AUTHORIZATION};
use http_body::Body;

use crate::{
    KeptReplay, NotReplayable, Replay, ReplayBody,
    message::sealed,
    target::{Destination, Located, Scheme},
};

/// What is held of a `reqwest::Body` while it is under way.
pub enum KeptBody<B> {
    /// It is in memory: the same bytes again, however many.
    Bytes(Bytes),
    /// It is a stream, and is remembered while it is sent.
    Stream(KeptReplay<B>),
}

// Never what is in it: request bodies carry secrets.
impl<B> fmt::Debug for KeptBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Self::Stream(kept) => f.debug_tuple("Stream").field(kept).finish(),
        }
    }
}

/// The bytes of a body that is known to be in memory, which it yields in one piece and at once.
fn into_bytes<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Bytes {
    match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}

macro_rules! version {
    ($reqwest:ident) => {
        impl sealed::Target for ::$reqwest::Request {
            fn located(&self) -> Located<'_> {
                Destination::of_url(self.url())
            }

            fn method(&self) -> &Method {
                self.method()
            }

            fn path(&self) -> &str {
                self.url().path()
            }
        }

        impl sealed::Request for ::$reqwest::Request {
            type Kept = Self;
            type KeptHead = ();

            fn headers(&self) -> &HeaderMap {
                self.headers()
            }

            fn query(&self) -> Option<&str> {
                self.url().query()
            }

            fn extensions(&self) -> Option<&Extensions> {
                None
            }

            fn headers_mut(&mut self) -> &mut HeaderMap {
                self.headers_mut()
            }

            fn is_written(&self, scheme: Scheme, authority: &str) -> bool {
                let url = self.url();
                url.scheme() == scheme.as_str() && url.authority() == authority
            }

            fn is_nowhere(&self) -> bool {
                false
            }

            fn timeout(&self) -> Option<Duration> {
                self.timeout().copied()
            }

            fn set_timeout(&mut self, left: Duration) {
                *self.timeout_mut() = Some(left);
            }

            /// Reqwest copies a body that is in memory; a stream it cannot.
            fn keep(&mut self) -> Option<Self> {
                let mut kept = self.try_clone()?;
                kept.headers_mut().remove(AUTHORIZATION);
                Some(kept)
            }

            fn keep_head(&self, (): &mut ()) {}

            fn target(kept: &Self, (): &()) -> impl sealed::Target {
                kept
            }

            fn restore(kept: Self, (): &()) -> Result<Self, NotReplayable> {
                Ok(kept)
            }
        }

        impl sealed::Response for ::$reqwest::Response {
            type Body = ::$reqwest::Body;

            fn status(&self) -> StatusCode {
                self.status()
            }

            fn headers(&self) -> &HeaderMap {
                self.headers()
            }

            fn extensions_mut(&mut self) -> &mut Extensions {
                self.extensions_mut()
            }

            fn came_from(&self) -> Option<Located<'_>> {
                Some(Destination::of_url(self.url()))
            }

            fn into_body(self) -> ::$reqwest::Body {
                Response::from(self).into_body()
            }
        }

        /// Bytes in memory are sent again whatever their number; a stream wraps itself in a [`Replay`], up to 64 KiB.
        impl ReplayBody for ::$reqwest::Body {
            type Kept = KeptBody<Self>;

            fn keep(&mut self) -> Option<KeptBody<Self>> {
                let is_in_memory = self.as_bytes().is_some();
                let body = mem::take(self);
                if is_in_memory {
                    let bytes = into_bytes(body);
                    *self = Self::from(bytes.clone());
                    return Some(KeptBody::Bytes(bytes));
                }
                let mut replay = Replay::new(body);
                let kept = replay.keep();
                *self = Self::wrap(replay);
                kept.map(KeptBody::Stream)
            }

            fn restore(kept: KeptBody<Self>) -> Result<Self, NotReplayable> {
                match kept {
                    KeptBody::Bytes(bytes) => Ok(Self::from(bytes)),
                    KeptBody::Stream(kept) => Replay::restore(kept).map(Self::wrap),
                }
            }
        }
    };
}

#[cfg(feature = "reqwest")]
version!(reqwest);
#[cfg(feature = "reqwest-0-12")]
version!(reqwest_0_12);
