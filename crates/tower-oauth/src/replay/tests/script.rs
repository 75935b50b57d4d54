//! A body that does as it is told, and a client that writes down what it hears.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{NotReplayable, Superseded};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Data(Bytes),
    Trailers(http::HeaderMap),
    Pending,
    Fails,
    Panics,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Knows {
    #[default]
    Nothing,
    AtLeast,
    Exactly,
    /// Exactly, once it has been polled.
    Later,
}

/// Panics if it is polled after its end or its error.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    pub(super) steps: VecDeque<Step>,
    pub(super) length: Knows,
    pub(super) knows_end: bool,
    over: bool,
    polls: Count,
}

impl Script {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn step(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }

    pub(super) fn data(self, data: &str) -> Self {
        self.bytes(Bytes::copy_from_slice(data.as_bytes()))
    }

    pub(super) fn bytes(self, data: Bytes) -> Self {
        self.step(Step::Data(data))
    }

    pub(super) fn trailers(self, name: &'static str, value: &str) -> Self {
        let value = value.parse().expect("a header value");
        self.step(Step::Trailers([(http::HeaderName::from_static(name), value)].into_iter().collect()))
    }

    pub(super) fn pending(self) -> Self {
        self.step(Step::Pending)
    }

    pub(super) fn fails(self) -> Self {
        self.step(Step::Fails)
    }

    pub(super) fn panics(self) -> Self {
        self.step(Step::Panics)
    }

    pub(super) fn exact(self) -> Self {
        Self { length: Knows::Exactly, ..self }
    }

    pub(super) fn at_least(self) -> Self {
        Self { length: Knows::AtLeast, ..self }
    }

    pub(super) fn knows_end(self) -> Self {
        Self { knows_end: true, ..self }
    }

    /// A body that knows its end does not learn of it while it has nothing to say.
    pub(super) fn trimmed(mut self) -> Self {
        while self.knows_end && self.steps.back() == Some(&Step::Pending) {
            self.steps.pop_back();
        }
        self
    }

    pub(super) fn polls(&self) -> Count {
        self.polls.clone()
    }

    /// What a client hears that reads it all.
    pub(super) fn frames(&self) -> Vec<Heard> {
        self.steps.iter().filter_map(|step| Heard::from(step).frame()).collect()
    }

    fn left(&self) -> u64 {
        self.steps.iter().map(|step| if let Step::Data(data) = step { data.len() as u64 } else { 0 }).sum()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        assert!(!self.over, "polled after its end");
        self.polls.add();
        match self.steps.pop_front() {
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Pending) => Poll::Pending,
            Some(Step::Fails) => {
                self.over = true;
                Poll::Ready(Some(Err(std::io::Error::other("scripted"))))
            }
            Some(Step::Panics) => panic!("scripted"),
            None => {
                self.over = true;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.knows_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Knows::Later if self.polls.get() > 0 => SizeHint::with_exact(self.left()),
            Knows::Nothing | Knows::Later => SizeHint::default(),
            Knows::Exactly => SizeHint::with_exact(self.left()),
            Knows::AtLeast => {
                let mut hint = SizeHint::new();
                hint.set_lower(self.left());
                hint
            }
        }
    }
}

/// The result of one poll.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    Data(Bytes),
    Trailers(String),
    Pending,
    End,
    Error,
    Superseded,
    NotReplayable(NotReplayable),
}

impl Heard {
    pub(super) fn frame(self) -> Option<Self> {
        matches!(self, Self::Data(_) | Self::Trailers(_) | Self::Error).then_some(self)
    }

    fn trailers(trailers: &http::HeaderMap) -> Self {
        Self::Trailers(
            trailers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("ascii"))).collect(),
        )
    }
}

impl From<&Step> for Heard {
    fn from(step: &Step) -> Self {
        match step {
            Step::Data(data) => Self::Data(data.clone()),
            Step::Trailers(trailers) => Self::trailers(trailers),
            Step::Pending => Self::Pending,
            Step::Fails | Step::Panics => Self::Error,
        }
    }
}

pub(super) fn poll<B>(body: &mut B) -> Heard
where
    B: Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>> + Unpin,
{
    poll_as(body, Waker::noop())
}

pub(super) fn poll_with<B>(body: &mut B, wakes: &Arc<Wakes>) -> Heard
where
    B: Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>> + Unpin,
{
    poll_as(body, &Waker::from(Arc::clone(wakes)))
}

fn poll_as<B>(body: &mut B, waker: &Waker) -> Heard
where
    B: Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>> + Unpin,
{
    match Pin::new(body).poll_frame(&mut Context::from_waker(waker)) {
        Poll::Pending => Heard::Pending,
        Poll::Ready(None) => Heard::End,
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(data) => Heard::Data(data),
            Err(frame) => Heard::trailers(&frame.into_trailers().expect("data or trailers")),
        },
        Poll::Ready(Some(Err(error))) if error.is::<Superseded>() => Heard::Superseded,
        Poll::Ready(Some(Err(error))) => match error.downcast_ref() {
            Some(reason) => Heard::NotReplayable(*reason),
            None if error.is::<std::io::Error>() => Heard::Error,
            None => panic!("unknown error: {error}"),
        },
    }
}

pub(super) fn read_all<B>(body: &mut B) -> Vec<Heard>
where
    B: Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>> + Unpin,
{
    let mut heard = Vec::new();
    loop {
        match poll(body) {
            Heard::Pending => {}
            Heard::End => return heard,
            frame => heard.push(frame),
        }
        assert!(heard.len() < 10_000, "endless");
    }
}

/// Asks before each poll whether there is more, and reads nothing behind trailers.
pub(super) fn read_as_hyper_does<B>(body: &mut B) -> Vec<Heard>
where
    B: Body<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>> + Unpin,
{
    let mut heard = Vec::new();
    while !body.is_end_stream() && !matches!(heard.last(), Some(Heard::Trailers(_))) {
        match poll(body) {
            Heard::Pending => {}
            Heard::End => return heard,
            frame => heard.push(frame),
        }
    }
    heard
}

#[derive(Clone, Debug, Default)]
pub(super) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn another(&self, data: &'static str) -> Bytes {
        Bytes::from_owner(Counted(data, self.clone()))
    }
}

/// Data that tells when the last reference to it goes.
pub(super) struct Counted(&'static str, Count);

impl Counted {
    pub(super) fn bytes(data: &'static str) -> (Bytes, Count) {
        let count = Count::default();
        (count.another(data), count)
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.add();
    }
}

#[derive(Default)]
pub(super) struct Wakes(AtomicUsize);

impl Wakes {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
