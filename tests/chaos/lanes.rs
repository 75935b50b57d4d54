//! The ways to the APIs: one cache, or one key of a pool, each with an identity that the API tells back.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use oauth_test_server::TestServer;
use oauth_tokens::{
    AuthorizationServer, BoxError, ClientAuth, ClientCredentials, HttpClient, TokenCache, TokenPool, TokenRequest,
    TokenStatus,
};
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt};
use tower_oauth::OAuthLayer;

use super::way_out::WayOut;

/// So many requests to APIs are on their way at most; callers who wait for a token take no place.
const SENT_AT_ONCE: usize = 200;
/// Keys of the pool that is too small for them, and of the one that is not.
pub(crate) const CROWDED: usize = 40;
pub(crate) const ROOM: usize = 24;
pub(crate) const STEADY: usize = 200;

/// What a call brought.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

type Answering = BoxFuture<'static, Result<Answer, BoxError>>;
type Sending = Arc<dyn Fn(Request<Full<Bytes>>) -> Answering + Send + Sync>;

/// One way to one API, with a token of its own.
#[derive(Clone)]
pub(crate) struct Lane {
    /// Who the API is to see, and what it calls that.
    pub(crate) identity: String,
    pub(crate) told_by: &'static str,
    pub(crate) api: TestServer,
    send: Sending,
    /// None: its pool is too small for its keys, so that its cache may be evicted at any time, or find no room.
    cache: Option<TokenCache>,
}

/// Some ways, and the pool that has no room for all of its keys.
pub(crate) struct Tenants {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) crowded: TokenPool<String>,
}

impl Lane {
    pub(super) fn of(
        identity: String,
        api: &TestServer,
        send: impl Fn(Request<Full<Bytes>>) -> Answering + Send + Sync + 'static,
        cache: Option<TokenCache>,
    ) -> Self {
        Self { identity, told_by: "client_id", api: api.clone(), send: Arc::new(send), cache }
    }

    pub(super) fn told_by(self, told_by: &'static str) -> Self {
        Self { told_by, ..self }
    }

    pub(crate) fn send(&self, request: Request<Full<Bytes>>) -> Answering {
        (self.send)(request)
    }

    /// Whether its key may find no room in its pool.
    pub(crate) fn is_crowded(&self) -> bool {
        self.cache.is_none()
    }

    fn status(&self) -> Option<TokenStatus> {
        self.cache.as_ref().map(TokenCache::status)
    }

    /// Whether its last renewal failed, for all that is known.
    pub(crate) fn is_failing(&self) -> bool {
        self.status().is_some_and(|status| status.last_error.is_some())
    }

    /// Its cache, in short.
    pub(crate) fn condition(&self) -> String {
        let Some(status) = self.status() else { return "of a crowded pool".to_owned() };
        let last_error = status.last_error.map(|error| error.to_string());
        format!("usable: {}, renewing: {}, last error: {last_error:?}", status.usable, status.renewing)
    }

    /// How long the token that there is can still be used, for all that its cache knows.
    pub(crate) fn usable_for(&self) -> Option<Duration> {
        let status = self.status().filter(|status| status.usable)?;
        Some(status.expires_in.unwrap_or(Duration::MAX))
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lane").field(&self.identity).finish()
    }
}

pub(crate) fn http() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// One authorization server as all its clients see it.
pub(super) fn authorization_server(server: &TestServer, way_out: &WayOut) -> AuthorizationServer {
    AuthorizationServer::via(HttpClient::new(way_out.clone()))
        .token_endpoint(&server.token_endpoint())
        .expect("a token endpoint")
}

pub(super) fn request_of(server: &AuthorizationServer, client_id: &str) -> TokenRequest<ClientCredentials> {
    let client = server.client(client_id, ClientAuth::secret_post("secret")).expect("a client");
    client.client_credentials().scope("api")
}

/// A single cache and a crowded pool at the server whose tokens live shortly, and a roomy pool at the steady one.
pub(crate) fn tenants(
    (hasty, to_hasty): (&TestServer, &WayOut),
    (steady, to_steady): (&TestServer, &WayOut),
    client: &ApiClient,
) -> Tenants {
    let (at_hasty, at_steady) = (authorization_server(hasty, to_hasty), authorization_server(steady, to_steady));
    let mut lanes = vec![single("m2m", hasty, request_of(&at_hasty, "m2m").cached().expect("a cache"), client)];
    let crowded = TokenPool::new(move |tenant: &String| Ok(request_of(&at_hasty, tenant))).capacity(ROOM);
    let roomy = TokenPool::new(move |tenant: &Tenant| Ok(request_of(&at_steady, &tenant.0))).capacity(STEADY);
    lanes.extend(crowded_lanes(hasty, &crowded, client));
    lanes.extend(roomy_lanes(steady, &roomy, client));
    Tenants { lanes, crowded }
}

pub(super) fn single(identity: &str, server: &TestServer, cache: TokenCache, client: &ApiClient) -> Lane {
    let service = OAuthLayer::new(server.api_origin(), cache.clone()).expect("a layer").layer(client.clone());
    let send = move |request| answer(service.clone().oneshot(request));
    Lane::of(identity.to_owned(), server, send, Some(cache))
}

/// Keys that are named when the service is made.
fn crowded_lanes(server: &TestServer, pool: &TokenPool<String>, client: &ApiClient) -> Vec<Lane> {
    let layer = OAuthLayer::keyed(server.api_origin(), pool.clone()).expect("a layer");
    let api = layer.layer(client.clone());
    let lane = |identity: String| {
        let service = api.key(identity.clone());
        let send = move |request| answer(service.clone().oneshot(request));
        Lane::of(identity, server, send, None)
    };
    (0..CROWDED).map(tenant).map(lane).collect()
}

/// Keys that each request names among its extensions.
fn roomy_lanes(server: &TestServer, pool: &TokenPool<Tenant>, client: &ApiClient) -> Vec<Lane> {
    let layer = OAuthLayer::keyed_by_extension::<Tenant>(server.api_origin(), pool.clone()).expect("a layer");
    let api = layer.layer(client.clone());
    let lane = |identity: String| {
        let (key, service) = (Tenant(identity.clone()), api.clone());
        let cache = pool.get(&key).expect("there is room");
        let send = move |mut request: Request<Full<Bytes>>| {
            request.extensions_mut().insert(key.clone());
            answer(service.clone().oneshot(request))
        };
        Lane::of(identity, server, send, Some(cache))
    };
    (0..STEADY).map(tenant).map(lane).collect()
}

/// Whose a request is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tenant(String);

pub(crate) fn tenant(number: usize) -> String {
    format!("tenant-{number}")
}

/// The whole of an answer.
pub(super) fn answer(
    response: impl Future<Output = Result<Response<Incoming>, BoxError>> + Send + 'static,
) -> Answering {
    async move {
        let response = response.await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }
    .boxed()
}

/// The client of the APIs, which sends so much at a time and no more.
#[derive(Clone)]
pub(crate) struct ApiClient {
    http: Client<HttpConnector, Full<Bytes>>,
    places: Arc<Semaphore>,
}

impl ApiClient {
    pub(crate) fn new() -> Self {
        Self { http: http(), places: Arc::new(Semaphore::new(SENT_AT_ONCE)) }
    }
}

impl Service<Request<Full<Bytes>>> for ApiClient {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Incoming>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let Self { http, places } = self.clone();
        async move {
            let _place = places.acquire().await;
            Ok(http.request(request).await?)
        }
        .boxed()
    }
}
