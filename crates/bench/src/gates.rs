//! The targets, and whether they are met: what instructions, allocations and sizes have passed fails the run.
//!
//! Times are not gated, as machines are noisy; they are reported beside their targets.

use std::fmt::Write as _;

use http::Request;
use tower::{Service, util::BoxCloneSyncService};
use tower_oauth::OAuth;

use crate::{
    BoxError,
    inner::Inner,
    micro::{Case, allocations::Allocations, callgrind},
    report::{Section, Table},
    request::{Body, Shape, TOKEN_LENGTH, TOKEN_LENGTHS},
    variants::{BASELINE, Entry, Family, OURS, OURS_NEVER_RETRY},
};

/// Throughput of two threads as a ratio to b's.
pub(crate) const THREADS_TARGET: f64 = 1.8;
/// Other compilers make a few instructions more or less of the same code, and so do other crates in the program: beside the peers
/// it is up to 8 %. The gates stand between.
const TOLERANCE: f64 = 1.05;
/// How much longer a call may take with the longest token instead of the shortest: 2 %.
const MOST_GROWTH: f64 = 0.02;
/// huskarl, with a clone of each request for a retry.
const HUSKARL: &str = "huskarl-clone";
/// How much larger our future may be than the inner one with the inner service.
const MOST_BYTES: f64 = 64.0;

/// The most that one of ours may cost, for one shape of request.
struct Target {
    variant: &'static str,
    shape: Shape,
    /// Over b: what was measured when the gate was set.
    instructions: f64,
    /// Over b: what was hoped for. `report/goals.md` says what is in the way.
    goal: f64,
    /// Over b.
    allocations: f64,
    /// As a ratio to b.
    time: f64,
}

const TARGETS: [Target; 4] = [
    Target {
        variant: OURS_NEVER_RETRY,
        shape: Shape::Get4,
        instructions: 600.0,
        goal: 150.0,
        allocations: 0.0,
        time: 1.10,
    },
    Target {
        variant: OURS_NEVER_RETRY,
        shape: Shape::Post5,
        instructions: 610.0,
        goal: 150.0,
        allocations: 0.0,
        time: 1.10,
    },
    Target { variant: OURS, shape: Shape::Get4, instructions: 1660.0, goal: 850.0, allocations: 1.0, time: 1.35 },
    // The second is the promotion of a fresh `Bytes` on its first clone.
    Target { variant: OURS, shape: Shape::Post5, instructions: 2090.0, goal: 1200.0, allocations: 2.0, time: 1.55 },
];

/// The most time as a ratio to b, where there is a target.
pub(crate) fn time_target(variant: &str, shape: Shape) -> Option<f64> {
    TARGETS.iter().find(|target| target.variant == variant && target.shape == shape).map(|target| target.time)
}

/// How many times the instructions of ours a peer should take at least that can retry, too.
pub(crate) fn peer_target(entry: &Entry) -> Option<f64> {
    let is_compared = entry.family == Family::Peer && entry.retries;
    is_compared.then_some(if entry.name == HUSKARL { 3.4 } else { 2.0 })
}

/// One target and what was measured.
struct Gate {
    what: String,
    measured: f64,
    most: f64,
    /// What is still let pass.
    limit: f64,
    /// What was hoped for, where that is less.
    goal: Option<f64>,
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Unit {
    Number,
    Percent,
}

impl Gate {
    fn exact(what: String, measured: f64, most: f64) -> Self {
        Self { what, measured, most, limit: most, goal: None, unit: Unit::Number }
    }

    fn is_passed(&self) -> bool {
        // What cannot be compared is not met either.
        self.measured.is_nan() || self.measured > self.limit
    }

    fn verdict(&self) -> String {
        match self.is_passed() {
            false => "met".to_owned(),
            true => format!("**exceeded by {}**", self.unit.show(self.measured - self.most)),
        }
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Number => format!("{}", (value * 10.0).round() / 10.0 + 0.0),
            Self::Percent => format!("{:.2} %", value * 100.0),
        }
    }
}

/// The table, and whether any gate is passed.
pub(crate) struct Outcome {
    pub(crate) section: Section,
    pub(crate) any_passed: bool,
}

/// Measures ours and b.
///
/// # Errors
///
/// When something cannot be measured.
pub(crate) fn check() -> Result<Outcome, BoxError> {
    let mut gates = over_baseline()?;
    gates.extend(growth()?);
    gates.extend(future_sizes());
    Ok(outcome(&gates))
}

/// For `RESULTS.md`, which says by how much gates are passed.
///
/// # Errors
///
/// When something cannot be measured.
pub(crate) fn section() -> Result<Section, BoxError> {
    Ok(check()?.section)
}

