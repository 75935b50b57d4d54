//! Reads a response that nobody wants to its end, so that its connection can be used again (R9).

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Buf;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::timer::sleep;

const MAX_BYTES: u64 = 64 * 1024;
const MAX_TIME: Duration = Duration::from_millis(100);

pin_project! {
    /// Ends when the body has, or is not worth more waiting.
    pub(crate) struct Drain<B> {
        #[pin]
        body: B,
        left: u64,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<B: Body> Drain<B> {
    /// `limit`: what the request has left of its own time. Half of it is the retry's.
    pub(crate) fn new(body: B, limit: Option<Duration>) -> Self {
        let time = limit.map_or(MAX_TIME, |left| MAX_TIME.min(left / 2));
        Self { body, left: MAX_BYTES, timer: sleep(time) }
    }
}

impl<B: Body> Future for Drain<B> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(timer) = this.timer else { return Poll::Ready(()) };
        if this.body.size_hint().lower() > *this.left || timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while !this.body.is_end_stream() {
            match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let read = frame.data_ref().map_or(1, |data| data.remaining() as u64);
                    // An empty frame counts, too: a body may be made of them.
                    match this.left.checked_sub(read.max(1)) {
                        Some(left) => *this.left = left,
                        None => return Poll::Ready(()),
                    }
                }
                Some(Err(_)) | None => break,
            }
        }
        Poll::Ready(())
    }
}
