//! What a body has yielded, and what is still to come of it. No sharing and no locks here.

#![allow(clippy::clone_on_copy, reason = "`SizeHint` is `Copy` only since http-body 1.1")]

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::NotReplayable;
use super::body::BoxError;

/// All trailers of a body, measured as HTTP/2 measures header lists (RFC 9113, section 6.5.2).
const MAX_TRAILER_BYTES: usize = 16 * 1024;

/// The start of a body in pieces, a reading head among them, and the live rest behind them.
///
/// While it records, pieces stay once they are read; otherwise they go, and the tape starts at the head.
pub(super) struct Tape<B> {
    pieces: VecDeque<Piece>,
    /// How many of the pieces have been read, and how many bytes were in them.
    head: usize,
    read: u64,
    /// Bytes in all pieces.
    bytes: u64,
    trailer_bytes: usize,
    /// HTTP clients do not read on behind trailers.
    saw_trailers: bool,
    rest: Rest<B>,
    /// How often the rest has been polled: has anything been asked of it since a certain moment?
    polls: u64,
    /// Nothing came before the end, which is to be found anew by the next poll: an empty body looks as it did the first time.
    end_ahead: bool,
    /// The last the rest said of itself, for those who may not ask it because they hold a lock.
    rest_hint: SizeHint,
    /// What was known about the length at the start of the tape.
    hint: SizeHint,
    /// The length that the request's head declares, counted from the start of the tape.
    declared: Option<u64>,
    /// Why no more is recorded.
    lost: Option<NotReplayable>,
    max_bytes: usize,
}

enum Piece {
    Data(Bytes),
    // Boxed: an unboxed header map would triple the size of every piece.
    Trailers(Box<HeaderMap>),
}

enum Rest<B> {
    Open(Pin<Box<B>>),
    Ended,
    Failed,
}

/// A place on a tape to return to. Good for as long as the pieces before it are kept.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    head: usize,
    read: u64,
    polls: u64,
}

impl<B> Tape<B> {
    /// A tape with nothing on it and nothing to come.
    pub(super) fn blank() -> Self {
        Self {
            pieces: VecDeque::new(),
            head: 0,
            read: 0,
            bytes: 0,
            trailer_bytes: 0,
            saw_trailers: false,
            rest: Rest::Ended,
            polls: 0,
            end_ahead: false,
            rest_hint: SizeHint::with_exact(0),
            hint: SizeHint::with_exact(0),
            declared: None,
            lost: None,
            max_bytes: 0,
        }
    }

    pub(super) fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    pub(super) fn set_declared(&mut self, length: Option<u64>) {
        self.declared = length;
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.rest, Rest::Failed)
    }

    /// Why no more is recorded, though somebody asked for it.
    pub(super) fn lost(&self) -> Option<NotReplayable> {
        self.lost
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { head: self.head, read: self.read, polls: self.polls }
    }

    /// Whether everything behind `mark` that has gone out, and may go out, is at hand for a second time.
    pub(super) fn replayable_from(&self, mark: Mark) -> Result<(), NotReplayable> {
        if self.polls == mark.polls {
            return Ok(());
        }
        match self.lost {
            Some(reason) => Err(reason),
            None if matches!(self.rest, Rest::Ended) || self.saw_trailers || self.promise_kept() => Ok(()),
            None => Err(NotReplayable::Unfinished),
        }
    }

    /// Whether as many bytes went out as were announced: an HTTP/1 client then reads no further, not even the end.
    fn promise_kept(&self) -> bool {
        self.declared.or_else(|| self.hint.exact()).is_some_and(|promised| self.bytes >= promised)
    }

    pub(super) fn rewind(&mut self, mark: Mark) {
        self.head = mark.head;
        self.read = mark.read;
        let has_ended = matches!(self.rest, Rest::Ended) && self.head >= self.pieces.len();
        self.end_ahead = has_ended && self.polls != mark.polls;
    }

    /// Lets the tape start at its head. Marks are void from then on. What was before the head is returned, to be
    /// dropped where no lock is held.
    #[must_use]
    pub(super) fn cut(&mut self) -> impl Sized + use<B> {
        let behind = self.pieces.split_off(self.head);
        let before = mem::replace(&mut self.pieces, behind);
        self.head = 0;
        let read = mem::take(&mut self.read);
        self.start_after(read);
        before
    }

    fn start_after(&mut self, read: u64) {
        self.bytes = self.bytes.saturating_sub(read);
        self.hint = shorter(&self.hint, read);
        self.declared = self.declared.map(|length| length.saturating_sub(read));
    }

    /// The next piece, if the head is not at the end of what is recorded.
    fn next_piece(&mut self, record: bool) -> Option<Frame<Bytes>> {
        let frame = if record {
            let frame = match self.pieces.get(self.head)? {
                Piece::Data(data) => Frame::data(data.clone()),
                Piece::Trailers(trailers) => Frame::trailers(HeaderMap::clone(trailers)),
            };
            self.head += 1;
            self.read += data_len(&frame);
            frame
        } else {
            let frame = match self.pieces.pop_front()? {
                Piece::Data(data) => Frame::data(data),
                Piece::Trailers(trailers) => Frame::trailers(*trailers),
            };
            self.start_after(data_len(&frame));
            frame
        };
        Some(frame)
    }

    fn record(&mut self, frame: &Frame<Bytes>) {
        let piece = if let Some(data) = frame.data_ref() {
            self.bytes += data_len(frame);
            Piece::Data(data.clone())
        } else if let Some(trailers) = frame.trailers_ref() {
            self.saw_trailers = true;
            self.trailer_bytes +=
                trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum::<usize>();
            Piece::Trailers(Box::new(trailers.clone()))
        } else {
            return self.lose(NotReplayable::Opaque);
        };
        // Without a bound on their number, empty and tiny pieces would cost more memory than the limit says.
        let max_pieces = 1024 + self.max_bytes / 64;
        if self.exceeds_limit() || self.trailer_bytes > MAX_TRAILER_BYTES || self.pieces.len() >= max_pieces {
            return self.lose(NotReplayable::TooLarge);
        }
        self.pieces.push_back(piece);
        self.head = self.pieces.len();
        self.read = self.bytes;
    }

    fn exceeds_limit(&self) -> bool {
        let max = u64::try_from(self.max_bytes).unwrap_or(u64::MAX);
        self.bytes > max || self.hint.lower() > max || self.declared.is_some_and(|length| length > max)
    }

    /// Gives up the record. All of its pieces have been read when this is called, and are to be cut off.
    fn lose(&mut self, reason: NotReplayable) {
        self.lost = Some(reason);
        self.read = self.bytes;
    }

    /// Like [`Body::is_end_stream`], without asking the rest anew.
    pub(super) fn is_end_stream(&self) -> bool {
        self.head >= self.pieces.len() && matches!(self.rest, Rest::Ended) && !self.end_ahead
    }

    /// Like [`Body::size_hint`], without asking the rest anew.
    pub(super) fn size_hint(&self) -> SizeHint {
        let is_again = self.head < self.pieces.len() || self.end_ahead;
        if is_again { shorter(&self.hint, self.read) } else { self.rest_hint.clone() }
    }
}

