//! What a request costs from end to end: clients of hyper-util and reqwest, loopback, and an API in a process of its own.
//!
//! | file | idea |
//! |---|---|
//! | `server.rs` | the API's process |
//! | `callers.rs` | the variants, all over the same client |
//! | `rounds.rs` | measured by turns |
//! | `statistics.rs` | percentiles and medians |
//! | `cpu.rs` | what the client used of a processor |

mod callers;
pub(crate) mod cpu;
mod rounds;
pub(crate) mod server;
mod statistics;

use std::{
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Builder;

pub(crate) use self::server::serve_api;
use self::{
    callers::{Callers, Named, Rollovers, WORKERS},
    cpu::{Which, pin},
    rounds::{Measured, Plan, measure, ratio},
    server::ApiProcess,
    statistics::Median,
};
use crate::{
    BoxError,
    chart::{Bar, Chart},
    report::Section,
    request::Shape,
};

/// In each round: enough that starting the workers does not show, and few enough that a round is short.
const REQUESTS: usize = 100 * WORKERS;

/// With fewer, even the least and the greatest ratio bound the median with less than 95 % confidence.
const MIN_ROUNDS: usize = 6;
/// The target for ours with replay, to b.
const MOST: f64 = 1.01;

/// Measures; it takes less than two minutes.
///
/// # Errors
///
/// When the API's process does not start, or a request fails.
pub(crate) fn section() -> Result<Section, BoxError> {
    let api = ApiProcess::start()?;
    // A thread of its own, as it stays on one processor.
    thread::scope(|scope| {
        let measuring = scope.spawn(|| {
            let is_pinned = pin(Which::First);
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(all(&api.origin, is_pinned))
        });
        measuring.join().unwrap_or_else(|_| Err("the measurement panicked".into()))
    })
}

async fn all(origin: &str, is_pinned: bool) -> Result<Section, BoxError> {
    let mut text = method(is_pinned);
    let mut bars = Vec::new();
    let plan = |seconds| Plan { requests: REQUESTS, time: Duration::from_secs(seconds) };
    let http1 = Callers::new(origin, false);
    for shape in Shape::ALL {
        let [b, again] = http1.b_twice()?;
        let variants = [b, again, http1.ours()?, http1.ours_without_replay()?];
        let table = Table::measured(&variants, shape, plan(22)).await?;
        table.write(&mut text, &format!("hyper-util, HTTP/1.1, {}", shape.name()));
        table.compare_with_target(&mut text);
        table.draw(&mut bars, shape);
    }
    let http2 = Callers::new(origin, true);
    let [b, again] = http2.b_twice()?;
    let table = Table::measured(&[b, again, http2.ours()?], Shape::Get4, plan(10)).await?;
    table.write(&mut text, "hyper-util, HTTP/2 over one connection, get4");
    for shape in Shape::ALL {
        let table = Table::measured(&http1.over_reqwest()?, shape, plan(8)).await?;
        table.write(&mut text, &format!("reqwest, HTTP/1.1, {}", shape.name()));
    }
    rollovers(&http1, &mut text).await?;
    let chart = Chart::bars("end-to-end", "Client CPU for a request over loopback, microseconds", &bars);
    Ok(Section { title: "End to end".to_owned(), text, charts: vec![chart] })
}

fn method(is_pinned: bool) -> String {
    let pinned = if is_pinned {
        "Client and API each stay on a processor of their own."
    } else {
        "Client and API could not be kept on a processor each, which makes for more noise."
    };
    format!(
        "An API in a process of its own on loopback, plain http; {WORKERS} workers, each with a request under way at all times, so\n\
         latencies are those of a busy client; all variants share one client and its connections. Rounds of {REQUESTS} requests,\n\
         by turns in a random order. CPU is that of the client's process, user and system (`CLOCK_PROCESS_CPUTIME_ID`): the\n\
         median of all rounds. The ratio is the median over all turns of a variant's CPU to that of b and its repetition (for\n\
         reqwest: the fixed header and its repetition) in the same turn, with the bounds of 95 % confidence. **The\n\
         repetition's ratio is the noise**: it is the same service once more. {pinned}\n\n\
         Header values are sensitive throughout, as ours always are: without, b's would be compressed to a byte or two by\n\
         HTTP/2, and be kept in the tables of both sides. Reqwest alone follows redirects by itself, as it does by default; below\n\
         our tower service that is switched off, and `OAuthLayer::reqwest` follows them above the layer.\n"
    )
}

/// Variants beside each other; the first two are the same.
struct Table {
    names: Vec<&'static str>,
    measured: Vec<Measured>,
}

impl Table {
    async fn measured(variants: &[Named], shape: Shape, plan: Plan) -> Result<Self, BoxError> {
        let measured = measure(variants, shape, plan).await?;
        Ok(Self { names: variants.iter().map(|(name, _)| *name).collect(), measured })
    }

    fn rows(&self) -> impl Iterator<Item = (&'static str, &Measured)> {
        self.names.iter().copied().zip(&self.measured)
    }

    /// A variant's CPU to that of the first two; that of one of these to the other.
    fn ratio(&self, index: usize) -> Option<Median> {
        let [first, second, ..] = &self.measured[..] else { return None };
        match index {
            0 => None,
            1 => ratio(second, &[first]),
            _ => ratio(&self.measured[index], &[first, second]),
        }
    }

    fn write(&self, text: &mut String, title: &str) {
        let _ = write!(
            text,
            "\n### {title}\n\n\
             | | CPU, µs a request | ratio | requests a second | p50, µs | p99, µs | p99.9, µs |\n|---|---|---|---|---|---|---|\n"
        );
        for (index, (name, measured)) in self.rows().enumerate() {
            let ratio = self.ratio(index).map_or("1".to_owned(), |ratio| match measured.rounds() {
                ..MIN_ROUNDS => format!("{:.4}", ratio.value),
                _ => format!("{:.4} ({:.4} to {:.4})", ratio.value, ratio.low, ratio.high),
            });
            let _ = writeln!(
                text,
                "| {name} | {:.2} | {ratio} | {:.0} | {:.0} | {:.0} | {:.0} |",
                measured.cpu(),
                measured.rate(),
                measured.latency(0.5),
                measured.latency(0.99),
                measured.latency(0.999),
            );
        }
        let _ = writeln!(text, "\n{} rounds of each.", self.measured.first().map_or(0, Measured::rounds));
    }

    /// Of the third, which is ours with replay.
    fn compare_with_target(&self, text: &mut String) {
        let (Some(ours), Some(noise)) = (self.ratio(2), self.ratio(1)) else { return };
        let over = |ratio: f64| (ratio - 1.0) * 100.0;
        let verdict = match (ours.value <= MOST, ours.low <= MOST) {
            (true, _) => "met",
            (false, true) => "not met, but within the noise",
            (false, false) => "**not met**",
        };
        let _ = writeln!(
            text,
            "The target is at most {:.0} % over b with replay: {:+.1} % (with 95 % confidence {:+.1} % to {:+.1} %; the repetition of b\n\
             {:+.1} %), {verdict}.",
            over(MOST),
            over(ours.value),
            over(ours.low),
            over(ours.high),
            over(noise.value),
        );
    }

    fn draw(&self, bars: &mut Vec<Bar>, shape: Shape) {
        bars.extend(self.rows().map(|(name, measured)| Bar {
            label: format!("{}: {name}", shape.name()),
            value: measured.cpu(),
            text: format!("{:.2}", measured.cpu()),
            ours: name.starts_with("ours"),
        }));
    }
}

/// Latency while there is a new token every second, beside the same without.
async fn rollovers(callers: &Callers, text: &mut String) -> Result<(), BoxError> {
    let (rolling, rollovers) = callers.with_rollovers()?;
    let variants = [callers.ours()?, callers.ours_again()?, rolling];
    // Rounds are as long as a token lives, on any machine. The last round's token has mostly expired by the next, and is fetched
    // before that counts.
    let began = Instant::now();
    variants[0].1.round(Shape::Get4, 10 * REQUESTS).await?;
    let rate = 10.0 * REQUESTS as f64 / began.elapsed().as_secs_f64();
    let plan = Plan { requests: (rate * Rollovers::LIFETIME.as_secs_f64()) as usize, time: Duration::from_secs(24) };
    let table = Table::measured(&variants, Shape::Get4, plan).await?;
    table.write(text, "Across rollovers: hyper-util, HTTP/1.1, get4");
    let rolled = &table.measured[2];
    let count = rollovers.fetched().saturating_sub(rolled.rounds());
    let _ = writeln!(
        text,
        "\nAt least {count} rollovers within {:.1} s; each new token takes 50 ms to come, while the one before is still used. The percentiles\n\
         are of {} requests of each.",
        rolled.seconds(),
        rolled.requests(),
    );
    let p999: Vec<f64> = table.measured.iter().map(|measured| measured.latency(0.999)).collect();
    let _ = writeln!(
        text,
        "p99.9 with rollovers is {:.2} times that without; that of the repetition is {:.2} times, which is the noise.",
        p999[2] / p999[0],
        p999[1] / p999[0],
    );
    if (count as f64) < rolled.seconds() / 2.0 {
        return Err(format!("only {count} rollovers within {:.1} s", rolled.seconds()).into());
    }
    Ok(())
}
