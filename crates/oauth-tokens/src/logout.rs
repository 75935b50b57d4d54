//! The end of a user's session at the server (OpenID Connect RP-Initiated Logout 1.0).

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    Error, Form, IdToken, TokenClient,
    sign_in::{check_redirect_uri, page_url},
};

const ENDPOINT: &str = "end_session_endpoint";

impl TokenClient {
    /// Ends the user's session at the server (OpenID Connect RP-Initiated Logout 1.0): a URL for the user's browser, after the
    /// application has forgotten the user itself. The server may ask the user first.
    ///
    /// ```no_run
    /// # async fn example(client: oauth_tokens::TokenClient, user: oauth_tokens::IdToken) -> Result<(), oauth_tokens::Error> {
    /// let url = client
    ///     .end_session()
    ///     .id_token(&user)
    ///     .post_logout_redirect_uri("https://shop.example.com/goodbye")
    ///     .url()
    ///     .await?;
    /// // ... redirect the browser there
    /// # let _ = url;
    /// # Ok(())
    /// # }
    /// ```
    pub fn end_session(&self) -> EndSession {
        EndSession {
            client: self.clone(),
            id_token: None,
            post_logout_redirect_uri: None,
            state: None,
            logout_hint: None,
            ui_locales: None,
        }
    }
}

/// A session that is to be ended; see [`TokenClient::end_session`].
#[derive(Clone)]
#[must_use = "nothing ends until the browser is sent to the URL"]
pub struct EndSession {
    client: TokenClient,
    id_token: Option<Zeroizing<String>>,
    post_logout_redirect_uri: Option<String>,
    state: Option<Zeroizing<String>>,
    logout_hint: Option<String>,
    ui_locales: Option<String>,
}

impl EndSession {
    /// Whose session: without it the server asks the user, and may not send them back. An expired token will do. It goes into the
    /// URL.
    pub fn id_token(mut self, token: &IdToken) -> Self {
        self.id_token = Some(Zeroizing::new(token.as_str().to_owned()));
        self
    }

    /// Where the server is to send the browser afterwards: a URI that the client is registered with, of the same kinds as that of
    /// a [sign-in](TokenClient::sign_in).
    pub fn post_logout_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.post_logout_redirect_uri = Some(uri.into());
        self
    }

    /// What the browser is to bring back from there, as `state`.
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(Zeroizing::new(state.into()));
        self
    }

    /// Who is to be signed out, in the server's words: as the `login_hint` of a sign-in.
    pub fn logout_hint(mut self, hint: impl Into<String>) -> Self {
        self.logout_hint = Some(hint.into());
        self
    }

    /// The languages of the server's pages, the best one first, separated by spaces (BCP 47).
    pub fn ui_locales(mut self, locales: impl Into<String>) -> Self {
        self.ui_locales = Some(locales.into());
        self
    }

    /// The URL to send the browser to. Keep it out of logs: it holds the ID token. It is https, or http to this
    /// very machine; elsewhere only if plain http was allowed to the server by name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingEndpoint`](crate::ErrorKind::MissingEndpoint) when the server has no such endpoint: the application can
    /// but forget the user. [`ErrorKind::Config`](crate::ErrorKind::Config) when the redirect URI is neither https, nor http to
    /// loopback, nor of a scheme of one's own; else whatever keeps the metadata from being read.
    pub async fn url(&self) -> Result<String, Error> {
        self.post_logout_redirect_uri.as_deref().map_or(Ok(()), check_redirect_uri)?;
        let endpoint = self.client.server().find_page(ENDPOINT).await?;
        page_url(ENDPOINT, &endpoint, &self.form())
    }

    fn form(&self) -> Form {
        let mut form = Form::new().with("client_id", self.client.id());
        let parameters = [
            ("id_token_hint", self.id_token.as_ref().map(|token| token.as_str())),
            ("post_logout_redirect_uri", self.post_logout_redirect_uri.as_deref()),
            ("state", self.state.as_ref().map(|state| state.as_str())),
            ("logout_hint", self.logout_hint.as_deref()),
            ("ui_locales", self.ui_locales.as_deref()),
        ];
        for (name, value) in parameters {
            if let Some(value) = value {
                form.push(name, value);
            }
        }
        form
    }
}

/// Neither the ID token nor the hint is shown.
impl fmt::Debug for EndSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndSession").field("client", &self.client).finish_non_exhaustive()
    }
}
