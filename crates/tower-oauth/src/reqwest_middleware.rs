//! The same behaviour as a reqwest middleware: a short async driver over the same core.

use std::{fmt, future::poll_fn, pin::pin, sync::Arc};

use async_trait::async_trait;
use http::{Extensions, HeaderValue};
use oauth_tokens::AccessToken;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};

use crate::{
    Error, ErrorKind, NotRetried, OAuthLayer,
    deadline::Deadline,
    drain::Drain,
    message::sealed::{Request as _, Response as _},
    outcome::{answer, failed, not_retried},
    policy::{Admission, Aside, GivenKey, Policy, Protection, Sent, Tried, Verdict, authorize},
    redirect::FollowRedirects,
    telemetry::retry_span,
    timer::within,
};
use tracing::{Instrument, Span};

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
        OAuthMiddleware { policy: Arc::clone(self.policy()), key: self.given_key().cloned() }
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
#[derive(Clone)]
pub struct OAuthMiddleware {
    policy: Arc<Policy>,
    key: Option<GivenKey>,
}

impl fmt::Debug for OAuthMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthMiddleware").field("policy", &self.policy).finish_non_exhaustive()
    }
}

#[async_trait]
impl Middleware for OAuthMiddleware {
    async fn handle(
        &self,
        request: ::reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<::reqwest::Response> {
        let aside = Aside { key: self.key.as_ref(), extensions: Some(extensions) };
        let protection = match self.policy.admit(&request, aside) {
            Admission::Pass => return next.run(request, extensions).await,
            Admission::Refuse(error) => return Err(reqwest_middleware::Error::middleware(error)),
            Admission::Protect(protection) => protection,
        };
        let deadline = protection.deadline();
        // The wait for a token counts into the request's own timeout.
        let token = match within(deadline.left(), protection.token()).await {
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
    token: AccessToken,
    deadline: Deadline,
    mut request: ::reqwest::Request,
    extensions: &mut Extensions,
    next: Next<'_>,
) -> Result<::reqwest::Response> {
    let mut tried = Tried::default();
    let mut proven = prove(&protection, &request, token, None).await.map_err(|why| {
        let origin = protection.origin();
        reqwest_middleware::Error::middleware(match why {
            NotRetried::NotProven(cause) => Error::no_proof(origin, cause),
            _ => Error::deadline_exceeded(origin),
        })
    })?;
    loop {
        let (sent, proof) = proven;
        let kept = if protection.may_follow(tried, &sent.token) { request.keep() } else { None };
        authorize(request.headers_mut(), &sent.token, proof).map_err(reqwest_middleware::Error::middleware)?;
        deadline.apply(&mut request);
        let span = if tried.anything() { retry_span(tried, request.method()) } else { Span::none() };
        let response = next.clone().run(request, extensions).instrument(span.clone()).await;
        let response = response.inspect_err(|_| failed(tried))?;
        span.record("http.response.status_code", response.status().as_u16());
        let verdict = match protection.judge::<::reqwest::Request, _>(&response, &sent, tried).into_end() {
            Ok(end) => return Ok(answer(response, tried, end)),
            Err(verdict) => verdict,
        };
        let Some(kept) = kept else {
            if let Verdict::Renew(rejection) = &verdict {
                protection.renew_in_background(rejection);
            }
            return Ok(not_retried(response, protection.why_not_kept()));
        };
        tried.note(&verdict);
        let (granted, nonce) = match verdict {
            Verdict::Renew(rejection) => (within(deadline.left(), protection.renew(&rejection)).await, None),
            Verdict::StepUp(tokens) => {
                protection = protection.with_tokens(tokens);
                (within(deadline.left(), protection.stronger_than(&sent.token)).await, None)
            }
            Verdict::ProveAgain(nonce) => (Some(Ok(sent.token)), Some(nonce)),
            Verdict::Return | Verdict::Refused | Verdict::Leave(_) => return Ok(response),
        };
        proven = match granted {
            Some(Ok(token)) => match prove(&protection, &kept, token, nonce.as_deref()).await {
                Ok(proven) => proven,
                Err(why) => return Ok(not_retried(response, why)),
            },
            Some(Err(cause)) => return Ok(not_retried(response, NotRetried::NotRenewed(cause))),
            None => return Ok(not_retried(response, NotRetried::DeadlineExceeded)),
        };
        if deadline.has_passed() {
            return Ok(not_retried(response, NotRetried::DeadlineExceeded));
        }
        request = kept;
        drain(response, deadline).await;
    }
}

/// What is sent, with its proof signed within what the request has left of its own time.
async fn prove(
    protection: &Protection,
    request: &::reqwest::Request,
    token: AccessToken,
    nonce: Option<&str>,
) -> std::result::Result<(Sent, Option<HeaderValue>), NotRetried> {
    let (sent, proof) = protection.prove(request, token, nonce);
    let Some(proof) = proof else { return Ok((sent, None)) };
    match within(protection.deadline().left(), proof).await {
        Some(Ok(proof)) => Ok((sent, Some(proof))),
        Some(Err(cause)) => Err(NotRetried::NotProven(cause)),
        None => Err(NotRetried::DeadlineExceeded),
    }
}

async fn drain(response: ::reqwest::Response, deadline: Deadline) {
    let mut drain = pin!(Drain::new(response.into_body(), deadline.left()));
    poll_fn(|cx| drain.as_mut().poll(cx)).await;
}
