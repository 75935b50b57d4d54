//! P1: the example's proxy, started as a library in this process, on real sockets: what it is about is on the wire.

mod bodies;
mod door;
mod failures;
mod framing;
mod headers;
mod lifecycle;
mod paths;
mod rig;
mod settings;
