//! Measures tower-oauth: `cargo run --release -p bench -- <what>`.

mod chart;
mod costs;
mod end_to_end;
mod gates;
mod herds;
mod inner;
mod micro;
mod poll;
mod pool;
mod report;
mod request;
mod stats;
mod variants;

use std::{
    env,
    process::{Command, ExitCode},
};

use micro::{allocations, callgrind, instructions, threads, time};
use report::Section;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "usage: bench [<what>]

  gates          what must not be passed: instructions, allocations, sizes, counts in herds; fails when it is
  instructions   of a call, counted by callgrind; needs valgrind
  allocations    of a call
  time           of a call, as a ratio to that with a static header
  threads        throughput of 1, 2 and 8 threads
  end-to-end     over hyper-util and reqwest on loopback, and across rollovers
  herds          ten thousand cold callers, and as many 401s
  pool           what a TokenPool costs: bytes a key, time for look-ups and evictions
  costs          round trips of a cold start, weight of a build; --builds measures the builds anew
  peers          what the peers do beside what they cost; of the feature `peers`
  fleet          ten thousand processes and one authorization server, simulated: writes FLEET.md

Add --features peers to cargo's arguments for other people's crates beside ours.
Without arguments: all but the fleet, beside the peers; writes RESULTS.md and its charts.";

type Measure = fn() -> Result<Section, BoxError>;

/// What can be measured alone, in the order of `RESULTS.md`.
const SECTIONS: &[(&str, Measure)] = &[
    ("gates", gates::section),
    ("instructions", instructions::section),
    ("allocations", allocations::section),
    ("time", time::section),
    ("threads", threads::section),
    ("end-to-end", end_to_end::section),
    ("herds", herds::section),
    ("pool", pool::section),
    ("costs", costs::section),
    #[cfg(feature = "peers")]
    ("peers", variants::peers_section),
];

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode, BoxError> {
    let Some(what) = arguments.first() else {
        if !cfg!(feature = "peers") {
            return again_with("peers", arguments);
        }
        not_with_the_fleet()?;
        report::write(SECTIONS)?;
        return Ok(ExitCode::SUCCESS);
    };
    match what.as_str() {
        "fleet" => return simulate_fleet(arguments),
        "gates" => return check_gates(),
        // For `instructions` and `end-to-end`, which run this program once more.
        callgrind::CALLS_COMMAND => callgrind::make_calls(&arguments[1..])?,
        // For `time`, which runs this program once for each process.
        time::TIMES_COMMAND => time::print_times(&arguments[1..])?,
        "serve-api" => end_to_end::serve_api()?,
        // Stores a table that the section shows.
        "costs" if arguments.iter().any(|argument| argument == "--builds") => costs::measure_builds()?,
        name => match SECTIONS.iter().find(|(known, _)| *known == name) {
            Some((_, section)) => {
                not_with_the_fleet()?;
                println!("{}", section()?.text);
            }
            None => return Err(USAGE.into()),
        },
    }
    Ok(ExitCode::SUCCESS)
}

fn check_gates() -> Result<ExitCode, BoxError> {
    not_with_the_fleet()?;
    let outcome = gates::check()?;
    println!("{}", outcome.section.text);
    herds::check()?;
    println!("Ten thousand cold callers, and as many 401s, made the token requests that they should.");
    Ok(if outcome.any_passed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The clock of a simulation is not the one that users run.
fn not_with_the_fleet() -> Result<(), BoxError> {
    if cfg!(feature = "fleet") {
        return Err("built with the feature `fleet`, which changes what is to be measured: build without".into());
    }
    Ok(())
}

#[cfg(feature = "fleet")]
fn simulate_fleet(_: &[String]) -> Result<ExitCode, BoxError> {
    bench::fleet::write_report()?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "fleet"))]
fn simulate_fleet(arguments: &[String]) -> Result<ExitCode, BoxError> {
    again_with("fleet", arguments)
}

/// Runs this program again, built with a feature more.
fn again_with(feature: &str, arguments: &[String]) -> Result<ExitCode, BoxError> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--package", "bench", "--features", feature]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).arg("--").args(arguments).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
