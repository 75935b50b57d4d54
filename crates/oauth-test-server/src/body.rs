use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// The body of every answer.
pub struct ResponseBody(Kind);

enum Kind {
    Full(Bytes),
    Broken { bytes: Bytes, paused: bool },
    Endless { chunks: u32 },
    Trickle { every: Duration, next: Pin<Box<Sleep>> },
}

impl ResponseBody {
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(bytes.into()))
    }

    /// Some bytes, then an error.
    pub(crate) fn broken(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Broken { bytes: bytes.into(), paused: false })
    }

    /// Spaces, as fast as they are read.
    pub(crate) fn endless() -> Self {
        Self(Kind::Endless { chunks: 0 })
    }

    /// One space at a time, for ever.
    pub(crate) fn trickle(every: Duration) -> Self {
        Self(Kind::Trickle { every, next: Box::pin(sleep(every)) })
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.0 {
            Kind::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Broken { bytes, .. } if !bytes.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            Kind::Broken { paused, .. } if !*paused => {
                // hyper flushes when the body is pending; without this the client would not even see
                // the head of the response.
                *paused = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Kind::Broken { .. } => Poll::Ready(Some(Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "the test server closed the connection mid-body",
            )))),
            Kind::Endless { chunks } => {
                *chunks = chunks.wrapping_add(1);
                if chunks.is_multiple_of(32) {
                    // A reader that never stops must not keep its thread from all others.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 8192])))))
            }
            Kind::Trickle { every, next } => {
                if next.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                *next = Box::pin(sleep(*every));
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Full(bytes) => f.debug_tuple("Full").field(bytes).finish(),
            Kind::Broken { .. } => f.write_str("Broken"),
            Kind::Endless { .. } => f.write_str("Endless"),
            Kind::Trickle { .. } => f.write_str("Trickle"),
        }
    }
}
