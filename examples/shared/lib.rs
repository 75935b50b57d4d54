//! What the examples share: how they start the embedded servers, how they print, and how they count.
//!
//! Nothing here is about tokens: all of that is in the examples themselves.

mod chain;
#[path = "../egress_proxy/mod.rs"]
pub mod egress_proxy;
mod servers;
mod steps;
mod tally;

pub use chain::chain;
pub use servers::{no_token_arrived, start_servers, token_requests};
pub use steps::{Steps, table};
pub use tally::{Numbers, Tally, retried};
