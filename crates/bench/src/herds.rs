//! What happens when ten thousand callers come at once: how many token requests, how often each request is sent, and what it
//! costs each caller. The counts are facts: one that is wrong is an error.
//!
//! | file | idea |
//! |---|---|
//! | `api.rs` | an API in memory that knows which token is good |
//! | `source.rs` | where tokens come from, counted; and a token behind a lock, as many write it themselves |

mod api;
mod source;

use std::{fmt::Write as _, future::Future, time::Duration};

use allocation_counter::{AllocationInfo, measure};
use http::{Request, Response, StatusCode};
use oauth_tokens::TokenCache;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_http::auth::AddAuthorization;
use tower_oauth::OAuthLayer;

use self::{
    api::{Api, numbered},
    source::{Locked, Source},
};
use crate::{
    BoxError,
    end_to_end::cpu,
    report::Section,
    request::{Body, ORIGIN, Requests, Shape},
};

const CALLERS: usize = 10_000;
/// Of the rolling revocations.
const WORKERS: usize = 64;
const REVOCATIONS: usize = 10;
const ROUNDS: usize = 5;

/// All herds, as a table.
///
/// # Errors
///
/// When a count is wrong.
pub(crate) fn section() -> Result<Section, BoxError> {
    let mut text = format!(
        "Through the layer over an API in memory; a token request takes {} ms. Each caller is a task of its own. CPU is the\n\
         process's, all included: the tasks, the requests, the API; the least of {ROUNDS} rounds. The first row is b, which has\n\
         nothing to wait for. Allocations, and the bytes that are held at the peak, are counted where all runs on one thread. A\n\
         count that is not as it has to be would have ended the program.\n\n\
         | herd | threads | token requests | requests sent | answered 200 | CPU, µs a call | allocations a call | bytes a call |\n\
         |---|---|---|---|---|---|---|---|\n",
        source::FETCH.as_millis()
    );
    let rounds = (0..ROUNDS).map(|_| happened()).collect::<Result<Vec<_>, _>>()?;
    for (number, herd) in rounds[0].iter().enumerate() {
        rounds.iter().map(|herds| &herds[number]).min_by_key(|herd| herd.cost.cpu).unwrap_or(herd).write(&mut text);
    }
    let _ = writeln!(
        text,
        "\nRolling: {WORKERS} workers call without a pause, and the API revokes the token {REVOCATIONS} times. Were it more than 20\n\
         times a minute, the layer would hold the renewals back by design, and callers would see the 401s."
    );
    Ok(Section { title: "Herds".to_owned(), text, charts: Vec::new() })
}

/// Only whether the counts are right, for the gates: about a second.
///
/// # Errors
///
/// When one is wrong.
pub(crate) fn check() -> Result<(), BoxError> {
    happened().map(|_| ())
}

fn happened() -> Result<Vec<Herd>, BoxError> {
    let once = |token_requests| Counts { token_requests, sent: CALLERS, served: CALLERS };
    let twice = Counts { token_requests: 1, sent: 2 * CALLERS, served: CALLERS };
    let mut herds = vec![
        cold("cold callers, b", Threads::One, once(0), |_, api| Ok(AddAuthorization::bearer(api, &numbered(0))))?,
        cold("cold callers, a `Mutex<Option<Token>>`", Threads::One, once(1), |source, api| {
            Ok(Locked::new(source, api))
        })?,
        cold("**cold callers, ours**", Threads::One, once(1), ours)?,
        cold("the same", Threads::Four, once(1), ours)?,
        rejected("**401s for one token, ours**", Threads::One, twice)?,
        rejected("the same", Threads::Four, twice)?,
    ];
    herds.push(rolling("**rolling 401s, ours**")?);
    Ok(herds)
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    token_requests: usize,
    /// Requests that arrived at the API.
    sent: usize,
    /// Callers whose answer was 200.
    served: usize,
}

impl Counts {
    fn of(source: &Source, api: &Api, served: usize) -> Self {
        Self { token_requests: source.requests(), sent: api.sent(), served }
    }
}

/// What it cost: of the processor on all threads; of memory only on this one.
#[derive(Clone, Copy, Debug)]
struct Cost {
    cpu: Duration,
    allocations: AllocationInfo,
}

/// One that happened, as it had to.
#[derive(Debug)]
struct Herd {
    name: &'static str,
    threads: Threads,
    counts: Counts,
    cost: Cost,
}

impl Herd {
    fn checked(
        name: &'static str,
        threads: Threads,
        expected: Counts,
        (counts, cost): (Counts, Cost),
    ) -> Result<Self, BoxError> {
        if counts != expected {
            return Err(format!("{name}, {threads:?}: {counts:?}, and should be {expected:?}").into());
        }
        Ok(Self { name, threads, counts, cost })
    }

    fn write(&self, text: &mut String) {
        let Self { name, threads, counts: Counts { token_requests, sent, served }, cost } = self;
        let for_each = |all: u64| format!("{:.1}", all as f64 / CALLERS as f64);
        let (threads, allocations, bytes) = match threads {
            Threads::One => (1, for_each(cost.allocations.count_total), for_each(cost.allocations.bytes_max)),
            Threads::Four => (4, String::new(), String::new()),
        };
        let cpu = cost.cpu.as_secs_f64() * 1e6 / CALLERS as f64;
        let _ = writeln!(
            text,
            "| {name} | {threads} | {token_requests} | {sent} | {served} | {cpu:.2} | {allocations} | {bytes} |"
        );
    }
}

