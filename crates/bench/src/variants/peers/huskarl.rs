//! huskarl 0.11.10: its `HttpAuthorizer` above its `InMemoryTokenCache`, in the loop that its guide shows.
//!
//! On the path: a boxed future of the cache, an `ArcSwap` load, the wall clock read twice, the token formatted into a new
//! header value, a new header map for it, and the response's challenges looked for.
//!
//! Like ours: an expiry with a margin, one renewal for many waiting callers, a rejected token is dropped. Unlike ours: what
//! it hands out are headers; sending again and keeping a request for that are left to the caller, headers go to whatever
//! origin they are sent to, and a renewal has to be waited for by the caller that found it due.
//!
//! In its favour: no jitter, so no second margin is computed, a source that has its token at once, and no box around the
//! function that sends. With the clone it can do what its guide describes, and send again after a 401.

use std::{sync::Arc, time::SystemTime};

use http::{Request, Response, StatusCode, Uri};
use huskarl::{
    authorizer::HttpAuthorizer,
    cache::{InMemoryTokenCache, TokenError, TokenSource},
    core::{Error, RetryAdvice, platform::MaybeSendBoxFuture, secrets::SecretString},
    grant::core::{RawTokenResponse, TokenResponse},
};
use tower::ServiceExt as _;

use super::{End, Entry, Family, Sender, Sending, Setting, Tokens, Variant};
use crate::{
    BoxError,
    inner::Inner,
    request::{Body, Shape},
};

pub(super) const PLAIN: Entry = Entry {
    name: "huskarl",
    family: Family::Peer,
    retries: false,
    setup: "huskarl 0.11.10: `HttpAuthorizer` with an `InMemoryTokenCache` without jitter, the loop of its guide without its \
            second attempt.",
    make: |Setting { shape, token }| variant::<false, _>(&Tokens::new(vec![token.clone()]), *shape, Inner),
};

pub(super) const CLONE: Entry = Entry {
    name: "huskarl-clone",
    retries: true,
    setup: "As *huskarl*, with a clone of each request, for the second attempt after a 401.",
    make: |Setting { shape, token }| variant::<true, _>(&Tokens::new(vec![token.clone()]), *shape, Inner),
    ..PLAIN
};

pub(super) fn variant<const RETRIES: bool, E: End>(
    tokens: &Tokens,
    shape: Shape,
    end: E,
) -> Result<Box<dyn Variant>, BoxError> {
    let cache = InMemoryTokenCache::builder().source(Source(tokens.clone())).refresh_jitter(None).build();
    let authorizer = Arc::new(HttpAuthorizer::builder().cache(cache).build());
    Sending::boxed(Huskarl::<RETRIES, _> { authorizer, end }, shape)
}

struct Source(Tokens);

impl TokenSource for Source {
    fn token(&self) -> MaybeSendBoxFuture<'_, Result<Arc<TokenResponse>, TokenError>> {
        Box::pin(async {
            let token = RawTokenResponse::builder()
                .access_token(SecretString::new(self.0.take()))
                .token_type("Bearer")
                .expires_in(3600)
                .build()
                .into_token_response(None, SystemTime::now())
                .map_err(|error| Error::new(RetryAdvice::No, error))?;
            Ok(Arc::new(token))
        })
    }
}

#[derive(Clone)]
struct Huskarl<const RETRIES: bool, E> {
    authorizer: Arc<HttpAuthorizer>,
    end: E,
}

impl<const RETRIES: bool, E: End> Sender for Huskarl<RETRIES, E> {
    async fn send(&mut self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let uri = request.uri().clone();
        if !RETRIES {
            return self.send_once(request, &uri).await;
        }
        let again = request.clone();
        let response = self.send_once(request, &uri).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.send_once(again, &uri).await
    }
}

impl<const RETRIES: bool, E: End> Huskarl<RETRIES, E> {
    #[inline]
    async fn send_once(&mut self, mut request: Request<Body>, uri: &Uri) -> Result<Response<Body>, BoxError> {
        let headers = self.authorizer.get_headers(request.method(), uri).await?;
        request.headers_mut().extend(headers);
        let response = self.end.ready().await?.call(request).await?;
        self.authorizer.process_response(uri, response.headers());
        Ok(response)
    }
}
