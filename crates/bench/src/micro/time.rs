//! Time of one thread: all variants in turn, in short batches, many rounds, in several processes.
//!
//! Each round gives a ratio to b of the same round, so whatever slows the machine down for longer than a round slows both. And the
//! same program is up to a tenth faster in one process than in another, as it comes to lie elsewhere in memory. So the median
//! of a process's rounds counts as one value, and the median of these is reported.

use std::{env, process::Command, time::Instant};

use crate::{
    BoxError, gates,
    report::{Section, Table},
    request::{Shape, TOKEN_LENGTHS},
    stats::Quartiles,
    variants::{Entry, Variant},
};

/// The command by which the program is one of these processes.
pub(crate) const TIMES_COMMAND: &str = "times";
const PROCESSES: usize = 15;
const ROUNDS: usize = 150;
const CALLS: u64 = 200;

/// All variants, for each shape and each length of token.
///
/// # Errors
///
/// When a variant cannot be made.
pub(crate) fn section() -> Result<Section, BoxError> {
    let mut text = format!(
        "One thread, {PROCESSES} processes of {ROUNDS} rounds; in each, every variant makes {CALLS} calls, in an order that changes from \
         round to round. A process gives the median of the ratio to b in the same round; the numbers are medians of the processes, \
         with their quartiles in brackets: the same program is faster in one process than in another, as it lies elsewhere in \
         memory. Targets for ours are in the last column; they are not gates, as machines are noisy.\n"
    );
    for shape in Shape::ALL {
        let columns = TOKEN_LENGTHS.map(|length| format!("{length} characters"));
        let [first, second, third] = &columns;
        let mut table = Table::new(&[shape.name(), first, second, third, "target"]);
        let [first, second, third] = TOKEN_LENGTHS.map(|length| Times::measure(shape, length));
        let (first, second, third) = (first?, second?, third?);
        let absolute = [&first, &second, &third].map(|times| format!("{:.0} ns", times.baseline));
        table.row(["b, absolute".to_owned()].into_iter().chain(absolute).chain(["-".to_owned()]));
        for (number, entry) in Entry::all().into_iter().enumerate() {
            let cells = [&first, &second, &third].map(|times| ratio(times.ratios[number]));
            let target =
                gates::time_target(entry.name, shape).map_or_else(|| "-".to_owned(), |time| format!("{time:.2}"));
            table.row([entry.title()].into_iter().chain(cells).chain([target]));
        }
        text.push_str(&format!("\n{table}"));
    }
    Ok(Section { title: "Time of a call".to_owned(), text, charts: Vec::new() })
}

fn ratio(Quartiles { lower, median, upper }: Quartiles) -> String {
    format!("{median:.2} ({lower:.2}–{upper:.2})")
}

struct Times {
    /// Nanoseconds of a call of b.
    baseline: f64,
    /// For each variant.
    ratios: Vec<Quartiles>,
}

impl Times {
    fn measure(shape: Shape, token_length: usize) -> Result<Self, BoxError> {
        let processes = (0..PROCESSES).map(|_| in_a_process(shape, token_length)).collect::<Result<Vec<_>, _>>()?;
        let of_all = |number: usize| Quartiles::of(processes.iter().filter_map(|times| times.get(number).copied()));
        let ratios = (1..=Entry::all().len()).map(of_all).collect();
        Ok(Self { baseline: of_all(0).median, ratios })
    }
}

/// What one process prints: nanoseconds of a call of b, then for each variant its ratio to b.
fn in_a_process(shape: Shape, token_length: usize) -> Result<Vec<f64>, BoxError> {
    let length = token_length.to_string();
    let output = Command::new(env::current_exe()?).args([TIMES_COMMAND, shape.name(), &length]).output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(printed.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

/// `times <shape> <token length>`: what one process measures, as it is read by the one that began it.
///
/// # Errors
///
/// When a variant cannot be made, or the arguments are others.
pub(crate) fn print_times(arguments: &[String]) -> Result<(), BoxError> {
    let [shape, token_length] = arguments else {
        return Err("times <shape> <token length>".into());
    };
    let shape = Shape::named(shape).ok_or("the shapes are get4 and post5")?;
    let times = OneProcess::measure(shape, token_length.parse()?)?;
    println!("{}", times.baseline);
    for ratio in times.ratios {
        println!("{ratio}");
    }
    Ok(())
}

struct OneProcess {
    /// Nanoseconds of a call of b.
    baseline: f64,
    /// For each variant.
    ratios: Vec<f64>,
}

impl OneProcess {
    fn measure(shape: Shape, token_length: usize) -> Result<Self, BoxError> {
        let mut variants: Vec<_> =
            Entry::all().iter().map(|entry| entry.warm(shape, token_length)).collect::<Result<_, _>>()?;
        let rounds: Vec<Vec<f64>> = (0..ROUNDS).map(|round| time_round(&mut variants, round)).collect();
        let baseline = Quartiles::of(rounds.iter().map(|times| times[0])).median / CALLS as f64;
        let ratios = (0..variants.len())
            .map(|number| Quartiles::of(rounds.iter().map(|times| times[number] / times[0])).median)
            .collect();
        Ok(Self { baseline, ratios })
    }
}

/// Nanoseconds that each variant took; b is the first.
fn time_round(variants: &mut [Box<dyn Variant>], round: usize) -> Vec<f64> {
    let mut times = vec![0.0; variants.len()];
    for number in order(variants.len(), round) {
        let began = Instant::now();
        variants[number].batch(CALLS);
        times[number] = began.elapsed().as_nanos() as f64;
    }
    times
}

/// Each begins as often as any other, and comes after one neighbour as often as after the other.
pub(super) fn order(variants: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..variants).map(move |place| {
        let number = (place + round / 2) % variants;
        if round.is_multiple_of(2) { number } else { variants - 1 - number }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_every_variant_once_and_each_begins_as_often() {
        let mut begins = [0; 5];
        for round in 0..10 {
            let mut order: Vec<_> = order(5, round).collect();
            begins[order[0]] += 1;
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4], "round {round}");
        }
        assert_eq!(begins, [2; 5]);
    }
}
