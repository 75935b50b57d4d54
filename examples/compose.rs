//! Other layers around the OAuth layer: which order, and why.
//!
//! ```sh
//! cargo run -p examples --example compose
//! ```
//!
//! It needs nothing but this machine. The order is printed as a table first; then each layer is seen at work against an
//! embedded server that fails on demand, with the lines that `TraceLayer` writes and the requests that really went out.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;
use examples::{Steps, chain, no_token_arrived, start_servers, table};
use futures_util::future::try_join_all;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use oauth_test_server::{Endpoint, Fault, TestServer};
use tower::{
    BoxError, ServiceBuilder, ServiceExt,
    limit::ConcurrencyLimitLayer,
    retry::{
        Policy, RetryLayer,
        backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff},
        budget::{Budget, TpsBudget},
    },
    service_fn,
    timeout::{TimeoutLayer, error::Elapsed},
    util::BoxCloneService,
};
use tower_http::{
    follow_redirect::FollowRedirectLayer,
    timeout::ResponseBodyTimeoutLayer,
    trace::{DefaultOnResponse, TraceLayer},
};
use tower_oauth::{
    OAuthLayer,
    oauth_tokens::{AuthorizationServer, ClientAuth, Error, TokenCache},
};
use tracing::{Level, instrument::WithSubscriber, subscriber::NoSubscriber};

/// How long a caller waits at most, whatever happens below.
const CALL: Duration = Duration::from_secs(5);
/// How long the API may take to answer one request.
const ATTEMPT: Duration = Duration::from_millis(500);
/// How long a response's body may stand still.
const BODY: Duration = Duration::from_secs(1);
/// How many calls are under way at once.
const PLACES: usize = 4;

const ORDER: [[&str; 3]; 10] = [
    ["", "layer", "why it is there"],
    ["1", "TraceLayer", "one line for what the caller asked for; above OAuth, so it never sees a token"],
    ["2", "Timeout, the call's", "covers all below: redirects, retries, waiting for a token"],
    ["3", "FollowRedirect", "above OAuth, so each place it leads to is looked at anew (token or none)"],
    ["4", "Retry", "above the limit, so a call that waits to be tried again holds no place"],
    ["5", "ConcurrencyLimit", "above OAuth, so the retry after a 401 keeps its place and need not queue again"],
    ["6", "OAuth", "the token, and the one retry after a 401"],
    ["7", "Timeout, the attempt's", "below OAuth, so renewing a token is not counted against the API"],
    ["8", "ResponseBodyTimeout", "the attempt's timeout ends with the response's head; this one watches over its body"],
    ["9", "hyper", "the wire"],
];

#[tokio::main]
async fn main() -> Result<()> {
    log_to_stdout();
    table(&ORDER);
    println!();

    let (server, elsewhere) = start_servers().await?;
    let wire = Wire::default();
    let api = compose(&server, tokens(&server)?, wire.clone())?;
    let mut steps = Steps::default();

    steps.begin("A call when all is well.");
    get(&api, &server.api_url("/orders")).await?;
    went_out(&mut steps, &server, &[200])?;

    steps.begin("A redirect within the API is followed, with the token.");
    get(&api, &server.api_url("/redirect?to=/orders/2024")).await?;
    went_out(&mut steps, &server, &[302, 200])?;

    steps.begin("A redirect to somebody else is followed, without the token.");
    get(&api, &server.api_url(&format!("/redirect?to={}", elsewhere.api_url("/public/mirror")))).await?;
    went_out(&mut steps, &server, &[302])?;
    steps.note(no_token_arrived(&elsewhere)?);

    steps.begin("The token is revoked. The OAuth layer renews it; no layer above sees the 401.");
    server.revoke_access_tokens();
    get(&api, &server.api_url("/orders")).await?;
    went_out(&mut steps, &server, &[401, 200])?;

    steps.begin("The API says 503 once. That is nothing a token could cure: tower's Retry tries again.");
    server.api_faults().push(1, Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    get(&api, &server.api_url("/orders")).await?;
    went_out(&mut steps, &server, &[503, 200])?;

    steps.begin("The API hangs once. The attempt's timeout ends it, and Retry tries again, for a GET may be repeated.");
    server.api_faults().push(1, Fault::Hang);
    get(&api, &server.api_url("/orders")).await?;
    went_out(&mut steps, &server, &[HANGS, 200])?;

    steps.begin("It hangs on a POST. Nobody knows whether it was carried out, so the caller gets the error.");
    server.api_faults().push(1, Fault::Hang);
    let Err(error) = send(&api, Method::POST, &server.api_url("/orders")).await else {
        return Err(anyhow!("a POST that hangs should have failed"));
    };
    steps.note(format!("the error is: {}", chain(&*error)));
    ensure!(error.is::<Elapsed>(), "this should have been a timeout");
    went_out(&mut steps, &server, &[HANGS])?;

    steps.begin(format!("Twenty calls at once, and {PLACES} places."));
    server.api_faults().push(20, Fault::Delay(Duration::from_millis(20)));
    let url = server.api_url("/orders");
    // Twenty lines of log would tell nothing more than one.
    try_join_all((0..20).map(|_| get(&api, &url))).with_subscriber(NoSubscriber::default()).await?;
    went_out(&mut steps, &server, &[200; 20])?;
    steps.note(format!("at most {} of them were under way at once", wire.most()));
    ensure!(wire.most() == PLACES, "the limit was not kept, or not used");

    println!("\nrequests that went out: {}", wire.total());
    println!("token requests: {}", server.counters().token_requests);
    ensure!(
        server.counters().token_requests == 2,
        "2 token requests were expected: for the first call, and after the revocation"
    );
    Ok(())
}

/// What callers get.
type Api = BoxCloneService<Request<Full<Bytes>>, Answer, BoxError>;
type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// The layers, outermost first; `ORDER` says why each is where it is.
fn compose(server: &TestServer, tokens: TokenCache, wire: Wire) -> Result<Api> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let hyper = service_fn(move |request| wire.watch(client.request(request)));
    let api = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http().on_request(()).on_response(DefaultOnResponse::new().level(Level::INFO)))
        // tower's timeouts are errors, as clients want them. tower-http's `TimeoutLayer` answers with a status instead, as
        // servers want it; above it nobody could tell that from an answer of the API's.
        // They count from `call` on, and places are waited for in `poll_ready`: a caller who must not wait there, either,
        // puts `tokio::time::timeout` around both.
        .layer(TimeoutLayer::new(CALL))
        .layer(FollowRedirectLayer::new())
        .layer(RetryLayer::new(TryAgain::default()))
        .layer(ConcurrencyLimitLayer::new(PLACES))
        .layer(OAuthLayer::new(server.api_origin(), tokens)?)
        .layer(TimeoutLayer::new(ATTEMPT))
        .layer(ResponseBodyTimeoutLayer::new(BODY))
        .service(hyper);
    // Erased, so that it has a type with a name.
    Ok(api.map_response(|response| response.map(BodyExt::boxed_unsync)).boxed_clone())
}

