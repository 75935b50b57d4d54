//! What a server says of a user (OpenID Connect Core 1.0, section 5.3).

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;

use crate::{
    AccessToken, Error, ErrorKind, TokenClient,
    document::unexpected_status,
    endpoint_url::EndpointUrl,
    id_token::{
        Bearer, Failure,
        claims::subject,
        jwt::{Jwt, audiences, date, string},
        names, verified, verify_jwt,
    },
    json::Object,
    retry::{Attempts, Repeat},
};

/// How long one attempt may take (T3).
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

impl TokenClient {
    /// Asks the server for what it says of a user (OpenID Connect Core 1.0, section 5.3), with the access token of the sign-in.
    /// The subject is that of the user's [`IdToken`](crate::IdToken::subject): what is said of anybody else is refused.
    ///
    /// A token that is bound to a key is sent with its proof. An answer that is signed is verified; one that is encrypted is
    /// refused. Redirects are not followed.
    ///
    /// ```no_run
    /// # use oauth_tokens::{AccessToken, Error, IdToken, TokenClient};
    /// # async fn example(client: TokenClient, token: AccessToken, user: IdToken) -> Result<(), Error> {
    /// let info = client.userinfo(&token, user.subject()).await?;
    /// println!("{:?}", info.claim("email"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidIdToken`] when the answer must not be believed, [`ErrorKind::MissingEndpoint`] when the server has no
    /// such endpoint; else whatever keeps it from answering, [`ErrorKind::UnexpectedResponse`] with the status 401 when it does
    /// not accept the token.
    pub async fn userinfo(&self, token: &AccessToken, subject: &str) -> Result<UserInfo, Error> {
        verified(self, "the answer about a user", self.checked_userinfo(token, subject)).await
    }

    async fn checked_userinfo(&self, token: &AccessToken, expected: &str) -> Result<UserInfo, Failure> {
        let response = self.fetch_userinfo(token).await?;
        let claims = match media_type(&response).as_deref() {
            Some("application/json") => {
                Object::parse(response.body()).map_err(|problem| self.unreadable(&format!("its body {problem}")))?
            }
            Some("application/jwt") => self.signed_claims(response.body()).await?,
            _ => return Err(self.unreadable("its content type is neither that of JSON nor that of a JWT").into()),
        };
        if subject(&claims)? != expected {
            return Err("its `sub` is not the user who was asked for".into());
        }
        Ok(UserInfo { claims })
    }

    fn unreadable(&self, problem: &str) -> Error {
        let message = format!("the question about a user to {} was answered with 200, but {problem}", self.server());
        Error::new(ErrorKind::UnexpectedResponse, message).with_status(StatusCode::OK)
    }

    /// Section 5.3.2: one that is signed says by whom and for whom.
    async fn signed_claims(&self, body: &Bytes) -> Result<Object, Failure> {
        let text = std::str::from_utf8(body).map_err(|_| "it is no JWT")?;
        let jwt = Jwt::parse(text)?;
        jwt.check_type(&[])?;
        let expected = verify_jwt(self, &jwt, "userinfo_signing_alg_values_supported", Bearer::Server).await?;
        let claims = jwt.claims;
        expected.check_issuer(&claims)?;
        expected.check_audience(&audiences(&claims)?, string(&claims, "azp")?)?;
        expected.check_times(date(&claims, "exp")?, &claims)?;
        Ok(claims)
    }

    async fn fetch_userinfo(&self, token: &AccessToken) -> Result<Response<Bytes>, Error> {
        let server = self.server();
        let mut attempts = Attempts::default();
        let (mut nonce, mut may_prove_again) = (None, true);
        loop {
            let url = server.find_endpoint("userinfo_endpoint", self.auth()).await?;
            let what = format!("the request for what is known of a user, to {url}");
            let (response, sent_nonce) = match self.ask_for_user(token, &url, &what, nonce.take()).await {
                Ok(answered) => answered,
                Err(error) => {
                    // It may have moved.
                    server.suspect_metadata();
                    attempts.another(error, Repeat::Freely).await?;
                    continue;
                }
            };
            let brought = token.learn_nonce(url.as_str(), response.headers());
            if response.status() == StatusCode::OK {
                return Ok(response);
            }
            // The server asks for a nonce that it gave just now (RFC 9449, section 9).
            let is_worth_another = response.status() == StatusCode::UNAUTHORIZED && brought != sent_nonce;
            if may_prove_again && is_worth_another && brought.is_some() {
                (may_prove_again, nonce) = (false, brought);
                continue;
            }
            let hint = "a 401 means that it does not accept the access token: it may need the scope `openid`";
            attempts.another(unexpected_status(&what, &response, hint, server.clock()), Repeat::Freely).await?;
        }
    }

    /// The answer to one request, and the nonce that its proof held.
    async fn ask_for_user(
        &self,
        token: &AccessToken,
        url: &EndpointUrl,
        what: &str,
        nonce: Option<String>,
    ) -> Result<(Response<Bytes>, Option<String>), Error> {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(url.uri())
            .header(header::ACCEPT, "application/json, application/jwt")
            .header(header::AUTHORIZATION, token.authorization())
            .body(Full::default())
            .map_err(|error| Error::config(format!("{what} cannot be made")).caused_by(error))?;
        let mut sent_nonce = None;
        if let Some(proof) = token.proof(&Method::GET, url.as_str(), nonce.as_deref()) {
            sent_nonce = proof.nonce().map(str::to_owned);
            request.headers_mut().insert("dpop", proof.await?);
        }
        let response = self.server().http().send(url, request, what, ATTEMPT_TIMEOUT).await?;
        Ok((response, sent_nonce))
    }
}

/// The media type in lower case, without parameters.
fn media_type(response: &Response<Bytes>) -> Option<String> {
    let value = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// What a server says of a user; see [`TokenClient::userinfo`].
pub struct UserInfo {
    claims: Object,
}

impl UserInfo {
    /// The user, as the server knows them: `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.claims.text("sub").unwrap_or_default()
    }

    /// A claim, `email` for example (OpenID Connect Core 1.0, section 5.1).
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// All claims.
    pub fn claims(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.claims.iter()
    }
}

/// Claims are named only: they say who somebody is.
impl fmt::Debug for UserInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UserInfo").field(&names(&self.claims)).finish()
    }
}
