//! `Replay`, the handle that is sent, and `KeptReplay`, the handle that stays.

#![allow(clippy::clone_on_copy, reason = "`SizeHint` is `Copy` only since http-body 1.1")]

use std::error::Error;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::tape::{Mark, Tape};
use super::{NotReplayable, ReplayBody, Superseded};

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

const DEFAULT_MAX_BYTES: usize = 64 * 1024;

/// A streaming body that can be sent again after a 401, up to a limit.
///
/// The first send is never held back: each frame goes out when the inner body yields it. Nothing is remembered until
/// [`keep`](ReplayBody::keep) asks for it, and nothing any more once what was kept is dropped, as it is when a response
/// other than a 401 has come.
///
/// The body can be [restored](ReplayBody::restore) only whole:
///
/// - it has been read to its end, trailers included, within the limit; or
/// - as many bytes have been read as its exact size hint (or the `content-length` that [`ReplayLayer`] saw) promised; or
/// - it has not been polled at all. Then the retry takes the body itself, whatever its length.
///
/// Restoring supersedes the first handle. If that is still polled, it yields the error [`Superseded`], never an end of
/// stream; a task that waits for it is woken. The retry has the size hint that the first handle began with.
///
/// The limit counts bytes of data; 16 KiB of trailers are remembered besides. Once a body exceeds it, the memory is freed
/// and the stream goes on. Frames of [`Bytes`] are shared, not copied; other buffers become `Bytes` on the way.
///
/// A `Replay` can itself be kept again, by a second layer or for a second retry.
///
/// The inner body is boxed, so that a `Replay` is [`Unpin`], as most HTTP clients want it, whatever the inner body is.
///
/// [`ReplayLayer`]: super::ReplayLayer
pub struct Replay<B> {
    source: Source<B>,
}

enum Source<B> {
    /// Nobody keeps a record: the tape is ours alone.
    Own(Tape<B>),
    Shared(Share<B>),
}

/// One attempt's share in a tape that somebody keeps.
struct Share<B> {
    cell: Arc<Cell<B>>,
    attempt: u64,
    /// As of the last poll: the body may not be asked while the cell is locked.
    ended: bool,
    hint: SizeHint,
}

/// What is held of a [`Replay`] while its request is under way. Dropping it frees what is remembered.
pub struct KeptReplay<B> {
    cell: Arc<Cell<B>>,
    from: Mark,
}

struct Cell<B>(Mutex<State<B>>);

/// No code of others runs while this is locked: bodies are polled, and bodies, data and wakers dropped, outside.
struct State<B> {
    /// The attempt that may read the tape. Restoring begins a new one.
    attempt: u64,
    kept: usize,
    /// Where the last to keep the tape found it.
    last_kept: Mark,
    slot: Slot<B>,
    /// Of the current attempt, while it waits for more.
    waker: Option<Waker>,
}

enum Slot<B> {
    Here(Tape<B>),
    /// The current attempt has taken the tape out to poll it.
    Polled,
    /// The tape can no longer be replayed; whoever still reads it has it.
    Gone(NotReplayable),
}

impl<B: Body> Replay<B> {
    /// Makes `body` replayable up to 64 KiB.
    pub fn new(body: B) -> Self {
        Self { source: Source::Own(Tape::new(body, DEFAULT_MAX_BYTES)) }
    }
}

impl<B> Replay<B> {
    /// Sets how many bytes of data are remembered at most. It has no effect on a body that is already kept.
    ///
    /// Default: 64 KiB.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        if let Source::Own(tape) = &mut self.source {
            tape.set_max_bytes(max_bytes);
        }
        self
    }

    /// The length that the head of the request declares, if the body itself does not know it.
    pub(super) fn declared_length(mut self, length: Option<u64>) -> Self {
        if let Source::Own(tape) = &mut self.source {
            tape.set_declared(length);
        }
        self
    }
}

impl<B: Body> ReplayBody for Replay<B> {
    type Kept = KeptReplay<B>;

    fn keep(&mut self) -> Option<KeptReplay<B>> {
        match &mut self.source {
            Source::Own(tape) if tape.has_failed() => None,
            Source::Own(tape) => {
                let mut tape = mem::replace(tape, Tape::blank());
                tape.start_recording();
                let (share, kept) = Share::new(tape);
                self.source = Source::Shared(share);
                Some(kept)
            }
            Source::Shared(share) => share.keep(),
        }
    }

    fn restore(kept: KeptReplay<B>) -> Result<Self, NotReplayable> {
        let mut state = kept.cell.lock();
        let (ended, hint) = match &mut state.slot {
            Slot::Here(tape) => {
                tape.replayable_from(kept.from)?;
                tape.rewind(kept.from);
                (tape.is_end_stream(), tape.size_hint())
            }
            Slot::Polled => return Err(NotReplayable::Unfinished),
            Slot::Gone(reason) => return Err(*reason),
        };
        state.attempt += 1;
        let attempt = state.attempt;
        let waker = state.waker.take();
        drop(state);

        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(Self { source: Source::Shared(Share { cell: Arc::clone(&kept.cell), attempt, ended, hint }) })
    }
}

