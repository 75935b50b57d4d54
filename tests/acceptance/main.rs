//! What must hold, line by line. Test names begin with the number of the line that they show.

mod client_auth;
mod cold_keys;
mod config;
mod discovery;
mod dpop;
mod egress_proxy;
mod fleet_simulation;
mod freshness;
mod gate;
mod grants;
mod grpc;
mod interleavings;
mod keyed;
mod layer;
mod metrics;
mod pool;
mod protected_resource;
mod secrets;
mod stacks;
mod step_up;
mod store;
mod token_endpoint;
mod user_tokens;
