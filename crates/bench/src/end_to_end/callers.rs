//! Who calls the API, and how: one value for each variant, all over the same client and its connections.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, StatusCode, Uri, header::AUTHORIZATION};
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use oauth_tokens::{AccessToken, Error, TokenCache, TokenSet, TokenSource, source_fn};
use reqwest_middleware::ClientWithMiddleware;
use tokio::time::sleep;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_http::auth::AddAuthorizationLayer;
use tower_oauth::OAuthLayer;

use crate::{
    BoxError, poll,
    request::{self, Body, Requests, Shape, TOKEN_LENGTH},
};

/// How many requests are under way at a time.
pub(super) const WORKERS: usize = 16;
/// Makes one request after another, and waits for the whole answer.
pub(super) trait Caller: Clone + Send + Sync + 'static {
    fn call(&mut self, requests: &Requests) -> impl Future<Output = Result<StatusCode, BoxError>> + Send;
}

/// A caller whose type is forgotten; each round is one call of it.
pub(super) trait Variant {
    fn round(&self, shape: Shape, requests: usize) -> Pin<Box<dyn Future<Output = Result<Vec<u32>, BoxError>> + '_>>;
}

impl<C: Caller> Variant for C {
    /// So many requests of all workers together; gives back the nanoseconds that each took.
    fn round(&self, shape: Shape, requests: usize) -> Pin<Box<dyn Future<Output = Result<Vec<u32>, BoxError>> + '_>> {
        Box::pin(async move {
            let workers: Vec<_> =
                (0..WORKERS).map(|_| tokio::spawn(work(self.clone(), shape, requests / WORKERS))).collect();
            let mut latencies = Vec::with_capacity(requests);
            for worker in workers {
                latencies.append(&mut worker.await??);
            }
            Ok(latencies)
        })
    }
}

async fn work(mut caller: impl Caller, shape: Shape, requests: usize) -> Result<Vec<u32>, BoxError> {
    let source = Requests::new(shape)?;
    let mut latencies = Vec::with_capacity(requests);
    for _ in 0..requests {
        let began = Instant::now();
        let status = caller.call(&source).await?;
        latencies.push(u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX));
        if status != StatusCode::OK {
            return Err(format!("the API answered {status}").into());
        }
    }
    Ok(latencies)
}

/// A tower service of http requests.
#[derive(Clone)]
pub(super) struct Tower<S> {
    service: S,
    url: Uri,
}

impl<S, B> Caller for Tower<S>
where
    S: Service<Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body + Send,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    async fn call(&mut self, requests: &Requests) -> Result<StatusCode, BoxError> {
        let mut request = requests.make();
        *request.uri_mut() = self.url.clone();
        let service = self.service.ready().await.map_err(Into::into)?;
        let response = service.call(request).await.map_err(Into::into)?;
        let status = response.status();
        response.into_body().collect().await.map_err(Into::into)?;
        Ok(status)
    }
}

/// The same request, as reqwest's users have it.
fn reqwest_request(requests: &Requests, url: &reqwest::Url) -> Result<reqwest::Request, BoxError> {
    let (parts, body) = requests.make().into_parts();
    let mut request = reqwest::Request::new(parts.method, url.clone());
    *request.headers_mut() = parts.headers;
    if requests.shape() == Shape::Post5 {
        *request.body_mut() = Some(poll::to_end!(body.collect())?.to_bytes().into());
    }
    Ok(request)
}

async fn whole(response: reqwest::Response) -> Result<StatusCode, BoxError> {
    let status = response.status();
    response.bytes().await?;
    Ok(status)
}

/// Reqwest as it is, with a header that does not change.
#[derive(Clone)]
pub(super) struct Bare {
    client: reqwest::Client,
    url: reqwest::Url,
    authorization: HeaderValue,
}

impl Caller for Bare {
    async fn call(&mut self, requests: &Requests) -> Result<StatusCode, BoxError> {
        let mut request = reqwest_request(requests, &self.url)?;
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        whole(self.client.execute(request).await?).await
    }
}

/// Our layer over reqwest as a tower service.
#[derive(Clone)]
pub(super) struct OverReqwest<S> {
    service: S,
    url: reqwest::Url,
}

impl<S> Caller for OverReqwest<S>
where
    S: Service<reqwest::Request, Response = reqwest::Response> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send,
{
    async fn call(&mut self, requests: &Requests) -> Result<StatusCode, BoxError> {
        let service = self.service.ready().await.map_err(Into::into)?;
        let response = service.call(reqwest_request(requests, &self.url)?).await.map_err(Into::into)?;
        whole(response).await
    }
}

