use std::fmt;

use super::PendingSignIn;

/// A sign-in that was begun: where the browser goes now, and what to keep until it comes back.
pub struct SignInStarted {
    pub(super) url: String,
    pub(super) pending: PendingSignIn,
}

impl SignInStarted {
    /// Where to send this browser, and no other: https, or http on this very machine (elsewhere only if plain http
    /// was allowed to the server by name). Not to be logged: it holds the `state`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What to keep in the session of this browser.
    #[must_use]
    pub fn pending(&self) -> &PendingSignIn {
        &self.pending
    }

    /// Both.
    #[must_use]
    pub fn into_parts(self) -> (String, PendingSignIn) {
        (self.url, self.pending)
    }
}

impl fmt::Debug for SignInStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInStarted").field("pending", &self.pending).finish_non_exhaustive()
    }
}
