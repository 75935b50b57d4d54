//! The layer on the request: R1 to R13 and R15.

mod at_hand;
mod bodies;
mod cancellation;
mod challenges;
mod composition;
mod differential;
mod errors;
mod middleware;
mod origins;
mod redirects;
mod renewal;
mod replay;
mod reqwest;
mod selection;
mod signing;
mod telemetry;
mod wire;
