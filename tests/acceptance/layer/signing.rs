//! R12, R8: a proof of possession is signed within the request's own time, and holds nothing up meanwhile.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body_util::Full;
use oauth_test_server::{Client, NoncePolicy, ResponseBody, TestServer};
use oauth_tokens::{
    Algorithm, AuthorizationServer, BoxError, ClientAuth, DpopKey, HttpClient, PublicJwk, Signer, SigningKey,
    TokenCache,
};
use reqwest::ResponseBuilderExt;
use reqwest_middleware::{ClientBuilder, Middleware, Next};
use tests::{
    script::outcome,
    steps::{assert_waits, guarded, settle, step},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_oauth::{Error, ErrorKind, OAuthLayer};

/// A key service that may have to be waited for. Its first signature, for the token, is made at once.
struct KeyService {
    inner: SigningKey,
    signatures: AtomicUsize,
    wait: Wait,
}

#[derive(Clone)]
enum Wait {
    /// It passes by this limit, too.
    Permit(Arc<Semaphore>),
    /// It takes so long, for the signatures after so many.
    Time(usize, Duration),
    Forever(usize),
}

impl Signer for KeyService {
    fn algorithm(&self) -> Algorithm {
        self.inner.algorithm()
    }

    fn public_jwk(&self) -> Option<PublicJwk> {
        self.inner.public_jwk()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        let before = self.signatures.fetch_add(1, SeqCst);
        let _permit = match &self.wait {
            Wait::Permit(permits) if before > 0 => Some(permits.acquire().await?),
            Wait::Time(at_once, time) if before >= *at_once => {
                sleep(*time).await;
                None
            }
            Wait::Forever(at_once) if before >= *at_once => pending().await,
            _ => None,
        };
        self.inner.sign(message).await
    }
}

fn server(nonces: NoncePolicy) -> TestServer {
    let client = Client::new("m2m").secret("secret").require_dpop();
    TestServer::builder().client(client).require_dpop().api_nonces(nonces).build()
}

async fn tokens(server: &TestServer, wait: Wait) -> TokenCache {
    let inner = SigningKey::generate(Algorithm::Es256).expect("a key");
    let key = DpopKey::new(KeyService { inner, signatures: AtomicUsize::new(0), wait }).expect("a public key");
    let tokens = AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .and_then(|at| at.client("m2m", ClientAuth::secret_basic("secret")))
        .and_then(|client| client.dpop(key).client_credentials().cached())
        .expect("settings");
    tokens.ready().await.expect("a token");
    tokens
}

fn layer(server: &TestServer, tokens: &TokenCache) -> OAuthLayer {
    OAuthLayer::new(server.api_origin(), tokens.clone()).expect("an origin")
}

fn request(server: &TestServer) -> Request<Full<Bytes>> {
    Request::post(server.api_url("/echo")).body(Full::from("body")).expect("a request")
}

/// A request that gives itself so long.
fn timed(server: &TestServer, timeout: Duration) -> reqwest::Request {
    let url = server.api_url("/echo").parse().expect("a URL");
    let mut request = reqwest::Request::new(http::Method::POST, url);
    *request.body_mut() = Some("body".into());
    *request.timeout_mut() = Some(timeout);
    request
}

/// The API, for requests of reqwest's.
fn for_reqwest(
    server: &TestServer,
) -> impl Service<reqwest::Request, Response = Response<ResponseBody>, Error = BoxError, Future: Send> + Clone + use<> {
    let api = server.api_service();
    service_fn(move |request: reqwest::Request| {
        let api = api.clone();
        async move {
            let request: Request<reqwest::Body> = request.try_into()?;
            let request =
                request.map(|body| Full::<Bytes>::from(Bytes::copy_from_slice(body.as_bytes().unwrap_or_default())));
            Ok(api.oneshot(request).await?)
        }
    })
}

/// The API as the last of reqwest's middlewares.
struct InPlaceOfTheNetwork(TestServer);

#[async_trait::async_trait]
impl Middleware for InPlaceOfTheNetwork {
    async fn handle(
        &self,
        request: reqwest::Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let at = Response::builder().url(request.url().clone()).body(()).expect("a response").into_parts().0;
        let mut response = for_reqwest(&self.0).oneshot(request).await.expect("an answer");
        response.extensions_mut().extend(at.extensions);
        Ok(response.map(reqwest::Body::wrap).into())
    }
}

fn ours(error: &(dyn std::error::Error + Send + Sync + 'static)) -> ErrorKind {
    error.downcast_ref::<Error>().expect("ours").kind()
}

/// Who signs may have to pass by the same limit as the request that waits for it.
#[tokio::test(start_paused = true)]
async fn r12_a_key_service_behind_the_same_limit_is_not_waited_for_with_its_permit_in_hand() {
    for nonces in [NoncePolicy::None, NoncePolicy::SingleUse] {
        let (server, permits) = (server(nonces), Arc::new(Semaphore::new(1)));
        let tokens = tokens(&server, Wait::Permit(permits.clone())).await;
        let client = layer(&server, &tokens).layer(ConcurrencyLimit::with_semaphore(server.api_service(), permits));
        for round in 0..3 {
            let began = Instant::now();
            let response = guarded(client.clone().oneshot(request(&server))).await.expect("a response");
            let retried = round == 0 && matches!(nonces, NoncePolicy::SingleUse);
            let told = (response.status().as_u16(), outcome(response.extensions()));
            assert_eq!(told, (200, if retried { "Retried" } else { "-" }.to_owned()), "{nonces:?} {round}");
            assert_eq!(began.elapsed(), Duration::ZERO, "nothing waits for itself");
        }
    }
}

/// And a call that is dropped meanwhile leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn r12_a_call_that_is_dropped_while_its_proof_is_signed_holds_no_permit() {
    let (server, permits) = (server(NoncePolicy::None), Arc::new(Semaphore::new(1)));
    let tokens = tokens(&server, Wait::Forever(1)).await;
    let client = layer(&server, &tokens).layer(ConcurrencyLimit::with_semaphore(server.api_service(), permits.clone()));
    let mut call = Box::pin(client.oneshot(request(&server)));
    assert_waits(&mut call);
    assert_eq!(permits.available_permits(), 1);
    drop(call);
    assert_eq!((permits.available_permits(), server.counters().api_requests), (1, 0));
}

/// The proof of a key in memory is there at once: a request that was ready is not sent to the end of the queue.
#[tokio::test(start_paused = true)]
async fn r12_a_proof_that_is_signed_at_once_costs_no_second_turn() {
    let (server, permits) = (server(NoncePolicy::None), Arc::new(Semaphore::new(1)));
    let tokens = tokens(&server, Wait::Forever(9)).await;
    let limited = ConcurrencyLimit::with_semaphore(server.api_service(), permits.clone());
    let mut client = layer(&server, &tokens).layer(limited);
    ServiceExt::<Request<Full<Bytes>>>::ready(&mut client).await.expect("ready");
    let mut behind = Box::pin(permits.acquire());
    assert_waits(&mut behind);
    let response = guarded(client.call(request(&server))).await.expect("a response");
    assert_eq!(response.status(), 200);
    drop((response, client));
    assert!(step(&mut behind).is_ready());
}

/// While a request waits for its turn, its token may be replaced; its proof is then of the new one.
#[tokio::test(start_paused = true)]
async fn r12_a_proof_is_of_the_token_that_is_sent() {
    let (server, permits) = (server(NoncePolicy::None), Arc::new(Semaphore::new(1)));
    let tokens = tokens(&server, Wait::Time(1, Duration::from_millis(10))).await;
    let client = layer(&server, &tokens).layer(ConcurrencyLimit::with_semaphore(server.api_service(), permits.clone()));
    let mut call = Box::pin(client.oneshot(request(&server)));
    assert_waits(&mut call);
    let somebody_else = permits.clone().try_acquire_owned().expect("the call waits without it");
    sleep(Duration::from_millis(20)).await;
    assert_waits(&mut call);
    server.revoke_all();
    let dead = tokens.token().await.expect("a token");
    tokens.renew(&dead).await.expect("another");
    drop(somebody_else);
    let response = guarded(call).await.expect("a response");
    assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (200, "-"));
    assert_eq!(server.counters().api_requests, 1);
}

