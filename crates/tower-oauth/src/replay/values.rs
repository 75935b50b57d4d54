//! `ReplayBody` for the bodies of other crates. A blanket implementation over `Clone` would forbid all others.

use std::convert::Infallible;

use bytes::{Buf, Bytes};
use http_body_util::combinators::{BoxBody, MapErr, UnsyncBoxBody};
use http_body_util::{Either, Empty, Full};

use super::{NotReplayable, ReplayBody};

macro_rules! cloned {
    ($([$($params:tt)*] $body:ty),+ $(,)?) => {$(
        impl<$($params)*> ReplayBody for $body {
            type Kept = Self;

            fn keep(&mut self) -> Option<Self> {
                Some(self.clone())
            }

            fn restore(kept: Self) -> Result<Self, NotReplayable> {
                Ok(kept)
            }
        }
    )+};
}

cloned! {
    [D: Buf + Clone] Full<D>,
    [D] Empty<D>,
    // What `map_err` makes of a body that cannot fail; over a stream, a clone need not be independent of the first.
    [D: Buf + Clone, F: Clone] MapErr<Full<D>, F>,
    [D, F: Clone] MapErr<Empty<D>, F>,
    [] Bytes,
    [] String,
    [] Vec<u8>,
    [] &'static str,
    [] &'static [u8],
}

impl ReplayBody for () {
    type Kept = ();

    fn keep(&mut self) -> Option<()> {
        Some(())
    }

    fn restore((): ()) -> Result<(), NotReplayable> {
        Ok(())
    }
}

impl<L: ReplayBody, R: ReplayBody> ReplayBody for Either<L, R> {
    type Kept = Either<L::Kept, R::Kept>;

    fn keep(&mut self) -> Option<Self::Kept> {
        match self {
            Self::Left(left) => left.keep().map(Either::Left),
            Self::Right(right) => right.keep().map(Either::Right),
        }
    }

    fn restore(kept: Self::Kept) -> Result<Self, NotReplayable> {
        match kept {
            Either::Left(left) => L::restore(left).map(Either::Left),
            Either::Right(right) => R::restore(right).map(Either::Right),
        }
    }
}

macro_rules! never {
    ($($body:ident),+) => {$(
        /// Never sent again: what is inside cannot be known. Wrap it in a [`Replay`](super::Replay).
        impl<D, E> ReplayBody for $body<D, E> {
            type Kept = Infallible;

            fn keep(&mut self) -> Option<Infallible> {
                None
            }

            fn restore(kept: Infallible) -> Result<Self, NotReplayable> {
                match kept {}
            }
        }
    )+};
}

never!(BoxBody, UnsyncBoxBody);
