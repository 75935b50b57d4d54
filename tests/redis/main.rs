//! The token store on a real Redis, started by these tests. Time is real here.

mod cluster;
mod contract;
mod faults;
mod fleet;
mod login;
mod lost_answers;
mod records;
mod support;
mod tls;
