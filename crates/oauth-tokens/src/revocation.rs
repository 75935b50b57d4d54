//! Token revocation (RFC 7009).

use std::{fmt, pin::Pin};

use zeroize::Zeroizing;

use crate::{Error, Form, TokenCache, TokenClient, response::Answer};

/// What kind of token is handed in, so that the server looks for it there first (RFC 7009, section 2.1; RFC 7662, section
/// 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenHint {
    /// An access token.
    AccessToken,
    /// A refresh token.
    RefreshToken,
}

impl TokenHint {
    fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
        }
    }
}

/// A token that is handed in to be revoked or looked at.
pub(crate) struct Presented {
    pub(crate) client: TokenClient,
    token: Zeroizing<String>,
    pub(crate) hint: Option<TokenHint>,
}

impl Presented {
    pub(crate) fn new(client: &TokenClient, token: &str) -> Self {
        Self { client: client.clone(), token: Zeroizing::new(token.to_owned()), hint: None }
    }

    /// RFC 7009 and RFC 7662, sections 2.1.
    pub(crate) fn form(&self) -> Result<Form, Error> {
        if self.token.is_empty() {
            return Err(Error::config("the token is empty"));
        }
        let mut form = Form::new().with("token", self.token.as_str());
        if let Some(hint) = self.hint {
            form.push("token_type_hint", hint.name());
        }
        Ok(form)
    }
}

impl TokenClient {
    /// Revokes a token (RFC 7009): the server forgets it, and whatever else was granted with it if it is a refresh token.
    ///
    /// A token that the server does not know is as good as revoked, and no error.
    ///
    /// ```no_run
    /// # async fn example(client: oauth_tokens::TokenClient) -> Result<(), oauth_tokens::Error> {
    /// use oauth_tokens::TokenHint;
    ///
    /// client.revoke("45ghiukldjahdnhzdauz").hint(TokenHint::RefreshToken).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingEndpoint`](crate::ErrorKind::MissingEndpoint) when the server has no revocation endpoint; the OAuth
    /// error `unsupported_token_type` when it does not revoke tokens of this kind: most do not revoke access tokens that are
    /// JWTs.
    pub fn revoke(&self, token: impl AsRef<str>) -> Revocation {
        Revocation(Presented::new(self, token.as_ref()))
    }

    /// Revokes the access token that a cache of this client's holds, if it holds one: for the end of a program. Nothing does
    /// this by itself. The cache does not know: do not use it afterwards.
    ///
    /// A refresh token lives on; revoke the one that [`RefreshToken::on_rotation`](crate::RefreshToken::on_rotation) saved
    /// last, if that is to end too.
    ///
    /// ```no_run
    /// # async fn example(client: oauth_tokens::TokenClient) -> Result<(), oauth_tokens::Error> {
    /// let tokens = client.client_credentials().scope("api").cached()?;
    /// // ... until the program is told to end
    /// client.revoke_held_by(&tokens).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_held_by(&self, tokens: &TokenCache) -> Result<(), Error> {
        match tokens.held() {
            Some(token) => self.revoke(token.secret()).hint(TokenHint::AccessToken).await,
            None => Ok(()),
        }
    }
}

/// A revocation, to be awaited; see [`TokenClient::revoke`].
#[must_use = "nothing is revoked until it is awaited"]
pub struct Revocation(Presented);

impl Revocation {
    /// Says what kind of token it is, which spares the server a search.
    pub fn hint(mut self, hint: TokenHint) -> Self {
        self.0.hint = Some(hint);
        self
    }

    async fn send(self) -> Result<(), Error> {
        let form = self.0.form()?;
        // Section 2.2: the body says nothing.
        let read = |answer: &Answer<'_>| if answer.status.is_success() { Ok(()) } else { Err(answer.refusal()) };
        self.0.client.call("revocation_endpoint", "revocation request", &form, &read).await
    }
}

impl IntoFuture for Revocation {
    type Output = Result<(), Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocation").field("client", &self.0.client).field("hint", &self.0.hint).finish_non_exhaustive()
    }
}
