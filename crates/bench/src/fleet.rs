//! A fleet of processes and their authorization server, simulated under paused time.
//!
//! | file | idea |
//! |---|---|
//! | `server.rs` | the authorization server, and what its API knows of tokens |
//! | `process.rs` | one process: where its tokens come from, and whoever calls the API with them |
//! | `rates.rs` | counts by second |
//! | `chart.rs` | the rates as a chart |
//! | `report.rs` | the rates as numbers |
//!
//! Ours are real [`TokenCache`](oauth_tokens::TokenCache)s over real clients, one of each for a process; only the network and the
//! server are not. Time jumps from event to event, so hours pass in seconds. What happens depends on nothing but the seed.

mod chart;
mod process;
mod rates;
mod report;
mod server;

use std::{ops::Range, sync::Arc, time::Duration};

use oauth_tokens::Error;
use tokio::{
    runtime::Builder,
    time::{Instant, sleep, sleep_until},
};

use self::{
    process::{FixedWindow, Tokens, run},
    server::Server,
};
pub use self::{rates::Rates, report::write_report};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// How the processes keep their tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A [`TokenCache`](oauth_tokens::TokenCache) each.
    Ours,
    /// What many clients do: a refresh window of one minute, without jitter and back-off.
    FixedWindow,
}

/// What happens to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server answers 503 for so long.
    Outage(Duration),
    /// All tokens are revoked at once; the API answers 401.
    Revocation,
}

/// A fleet, and what happens to it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How many processes there are.
    pub processes: usize,
    /// Within what time they start, at random. Default: an hour; at most two.
    pub start: Duration,
    /// How long a token lives. Default: an hour.
    pub lifetime: Duration,
    /// The mean time between two calls of one process. Default: a second.
    pub pause: Duration,
    /// What happens, when the fleet has run for four hours.
    pub event: Event,
}

/// What the server and the callers saw.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Token requests that arrived at the server.
    pub requests: Rates,
    /// Calls without a token that the API takes.
    pub failed_calls: Rates,
}

impl Scenario {
    /// A fleet of so many, with tokens of one hour and a call each second.
    #[must_use]
    pub fn new(processes: usize, event: Event) -> Self {
        Self { processes, start: HOUR, lifetime: HOUR, pause: Duration::from_secs(1), event }
    }

    /// When nothing happens, and the start of the fleet is two hours past.
    #[must_use]
    pub fn steady(&self) -> Range<Duration> {
        2 * HOUR..4 * HOUR
    }

    /// While the server is down; empty where it is not.
    #[must_use]
    pub fn outage(&self) -> Range<Duration> {
        let down = match self.event {
            Event::Outage(down) => down,
            Event::Revocation => Duration::ZERO,
        };
        self.steady().end..self.steady().end + down
    }

    /// From the server's recovery, or the revocation, to the end.
    #[must_use]
    pub fn afterwards(&self) -> Range<Duration> {
        let recovery = self.outage().end;
        recovery..recovery + 5 * HOUR / 2
    }

    /// The last part of [`afterwards`](Self::afterwards), in which the fleet asks for the next tokens: whether it does so in step.
    #[must_use]
    pub fn echo(&self) -> Range<Duration> {
        let Range { start, end } = self.afterwards();
        start + HOUR / 4..end
    }

    /// Lets it happen.
    ///
    /// # Errors
    ///
    /// When there is no runtime to be had.
    pub fn run(&self, kind: Kind, seed: u64) -> Result<Outcome, Error> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|error| Error::source_failed(error.to_string()))?;
        // All that is random here and in the caches, as all of it runs on this thread.
        fastrand::seed(seed);
        runtime.block_on(self.happen(kind))
    }

    async fn happen(&self, kind: Kind) -> Result<Outcome, Error> {
        let began = Instant::now();
        let revocation = (self.event == Event::Revocation).then_some(self.afterwards().start);
        let server = Arc::new(Server::new(self.lifetime, self.outage(), revocation));
        for _ in 0..self.processes {
            let tokens = match kind {
                Kind::Ours => Tokens::ours(&server)?,
                Kind::FixedWindow => Tokens::FixedWindow(FixedWindow::default()),
            };
            let (server, pause) = (Arc::clone(&server), self.pause);
            let start = self.start.mul_f64(fastrand::f64());
            tokio::spawn(async move {
                sleep(start).await;
                run(tokens, server, pause).await;
            });
        }
        sleep_until(began + self.afterwards().end).await;
        Ok(server.outcome())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_outcome() {
        for event in [Event::Outage(10 * MINUTE), Event::Revocation] {
            let scenario = Scenario::new(50, event);
            for kind in [Kind::Ours, Kind::FixedWindow] {
                let minutes = |seed| {
                    let outcome = scenario.run(kind, seed).expect("a runtime");
                    outcome.requests.bins(Duration::ZERO..scenario.afterwards().end, MINUTE)
                };
                assert_eq!(minutes(1), minutes(1), "{event:?} {kind:?}");
                assert_ne!(minutes(1), minutes(2), "{event:?} {kind:?}");
            }
        }
    }
}
