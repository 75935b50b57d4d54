//! Measures tower-oauth: `cargo run --release -p bench -- <what>`.

mod pool;

use std::{env, process::ExitCode};

const USAGE: &str = "usage: bench <what>

  fleet   ten thousand processes and one authorization server, simulated: writes FLEET.md
  pool    what a TokenPool costs: bytes a key, time for look-ups and evictions";

fn main() -> ExitCode {
    let result = match env::args().nth(1).as_deref() {
        Some("pool") => pool::measure_pool(),
        Some("fleet") => bench::fleet::write_report(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
