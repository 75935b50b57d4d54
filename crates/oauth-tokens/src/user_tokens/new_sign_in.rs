//! What a sign-in brings.

use std::fmt;

use zeroize::Zeroizing;

#[cfg(feature = "sign-in")]
use crate::SignedIn;
use crate::TokenSet;

/// What a sign-in brings to [`UserTokens::sign_in`](crate::UserTokens::sign_in): made from a [`TokenSet`], whose ID token nobody
/// has verified and which is left out; or (feature `sign-in`) from a `SignedIn`.
pub struct NewSignIn {
    pub(super) tokens: TokenSet,
    /// Verified.
    pub(super) id_token: Option<Zeroizing<String>>,
}

impl From<TokenSet> for NewSignIn {
    fn from(tokens: TokenSet) -> Self {
        Self { tokens, id_token: None }
    }
}

#[cfg(feature = "sign-in")]
impl From<SignedIn> for NewSignIn {
    fn from(signed_in: SignedIn) -> Self {
        // Not the text among the tokens, which anybody may have changed since.
        let id_token = signed_in.id_token.as_ref().map(|token| Zeroizing::new(token.as_str().to_owned()));
        Self { id_token, tokens: signed_in.into_tokens() }
    }
}

impl fmt::Debug for NewSignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSignIn").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}
