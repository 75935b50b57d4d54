//! The stacks that people build, each as its page of the guide shows it. It compiles without hints to type inference, and it
//! works: it gets a token, and survives a revocation, body and all.

mod bodies;

use std::{convert::Infallible, io};

use axum::{
    Router,
    body::Body,
    extract::{Request as Incoming, State},
    response::{IntoResponse, Response as Answered},
    routing::post,
};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode, Uri};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{Full, StreamBody};
use hyper::client::conn::{http1, http2};
use hyper_util::{
    client::{
        legacy::{Client, connect::HttpConnector},
        pool::{cache, singleton::Singleton},
    },
    rt::{TokioExecutor, TokioIo},
};
use oauth_test_server::Fault;
use tests::{
    script::outcome,
    stacks::{BODY, Protected, Strict},
    steps::guarded,
    wire::{CountingProxy, reqwest_client},
};
use tokio::net::{TcpListener, TcpStream};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    balance::p2c::Balance,
    discover::ServiceList,
    load::{CompleteOnResponse, PendingRequests},
    service_fn,
    steer::Steer,
    util::{BoxCloneService, BoxCloneSyncService},
};
use tower_http_client::ServiceExt as _;
use tower_oauth::{OAuth, OAuthLayer, ReplayLayer};
use tower_reqwest::HttpClientLayer;

