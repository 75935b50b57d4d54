//! Pushed authorization requests (RFC 9126).

use std::{fmt, time::Duration};

use http::StatusCode;
use zeroize::Zeroizing;

use crate::{
    Error, Form, TokenClient,
    request::is_absolute_uri,
    response::{Answer, secret},
};

impl TokenClient {
    /// Hands in an authorization request beforehand (RFC 9126): its parameters go from server to server, and the browser
    /// carries nothing but a reference to them. A building block: what is in the form, and what becomes of the browser, is the
    /// caller's. With the feature `sign-in`, `SignInRequest::pushed` does all of it.
    ///
    /// The client's id and authentication are added.
    ///
    /// ```no_run
    /// # async fn example(client: oauth_tokens::TokenClient) -> Result<(), oauth_tokens::Error> {
    /// use oauth_tokens::Form;
    ///
    /// # let (state, challenge) = ("", "");
    /// let form = Form::new()
    ///     .with("response_type", "code")
    ///     .with("redirect_uri", "https://app.example.com/callback")
    ///     .with("scope", "openid")
    ///     .with("state", state)
    ///     .with("code_challenge", challenge)
    ///     .with("code_challenge_method", "S256");
    /// let pushed = client.push_authorization_request(form).await?;
    /// // https://id.example.com/authorize?client_id=…&request_uri=…
    /// let query = Form::new().with("client_id", client.id()).with("request_uri", pushed.request_uri());
    /// # let _ = query;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a parameter that the client's authentication sets, for `request_uri`
    /// (section 2.1), and for one that stands twice;
    /// [`ErrorKind::MissingEndpoint`](crate::ErrorKind::MissingEndpoint) when the server has no such endpoint; whatever it
    /// refuses the request with.
    pub async fn push_authorization_request(&self, parameters: Form) -> Result<PushedRequest, Error> {
        let mut form = Form::new();
        form.merge(parameters)?;
        if form.contains("request_uri") {
            return Err(Error::config("a pushed authorization request holds no `request_uri` (RFC 9126, section 2.1)"));
        }
        form.push("client_id", self.id());
        let endpoint = "pushed_authorization_request_endpoint";
        self.call(endpoint, "pushed authorization request", &form, &PushedRequest::read).await
    }
}

/// A reference to an authorization request that the server has (RFC 9126, section 2.2).
#[derive(Clone)]
pub struct PushedRequest {
    request_uri: Zeroizing<String>,
    expires_in: Duration,
}

impl PushedRequest {
    fn read(answer: &Answer<'_>) -> Result<Self, Error> {
        // RFC 9126 says 201; not every server does.
        let object = answer.object(&[StatusCode::CREATED, StatusCode::OK])?;
        let missing = |name: &str| answer.invalid(&format!("it holds no `{name}` that can be used"));
        let request_uri = secret(&object, "request_uri").filter(|uri| is_absolute_uri(uri));
        let expires_in = object.seconds("expires_in").filter(|lifetime| !lifetime.is_zero());
        Ok(Self {
            request_uri: request_uri.ok_or_else(|| missing("request_uri"))?,
            expires_in: expires_in.ok_or_else(|| missing("expires_in"))?,
        })
    }

    /// The reference, for the `request_uri` of the authorization request in the browser. It is good for one request.
    #[must_use]
    pub fn request_uri(&self) -> &str {
        &self.request_uri
    }

    /// How long the server keeps it, counted from its answer.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }
}

impl fmt::Debug for PushedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushedRequest").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}
