//! Faults at random, thousands of callers, and what must hold all the same.
//!
//! ```sh
//! cargo run -p tests --bin chaos -- [seconds] [seed]
//! ```
//!
//! Storms and calms take turns, for 60 seconds unless told otherwise. In a storm the authorization servers and their APIs
//! fail in every way that the test server knows, at random, from a seed that is printed. After it, every lane (a cache of
//! one token, or a key of a pool) must recover within a bound; and from then on until the next storm no call may fail.
//!
//! | always | how it is seen |
//! |---|---|
//! | no call is refused while there is a valid token | the caches' own status before each call |
//! | one renewal per dead token | tokens issued by a server whose tokens die by revocation only |
//! | no sign-in is lost | no refresh token is used twice, though two processes share them |
//! | the servers are spared | requests in flight for each client, for all; and in each window of time |
//! | no token to a wrong origin or tenant | what a stranger receives; who the API says has called |
//! | nothing grows | resident memory, and tasks alive when all is over |
//!
//! Exit code 0 if all of this held, else 1, with what did not.

mod calls;
mod fleets;
mod footprint;
mod lanes;
mod scout;
mod storm;
mod tally;
mod way_out;
mod weather;
mod world;

use std::{env, process::ExitCode, time::Duration};

use self::world::World;

const DEFAULT_SECONDS: u64 = 60;

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let mut number =
        |name: &str| args.next().map(|arg| arg.parse::<u64>().map_err(|_| format!("{name}: not a number")));
    let (seconds, seed) = match (number("seconds").transpose(), number("seed").transpose()) {
        (Ok(seconds), Ok(seed)) => (seconds.unwrap_or(DEFAULT_SECONDS), seed),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("{error}\nusage: chaos [seconds] [seed]");
            return ExitCode::from(2);
        }
    };
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("chaos: {seconds} s, seed {seed}");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let clean = runtime.block_on(World::run(Duration::from_secs(seconds), seed));
    ExitCode::from(u8::from(!clean))
}