impl<B: Body> Tape<B> {
    pub(super) fn new(body: B, max_bytes: usize) -> Self {
        let hint = body.size_hint();
        Self { rest: Rest::Open(Box::pin(body)), rest_hint: hint.clone(), hint, max_bytes, ..Self::blank() }
    }

    /// Begins a record, which starts with whatever the next poll yields.
    pub(super) fn start_recording(&mut self) {
        self.listen_to_rest();
        if self.pieces.is_empty() {
            self.hint = self.rest_hint.clone();
        }
        self.lost = self.exceeds_limit().then_some(NotReplayable::TooLarge);
    }

    /// [`Body::is_end_stream`], of the rest as it is at this moment.
    pub(super) fn is_end_stream_now(&self) -> bool {
        match &self.rest {
            Rest::Open(body) => self.head >= self.pieces.len() && body.is_end_stream(),
            Rest::Ended | Rest::Failed => self.is_end_stream(),
        }
    }

    /// [`Body::size_hint`], of the rest as it is at this moment.
    pub(super) fn size_hint_now(&self) -> SizeHint {
        match &self.rest {
            Rest::Open(body) if self.head >= self.pieces.len() => body.size_hint(),
            _ => self.size_hint(),
        }
    }

    /// Asks the rest what it knows about itself.
    pub(super) fn listen_to_rest(&mut self) {
        if let Rest::Open(body) = &self.rest {
            self.rest_hint = body.size_hint();
            if body.is_end_stream() {
                self.rest = Rest::Ended;
            }
        }
        if let Rest::Ended = self.rest {
            self.rest_hint = SizeHint::with_exact(0);
        }
    }
}

impl<B> Tape<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, record: bool) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let record = record && self.lost.is_none();
        if let Some(frame) = self.next_piece(record) {
            return Poll::Ready(Some(Ok(frame)));
        }
        if mem::take(&mut self.end_ahead) {
            self.polls += 1;
            return Poll::Ready(None);
        }
        let Rest::Open(body) = &mut self.rest else {
            return Poll::Ready(None);
        };
        self.polls += 1;
        let polled = match ready!(body.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => {
                let frame = frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
                self.listen_to_rest();
                if record {
                    self.record(&frame);
                } else {
                    self.start_after(data_len(&frame));
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.rest = Rest::Failed;
                self.rest_hint = SizeHint::default();
                self.lose(NotReplayable::Failed);
                Some(Err(error.into()))
            }
            None => {
                self.rest = Rest::Ended;
                self.rest_hint = SizeHint::with_exact(0);
                None
            }
        };
        Poll::Ready(polled)
    }
}

// Never what is in the pieces: request bodies carry secrets.
impl<B> fmt::Debug for Tape<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape")
            .field("pieces", &self.pieces.len())
            .field("bytes", &self.bytes)
            .field("max_bytes", &self.max_bytes)
            .field("lost", &self.lost)
            .field("ended", &self.is_end_stream())
            .finish_non_exhaustive()
    }
}

fn data_len(frame: &Frame<Bytes>) -> u64 {
    // `usize` is at most 64 bits wide wherever there is an HTTP client.
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

fn shorter(hint: &SizeHint, by: u64) -> SizeHint {
    let mut shorter = SizeHint::new();
    shorter.set_lower(hint.lower().saturating_sub(by));
    if let Some(upper) = hint.upper() {
        shorter.set_upper(upper.saturating_sub(by));
    }
    shorter
}
