//! Short rounds of all variants by turns, so that whatever else the machine does falls on all alike.

use std::time::{Duration, Instant};

use super::{
    callers::{Named, WORKERS},
    cpu,
    statistics::{Median, percentile},
};
use crate::{BoxError, request::Shape};

/// Requests before each round.
const WARM_UP: usize = 5 * WORKERS;

/// How long a measurement takes, and how finely it is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Requests in each round of each variant.
    pub(super) requests: usize,
    /// For all variants together.
    pub(super) time: Duration,
}

/// What was measured of one variant.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// Microseconds of a processor for a request, for each round.
    cpu: Vec<f64>,
    /// Requests for each second, for each round.
    rate: Vec<f64>,
    /// All rounds together.
    time: Duration,
    /// Nanoseconds that each request took, sorted.
    latencies: Vec<u32>,
}

impl Measured {
    fn add(&mut self, cpu: Duration, time: Duration, mut latencies: Vec<u32>) {
        let requests = latencies.len() as f64;
        self.cpu.push(cpu.as_secs_f64() * 1e6 / requests);
        self.rate.push(requests / time.as_secs_f64());
        self.time += time;
        self.latencies.append(&mut latencies);
    }

    pub(super) fn seconds(&self) -> f64 {
        self.time.as_secs_f64()
    }

    pub(super) fn cpu(&self) -> f64 {
        middle(self.cpu.clone())
    }

    pub(super) fn rate(&self) -> f64 {
        middle(self.rate.clone())
    }

    /// Microseconds that this share of all requests did not exceed.
    pub(super) fn latency(&self, share: f64) -> f64 {
        f64::from(percentile(&self.latencies, share)) / 1e3
    }

    pub(super) fn rounds(&self) -> usize {
        self.cpu.len()
    }

    pub(super) fn requests(&self) -> usize {
        self.latencies.len()
    }
}

fn middle(values: Vec<f64>) -> f64 {
    Median::of(values).map_or(f64::NAN, |median| median.value)
}

/// Measures them, in the order given.
pub(super) async fn measure(variants: &[Named], shape: Shape, plan: Plan) -> Result<Vec<Measured>, BoxError> {
    let mut measured: Vec<Measured> = variants.iter().map(|_| Measured::default()).collect();
    let mut order: Vec<usize> = (0..variants.len()).collect();
    let began = Instant::now();
    while began.elapsed() < plan.time {
        // In another order each time, as a round may leave something behind for the next.
        fastrand::shuffle(&mut order);
        for &index in &order {
            // Not counted: connections are opened, a token fetched, the processor's caches filled.
            variants[index].1.round(shape, WARM_UP).await?;
            let (cpu, at) = (cpu::used(), Instant::now());
            let latencies = variants[index].1.round(shape, plan.requests).await?;
            measured[index].add(cpu::used() - cpu, at.elapsed(), latencies);
        }
    }
    measured.iter_mut().for_each(|measured| measured.latencies.sort_unstable());
    Ok(measured)
}

/// One variant's use of the processor to the others', turn by turn.
pub(super) fn ratio(of: &Measured, to: &[&Measured]) -> Option<Median> {
    let ratios = of.cpu.iter().enumerate().map(|(turn, cpu)| {
        let others: f64 = to.iter().filter_map(|to| to.cpu.get(turn)).sum();
        cpu * to.len() as f64 / others
    });
    Median::of(ratios.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_rounds_of_the_same_turn() {
        let measured = |cpu: &[f64]| Measured { cpu: cpu.to_vec(), ..Measured::default() };
        let (ours, b, again) =
            (measured(&[3.0, 30.0, 33.0]), measured(&[2.0, 10.0, 30.0]), measured(&[4.0, 30.0, 36.0]));
        let found = ratio(&ours, &[&b, &again]).expect("three turns");
        assert_eq!((found.low, found.value, found.high), (1.0, 1.0, 1.5));
        assert_eq!(ratio(&measured(&[]), &[&b]), None);
    }

    #[test]
    fn a_round_counts_for_each_of_its_requests() {
        let mut measured = Measured::default();
        measured.add(Duration::from_micros(60), Duration::from_millis(1), vec![5000, 1000, 3000]);
        measured.latencies.sort_unstable();
        assert_eq!((measured.cpu(), measured.rate(), measured.requests()), (20.0, 3000.0, 3));
        assert_eq!((measured.latency(0.5), measured.latency(1.0)), (3.0, 5.0));
    }
}