/// A signer has 5 s of its own; a request that gives itself less does not wait for so long.
#[tokio::test(start_paused = true)]
async fn r12_signing_counts_into_the_requests_own_time() {
    let timeout = Duration::from_secs(1);
    for middleware in [false, true] {
        // Not for the first attempt.
        let at = server(NoncePolicy::None);
        let layer_ = layer(&at, &tokens(&at, Wait::Forever(1)).await);
        let began = Instant::now();
        let kind = if middleware {
            let client = ClientBuilder::new(reqwest::Client::new())
                .with(layer_.middleware())
                .with(InPlaceOfTheNetwork(at.clone()))
                .build();
            let Err(reqwest_middleware::Error::Middleware(error)) = guarded(client.execute(timed(&at, timeout))).await
            else {
                panic!("it is not signed")
            };
            error.downcast_ref::<Error>().expect("ours").kind()
        } else {
            let client = layer_.layer(for_reqwest(&at));
            ours(&*guarded(client.oneshot(timed(&at, timeout))).await.map(drop).expect_err("it is not signed"))
        };
        assert_eq!((kind, began.elapsed()), (ErrorKind::DeadlineExceeded, timeout), "middleware: {middleware}");
        assert_eq!(at.counters().api_requests, 0);

        // Not for the second: what came first stands.
        let at = server(NoncePolicy::Reusable);
        let layer_ = layer(&at, &tokens(&at, Wait::Forever(2)).await);
        let began = Instant::now();
        let told = if middleware {
            let client = ClientBuilder::new(reqwest::Client::new())
                .with(layer_.middleware())
                .with(InPlaceOfTheNetwork(at.clone()))
                .build();
            let response = guarded(client.execute(timed(&at, timeout))).await.expect("the first response");
            (response.status().as_u16(), outcome(response.extensions()))
        } else {
            let client = layer_.layer(for_reqwest(&at));
            let response = guarded(client.oneshot(timed(&at, timeout))).await.expect("the first response");
            (response.status().as_u16(), outcome(response.extensions()))
        };
        assert_eq!(told, (401, "DeadlineExceeded".to_owned()), "middleware: {middleware}");
        assert_eq!((began.elapsed(), at.counters().api_requests), (timeout, 1));
        settle().await;
    }
}
