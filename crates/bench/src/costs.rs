//! What it takes to get going: round trips and connections up to the first authorised response and after it, and what the crates
//! weigh to build.
//!
//! | file | idea |
//! |---|---|
//! | `cold_start.rs` | an authorization server and an API on loopback that record what arrives |
//! | `builds.rs` | crates and build times, ours and the peers' |

mod builds;
mod cold_start;

use std::fmt::Write as _;

pub(crate) use self::builds::measure_builds;
use self::cold_start::{CALLS, Cost, Lookup, REVOCATIONS, Stack};
use crate::{BoxError, report::Section};

/// Round trips are counted anew; the table of builds is the one that is stored.
///
/// # Errors
///
/// When there is a round trip or a connection more than there has to be.
pub(crate) fn section() -> Result<Section, BoxError> {
    let mut text = format!(
        "Counted by an authorization server and an API on loopback. Round trips are HTTP requests that wait for one another; the first\n\
         one to each server opens a connection, besides. Then {CALLS} more calls, in which the API revokes the token {REVOCATIONS}\n\
         times. A count that is not as it has to be would have ended the program.\n\n\
         | client, and what it is given | to the first response: discovery | token | API | connections: server, API | \
         {CALLS} calls later: token requests | requests to the API | connections: server, API |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for (stack, lookup) in [
        (Stack::HyperUtil, Lookup::Issuer),
        (Stack::HyperUtil, Lookup::Endpoint),
        (Stack::Reqwest, Lookup::Issuer),
        (Stack::Reqwest, Lookup::Endpoint),
    ] {
        let (first, later) = cold_start::costs(stack, lookup)?;
        let Cost { discovery, token, api, connections } = first;
        let _ = writeln!(
            text,
            "| {}, {} | {discovery} | {token} | {api} | {}, {} | {} | {} | {}, {} |",
            stack.name(),
            lookup.name(),
            connections[0],
            connections[1],
            later.token,
            later.api,
            later.connections[0],
            later.connections[1],
        );
    }
    let _ = write!(text, "\n### Build weight\n\n{}", builds::stored()?);
    Ok(Section { title: "Getting going".to_owned(), text, charts: Vec::new() })
}
