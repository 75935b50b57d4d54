//! What the examples share: how they start the embedded servers, how they print, how they count, how they end, and how they keep
//! files to their owner.
//!
//! Nothing here gets or sends a token: all of that is in the examples themselves.

mod chain;
#[path = "../egress_proxy/mod.rs"]
pub mod egress_proxy;
mod end;
mod private;
mod servers;
mod steps;
mod tally;
#[path = "../web_login/mod.rs"]
pub mod web_login;

pub use chain::chain;
pub use end::told_to_end;
pub use private::{make_private_file, make_private_folder, make_store_key};
pub use servers::{no_token_arrived, start_servers, token_requests};
pub use steps::{Steps, table};
pub use tally::{Numbers, Tally, retried};
