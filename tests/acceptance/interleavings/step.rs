//! The steps, of which sequences are made.

use super::spec::{Place, Reply};

/// The caller who has had a token rejected; all others take any.
pub(super) const REJECTED: usize = 2;
/// The caller who wants a token that lives for a while.
pub(super) const PATIENT: usize = 3;

/// What happens next. Callers are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A caller comes; or, if it waits and was woken, it is polled again.
    Poll(usize),
    /// A waiting caller goes away.
    Leave(usize),
    /// Somebody looks for a token, and does not wait.
    Look,
    /// A late rejection of the token before the current one, by a caller who waits and by one who does not.
    RejectOld,
    /// The API accepts the current token.
    Accept,
    /// A caller on the other runtime asks, and goes away.
    AskElsewhere,
    /// A runtime runs, until all its tasks wait.
    Run(Place),
    /// The other runtime ends.
    EndOther,
    /// The source answers the fetch that began last.
    Answer(Reply),
    /// The source answers the fetch that began first, which another has superseded.
    AnswerOld(Reply),
    /// Time passes, until something changes by itself; and no task runs.
    Pass,
}
