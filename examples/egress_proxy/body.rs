//! What a body may bring, and how long it may stand still.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep, timeout_at};
use tower_oauth::BoxError;

use super::headers::{may_trail, may_trail_back};

pub(super) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;
pub(super) type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// A caller's body, on its way to an upstream.
pub(super) fn to_upstream(body: Incoming, idle: Duration, progress: Progress) -> RequestBody {
    let on_frame = move |frame| {
        progress.note();
        with_trailers(frame, may_trail)
    };
    Watched::new(body, Some(idle), on_frame).boxed_unsync()
}

/// An upstream's body, on its way to a caller.
pub(super) fn to_caller(body: Incoming, idle: Duration) -> ResponseBody {
    Watched::new(body, Some(idle), |frame| with_trailers(frame, may_trail_back)).boxed_unsync()
}

fn with_trailers(mut frame: Frame<Bytes>, may_stay: fn(&HeaderName) -> bool) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        let bad: Vec<_> = trailers.keys().filter(|name| !may_stay(name)).cloned().collect();
        for name in bad {
            trailers.remove(name);
        }
    }
    frame
}

/// A body of the proxy's own.
pub(super) fn full(text: impl Into<Bytes>) -> ResponseBody {
    Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// Holds something for as long as somebody reads a body that has not ended.
pub(super) fn holding<H: Send + 'static>(body: ResponseBody, held: H) -> ResponseBody {
    let on_frame = move |frame| {
        let _ = &held;
        frame
    };
    Watched::new(body, None, on_frame).boxed_unsync()
}

pin_project! {
    /// A body that fails when it stands still for too long, and whose frames are seen. Its length stays known, by which
    /// messages are framed as they came.
    struct Watched<B, F> {
        #[pin]
        body: B,
        idle: Option<Duration>,
        // While the body is waited for.
        #[pin]
        timer: Option<Sleep>,
        on_frame: F,
    }
}

/// A body stood still for too long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stalled;

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a body stood still for too long")
    }
}

impl std::error::Error for Stalled {}

impl<B, F> Watched<B, F> {
    fn new(body: B, idle: Option<Duration>, on_frame: F) -> Self {
        Self { body, idle, timer: None, on_frame }
    }
}

impl<B, F> Body for Watched<B, F>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    F: FnMut(Frame<Bytes>) -> Frame<Bytes>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            this.timer.set(None);
            return Poll::Ready(frame.map(|frame| frame.map(this.on_frame).map_err(Into::into)));
        }
        if this.timer.is_none() {
            this.timer.set(this.idle.map(sleep));
        }
        match this.timer.as_pin_mut().map(|timer| timer.poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(Some(Err(Stalled.into()))),
            _ => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// When a request last made progress: an upload may take its time, as long as it moves.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes of this, unless there is no progress for so long before.
    pub(super) async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        loop {
            let deadline = self.last() + limit;
            match timeout_at(deadline, future.as_mut()).await {
                Ok(output) => return Some(output),
                Err(_) if self.last() + limit > deadline => {}
                Err(_) => return None,
            }
        }
    }
}
