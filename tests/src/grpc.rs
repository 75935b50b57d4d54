//! gRPC: calls and answers by script without sockets, and a greeter on a real one.

mod answers;
mod calls;
mod served;

pub use answers::{greeting, greetings, in_trailers, trailers_only, trailers_only_with};
pub use calls::{GREET, Unary, by_channel, name, names, names_in, raw};
pub use served::{Greets, Served, serve};

/// What the build script makes of the examples' `greeter.proto`.
pub mod greeter {
    #![allow(missing_docs)]
    tonic::include_proto!("greeter");
}