#[derive(Clone, Copy, Debug)]
enum Threads {
    One,
    Four,
}

impl Threads {
    fn runtime(self) -> Result<Runtime, BoxError> {
        Ok(match self {
            Self::One => Builder::new_current_thread().enable_time().build()?,
            Self::Four => Builder::new_multi_thread().worker_threads(4).enable_time().build()?,
        })
    }
}

/// A service of the requests that all herds send.
trait Calls:
    Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError> + Send, Future: Send> + Clone + Send + 'static
{
}

impl<S> Calls for S where
    S: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError> + Send, Future: Send>
        + Clone
        + Send
        + 'static
{
}

fn ours(source: Source, api: Api) -> Result<impl Calls, BoxError> {
    Ok(OAuthLayer::new(ORIGIN, TokenCache::new(source))?.layer(api))
}

/// Nobody has a token yet, and everybody calls (F1).
fn cold<S: Calls>(
    name: &'static str,
    threads: Threads,
    expected: Counts,
    service: impl FnOnce(Source, Api) -> Result<S, BoxError>,
) -> Result<Herd, BoxError> {
    let (source, api) = (Source::default(), Api::default());
    let service = service(source.clone(), api.clone())?;
    let (served, cost) = costing(&threads.runtime()?, all_at_once(service, CALLERS))?;
    Herd::checked(name, threads, expected, (Counts::of(&source, &api, served), cost))
}

/// The token of all is revoked, and the API answers nobody before it has the requests of all (F2).
fn rejected(name: &'static str, threads: Threads, expected: Counts) -> Result<Herd, BoxError> {
    let (source, api) = (Source::default(), Api::rejecting_together(CALLERS));
    let service = ours(source.clone(), api.clone())?;
    let runtime = threads.runtime()?;
    runtime.block_on(all_at_once(service.clone(), 1))?;
    let before = Counts::of(&source, &api, 0);
    api.revoke();
    let (served, cost) = costing(&runtime, all_at_once(service, CALLERS))?;
    let Counts { token_requests, sent, served } = Counts::of(&source, &api, served);
    let counts = Counts { token_requests: token_requests - before.token_requests, sent: sent - before.sent, served };
    Herd::checked(name, threads, expected, (counts, cost))
}

/// The API revokes the token again and again, while some workers call it without a pause. On one thread: on several, one of them
/// may be stopped between its renewal and its retry for longer than the token is good for, and would rightly get its second 401.
fn rolling(name: &'static str) -> Result<Herd, BoxError> {
    let (source, api) = (Source::default(), Api::revoking_every(CALLERS / REVOCATIONS));
    let service = ours(source.clone(), api.clone())?;
    let (served, cost) = costing(&Threads::One.runtime()?, async {
        let mut workers = JoinSet::new();
        for worker in 0..WORKERS {
            let requests = CALLERS / WORKERS + usize::from(worker < CALLERS % WORKERS);
            workers.spawn(one_after_another(service.clone(), requests));
        }
        sum(workers).await
    })?;
    // Each revocation is seen by a request at least, and by all that were under way at most.
    let counts = Counts::of(&source, &api, served);
    let revocations = api.revocations();
    let retries = counts.sent.saturating_sub(CALLERS);
    if revocations != REVOCATIONS || !(REVOCATIONS..=REVOCATIONS * WORKERS).contains(&retries) {
        return Err(format!("{name}: {revocations} revocations and {retries} retries").into());
    }
    let expected = Counts { token_requests: 1 + REVOCATIONS, sent: counts.sent, served: CALLERS };
    Herd::checked(name, Threads::One, expected, (counts, cost))
}

/// One request of each caller; how many were answered with 200.
async fn all_at_once(service: impl Calls, callers: usize) -> Result<usize, BoxError> {
    let mut herd = JoinSet::new();
    for _ in 0..callers {
        herd.spawn(one_after_another(service.clone(), 1));
    }
    sum(herd).await
}

async fn one_after_another(service: impl Calls, calls: usize) -> Result<usize, BoxError> {
    let requests = Requests::new(Shape::Get4)?;
    let mut served = 0;
    for _ in 0..calls {
        let response = service.clone().oneshot(requests.make()).await.map_err(Into::into)?;
        served += usize::from(response.status() == StatusCode::OK);
    }
    Ok(served)
}

async fn sum(mut tasks: JoinSet<Result<usize, BoxError>>) -> Result<usize, BoxError> {
    let mut sum = 0;
    while let Some(part) = tasks.join_next().await {
        sum += part??;
    }
    Ok(sum)
}

fn costing<T>(runtime: &Runtime, work: impl Future<Output = Result<T, BoxError>>) -> Result<(T, Cost), BoxError> {
    let (mut output, before) = (None, cpu::used());
    let allocations = measure(|| output = Some(runtime.block_on(work)));
    let output = output.ok_or("nothing was measured")??;
    Ok((output, Cost { cpu: cpu::used() - before, allocations }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn herds_make_one_token_request_and_everybody_is_served() {
        check().expect("right counts");
    }

    #[test]
    fn a_wrong_count_is_an_error() {
        let none = Counts { token_requests: 0, sent: CALLERS, served: CALLERS };
        let error = cold("ours", Threads::One, none, ours).expect_err("one token request");
        assert!(error.to_string().contains("token_requests: 1"), "{error}");
    }
}