fn outcome(gates: &[Gate]) -> Outcome {
    let mut table = Table::new(&["", "measured", "at most", "hoped for", ""]);
    for gate in gates {
        let unit = gate.unit;
        let goal = unit.show(gate.goal.unwrap_or(gate.most));
        table.row([gate.what.clone(), unit.show(gate.measured), unit.show(gate.most), goal, gate.verdict()]);
    }
    let mut text = String::new();
    let _ = write!(
        text,
        "`cargo run --release -p bench -- gates`, which `tests/run.sh` runs too, fails when one of these is passed; {:.0} % more \
         instructions are let pass, for other compilers and other crates in the program. Tokens have {TOKEN_LENGTH} characters where nothing else is said.\n\n{table}\n{}",
        (TOLERANCE - 1.0) * 100.0,
        include_str!("report/goals.md"),
    );
    let section = Section { title: "Gates".to_owned(), text, charts: Vec::new() };
    Outcome { section, any_passed: gates.iter().any(Gate::is_passed) }
}

fn case(variant: &str, shape: Shape, token_length: usize) -> Result<Case, BoxError> {
    Ok(Case { entry: Entry::named(variant)?, shape, token_length })
}

fn over_baseline() -> Result<Vec<Gate>, BoxError> {
    let mut gates = Vec::new();
    let baselines = Shape::ALL.map(|shape| case(BASELINE, shape, TOKEN_LENGTH));
    let ours = TARGETS.iter().map(|target| case(target.variant, target.shape, TOKEN_LENGTH));
    let cases = baselines.into_iter().chain(ours).collect::<Result<Vec<_>, _>>()?;
    let counted = callgrind::count(&cases)?;
    let (of_baseline, of_ours) = counted.split_at(Shape::ALL.len());
    for (target, instructions) in TARGETS.iter().zip(of_ours) {
        let place = Shape::ALL.iter().position(|shape| *shape == target.shape).unwrap_or_default();
        let most = target.instructions;
        let what = format!("{}, {}: instructions over b", target.variant, target.shape.name());
        let measured = instructions - of_baseline[place];
        gates.push(Gate { limit: most * TOLERANCE, goal: Some(target.goal), ..Gate::exact(what, measured, most) });
    }
    for target in &TARGETS {
        let of = |variant| Allocations::of(case(variant, target.shape, TOKEN_LENGTH)?);
        let measured = of(target.variant)?.count - of(BASELINE)?.count;
        let what = format!("{}, {}: allocations over b", target.variant, target.shape.name());
        gates.push(Gate::exact(what, measured, target.allocations));
    }
    Ok(gates)
}

/// Of instructions, with the length of the token.
fn growth() -> Result<Vec<Gate>, BoxError> {
    let [shortest, .., longest] = TOKEN_LENGTHS;
    let lengths = [shortest, longest];
    let cases = TARGETS.iter().flat_map(|target| lengths.map(|length| case(target.variant, target.shape, length)));
    let counted = callgrind::count(&cases.collect::<Result<Vec<_>, _>>()?)?;
    let gates = TARGETS.iter().zip(counted.chunks_exact(2)).map(|(target, pair)| {
        let what = format!(
            "{}, {}: instructions more with {longest} characters than {shortest}",
            target.variant,
            target.shape.name()
        );
        Gate { unit: Unit::Percent, ..Gate::exact(what, pair[1] / pair[0] - 1.0, MOST_GROWTH) }
    });
    Ok(gates.collect())
}

fn future_sizes() -> [Gate; 2] {
    type Client = BoxCloneSyncService<Request<Body>, http::Response<Body>, BoxError>;
    [
        ("a service that does nothing", bytes_over::<Inner>()),
        ("a boxed service with boxed futures", bytes_over::<Client>()),
    ]
    .map(|(inner, bytes)| Gate::exact(format!("bytes of the future over {inner} and its future"), bytes, MOST_BYTES))
}

fn bytes_over<S>() -> f64
where
    S: Service<Request<Body>>,
    OAuth<S>: Service<Request<Body>>,
{
    let ours = size_of::<<OAuth<S> as Service<Request<Body>>>::Future>();
    ours as f64 - (size_of::<S::Future>() + size_of::<S>()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(measured: f64, most: f64, limit: f64) -> Gate {
        Gate { limit, ..Gate::exact("a gate".to_owned(), measured, most) }
    }

    #[test]
    fn a_gate_is_passed_beyond_its_limit_and_not_at_it() {
        for (measured, passed) in [(150.0, false), (154.5, false), (154.6, true), (-3.0, false), (f64::NAN, true)] {
            assert_eq!(gate(measured, 150.0, 154.5).is_passed(), passed, "{measured}");
        }
    }

    #[test]
    fn the_table_says_by_how_much() {
        let outcome = outcome(&[gate(150.0, 150.0, 154.5), gate(200.0, 150.0, 154.5)]);
        assert!(outcome.any_passed);
        assert!(outcome.section.text.contains("| a gate | 150 | 150 | 150 | met |"), "{}", outcome.section.text);
        assert!(
            outcome.section.text.contains("| a gate | 200 | 150 | 150 | **exceeded by 50** |"),
            "{}",
            outcome.section.text
        );
    }

    #[test]
    fn nothing_passed_is_no_failure() {
        assert!(!super::outcome(&[gate(1.0, 1.0, 1.0)]).any_passed);
    }
}
