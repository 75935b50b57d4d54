//! The same behaviour as a reqwest middleware: a short async driver over the same core.

use std::{future::poll_fn, pin::pin, sync::Arc};

use async_trait::async_trait;
use http::{Extensions, HeaderValue};
use oauth_tokens::AccessToken;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};

use crate::{
    Error, ErrorKind, NotRetried, OAuthLayer,
    deadline::Deadline,
    drain::Drain,
    message::sealed::{Request as _, Response as _},
    outcome::{answer, not_retried},
    policy::{Admission, Policy, Protection, Sent, Tried, Verdict, authorize},
    redirect::FollowRedirects,
    timer::within,
};

impl OAuthLayer {
    /// A client with reqwest's own manners: `client.get(url).json(&body).send().await?`.
    ///
    /// Redirects are followed above the layer, at most ten, so that each origin of the layer that they lead to is looked at
    /// anew (R13); whatever the builder says of redirects is switched off. A redirect into an origin of the layer from
    /// elsewhere is followed for safe methods only, else it is the answer; one from https to http never is. Credentials do
    /// not leave the origin that they were set for; those in the builder's default headers would, so such a builder is
    /// refused, and other default headers go wherever redirects lead. A request's own timeout counts over all that is sent for it, a timeout of the builder for each request sent.
    ///
    /// With an origin of plain http on loopback, the client uses no proxy at all: one named by the environment would see
    /// the token.
    ///
    /// A user name in a URL becomes, as always with reqwest, an `Authorization` header of the caller's own: such a request
    /// gets no token (R1).
    ///
    /// ```no_run
    /// use tower_oauth::{OAuthLayer, oauth_tokens::TokenCache};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let layer = OAuthLayer::new("https://api.example.com", TokenCache::fixed("t0k3n")?)?;
    /// let client = layer.reqwest(reqwest::Client::builder())?;
    /// let orders = client.get("https://api.example.com/orders").send().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when reqwest cannot build the client, or its default headers hold `Authorization`, `Cookie` or
    /// `Proxy-Authorization`.
    pub fn reqwest(&self, builder: ::reqwest::ClientBuilder) -> std::result::Result<ClientWithMiddleware, Error> {
        let policy = Arc::clone(self.policy());
        if let Some(header) = default_credential(&builder) {
            let message = format!(
                "the reqwest client has a default header `{header}`, which would follow redirects to any origin: set it on \
                 each request"
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        let mut builder = builder.redirect(::reqwest::redirect::Policy::none());
        if policy.routes.iter().any(|route| route.origin.is_plain_loopback()) {
            let loopback = [([127, 0, 0, 1], 0).into(), ([0, 0, 0, 0, 0, 0, 0, 1], 0).into()];
            builder = builder.no_proxy().resolve_to_addrs("localhost", &loopback);
        }
        let client = builder
            .build()
            .map_err(|error| Error::new(ErrorKind::Config, format!("the reqwest client cannot be built: {error}")))?;
        Ok(ClientBuilder::new(client).with(FollowRedirects { policy }).with(self.middleware()).build())
    }

    /// The layer as a middleware, for a `reqwest_middleware::ClientBuilder` of your own.
    ///
    /// Put it last, directly above the client, and switch the client's redirects off: those that the client follows by
    /// itself would carry the token on within its own rules, not within this layer's (R13).
    #[must_use]
    pub fn middleware(&self) -> OAuthMiddleware {
        OAuthMiddleware { policy: Arc::clone(self.policy()) }
    }
}

/// A default header that holds a credential, by the builder's own account: there is no other way to look. Reqwest adds
/// default headers to every request that lacks them, after a redirect too.
fn default_credential(builder: &::reqwest::ClientBuilder) -> Option<&'static str> {
    let account = format!("{builder:?}").to_ascii_lowercase();
    ["authorization", "cookie", "proxy-authorization"]
        .into_iter()
        .find(|name| account.contains(&format!("\"{name}\":")))
}

/// An [`OAuthLayer`] as a reqwest middleware; see [`OAuthLayer::middleware`].
#[derive(Clone, Debug)]
pub struct OAuthMiddleware {
    policy: Arc<Policy>,
}

#[async_trait]
impl Middleware for OAuthMiddleware {
    async fn handle(
        &self,
        request: ::reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<::reqwest::Response> {
        let protection = match self.policy.admit(&request) {
            Admission::Pass => return next.run(request, extensions).await,
            Admission::Refuse(error) => return Err(reqwest_middleware::Error::middleware(error)),
            Admission::Protect(protection) => protection,
        };
        let deadline = protection.deadline();
        // The wait for a token counts into the request's own timeout.
        let token = match within(deadline.left(), protection.tokens().token()).await {
            Some(Ok(token)) => Ok(token),
            Some(Err(cause)) => Err(Error::no_token(protection.origin(), cause)),
            None => Err(Error::deadline_exceeded(protection.origin())),
        };
        let token = token.map_err(reqwest_middleware::Error::middleware)?;
        send(protection, token, deadline, request, extensions, next).await
    }
}

/// The first attempt, and those that come to follow.
async fn send(
    mut protection: Protection,
    mut token: AccessToken,
    deadline: Deadline,
    mut request: ::reqwest::Request,
    extensions: &mut Extensions,
    next: Next<'_>,
) -> Result<::reqwest::Response> {
    let mut tried = Tried::default();
    let mut nonce: Option<String> = None;
    let (mut sent, mut proof) = proven(&protection, &request, token.clone(), None)
        .await
        .map_err(|cause| reqwest_middleware::Error::middleware(Error::no_proof(protection.origin(), cause)))?;
    loop {
        let kept = if protection.may_follow(tried, &token) { request.keep() } else { None };
        authorize(request.headers_mut(), &token, proof).map_err(reqwest_middleware::Error::middleware)?;
        deadline.apply(&mut request);
        let response = next.clone().run(request, extensions).await?;
        let verdict = protection.judge(&response, &sent, tried);
        let again = match (verdict, kept) {
            (Verdict::Return, _) => return Ok(answer(response, tried, None)),
            (Verdict::Leave(why), _) => return Ok(answer(response, tried, Some(why))),
            (Verdict::Renew(rejection), None) => {
                protection.renew_in_background(&rejection);
                Err(protection.why_not_kept())
            }
            (Verdict::ProveAgain(_) | Verdict::StepUp(_), None) => Err(protection.why_not_kept()),
            (Verdict::ProveAgain(asked), Some(kept)) => {
                tried.nonce = true;
                nonce = Some(asked);
                Ok(kept)
            }
            (Verdict::Renew(rejection), Some(kept)) => {
                tried.renewal = true;
                let renewed = within(deadline.left(), protection.renew(&rejection)).await;
                renewed_or_why(renewed).map(|renewed| {
                    token = renewed;
                    kept
                })
            }
            (Verdict::StepUp(tokens), Some(kept)) => {
                // The stronger token may be bound to another key, which knows no nonce yet.
                (tried.step_up, tried.nonce) = (true, false);
                let stronger = within(deadline.left(), tokens.token()).await;
                protection = protection.with_tokens(tokens);
                renewed_or_why(stronger).map(|stronger| {
                    token = stronger;
                    kept
                })
            }
        };
        request = match again {
            Ok(kept) => kept,
            Err(why) => return Ok(not_retried(response, why)),
        };
        (sent, proof) = match proven(&protection, &request, token.clone(), nonce.take()).await {
            Ok(proven) => proven,
            Err(cause) => return Ok(not_retried(response, NotRetried::NotProven(cause))),
        };
        drain(response, deadline).await;
    }
}

fn renewed_or_why(
    renewed: Option<std::result::Result<AccessToken, oauth_tokens::Error>>,
) -> std::result::Result<AccessToken, NotRetried> {
    match renewed {
        Some(Ok(token)) => Ok(token),
        Some(Err(cause)) => Err(NotRetried::NotRenewed(cause)),
        None => Err(NotRetried::DeadlineExceeded),
    }
}

/// What is sent, with its proof signed.
async fn proven(
    protection: &Protection,
    request: &::reqwest::Request,
    token: AccessToken,
    nonce: Option<String>,
) -> std::result::Result<(Sent, Option<HeaderValue>), oauth_tokens::Error> {
    match protection.prove(request, token, nonce.as_deref()) {
        (sent, None) => Ok((sent, None)),
        (sent, Some(proof)) => Ok((sent, Some(proof.await?))),
    }
}

async fn drain(response: ::reqwest::Response, deadline: Deadline) {
    let mut drain = pin!(Drain::new(response.into_body(), deadline.left()));
    poll_fn(|cx| drain.as_mut().poll(cx)).await;
}
