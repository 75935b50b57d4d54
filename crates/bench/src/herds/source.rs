//! Where tokens come from, counted; and a token behind a lock, as many write it themselves.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use oauth_tokens::{AccessToken, Error, TokenSet, TokenSource};
use tokio::{sync::Mutex, time::sleep};
use tower::Service;

use super::api::{Api, numbered};
use crate::{BoxError, request::Body};

/// How long a token request takes.
pub(super) const FETCH: Duration = Duration::from_millis(20);
const LIFETIME: Duration = Duration::from_secs(3600);

/// Tokens of numbers that go up by one.
#[derive(Clone, Debug, Default)]
pub(super) struct Source(Arc<AtomicUsize>);

impl Source {
    pub(super) fn requests(&self) -> usize {
        self.0.load(SeqCst)
    }

    async fn next(&self) -> String {
        let number = self.0.fetch_add(1, SeqCst);
        sleep(FETCH).await;
        numbered(number)
    }
}

impl TokenSource for Source {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        Ok(TokenSet::new(AccessToken::bearer(&self.next().await)?).expiring_in(LIFETIME))
    }
}

/// A token behind a lock that is held while it is fetched. It is never renewed.
#[derive(Clone, Debug)]
pub(super) struct Locked {
    api: Api,
    token: Arc<Mutex<Option<HeaderValue>>>,
    source: Source,
}

impl Locked {
    pub(super) fn new(source: Source, api: Api) -> Self {
        Self { api, token: Arc::default(), source }
    }

    async fn header(token: &Mutex<Option<HeaderValue>>, source: &Source) -> Result<HeaderValue, BoxError> {
        let mut token = token.lock().await;
        if let Some(token) = &*token {
            return Ok(token.clone());
        }
        let header = HeaderValue::try_from(format!("Bearer {}", source.next().await))?;
        Ok(token.insert(header).clone())
    }
}

impl Service<Request<Body>> for Locked {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.api.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let (source, token) = (self.source.clone(), Arc::clone(&self.token));
        // The one that is ready is taken, and its clone is left for the next.
        let clone = self.api.clone();
        let mut api = mem::replace(&mut self.api, clone);
        Box::pin(async move {
            request.headers_mut().insert(AUTHORIZATION, Self::header(&token, &source).await?);
            Ok(api.call(request).await?)
        })
    }
}
