//! The rates as numbers.

use std::{
    fmt::{self, Write as _},
    fs, io,
    ops::Range,
    path::Path,
    time::Duration,
};

use oauth_tokens::Error;

use super::{
    Event, HOUR, Kind, MINUTE, Outcome, Scenario,
    chart::{Line, Panel, svg},
};

const PROCESSES: usize = 10_000;
const SEED: u64 = 1;
const TEN_SECONDS: Duration = Duration::from_secs(10);
const KINDS: [Kind; 2] = [Kind::Ours, Kind::FixedWindow];

/// Simulates, and writes the numbers to `FLEET.md` of this crate and the chart to the guide.
///
/// # Errors
///
/// When there is no runtime to be had, or the files cannot be written.
pub fn write_report() -> Result<(), Error> {
    let outage = Both::simulated(Scenario::new(PROCESSES, Event::Outage(10 * MINUTE)))?;
    let revocation = Both::simulated(Scenario::new(PROCESSES, Event::Revocation))?;
    let deployment = Scenario { start: MINUTE, ..Scenario::new(PROCESSES, Event::Outage(10 * MINUTE)) };
    let deployment = Both::simulated(deployment)?;

    let numbers = format!("{}{}{}", introduction(), table(&outage, &revocation, &deployment), other_outages()?);
    let chart = svg(&[
        outage.panel("The authorization server is down for ten minutes"),
        revocation.panel("All tokens are revoked at once"),
    ]);
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let failed = |error: io::Error| Error::source_failed(error.to_string());
    fs::write(crates.join("bench/FLEET.md"), &numbers).map_err(failed)?;
    fs::write(crates.join("tower-oauth/src/guide/fleet.svg"), chart).map_err(failed)?;
    print!("{numbers}");
    Ok(())
}

fn introduction() -> String {
    format!(
        "# A fleet, simulated\n\n\
         Written by `cargo run --release -p bench -- fleet`: {PROCESSES} processes and one authorization server under paused\n\
         time, tokens of one hour, each process calls an API once a second (a Poisson process). They start at random within an\n\
         hour; the steady state is that of the third and fourth hour. Each of ours has a `TokenCache` of its own; the others\n\
         renew a token in its last minute, without jitter and back-off, and use the old one while it lives. Peaks are the\n\
         fullest minute and the fullest ten seconds, as multiples of the steady mean. Seed {SEED}.\n\n\
         ![Token requests a minute over time](../tower-oauth/src/guide/fleet.svg)\n\n"
    )
}

fn table(outage: &Both, revocation: &Both, deployment: &Both) -> String {
    let mut table = "| | tower-oauth | fixed window |\n|---|---|---|\n".to_owned();
    let mut row = |what: &str, [ours, fixed]: [String; 2]| {
        let _ = writeln!(table, "| {what} | {ours} | {fixed} |");
    };
    row("steady state: token requests a minute", outage.each(|of| format!("{:.0}", of.steady_mean(MINUTE))));
    row("its own peaks, by chance", outage.each(|of| of.peaks(of.scenario.steady()).to_string()));
    row(
        "the same for a fleet that starts within a minute",
        deployment.each(|of| of.peaks(of.scenario.steady()).to_string()),
    );
    row(
        "ten minutes of outage: mean, as a multiple of the steady one",
        outage.each(|of| {
            format!("{:.1}", of.outcome.requests.mean(of.scenario.outage(), MINUTE) / of.steady_mean(MINUTE))
        }),
    );
    row("calls without a token meanwhile", outage.each(Simulated::failed_calls));
    row("**peaks after it**", outage.each(|of| of.peaks(of.scenario.afterwards()).to_string()));
    row(
        "the same for a fleet that starts within a minute",
        deployment.each(|of| of.peaks(of.scenario.afterwards()).to_string()),
    );
    row(
        "all tokens revoked: requests in the minute after",
        revocation.each(|of| {
            let at = of.scenario.afterwards().start;
            of.outcome.requests.total(at..at + MINUTE).to_string()
        }),
    );
    row("**peaks later on**", revocation.each(|of| of.peaks(of.scenario.echo()).to_string()));
    table
}

fn other_outages() -> Result<String, Error> {
    let mut table = "\nOutages of other lengths:\n\n\
                     | outage | tower-oauth: calls without a token | peaks after it | fixed window: calls without a token | \
                     peaks after it |\n|---|---|---|---|---|\n"
        .to_owned();
    for minutes in [5, 15, 20, 30] {
        let both = Both::simulated(Scenario::new(PROCESSES, Event::Outage(minutes * MINUTE)))?;
        let [ours, fixed] = both.each(|of| format!("{} | {}", of.failed_calls(), of.peaks(of.scenario.afterwards())));
        let _ = writeln!(table, "| {minutes} min | {ours} | {fixed} |");
    }
    Ok(table)
}

/// One scenario, for both kinds of clients.
struct Both([Simulated; 2]);

struct Simulated {
    scenario: Scenario,
    outcome: Outcome,
}

impl Both {
    fn simulated(scenario: Scenario) -> Result<Self, Error> {
        let [ours, fixed] = KINDS.map(|kind| {
            let outcome = scenario.run(kind, SEED)?;
            Ok(Simulated { scenario: scenario.clone(), outcome })
        });
        Ok(Self([ours?, fixed?]))
    }

    fn each(&self, text: impl Fn(&Simulated) -> String) -> [String; 2] {
        self.0.each_ref().map(text)
    }

    fn panel<'a>(&'a self, title: &'a str) -> Panel<'a> {
        let Self([ours, fixed]) = self;
        let outage = ours.scenario.outage();
        Panel {
            title,
            lines: [
                Line {
                    name: "fixed window, no jitter, no back-off",
                    colour: "#cf5a00",
                    requests: &fixed.outcome.requests,
                },
                Line { name: "tower-oauth", colour: "#0550ae", requests: &ours.outcome.requests },
            ],
            event: outage.start,
            shown: outage.start - HOUR / 2..outage.start + 9 * HOUR / 4,
            down: outage.end - outage.start,
            goal: 2.0 * ours.steady_mean(MINUTE),
        }
    }
}

impl Simulated {
    fn steady_mean(&self, width: Duration) -> f64 {
        self.outcome.requests.mean(self.scenario.steady(), width)
    }

    fn failed_calls(&self) -> String {
        self.outcome.failed_calls.total(self.scenario.outage()).to_string()
    }

    fn peaks(&self, during: Range<Duration>) -> Peaks {
        let peak = |width| self.outcome.requests.peak(during.clone(), width) as f64 / self.steady_mean(width);
        Peaks { minute: peak(MINUTE), ten_seconds: peak(TEN_SECONDS) }
    }
}

/// The fullest minute and the fullest ten seconds, as multiples of the steady mean.
struct Peaks {
    minute: f64,
    ten_seconds: f64,
}

impl fmt::Display for Peaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} (10 s: {:.1})", self.minute, self.ten_seconds)
    }
}