/// The client that [`OAuthLayer::reqwest`] makes.
#[derive(Clone)]
pub(super) struct WithMiddleware {
    client: ClientWithMiddleware,
    url: reqwest::Url,
}

impl Caller for WithMiddleware {
    async fn call(&mut self, requests: &Requests) -> Result<StatusCode, BoxError> {
        whole(self.client.execute(reqwest_request(requests, &self.url)?).await?).await
    }
}

pub(super) type Named = (&'static str, Box<dyn Variant>);

/// Tokens that differ, of the usual length.
fn token(number: usize) -> String {
    format!("{number:08}{}", request::token(TOKEN_LENGTH - 8))
}

/// A cache whose token lives for an hour.
fn steady_cache() -> TokenCache {
    TokenCache::new(source_fn(|| async {
        Ok(TokenSet::new(AccessToken::bearer(&token(0))?).expiring_in(Duration::from_secs(3600)))
    }))
}

/// Tokens that live so shortly that there is a new one every second; each takes 50 ms to come.
#[derive(Clone, Debug, Default)]
pub(super) struct Rollovers(Arc<AtomicUsize>);

impl Rollovers {
    const DELAY: Duration = Duration::from_millis(50);
    /// A third of it is the refresh window.
    pub(super) const LIFETIME: Duration = Duration::from_millis(1500);

    pub(super) fn fetched(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl TokenSource for Rollovers {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        sleep(Self::DELAY).await;
        let token = token(self.0.fetch_add(1, Relaxed));
        Ok(TokenSet::new(AccessToken::bearer(&token)?).expiring_in(Self::LIFETIME))
    }
}

/// The same client of hyper-util's for all, or of reqwest's.
pub(super) struct Callers {
    client: Client<HttpConnector, Body>,
    origin: String,
    url: String,
}

impl Callers {
    pub(super) fn new(origin: &str, http2: bool) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build(connector);
        Self { client, origin: origin.to_owned(), url: format!("{origin}/v1/orders/42?expand=lines") }
    }

    /// b, and the very same once more: what they differ by is noise.
    pub(super) fn b_twice(&self) -> Result<[Named; 2], BoxError> {
        // Sensitive, as ours always is: HTTP/2 would else send a short reference from the second request on.
        let layer = AddAuthorizationLayer::bearer(&token(0)).as_sensitive(true);
        let b = self.tower(layer.layer(self.client.clone()))?;
        Ok([("b", Box::new(b.clone())), ("b again", Box::new(b))])
    }

    pub(super) fn ours(&self) -> Result<Named, BoxError> {
        Ok(("ours, with replay", self.layered(OAuthLayer::new(&*self.origin, steady_cache())?)?))
    }

    pub(super) fn ours_without_replay(&self) -> Result<Named, BoxError> {
        Ok(("ours, without replay", self.layered(OAuthLayer::new(&*self.origin, steady_cache())?.never_retry())?))
    }

    pub(super) fn ours_again(&self) -> Result<Named, BoxError> {
        Ok(("the same again", self.ours()?.1))
    }

    pub(super) fn with_rollovers(&self) -> Result<(Named, Rollovers), BoxError> {
        let rollovers = Rollovers::default();
        let variant = self.layered(OAuthLayer::new(&*self.origin, TokenCache::new(rollovers.clone()))?)?;
        Ok((("a new token every second", variant), rollovers))
    }

    fn layered(&self, layer: OAuthLayer) -> Result<Box<dyn Variant>, BoxError> {
        Ok(Box::new(self.tower(layer.layer(self.client.clone()))?))
    }

    fn tower<S>(&self, service: S) -> Result<Tower<S>, BoxError> {
        Ok(Tower { service, url: self.url.parse()? })
    }

    /// Reqwest alone twice, and ours over it in both ways.
    pub(super) fn over_reqwest(&self) -> Result<[Named; 4], BoxError> {
        let builder = || reqwest::Client::builder().no_proxy();
        let (client, url): (_, reqwest::Url) = (builder().build()?, self.url.parse()?);
        let without_redirects = builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token(0)))?;
        authorization.set_sensitive(true);
        let bare = Bare { client, url: url.clone(), authorization };
        let layer = OAuthLayer::new(&*self.origin, steady_cache())?;
        let over = OverReqwest { service: layer.layer(without_redirects), url: url.clone() };
        let middleware = WithMiddleware { client: layer.reqwest(builder())?, url };
        Ok([
            ("reqwest, a fixed header", Box::new(bare.clone())),
            ("the same again", Box::new(bare)),
            ("ours over reqwest, a tower service", Box::new(over)),
            ("ours, `OAuthLayer::reqwest`", Box::new(middleware)),
        ])
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").field("origin", &self.origin).finish_non_exhaustive()
    }
}