fn tokens(server: &TestServer) -> Result<TokenCache, Error> {
    // The token requests go over a client of their own, with deadlines, retries and back-off of their own: none of the
    // layers above is needed there.
    let client = AuthorizationServer::issuer(server.issuer())?.client("m2m", ClientAuth::secret_basic("secret"))?;
    client.client_credentials().scope("api").cached()
}

/// When tower's Retry tries again: what the API may get over by itself, and may be asked twice.
#[derive(Clone)]
struct TryAgain {
    left: u32,
    backoff: ExponentialBackoff,
    /// Shared by all calls: when the API is down for good, retries stay a fraction of the calls.
    budget: Arc<TpsBudget>,
}

impl Default for TryAgain {
    fn default() -> Self {
        Self { left: 2, backoff: ExponentialBackoffMaker::default().make_backoff(), budget: Arc::default() }
    }
}

impl<B> Policy<Request<Full<Bytes>>, Response<B>, BoxError> for TryAgain {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Full<Bytes>>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let may_pass = match result {
            Ok(response) => response.status() == StatusCode::SERVICE_UNAVAILABLE,
            // Not a `tower_oauth::Error`: the tokens are fetched with retries and back-off already, and a failure is
            // remembered for a while, so trying again at once would bring the same error.
            Err(error) => error.is::<Elapsed>(),
        };
        if !may_pass {
            self.budget.deposit();
            return None;
        }
        if !request.method().is_idempotent() || self.left == 0 || !self.budget.withdraw() {
            return None;
        }
        self.left -= 1;
        Some(self.backoff.next_backoff())
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}

async fn get(api: &Api, url: &str) -> Result<()> {
    let response = send(api, Method::GET, url).await.map_err(|error| anyhow!(error))?;
    ensure!(response.status() == StatusCode::OK, "{url} answered {}", response.status());
    Ok(())
}

async fn send(api: &Api, method: Method, url: &str) -> Result<Answer, BoxError> {
    let request = Request::builder().method(method).uri(url).body(Full::default())?;
    api.clone().oneshot(request).await
}

/// In the list of what went out: a request that was never answered.
const HANGS: u16 = 0;

/// Prints what the API saw in this step, and compares.
fn went_out(steps: &mut Steps, server: &TestServer, expected: &[u16]) -> Result<()> {
    let requests = server.requests_to(Endpoint::Api);
    let seen: Vec<u16> =
        requests.iter().map(|request| request.status.map_or(HANGS, |status| status.as_u16())).collect();
    let runs = seen.chunk_by(|one, other| one == other).map(|run| match (run[0], run.len()) {
        (HANGS, _) => "nothing".to_owned(),
        (status, 1) => status.to_string(),
        (status, times) => format!("{status} ({times} times)"),
    });
    steps.note(format!("the API answered: {}", runs.collect::<Vec<_>>().join(", ")));
    ensure!(seen == expected, "the API should have answered {expected:?}");
    server.clear_requests();
    Ok(())
}

/// Counts what is under way at the very bottom, to show that the limit holds.
#[derive(Clone, Default)]
struct Wire(Arc<Counts>);

#[derive(Default)]
struct Counts {
    now: AtomicUsize,
    most: AtomicUsize,
    total: AtomicUsize,
}

impl Wire {
    fn watch<F: Future>(&self, request: F) -> impl Future<Output = F::Output> + use<F> {
        let counts = Arc::clone(&self.0);
        async move {
            let now = counts.now.fetch_add(1, Ordering::Relaxed) + 1;
            counts.most.fetch_max(now, Ordering::Relaxed);
            counts.total.fetch_add(1, Ordering::Relaxed);
            // A request that is dropped, by a timeout for example, is not under way any more.
            let _leave = Leave(counts);
            request.await
        }
    }

    fn most(&self) -> usize {
        self.0.most.load(Ordering::Relaxed)
    }

    fn total(&self) -> usize {
        self.0.total.load(Ordering::Relaxed)
    }
}

struct Leave(Arc<Counts>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Shows what `TraceLayer` writes, and nothing else.
fn log_to_stdout() {
    use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stdout).with_ansi(false).without_time();
    let only_trace = Targets::new().with_target("tower_http::trace", Level::DEBUG);
    tracing_subscriber::registry().with(only_trace).with(lines.with_target(false)).init();
}
