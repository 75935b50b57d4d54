//! What the tests share.
pub mod grpc;
pub mod numbered;
pub mod probe;
pub mod program;
pub mod real_server;
pub mod redis;
pub mod script;
pub mod source;
pub mod stacks;
pub mod states;
pub mod steps;
pub mod wire;

pub mod canned;
pub mod capture;
pub mod contract;
pub mod figures;
pub mod store;
pub mod support;
