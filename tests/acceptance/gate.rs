//! F15: across all keys and clients, what one authorization server gets to bear is bounded.

mod in_flight;
mod outage;
mod probes;
mod tenants;

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use oauth_tokens::{
    AuthorizationServer, ClientAuth, ClientCredentials, Error, HttpClient, TokenCache, TokenClient, TokenRequest,
    TokenSet, TokenSource,
};
use tests::canned;
use tokio::time::{Instant, sleep};
use tower::Service;

const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn s(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// A server that takes its time, and notes how much it had to bear at once. It answers as the test says.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    mood: Mood,
    begun: Vec<Instant>,
    under_way: usize,
    most_under_way: usize,
}

#[derive(Clone, Debug, Default)]
enum Mood {
    /// A token each, after this time.
    Well(Duration),
    Answers(Response<Bytes>),
    #[default]
    Hangs,
}

/// A request that the server has begun to answer.
struct UnderWay(Server);

impl Server {
    fn new(mood: Mood) -> Self {
        let server = Self::default();
        server.is(mood);
        server
    }

    fn is(&self, mood: Mood) {
        self.state().mood = mood;
    }

    fn builder(&self) -> oauth_tokens::AuthorizationServerBuilder {
        AuthorizationServer::via(HttpClient::new(self.clone()))
    }

    fn client(&self) -> TokenClient {
        client_of(&self.builder().token_endpoint("https://id.test/token").expect("a server"))
    }

    /// When each request so far came in.
    fn begun(&self) -> Vec<Instant> {
        self.state().begun.clone()
    }

    fn requests(&self) -> usize {
        self.state().begun.len()
    }

    fn under_way(&self) -> usize {
        self.state().under_way
    }

    fn most_under_way(&self) -> usize {
        self.state().most_under_way
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service<Request<Full<Bytes>>> for Server {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let mut state = self.state();
        state.begun.push(Instant::now());
        state.under_way += 1;
        state.most_under_way = state.most_under_way.max(state.under_way);
        let (mood, number) = (state.mood.clone(), state.begun.len());
        let under_way = UnderWay(self.clone());
        async move {
            let answer = match mood {
                Mood::Well(after) => {
                    sleep(after).await;
                    canned::token(&format!("token-{number}"))
                }
                Mood::Answers(answer) => answer,
                Mood::Hangs => pending().await,
            };
            drop(under_way);
            Ok(answer.map(Full::new))
        }
        .boxed()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
    }
}

fn client_of(server: &AuthorizationServer) -> TokenClient {
    server.client("m2m", ClientAuth::secret_basic("secret")).expect("a client")
}

fn request_of(client: &TokenClient) -> TokenRequest<ClientCredentials> {
    client.client_credentials()
}

/// One exchange, without a cache.
async fn fetch(client: &TokenClient) -> Result<TokenSet, Error> {
    request_of(client).fetch().await
}

/// A cache for each key.
fn caches_of(client: &TokenClient, keys: usize) -> Vec<TokenCache> {
    (0..keys).map(|key| request_of(client).scope(format!("key-{key}")).cached().expect("a cache")).collect()
}

fn unavailable(retry_after: Option<&str>) -> Mood {
    let mut answer = canned::status(StatusCode::SERVICE_UNAVAILABLE);
    if let Some(retry_after) = retry_after {
        answer.headers_mut().insert("retry-after", retry_after.parse().expect("a value"));
    }
    Mood::Answers(answer)
}

/// More than is ever read (T3).
fn too_large(status: StatusCode) -> Mood {
    Mood::Answers(canned::json(status.as_u16(), " ".repeat(1024 * 1024 + 1)))
}
