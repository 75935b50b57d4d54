//! F7, F10, F15 at scale: a fleet of processes and one authorization server, simulated (see the package `bench`). Rates are beside
//! the mean of two steady hours.
//!
//! The guide has ten thousand processes and the rates of a minute. Here it is a quarter of the processes for four minutes,
//! which is as many requests, and as much of chance.

use std::{ops::Range, time::Duration};

use bench::fleet::{Event, Kind, Outcome, Scenario};

const MINUTE: Duration = Duration::from_secs(60);
const BIN: Duration = Duration::from_secs(4 * 60);
const PROCESSES: usize = 2_500;

struct Simulated {
    scenario: Scenario,
    outcome: Outcome,
}

impl Simulated {
    fn new(scenario: Scenario, kind: Kind) -> Self {
        let outcome = scenario.run(kind, 1).expect("a runtime");
        Self { scenario, outcome }
    }

    fn steady_mean(&self) -> f64 {
        self.outcome.requests.mean(self.scenario.steady(), BIN)
    }

    /// As a multiple of the steady mean.
    fn peak(&self, during: Range<Duration>) -> f64 {
        self.outcome.requests.peak(during, BIN) as f64 / self.steady_mean()
    }
}

#[test]
fn f7_after_an_outage_of_ten_minutes_a_fleet_comes_back_within_twice_its_steady_rate() {
    let outage = Event::Outage(10 * MINUTE);
    let ours = Simulated::new(Scenario::new(PROCESSES, outage), Kind::Ours);
    let Simulated { scenario, outcome } = &ours;
    assert_eq!(outcome.failed_calls.total(Duration::ZERO..scenario.afterwards().end), 0, "every call had a token");
    let each = ours.steady_mean() * 15.0 / PROCESSES as f64;
    assert!((1.4..1.5).contains(&each), "{each} token requests an hour for each process");
    assert!(ours.peak(scenario.steady()) < 1.5, "{} in the steady state", ours.peak(scenario.steady()));
    // What is due then, with three attempts for each exchange, and some tries again.
    let during = outcome.requests.mean(scenario.outage(), BIN) / ours.steady_mean();
    assert!((3.0..6.0).contains(&during), "{during} while the server is down");
    assert!(ours.peak(scenario.afterwards()) <= 2.0, "{} afterwards", ours.peak(scenario.afterwards()));
    assert!(ours.peak(scenario.echo()) <= 1.7, "{} later on", ours.peak(scenario.echo()));

    // What it is compared with does none of this; a tenth of it is enough to see it.
    let fixed = Simulated::new(Scenario::new(PROCESSES / 10, outage), Kind::FixedWindow);
    assert!(fixed.outcome.failed_calls.total(fixed.scenario.outage()) > 1_000);
    assert!(fixed.peak(fixed.scenario.outage()) > 100.0);
    assert!(fixed.peak(fixed.scenario.afterwards()) > 2.5);
}

/// Each process needs one new token at its next call, which nothing can spread; but they do not stay in step.
#[test]
fn f10_after_a_revocation_of_everything_each_process_asks_once_and_the_fleet_does_not_stay_in_step() {
    let ours = Simulated::new(Scenario::new(PROCESSES, Event::Revocation), Kind::Ours);
    let Simulated { scenario, outcome } = &ours;
    let revoked = scenario.afterwards().start;
    assert_eq!(outcome.requests.total(revoked..revoked + MINUTE), PROCESSES as u64);
    assert_eq!(outcome.failed_calls.total(Duration::ZERO..scenario.afterwards().end), 0, "every call had a token");
    assert!(ours.peak(revoked + MINUTE..scenario.afterwards().end) <= 2.0, "{}", ours.peak(scenario.echo()));

    let fixed = Simulated::new(Scenario::new(PROCESSES / 10, Event::Revocation), Kind::FixedWindow);
    assert!(fixed.peak(fixed.scenario.echo()) > 10.0, "in step for ever");
}

/// A deployment: all start within a minute, and two hours later nothing of it is to be seen.
#[test]
fn f15_a_fleet_that_starts_within_a_minute_does_not_stay_in_step() {
    let started_together = Scenario { start: MINUTE, ..Scenario::new(PROCESSES, Event::Outage(MINUTE)) };
    let ours = Simulated::new(started_together, Kind::Ours);
    assert!(ours.peak(ours.scenario.steady()) < 1.5, "{}", ours.peak(ours.scenario.steady()));
}
