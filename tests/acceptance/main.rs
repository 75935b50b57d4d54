//! What must hold, line by line. Test names begin with the number of the line that they show.

mod config;
mod discovery;
mod freshness;
mod grpc;
mod layer;
mod secrets;
mod stacks;
mod token_endpoint;
