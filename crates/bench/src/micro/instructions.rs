//! Instructions of a call, as tables and charts.

use super::{
    Case,
    callgrind::{CALLS, count},
};
use crate::{
    BoxError,
    chart::{Bar, Chart},
    gates::peer_target,
    report::{Section, Table},
    request::{Shape, TOKEN_LENGTH, TOKEN_LENGTHS},
    variants::{Entry, Family, OURS},
};

/// What was counted for one variant: get4, then post5.
struct Counted {
    entry: Entry,
    /// With a token of the usual length.
    instructions: [f64; 2],
    /// What of them is more than the [baseline](Entry::baseline) takes.
    over: [f64; 2],
    /// With the longest token, as a share more than with the shortest.
    growth: [f64; 2],
}

/// All variants.
///
/// # Errors
///
/// When there is no valgrind, or a variant cannot be made.
pub(crate) fn section() -> Result<Section, BoxError> {
    let counted = count_all(Entry::all())?;
    let [shortest, .., longest] = TOKEN_LENGTHS;
    let growth = format!("{longest} instead of {shortest}");
    let mut table = Table::new(&["", "get4", "over b", &growth, "post5", "over b", &growth, "retries"]);
    for of in &counted {
        let mut cells = vec![of.entry.title()];
        for shape in 0..Shape::ALL.len() {
            cells.extend([
                format!("{:.0}", of.instructions[shape]),
                format!("{:.0}", of.over[shape]),
                format!("{:+.1} %", of.growth[shape] * 100.0),
            ]);
        }
        cells.push(if of.entry.retries { "yes" } else { "no" }.to_owned());
        table.row(cells);
    }
    let text = format!(
        "Counted by callgrind: the program runs itself under valgrind with {} and {} calls, and the difference is divided by \
         that of the calls, so start and end fall out. *Over b* is what is more than b's for the same request; for crates with \
         a request type of their own, more than that of their variant *-static*. The columns *{growth}* say how that changes \
         with the length of the token, in characters; elsewhere it has {TOKEN_LENGTH}. The kernel's instructions are not \
         counted, and valgrind leaves reading the clock to the kernel: whoever reads it for each call looks better here than \
         under *Time of a call*. The counting allocator is part of the program: an allocation and its release cost some 110 instructions more than without it. \
         *Retries* says whether a variant can send a request again after a 401; those that cannot keep nothing for it.\n\n\
         {table}{}",
        CALLS[0],
        CALLS[1],
        beside_those_that_retry(&counted)
    );
    let charts = Shape::ALL.into_iter().zip(["instructions", "instructions-post5"]).enumerate();
    let charts = charts.map(|(place, (shape, name))| chart(name, shape, place, &counted)).collect();
    Ok(Section { title: "Instructions of a call".to_owned(), text, charts })
}

/// How many times ours others take that send a request again, too.
fn beside_those_that_retry(counted: &[Counted]) -> String {
    let Some(ours) = counted.iter().find(|of| of.entry.name == OURS) else { return String::new() };
    let mut table = Table::new(&["", "get4", "over b", "post5", "over b", "target"]);
    for of in counted.iter().filter(|of| of.entry.retries && of.entry.family != Family::Ours) {
        let mut cells = vec![of.entry.title()];
        for shape in 0..Shape::ALL.len() {
            cells.push(format!("{:.2}", of.instructions[shape] / ours.instructions[shape]));
            cells.push(format!("{:.2}", of.over[shape] / ours.over[shape]));
        }
        cells.push(peer_target(&of.entry).map_or_else(|| "-".to_owned(), |target| format!("{target:.1}")));
        table.row(cells);
    }
    format!("\nThe others that can send a request again, in multiples of *{OURS}*; above 1 they take more:\n\n{table}")
}

fn chart(name: &'static str, shape: Shape, place: usize, counted: &[Counted]) -> Chart {
    let bars = |retries: bool| -> Vec<Bar> {
        let shown = counted.iter().filter(|of| of.entry.retries == retries && of.entry.is_dynamic());
        let mut bars: Vec<_> = shown.map(|of| bar(&of.entry, of.over[place])).collect();
        bars.sort_by(|one, other| one.value.total_cmp(&other.value));
        bars
    };
    let title = format!("Instructions that a token costs each request, over a static header ({})", shape.name());
    let groups = [("can send the request again after a 401", bars(true)), ("cannot", bars(false))];
    Chart::groups(name, &title, &groups.each_ref().map(|(heading, bars)| (*heading, bars.as_slice())))
}

fn bar(entry: &Entry, over: f64) -> Bar {
    Bar { label: entry.name.to_owned(), value: over, text: format!("{over:.0}"), ours: entry.family == Family::Ours }
}

fn count_all(entries: Vec<Entry>) -> Result<Vec<Counted>, BoxError> {
    let [shortest, .., longest] = TOKEN_LENGTHS;
    let lengths = [TOKEN_LENGTH, shortest, longest];
    let shapes = Shape::ALL.into_iter().flat_map(|shape| lengths.map(|length| (shape, length)));
    let cases = entries
        .iter()
        .flat_map(|entry| shapes.clone().map(|(shape, token_length)| Case { entry: *entry, shape, token_length }));
    let cases: Vec<Case> = cases.collect();
    let counted = count(&cases)?;
    // Usual, shortest and longest token of get4, then of post5.
    let mut rows: Vec<Counted> = entries
        .into_iter()
        .zip(counted.chunks_exact(shapes.count()))
        .map(|(entry, row)| Counted {
            entry,
            instructions: [row[0], row[3]],
            over: [0.0; 2],
            growth: [row[2] / row[1] - 1.0, row[5] / row[4] - 1.0],
        })
        .collect();
    for place in 0..rows.len() {
        let baseline = rows[place].entry.baseline();
        if let Some(instructions) = rows.iter().find(|of| of.entry.name == baseline).map(|of| of.instructions) {
            let all = rows[place].instructions;
            rows[place].over = [all[0] - instructions[0], all[1] - instructions[1]];
        }
    }
    Ok(rows)
}
