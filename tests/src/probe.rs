//! Bodies that tell what was done to them.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body of given frames, which then ends, stands still, or goes on for ever.
#[derive(Debug)]
pub struct ProbeBody {
    frames: VecDeque<Frame<Bytes>>,
    then: Then,
    hint: SizeHint,
    probe: Probe,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    End,
    Stuck,
    Endless(usize),
    Fail,
}

/// What was done to a [`ProbeBody`].
#[derive(Clone, Debug, Default)]
pub struct Probe(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    polls: AtomicU64,
    bytes: AtomicU64,
    ended: AtomicBool,
    dropped: AtomicBool,
}

impl ProbeBody {
    /// These pieces of data, then the end.
    #[must_use]
    pub fn of(pieces: &[&'static str]) -> Self {
        let frames = pieces.iter().map(|piece| Frame::data(Bytes::from(*piece))).collect();
        Self { frames, then: Then::End, hint: SizeHint::new(), probe: Probe::default() }
    }

    /// These pieces of data, then nothing, for ever.
    #[must_use]
    pub fn stuck(pieces: &[&'static str]) -> Self {
        Self::of(pieces).then(Then::Stuck)
    }

    /// These pieces of data, then an error.
    #[must_use]
    pub fn failing(pieces: &[&'static str]) -> Self {
        Self::of(pieces).then(Then::Fail)
    }

    /// Frames of so many bytes, without end.
    #[must_use]
    pub fn endless(frame: usize) -> Self {
        Self::of(&[]).then(Then::Endless(frame))
    }

    /// These trailers, behind the data.
    #[must_use]
    pub fn trailers(mut self, trailers: http::HeaderMap) -> Self {
        self.frames.push_back(Frame::trailers(trailers));
        self
    }

    /// Announces so many bytes, whatever is in it.
    #[must_use]
    pub fn announcing(mut self, bytes: u64) -> Self {
        self.hint = SizeHint::with_exact(bytes);
        self
    }

    /// What will have been done to it.
    #[must_use]
    pub fn probe(&self) -> Probe {
        self.probe.clone()
    }

    fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }
}

impl Probe {
    /// How often it was polled.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.0.polls.load(SeqCst)
    }

    /// How many bytes were taken from it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(SeqCst)
    }

    /// Whether it was read to its end.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.0.ended.load(SeqCst)
    }

    /// Whether nobody has it any more.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.0.dropped.load(SeqCst)
    }
}

impl Body for ProbeBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.probe.0.polls.fetch_add(1, SeqCst);
        let frame = match (self.frames.pop_front(), self.then) {
            (Some(frame), _) => frame,
            (None, Then::End) => {
                self.probe.0.ended.store(true, SeqCst);
                return Poll::Ready(None);
            }
            (None, Then::Stuck) => return Poll::Pending,
            (None, Then::Endless(size)) => Frame::data(Bytes::from(vec![b'.'; size])),
            (None, Then::Fail) => return Poll::Ready(Some(Err(io::Error::other("the probe failed")))),
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        self.probe.0.bytes.fetch_add(bytes as u64, SeqCst);
        Poll::Ready(Some(Ok(frame)))
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

impl Drop for ProbeBody {
    fn drop(&mut self) {
        self.probe.0.dropped.store(true, SeqCst);
    }
}
