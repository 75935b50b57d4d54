//! The way to the authorization servers: what goes through is counted, for each client and for all.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use tower::Service;

/// The span of time in which requests are counted.
pub(crate) const WINDOW: Duration = Duration::from_secs(5);

/// Sends token requests. Clones share their counts.
#[derive(Clone, Debug)]
pub(crate) struct WayOut {
    http: Client<HttpConnector, Full<Bytes>>,
    traffic: Arc<Mutex<Traffic>>,
}

#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) total: u64,
    /// The numbers of the requests that are on their way.
    under_way: BTreeSet<u64>,
    pub(crate) most_in_flight: usize,
    clients: HashMap<String, OneClient>,
}

#[derive(Debug, Default)]
struct OneClient {
    in_flight: usize,
    most_in_flight: usize,
    recent: VecDeque<Instant>,
    most_recent: usize,
}

impl WayOut {
    pub(crate) fn new(http: Client<HttpConnector, Full<Bytes>>) -> Self {
        Self { http, traffic: Arc::default() }
    }

    pub(crate) fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Traffic {
    /// Whether a request is still on its way that began when no more than so many had.
    pub(crate) fn has_one_of_the_first(&self, total: u64) -> bool {
        self.under_way.first().is_some_and(|number| *number <= total)
    }

    /// For each client: the most requests at a time, and in one window of time.
    pub(crate) fn clients(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.clients.iter().map(|(name, client)| (name.as_str(), client.most_in_flight, client.most_recent))
    }

    /// Says which one it is.
    fn begins(&mut self, name: &str) -> u64 {
        self.total += 1;
        self.under_way.insert(self.total);
        self.most_in_flight = self.most_in_flight.max(self.under_way.len());
        let client = self.clients.entry(name.to_owned()).or_default();
        client.in_flight += 1;
        client.most_in_flight = client.most_in_flight.max(client.in_flight);
        let now = Instant::now();
        client.recent.push_back(now);
        while client.recent.front().is_some_and(|then| now - *then > WINDOW) {
            client.recent.pop_front();
        }
        client.most_recent = client.most_recent.max(client.recent.len());
        self.total
    }

    fn ends(&mut self, number: u64, name: &str) {
        self.under_way.remove(&number);
        if let Some(client) = self.clients.get_mut(name) {
            client.in_flight -= 1;
        }
    }
}

impl Service<Request<Full<Bytes>>> for WayOut {
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Incoming>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let name = client_id(request.body());
        let number = self.traffic().begins(&name);
        let ends = Ends { way_out: self.clone(), number, name };
        let response = self.http.request(request);
        async move {
            let _ends = ends;
            response.await
        }
        .boxed()
    }
}

/// Counts a request out when it has ended, or was dropped.
struct Ends {
    way_out: WayOut,
    number: u64,
    name: String,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.way_out.traffic().ends(self.number, &self.name);
    }
}

/// Who asks: the form says it.
fn client_id(body: &Full<Bytes>) -> String {
    let whole: Result<_, Infallible> = body.clone().collect().now_or_never().expect("it is there");
    let bytes = whole.unwrap_or_else(|never| match never {}).to_bytes();
    let form = String::from_utf8_lossy(&bytes);
    form.split('&').find_map(|pair| pair.strip_prefix("client_id=")).unwrap_or("?").to_owned()
}
