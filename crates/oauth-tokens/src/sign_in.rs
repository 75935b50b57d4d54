//! A user signs in, in a browser: the authorization code flow (RFC 6749, section 4.1; OpenID Connect Core, section 3.1), as RFC 9700
//! (section 2.1) wants it: with PKCE (RFC 7636, by S256), an exact `state`, an exact `iss` (RFC 9207), and nothing but `code` as
//! response type.
//!
//! | file | idea |
//! |---|---|
//! | `request.rs` | what is asked for; begins: metadata, a pushed request (RFC 9126) |
//! | `pending.rs` | what waits for the browser to come back |
//! | `callback.rs` | what came back, parsed strictly |
//! | `judge.rs` | what it means: decided from the two, without I/O |
//! | `redemption.rs` | the code for tokens, once; the ID token |
//! | `place.rs` | where a browser may be sent |

mod callback;
mod judge;
mod pending;
mod place;
mod prompt;
mod random;
mod redemption;
mod request;
mod started;

use std::fmt;

pub(crate) use self::place::{check_redirect_uri, page_url};
pub use self::{
    callback::Callback, pending::PendingSignIn, prompt::Prompt, request::SignInRequest, started::SignInStarted,
};
#[cfg(feature = "native")]
pub(crate) use self::{random::random, redemption::revoke_detached};
use crate::{Error, IdToken, TokenClient, TokenSet};

impl TokenClient {
    /// A user signs in, in a browser (authorization code flow): settings first, then [`begin`](SignInRequest::begin).
    ///
    /// The redirect URI is where the server sends the browser back to, exactly as it is registered there: https, or http to
    /// loopback, or a scheme of one's own as RFC 8252 (section 7.1) has it, `com.example.app:/callback`; without a fragment.
    ///
    /// ```no_run
    /// # async fn example(client: oauth_tokens::TokenClient, callback_query: &str) -> Result<(), oauth_tokens::Error> {
    /// use oauth_tokens::Callback;
    ///
    /// let started = client.sign_in("https://app.example.com/callback").scope("openid orders").begin().await?;
    /// let (url, pending) = started.into_parts();
    /// // Keep `pending` in the session of this browser, and redirect it to `url`.
    /// # let _ = url;
    ///
    /// // It comes back: take `pending` out of the session, so that it is used once.
    /// let callback = Callback::from_query(callback_query)?;
    /// let signed_in = client.finish_sign_in(pending, &callback).await?;
    /// let user = signed_in.id_token.as_ref().map(|user| user.subject());
    /// println!("{user:?} may do {}, and goes on to {}", signed_in.scope(), signed_in.return_to());
    /// # Ok(())
    /// # }
    /// ```
    pub fn sign_in(&self, redirect_uri: impl Into<String>) -> SignInRequest {
        SignInRequest::new(self, redirect_uri.into())
    }

    /// Ends what [`SignInRequest::begin`] began: judges the callback, redeems its code, and verifies the ID token if the scope
    /// holds `openid`.
    ///
    /// The pending sign-in must come from the session of the very browser that brought the callback, and be taken out of it
    /// before this is called: that is what `state` is for (RFC 9700, section 4.7). Whatever the outcome, it is used up: a code
    /// is sent once (RFC 6749, section 4.1.2), and where the answer is lost, the user signs in anew. (Once more only after an answer that
    /// took nothing in: the server wants a DPoP nonce, or refused a secret that has been replaced meanwhile.) Tokens whose ID token is
    /// not to be believed, or cannot be verified, are revoked.
    ///
    /// With several authorization servers, give each a redirect URI of its own, and take only what was begun for the one that the
    /// browser came back to: a server that sends no `iss` cannot be told from another (RFC 9700, section 4.4).
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::InvalidCallback`](crate::ErrorKind::InvalidCallback), nothing having been sent: the pending sign-in is over
    ///   10 minutes old or was begun at another server, by another client or with another DPoP key (RFC 9700, section 4.4); the
    ///   `state` is another or missing; so is the `iss`, where the server promises one (RFC 9207); there is no code.
    /// - [`ErrorKind::AccessDenied`](crate::ErrorKind::AccessDenied): the user said no.
    /// - [`ErrorKind::InteractionRequired`](crate::ErrorKind::InteractionRequired): after `prompt=none`.
    /// - [`ErrorKind::OAuth`](crate::ErrorKind::OAuth): the server sent the browser back with another error (RFC 6749, section
    ///   4.1.2.1), or refused the code.
    /// - [`ErrorKind::InvalidIdToken`](crate::ErrorKind::InvalidIdToken): it is missing, or not to be believed.
    /// - Whatever else keeps a code from being redeemed. It is not redeemed a second time.
    pub async fn finish_sign_in(&self, pending: PendingSignIn, callback: &Callback) -> Result<SignedIn, Error> {
        let what = format!("the sign-in of client {:?} at {}", self.id(), self.server());
        judge::is_of(&pending, self, &what)?;
        let issuers = self.issuers().unwrap_or_default();
        let code = judge::code(&pending, callback, &issuers, self.server().clock().wall(), &what)?;
        let mut tokens = redemption::redeem(self, &pending, code, &what).await?;
        let verified = redemption::verify(self, &pending, &tokens, &what).await;
        if verified.is_err() {
            redemption::revoke_detached(self, &tokens);
        }
        let id_token = verified?;
        if id_token.is_none() {
            // One that nobody asked for, and nobody has looked at.
            tokens.id_token = None;
        }
        let scope = tokens.scope.clone().unwrap_or(pending.asked.scope);
        Ok(SignedIn { tokens, id_token, scope, return_to: pending.asked.return_to })
    }
}

/// What a sign-in brought.
#[derive(Clone)]
#[non_exhaustive]
pub struct SignedIn {
    /// The tokens. The ID token among them is the one that was verified.
    pub tokens: TokenSet,
    /// Who signed in, verified: there if the scope `openid` was asked for.
    pub id_token: Option<IdToken>,
    scope: String,
    return_to: String,
}

impl SignedIn {
    /// What device authorization brought, once its ID token has been verified.
    #[cfg(feature = "native")]
    pub(crate) fn on_another_device(tokens: TokenSet, id_token: Option<IdToken>, asked_scope: String) -> Self {
        let scope = tokens.scope.clone().unwrap_or(asked_scope);
        Self { tokens, id_token, scope, return_to: "/".to_owned() }
    }

    /// What was granted; what was asked for, where the server did not say (RFC 6749, section 5.1).
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Where the user wanted to go: a path of the application's own, see [`SignInRequest::return_to`].
    #[must_use]
    pub fn return_to(&self) -> &str {
        &self.return_to
    }

    /// The tokens alone.
    #[must_use]
    pub fn into_tokens(self) -> TokenSet {
        self.tokens
    }
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn")
            .field("tokens", &self.tokens)
            .field("id_token", &self.id_token)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