/// A stack of `http::Request<Full<Bytes>>`, whatever it is made of.
async fn survives<S, B>(api: &Protected, stack: S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: HttpBody<Error: Into<BoxError>>,
{
    api.survives_revocation(async || stack.clone().oneshot(api.request()).await.map_err(Into::into)).await;
}

// Clients

#[tokio::test]
async fn hyper_util_over_http1_and_http2() {
    for http2 in [false, true] {
        let api = Protected::start().await;
        let proxy = CountingProxy::start(api.server.api_origin()).await;
        let api = api.at(proxy.origin());
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        survives(&api, api.layer.layer(client)).await;
        assert_eq!(proxy.connections(), 1, "R9: back in the pool before the retry");
    }
}

/// `ReplayLayer` is all that a stream needs.
#[tokio::test]
async fn r10_hyper_util_sends_streams_again() {
    let api = Protected::start().await;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let stack = ServiceBuilder::new().layer(ReplayLayer::new()).layer(api.layer.clone()).service(client);
    api.survives_revocation(async || {
        let frames = stream::iter([Ok::<_, io::Error>(Frame::data(Bytes::from(BODY)))]);
        stack.clone().oneshot(Request::post(api.url()).body(StreamBody::new(frames))?).await
    })
    .await;
}

#[tokio::test]
async fn reqwest_as_a_service() {
    let api = Protected::start().await;
    let client = api.layer.layer(reqwest_client());
    api.survives_revocation(async || {
        let request = reqwest_client().post(api.url()).body(BODY).build()?;
        Ok(client.clone().oneshot(request).await?.into())
    })
    .await;
}

#[tokio::test]
async fn reqwest_0_12_as_a_service() {
    let api = Protected::start().await;
    let own = reqwest_0_12::Client::builder().no_proxy().redirect(reqwest_0_12::redirect::Policy::none());
    let own = own.build().expect("a client");
    let client = api.layer.layer(own.clone());
    api.survives_revocation(async || {
        let request = own.post(api.url()).body(BODY).build()?;
        Ok(client.clone().oneshot(request).await?.into())
    })
    .await;
}

#[tokio::test]
async fn reqwest_with_its_own_manners() {
    for as_middleware in [false, true] {
        let api = Protected::start().await;
        let client = if as_middleware {
            reqwest_middleware::ClientBuilder::new(reqwest_client()).with(api.layer.middleware()).build()
        } else {
            api.layer.reqwest(reqwest::Client::builder()).expect("a client")
        };
        api.survives_revocation(async || Ok(client.post(api.url()).body(BODY).send().await?.into())).await;
    }
}

#[tokio::test]
async fn tower_http_client_over_tower_reqwest() {
    let api = Protected::start().await;
    let client = ServiceBuilder::new().layer(api.layer.clone()).layer(HttpClientLayer).service(reqwest_client());
    api.survives_revocation(async || {
        let mut client = client.clone();
        client.post(api.url()).json(&serde_json::json!({ "order": 7 }))?.send().await
    })
    .await;

    // With layers of other bodies above, and boxed: the layer then sees a stream.
    let api = Protected::start().await;
    let client: BoxCloneService<Request<Full<Bytes>>, _, _> = ServiceBuilder::new()
        .map_request(|request: Request<Full<Bytes>>| request.map(reqwest::Body::wrap))
        .layer(api.layer.clone())
        .layer(HttpClientLayer)
        .service(reqwest_client())
        .boxed_clone();
    survives(&api, client).await;
}

/// One connection, whose requests need no authority.
#[tokio::test]
async fn one_http2_connection_of_hypers() {
    let api = Protected::start().await;
    let layer = OAuthLayer::for_connection(api.server.api_origin(), api.tokens.clone()).expect("an origin");
    let connection = connect_http2(api.url().parse().expect("a URL")).await.expect("a connection");
    let stack = layer.layer(connection);
    survives(&api, stack.clone()).await;
    api.survives_revocation(async || {
        let request = Request::post("/echo").body(Full::from(BODY))?;
        stack.clone().oneshot(request).await
    })
    .await;
}

/// A connection as a service: hyper leaves that to its users.
type Connection<B> = BoxCloneSyncService<Request<B>, Response<hyper::body::Incoming>, hyper::Error>;

async fn connect_http2(to: Uri) -> Result<Connection<Full<Bytes>>, BoxError> {
    let stream = TcpStream::connect(to.authority().ok_or("no authority")?.as_str()).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(BoxCloneSyncService::new(service_fn(move |request| {
        let mut sender = sender.clone();
        async move {
            sender.ready().await?;
            sender.send_request(request).await
        }
    })))
}

#[tokio::test]
async fn hyper_utils_pool_of_one_http2_connection() {
    let api = Protected::start().await;
    let proxy = CountingProxy::start(api.server.api_origin()).await;
    let pool = Singleton::new(service_fn(connect_http2));
    let client = service_fn(move |request: Request<Full<Bytes>>| {
        let pool = pool.clone();
        async move { Ok::<_, BoxError>(pool.oneshot(request.uri().clone()).await?.oneshot(request).await?) }
    });
    let api = api.at(proxy.origin());
    survives(&api, api.layer.layer(client)).await;
    assert_eq!(proxy.connections(), 1);
}

/// A connection of HTTP/1, of which there is only one, and that is busy until its response has been read.
struct Http1(http1::SendRequest<Full<Bytes>>);

impl Service<Request<Full<Bytes>>> for Http1 {
    type Response = Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = futures_util::future::BoxFuture<'static, Result<Self::Response, hyper::Error>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// R9: the first response is drained, so that the pool has its connection back for the retry.
#[tokio::test]
async fn r9_hyper_utils_pool_of_http1_connections() {
    let api = Protected::start().await;
    let proxy = CountingProxy::start(api.server.api_origin()).await;
    let connect = service_fn(|to: Uri| {
        Box::pin(async move {
            let stream = TcpStream::connect(to.authority().ok_or("no authority")?.as_str()).await?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            Ok::<_, BoxError>(Http1(sender))
        })
    });
    let pool = cache::builder().executor(TokioExecutor::new()).build(connect);
    let client = service_fn(move |request: Request<Full<Bytes>>| {
        let pool = pool.clone();
        async move {
            let mut connection = pool.oneshot(request.uri().clone()).await?;
            Ok::<_, BoxError>(connection.ready().await?.call(request).await?)
        }
    });
    let api = api.at(proxy.origin());
    let stack = api.layer.layer(client);
    survives(&api, stack.clone()).await;
    let long = Response::builder().status(401).body(Bytes::from(vec![b'.'; 64 * 1024])).expect("a response");
    api.server.api_faults().push(1, Fault::Raw(long));
    let response = guarded(stack.oneshot(api.request())).await.expect("a response");
    assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (200, "Retried"));
    assert_eq!(proxy.connections(), 1);
}

// A server

/// The state of an axum application: a type that can be named.
#[derive(Clone)]
struct Named {
    api: OAuth<Client<HttpConnector, Body>>,
    to: String,
}

/// The same, whatever the stack is made of.
#[derive(Clone)]
struct Boxed {
    api: BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>,
    to: String,
}

async fn named(State(state): State<Named>, incoming: Incoming) -> Result<Answered, StatusCode> {
    let request = Request::post(state.to).body(incoming.into_body()).map_err(|_| StatusCode::BAD_REQUEST)?;
    let response = state.api.oneshot(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(response.into_response())
}

async fn boxed(State(mut state): State<Boxed>, incoming: Incoming) -> Result<Answered, StatusCode> {
    let request = Request::post(state.to).body(incoming.into_body()).map_err(|_| StatusCode::BAD_REQUEST)?;
    let api = state.api.ready().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    api.call(request).await.map_err(|_| StatusCode::BAD_GATEWAY)
}

/// Serves the application, and gives its URL.
async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/upload", listener.local_addr().expect("its address"));
    tokio::spawn(async { axum::serve(listener, app).await });
    url
}

/// A stream that comes in is passed on, and sent again after a 401: the caller sees nothing of it.
#[tokio::test]
async fn r10_an_axum_handler_passes_its_requests_body_on() {
    for is_named in [true, false] {
        let api = Protected::start().await;
        let to = api.url();
        let stack = api.layer.layer(Client::builder(TokioExecutor::new()).build_http());
        let app = if is_named {
            Router::new().route("/upload", post(named)).with_state(Named { api: stack, to })
        } else {
            let stack =
                ServiceBuilder::new().map_response(|response: Response<_>| response.map(Body::new)).service(stack);
            Router::new().route("/upload", post(boxed)).with_state(Boxed { api: BoxCloneSyncService::new(stack), to })
        };
        let url = serve(app).await;
        let send = async |pieces: &[usize]| {
            let pieces: Vec<_> = pieces.iter().map(|len| Ok::<_, Infallible>(Bytes::from(vec![b'x'; *len]))).collect();
            let body = reqwest::Body::wrap_stream(stream::iter(pieces));
            let response = guarded(reqwest_client().post(&url).body(body).send()).await.expect("a response");
            (response.status().as_u16(), response.bytes().await.expect("a body").len())
        };
        let big = 40 * 1024;
        assert_eq!(send(&[3, 4]).await, (200, 7));
        for (pieces, expected) in [(vec![], (200, 0)), (vec![3, 4], (200, 7)), (vec![big], (200, big))] {
            api.server.revoke_access_tokens();
            let before = api.server.counters().api_requests;
            assert_eq!(send(&pieces).await, expected);
            assert_eq!(api.server.counters().api_requests - before, 2, "{pieces:?}");
        }
        api.server.revoke_access_tokens();
        assert_eq!(send(&[big, big]).await.0, 401, "past the cap");
        assert_eq!(send(&[big, big]).await, (200, 2 * big), "renewed for the next");
    }
}

// Other services of tower's

/// A client that panics when it is called without being ready.
fn client() -> Strict<Client<HttpConnector, Full<Bytes>>> {
    Strict::new(Client::builder(TokioExecutor::new()).build_http())
}

#[tokio::test]
async fn r12_above_and_below_boxes_maps_and_options() {
    let api = Protected::start().await;
    let layer = || api.layer.clone();
    let builder = ServiceBuilder::new;
    survives(&api, BoxCloneService::new(layer().layer(client()))).await;
    survives(&api, BoxCloneSyncService::new(layer().layer(client()))).await;
    survives(&api, layer().layer(BoxCloneService::new(client()))).await;
    survives(&api, layer().layer(BoxCloneSyncService::new(client()))).await;
    survives(&api, builder().map_request(|request: Request<Full<Bytes>>| request).layer(layer()).service(client()))
        .await;
    survives(&api, builder().layer(layer()).map_request(|request: Request<Full<Bytes>>| request).service(client()))
        .await;
    survives(&api, builder().layer(layer()).then(|answer| async { answer }).service(client())).await;
    // Both ways of an option give the same errors.
    survives(&api, builder().option_layer(Some(layer())).map_err(BoxError::from).service(client())).await;
    survives(&api, builder().boxed_clone_sync().layer(layer()).service(client())).await;
}

#[tokio::test]
async fn r12_above_and_below_buffer() {
    let api = Protected::start().await;
    let layer = || api.layer.clone();
    survives(&api, ServiceBuilder::new().buffer(4).layer(layer()).service(client())).await;
    survives(&api, ServiceBuilder::new().layer(layer()).buffer(4).service(client())).await;
    survives(&api, ServiceBuilder::new().buffer(1).layer(layer()).buffer(1).concurrency_limit(1).service(client()))
        .await;
}

/// There is only one `Balance`: the layer goes below it, on each endpoint, or above a buffer of it.
#[tokio::test]
async fn r12_below_balance_and_above_a_buffer_of_it() {
    let api = Protected::start().await;
    let endpoints =
        [client(), client()].map(|client| PendingRequests::new(api.layer.layer(client), CompleteOnResponse::default()));
    let balance = Balance::new(ServiceList::new::<Request<Full<Bytes>>>(endpoints));
    survives(&api, ServiceBuilder::new().buffer(4).service(balance)).await;

    let endpoints = [client(), client()].map(|client| PendingRequests::new(client, CompleteOnResponse::default()));
    let balance = Balance::new(ServiceList::new::<Request<Full<Bytes>>>(endpoints));
    survives(&api, ServiceBuilder::new().layer(api.layer.clone()).buffer(4).service(balance)).await;
}

/// One service for two APIs: each has its own client, and its own tokens.
#[tokio::test]
async fn r12_below_steer_and_above_a_buffer_of_it() {
    let apis = [Protected::start().await, Protected::start().await];
    let [first, second] = &apis;

    let to = second.url();
    let pick = move |request: &Request<_>, _: &[_]| usize::from(*request.uri() == *to);
    let steer = Steer::new([first.layer.layer(client()), second.layer.layer(client())], pick);
    survives(first, steer.clone()).await;
    survives(second, steer).await;

    let to = second.url();
    let pick = move |request: &Request<_>, _: &[_]| usize::from(*request.uri() == *to);
    let layer = first.layer.clone().origin(second.server.api_origin(), second.tokens.clone()).expect("an origin");
    let stack = ServiceBuilder::new().layer(layer).buffer(4).service(Steer::new([client(), client()], pick));
    survives(first, stack.clone()).await;
    survives(second, stack).await;
}