impl<B> Body for Replay<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let share = match &mut self.source {
            Source::Own(tape) => return tape.poll(cx, false),
            Source::Shared(share) => share,
        };
        let (mut tape, waker) = match share.take() {
            Ok(taken) => taken,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        let polled = tape.poll(cx, true);
        share.ended = tape.is_end_stream();
        share.hint = tape.size_hint();
        let waker = polled.is_pending().then(|| match waker {
            Some(waker) if waker.will_wake(cx.waker()) => waker,
            _ => cx.waker().clone(),
        });
        if let Some(mut tape) = share.put_back(tape, waker) {
            drop(tape.cut());
            self.source = Source::Own(tape);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(tape) => tape.is_end_stream_now(),
            // An older attempt has not come to its end, it is cut off.
            Source::Shared(share) => share.ended && share.cell.lock().attempt == share.attempt,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(tape) => tape.size_hint_now(),
            Source::Shared(share) => share.hint.clone(),
        }
    }
}

impl<B> Share<B> {
    fn new(tape: Tape<B>) -> (Self, KeptReplay<B>) {
        let (ended, hint, from) = (tape.is_end_stream(), tape.size_hint(), tape.mark());
        let state = State { attempt: 0, kept: 1, last_kept: from, slot: Slot::Here(tape), waker: None };
        let cell = Arc::new(Cell(Mutex::new(state)));
        (Self { cell: Arc::clone(&cell), attempt: 0, ended, hint }, KeptReplay { cell, from })
    }

    fn keep(&self) -> Option<KeptReplay<B>> {
        let mut state = self.cell.lock();
        let from = match &state.slot {
            Slot::Here(tape) if state.attempt == self.attempt && !tape.has_failed() => tape.mark(),
            _ => return None,
        };
        state.kept += 1;
        state.last_kept = from;
        Some(KeptReplay { cell: Arc::clone(&self.cell), from })
    }

    /// The tape, to be polled outside the lock, and the waker of the last poll, which may do for the next.
    fn take(&self) -> Result<(Tape<B>, Option<Waker>), BoxError> {
        let mut state = self.cell.lock();
        if state.attempt != self.attempt {
            return Err(Superseded.into());
        }
        match mem::replace(&mut state.slot, Slot::Polled) {
            Slot::Here(tape) => Ok((tape, state.waker.take())),
            // The inner body panicked when it was polled last, and is no more.
            Slot::Polled => Err(NotReplayable::Failed.into()),
            Slot::Gone(reason) => {
                state.slot = Slot::Gone(reason);
                Err(reason.into())
            }
        }
    }

    /// Returns the tape if nobody can want it again: then it needs neither the lock nor the memory.
    fn put_back(&self, tape: Tape<B>, waker: Option<Waker>) -> Option<Tape<B>> {
        let mut state = self.cell.lock();
        if state.kept > 0 && tape.lost().is_none() {
            state.slot = Slot::Here(tape);
            state.waker = waker;
            return None;
        }
        state.slot = Slot::Gone(tape.lost().unwrap_or(NotReplayable::Unfinished));
        Some(tape)
    }
}

/// A client that drops a body half-way has its resources freed then, not when the response is there.
impl<B> Drop for Share<B> {
    fn drop(&mut self) {
        let mut state = self.cell.lock();
        if state.attempt != self.attempt {
            return;
        }
        let waker = state.waker.take();
        let gone = match &state.slot {
            Slot::Here(_) if state.kept == 0 => Some(NotReplayable::Unfinished),
            Slot::Here(tape) => tape.replayable_from(state.last_kept).err(),
            Slot::Polled | Slot::Gone(_) => None,
        };
        let slot = gone.map(|reason| mem::replace(&mut state.slot, Slot::Gone(reason)));
        drop(state);
        drop((waker, slot));
    }
}

impl<B> Drop for KeptReplay<B> {
    fn drop(&mut self) {
        let mut state = self.cell.lock();
        state.kept -= 1;
        let last = state.kept == 0;
        let freed = match &mut state.slot {
            Slot::Here(tape) if last => Some(tape.cut()),
            _ => None,
        };
        drop(state);
        drop(freed);
    }
}

impl<B> Cell<B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        // Nothing that can panic happens under the lock, so a poisoned one guards a sound state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> fmt::Debug for Replay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Replay");
        match &self.source {
            Source::Own(tape) => debug.field("tape", tape),
            Source::Shared(share) => debug.field("attempt", &share.attempt).field("cell", &share.cell),
        };
        debug.finish()
    }
}

impl<B> fmt::Debug for KeptReplay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptReplay").field("cell", &self.cell).finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for Cell<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let mut debug = f.debug_struct("Cell");
        debug.field("attempt", &state.attempt).field("kept", &state.kept);
        match &state.slot {
            Slot::Here(tape) => debug.field("tape", tape),
            Slot::Polled => debug.field("tape", &"being polled"),
            Slot::Gone(reason) => debug.field("gone", reason),
        };
        debug.finish()
    }
}
