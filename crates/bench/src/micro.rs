//! What a call costs apart from the network: the inner service does nothing.
//!
//! | file | idea |
//! |---|---|
//! | `callgrind.rs` | counts instructions of the processor |
//! | `instructions.rs` | them, as tables and charts |
//! | `allocations.rs` | what is asked of the allocator |
//! | `time.rs` | time of one thread, as a ratio to b |
//! | `threads.rs` | throughput of several threads, as a ratio to b |

pub(crate) mod allocations;
pub(crate) mod callgrind;
pub(crate) mod instructions;
pub(crate) mod threads;
pub(crate) mod time;

use crate::{request::Shape, variants::Entry};

/// A variant, and what it is given to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) entry: Entry,
    pub(crate) shape: Shape,
    pub(crate) token_length: usize,
}
