//! How many of something there were in each second.

use std::{ops::Range, time::Duration};

/// Counts by second.
#[derive(Clone, Debug, Default)]
pub struct Rates(Vec<u32>);

impl Rates {
    pub(super) fn count(&mut self, at: Duration) {
        let second = at.as_secs() as usize;
        if self.0.len() <= second {
            self.0.resize(second + 1, 0);
        }
        self.0[second] += 1;
    }

    /// How many there were in all.
    #[must_use]
    pub fn total(&self, during: Range<Duration>) -> u64 {
        self.seconds(during).map(u64::from).sum()
    }

    /// How many there were in the mean, in so much time.
    #[must_use]
    pub fn mean(&self, during: Range<Duration>, time: Duration) -> f64 {
        let span = during.end.saturating_sub(during.start);
        self.total(during) as f64 / span.div_duration_f64(time)
    }

    /// How many there were in each bin of this width, in whole seconds.
    #[must_use]
    pub fn bins(&self, during: Range<Duration>, width: Duration) -> Vec<u64> {
        let seconds: Vec<u32> = self.seconds(during).collect();
        seconds.chunks(width.as_secs().max(1) as usize).map(|bin| bin.iter().copied().map(u64::from).sum()).collect()
    }

    /// How many there were in the fullest bin of this width.
    #[must_use]
    pub fn peak(&self, during: Range<Duration>, width: Duration) -> u64 {
        self.bins(during, width).into_iter().max().unwrap_or_default()
    }

    fn seconds(&self, during: Range<Duration>) -> impl Iterator<Item = u32> {
        (during.start.as_secs()..during.end.as_secs()).map(|second| self.0.get(second as usize).copied().unwrap_or(0))
    }
}
