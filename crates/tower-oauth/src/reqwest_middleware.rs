//! The same behaviour as a reqwest middleware: a short async driver over the same core.

use std::{future::poll_fn, pin::pin, sync::Arc};

use async_trait::async_trait;
use http::Extensions;
use oauth_tokens::AccessToken;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};

use crate::{
    Error, ErrorKind, NotRetried, OAuthLayer, RetryOutcome,
    drain::Drain,
    message::sealed::{Request as _, Response as _},
    policy::{Admission, Policy, Protection, Verdict, authorize},
    redirect::FollowRedirects,
};

impl OAuthLayer {
    /// A client with reqwest's own manners: `client.get(url).json(&body).send().await?`.
    ///
    /// Redirects are followed above the layer, at most ten, so that each place they lead to is looked at anew (R13);
    /// whatever the builder says of redirects is switched off.
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
    /// [`ErrorKind::Config`] when reqwest cannot build the client.
    pub fn reqwest(&self, builder: ::reqwest::ClientBuilder) -> std::result::Result<ClientWithMiddleware, Error> {
        let client = builder
            .redirect(::reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::new(ErrorKind::Config, format!("the reqwest client cannot be built: {error}")))?;
        Ok(ClientBuilder::new(client).with(FollowRedirects).with(self.middleware()).build())
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
        let token = protection
            .tokens()
            .token()
            .await
            .map_err(|cause| reqwest_middleware::Error::middleware(Error::no_token(protection.origin(), cause)))?;
        send(&protection, token, request, extensions, next).await
    }
}

/// The first attempt, and the second if it comes to that.
async fn send(
    protection: &Protection,
    token: AccessToken,
    mut request: ::reqwest::Request,
    extensions: &mut Extensions,
    next: Next<'_>,
) -> Result<::reqwest::Response> {
    let kept = if protection.may_retry() { request.keep() } else { None };
    authorize(request.headers_mut(), &token);
    let mut response = next.clone().run(request, extensions).await?;
    let renewed = match (protection.judge(&response, &token), kept) {
        (Verdict::Return, _) => return Ok(response),
        (Verdict::Leave(why), _) => Err(why),
        (Verdict::Renew, None) => {
            protection.renew_in_background(&token);
            Err(protection.why_not_kept())
        }
        (Verdict::Renew, Some(kept)) => match protection.renew(&token).await {
            Ok(renewed) => Ok((renewed, kept)),
            Err(cause) => Err(NotRetried::NotRenewed(cause)),
        },
    };
    let (token, mut request) = match renewed {
        Ok(retry) => retry,
        Err(why) => {
            response.extensions_mut().insert(RetryOutcome::NotRetried(why));
            return Ok(response);
        }
    };
    drain(response).await;
    authorize(request.headers_mut(), &token);
    let mut response = next.run(request, extensions).await?;
    protection.note_acceptance(&response, &token);
    response.extensions_mut().insert(RetryOutcome::Retried);
    Ok(response)
}

async fn drain(response: ::reqwest::Response) {
    let mut drain = pin!(Drain::new(response.into_body()));
    poll_fn(|cx| drain.as_mut().poll(cx)).await;
}
