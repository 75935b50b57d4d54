//! How much this process holds.

use std::fs;

use tokio::runtime::Handle;

/// Linux tells it in pages; these are the usual ones.
const PAGE: u64 = 4096;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    /// None: this system does not say it.
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) tasks: usize,
}

impl Footprint {
    pub(crate) fn now() -> Self {
        Self {
            resident_bytes: resident_pages().map(|pages| pages * PAGE),
            tasks: Handle::current().metrics().num_alive_tasks(),
        }
    }
}

fn resident_pages() -> Option<u64> {
    fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()
}
