//! The egress proxy as a library: the example's program, its demonstration and its tests start the same thing.
//!
//! | file | idea |
//! |---|---|
//! | `settings.rs` | the configuration file |
//! | `server.rs` | listeners, connections, the end |
//! | `stream.rs` | how long a caller may take nothing |
//! | `gateway.rs` | the way of a request: in, through, back |
//! | `door.rs` | who may come in: a program that means this proxy, and no web page |
//! | `routes.rs` | which upstream a request is for, and by which URL |
//! | `headers.rs` | what a proxy takes off a message, and what it adds |
//! | `body.rs` | what a body may bring, and how long it may stand still |
//! | `upstream.rs` | a client of an upstream, with the OAuth layer on it |
//! | `redirect.rs` | redirects within an upstream lead through the proxy |
//! | `problem.rs` | what the proxy itself answers |
//! | `admin.rs`, `figures.rs` | `/healthz` and `/metrics` |
//! | `demo.rs` | a run against embedded servers |

mod admin;
mod body;
mod demo;
mod door;
mod figures;
mod gateway;
mod headers;
mod problem;
mod redirect;
mod routes;
mod server;
mod settings;
mod stream;
mod upstream;

pub use self::{
    demo::demo,
    server::Proxy,
    settings::{Limits, Settings, Timeouts, UpstreamSettings},
};
