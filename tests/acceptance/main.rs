//! What must hold, line by line. Test names begin with the number of the line that they show.

mod client_auth;
mod config;
mod discovery;
mod dpop;
mod freshness;
mod grants;
mod grpc;
mod layer;
mod protected_resource;
mod secrets;
mod stacks;
mod step_up;
mod token_endpoint;
