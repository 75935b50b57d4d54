//! Request bodies of axum's, which come from a caller and are passed on.

use std::mem;

use axum_core::body::Body;
use http_body::Body as _;

use crate::{KeptReplay, NotReplayable, Replay, ReplayBody};

/// The body wraps itself in a [`Replay`], up to 64 KiB, as nobody can see what is inside. For another limit, put a
/// [`ReplayLayer`](crate::ReplayLayer) above the OAuth layer, and a `map_request` that makes a `Body` again below it.
impl ReplayBody for Body {
    /// None for an empty body.
    type Kept = Option<KeptReplay<Self>>;

    fn keep(&mut self) -> Option<Self::Kept> {
        if self.is_end_stream() {
            return Some(None);
        }
        let mut replay = Replay::new(mem::take(self));
        let kept = replay.keep();
        *self = Self::new(replay);
        kept.map(Some)
    }

    fn restore(kept: Self::Kept) -> Result<Self, NotReplayable> {
        kept.map_or_else(|| Ok(Self::empty()), |kept| Replay::restore(kept).map(Self::new))
    }
}
