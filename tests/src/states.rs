//! The states of a call, for tests that drop it in each of them.

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not begun.
    NeverPolled,
    /// It waits for a token.
    Token,
    /// It waits for the inner service.
    Turn,
    /// The first attempt is under way.
    First,
    /// It waits for another token.
    Renew,
    /// It waits for the inner service again.
    Ready,
    /// It reads the first answer to its end.
    Drain,
    /// The second attempt is under way.
    Second,
}

/// All of them.
pub const STATES: [State; 8] = [
    State::NeverPolled,
    State::Token,
    State::Turn,
    State::First,
    State::Renew,
    State::Ready,
    State::Drain,
    State::Second,
];
