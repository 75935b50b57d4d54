//! Throughput of several threads, each with its own clone of the service and requests of its own.
//!
//! What the clones share is what can slow them down: a reference count that is everybody's moves from core to core.

use std::{sync::Barrier, thread, time::Instant};

use super::time::order;
use crate::{
    BoxError,
    chart::{Bar, Chart},
    end_to_end::cpu::{Which, pin},
    gates::THREADS_TARGET,
    report::{Section, Table},
    request::{Shape, TOKEN_LENGTH},
    stats::Quartiles,
    variants::{Entry, Family, Variant},
};

const THREADS: [usize; 3] = [1, 2, 8];
const ROUNDS: usize = 40;
/// Many, as threads do not begin at the same moment.
const CALLS: u64 = 10_000;

/// All variants, for each shape.
///
/// # Errors
///
/// When a variant cannot be made.
pub(crate) fn section() -> Result<Section, BoxError> {
    let mut text = format!(
        "Throughput as a ratio to b's at the same number of threads, more is better: of {ROUNDS} rounds that of which a quarter was better; in each, every \
         variant makes {CALLS} calls on each thread, token of {TOKEN_LENGTH} characters. Each thread has its own clone of the service, and stays on one core. \
         The last column is what the second thread brings: throughput with two as a ratio to one. Target for ours at two threads: \
         {THREADS_TARGET} (this machine has {} cores, so eight threads take turns).\n",
        thread::available_parallelism().map_or(1, usize::from)
    );
    let mut charts = Vec::new();
    for shape in Shape::ALL {
        let measured: Vec<Throughput> =
            THREADS.into_iter().map(|threads| Throughput::measure(shape, threads)).collect::<Result<_, _>>()?;
        let [one, two, eight] = measured.as_slice() else { continue };
        let mut table = Table::new(&[shape.name(), "1 thread", "2 threads", "8 threads", "2 to 1"]);
        let absolute = measured.iter().map(|of| format!("{:.2} M/s", of.baseline / 1e6));
        table.row(["b, absolute".to_owned()].into_iter().chain(absolute).chain(["-".to_owned()]));
        let mut bars = Vec::new();
        for (number, entry) in Entry::all().into_iter().enumerate() {
            let ratios = [one, two, eight].map(|of| of.ratios[number]);
            let second = ratios[1] * two.baseline / (ratios[0] * one.baseline);
            let cells = ratios.into_iter().chain([second]).map(|ratio| format!("{ratio:.2}"));
            table.row([entry.title()].into_iter().chain(cells));
            bars.push(Bar {
                label: entry.name.to_owned(),
                value: ratios[1],
                text: format!("{:.2}", ratios[1]),
                ours: entry.family == Family::Ours,
            });
        }
        text.push_str(&format!("\n{table}"));
        if shape == Shape::Get4 {
            charts.push(Chart::bars("threads", "Throughput of two threads, as a ratio to b (get4)", &bars));
        }
    }
    Ok(Section { title: "Threads".to_owned(), text, charts })
}

struct Throughput {
    /// Calls of b in a second, all threads together.
    baseline: f64,
    /// For each variant.
    ratios: Vec<f64>,
}

impl Throughput {
    fn measure(shape: Shape, threads: usize) -> Result<Self, BoxError> {
        let made: Vec<_> =
            Entry::all().iter().map(|entry| entry.warm(shape, TOKEN_LENGTH)).collect::<Result<_, _>>()?;
        let rounds = measure_rounds(&made, threads)?;
        let calls = (threads as u64 * CALLS) as f64;
        // Of the better rounds: in the others, something else on the machine had one of the cores.
        let of = |variant: usize| Quartiles::of(rounds.iter().map(|seconds| seconds[variant])).lower;
        let ratios = (0..made.len()).map(|variant| of(0) / of(variant)).collect();
        let baseline = calls / of(0);
        Ok(Self { baseline, ratios })
    }
}

/// For each round, how many seconds each variant took on so many threads, from the start of the first to the end of the last.
fn measure_rounds(made: &[Box<dyn Variant>], threads: usize) -> Result<Vec<Vec<f64>>, BoxError> {
    let start = Barrier::new(threads);
    let of_threads: Vec<Vec<Batch>> = thread::scope(|scope| {
        let mut running = Vec::new();
        // All or none: a thread alone would wait for the others for ever.
        for (number, given) in forks(made, threads)?.into_iter().enumerate() {
            let start = &start;
            running.push(scope.spawn(move || make_batches(number, given, start)));
        }
        let ended = running.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked"));
        Ok::<_, BoxError>(ended.collect::<Result<_, _>>()?)
    })?;
    Ok((0..ROUNDS).map(|round| seconds(&of_threads, round, made.len())).collect())
}

fn forks(made: &[Box<dyn Variant>], threads: usize) -> Result<Vec<Vec<Box<dyn Variant>>>, BoxError> {
    (0..threads).map(|_| made.iter().map(|variant| variant.fork()).collect()).collect()
}

/// When a thread began and ended a batch. By its own clock: whoever else looks at one may have to wait for a core.
#[derive(Clone, Copy)]
struct Batch {
    round: usize,
    variant: usize,
    began: Instant,
    ended: Instant,
}

fn make_batches(number: usize, given: Vec<Box<dyn Variant>>, start: &Barrier) -> Vec<Batch> {
    // All wake up at once, and the scheduler would have many of them share a core for some milliseconds.
    pin(Which::Nth(number));
    // Made once more here, so that its memory is this thread's, and no other's cache lines.
    let mut own: Vec<_> = given.into_iter().map(|variant| variant.fork().unwrap_or(variant)).collect();
    own.iter_mut().for_each(|variant| variant.batch(64));
    let mut batches = Vec::new();
    for round in 0..ROUNDS {
        for variant in order(own.len(), round) {
            start.wait();
            let began = Instant::now();
            own[variant].batch(CALLS);
            batches.push(Batch { round, variant, began, ended: Instant::now() });
        }
    }
    batches
}

/// Of one round, for each variant.
fn seconds(of_threads: &[Vec<Batch>], round: usize, variants: usize) -> Vec<f64> {
    let seconds = (0..variants).map(|variant| {
        let batches = of_threads.iter().flatten().filter(|batch| batch.round == round && batch.variant == variant);
        let (began, ended) = (batches.clone().map(|batch| batch.began).min(), batches.map(|batch| batch.ended).max());
        began.zip(ended).map_or(0.0, |(began, ended)| ended.duration_since(began).as_secs_f64())
    });
    seconds.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_batch_lasts_from_the_start_of_the_first_to_the_end_of_the_last() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        let batch = |variant, began, ended| Batch { round: 1, variant, began: at(began), ended: at(ended) };
        let of_threads = [
            vec![batch(0, 10, 20), batch(1, 40, 45)],
            vec![batch(1, 41, 49), batch(0, 15, 30), Batch { round: 0, ..batch(0, 0, 99) }],
        ];
        assert_eq!(seconds(&of_threads, 1, 2), [0.020, 0.009]);
    }
}
