//! The bodies of gRPC requests, and how they are remembered.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::tonic::{Status, body::Body};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use oauth_tokens::BoxError;

use crate::{KeptReplay, NotReplayable, Replay, ReplayBody};

type Polled = Option<Result<Frame<Bytes>, Status>>;

/// A request's body on its way through the layer.
#[derive(Debug)]
pub(super) struct GrpcBody(Replay<LookAhead>);

impl GrpcBody {
    pub(super) fn new(body: Body, max_bytes: usize) -> Self {
        Self(Replay::new(LookAhead { body, next: None }).max_bytes(max_bytes))
    }
}

impl ReplayBody for GrpcBody {
    type Kept = KeptReplay<LookAhead>;

    const GRPC: bool = true;

    fn keep(&mut self) -> Option<Self::Kept> {
        self.0.keep()
    }

    fn restore(kept: Self::Kept) -> Result<Self, NotReplayable> {
        Replay::restore(kept).map(Self)
    }
}

/// For stacks that put the layer over a channel by themselves. The body takes itself out, and comes back within a
/// [`Replay`] of 64 KiB.
impl ReplayBody for Body {
    type Kept = KeptReplay<LookAhead>;

    const GRPC: bool = true;

    fn keep(&mut self) -> Option<Self::Kept> {
        let mut body = GrpcBody::new(mem::take(self), super::DEFAULT_MAX_BYTES);
        let kept = body.keep();
        *self = Self::new(body);
        kept
    }

    fn restore(kept: Self::Kept) -> Result<Self, NotReplayable> {
        GrpcBody::restore(kept).map(Self::new)
    }
}

impl http_body::Body for GrpcBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A body that knows, when it yields the last frame, that it was the last.
///
/// Tonic says no length, and HTTP/2 asks for the end only when there is room for more in its window. A single message that
/// fills the window would never be known to be the whole, and not be sent again. Tonic has asked its source already when it
/// yields a frame of less than 32 KiB; behind a larger one this takes one more message from the caller's stream than it would.
#[derive(Debug)]
pub struct LookAhead {
    body: Body,
    next: Option<Polled>,
}

impl http_body::Body for LookAhead {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Polled> {
        let polled = match self.next.take() {
            Some(next) => next,
            None => ready!(Pin::new(&mut self.body).poll_frame(cx)),
        };
        self.next = match &polled {
            Some(Ok(_)) => match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(next) => Some(next),
                Poll::Pending => None,
            },
            Some(Err(_)) | None => Some(None),
        };
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.next {
            Some(next) => next.is_none(),
            None => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.next {
            // What is in hand counts, too, and the body has forgotten it.
            Some(Some(_)) => SizeHint::default(),
            Some(None) => SizeHint::with_exact(0),
            None => self.body.size_hint(),
        }
    }
}
