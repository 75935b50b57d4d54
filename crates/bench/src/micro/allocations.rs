//! Allocations of a call, counted on the thread that makes it.

use allocation_counter::measure;

use super::Case;
use crate::{
    BoxError,
    report::{Section, Table},
    request::{Shape, TOKEN_LENGTH, TOKEN_LENGTHS},
    variants::Entry,
};

const CALLS: u64 = 1000;

/// What one call asks of the allocator, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Allocations {
    pub(crate) count: f64,
    pub(crate) bytes: f64,
}

impl Allocations {
    /// Counted over many calls.
    ///
    /// # Errors
    ///
    /// When the variant cannot be made.
    pub(crate) fn of(case: Case) -> Result<Self, BoxError> {
        let mut variant = case.entry.warm(case.shape, case.token_length)?;
        let counted = measure(|| variant.batch(CALLS));
        let each = |total: u64| total as f64 / CALLS as f64;
        Ok(Self { count: each(counted.count_total), bytes: each(counted.bytes_total) })
    }
}

/// All variants.
///
/// # Errors
///
/// When a variant cannot be made.
pub(crate) fn section() -> Result<Section, BoxError> {
    let [shortest, .., longest] = TOKEN_LENGTHS;
    let growth = format!("get4: bytes more with a token of {longest} than of {shortest}");
    let columns =
        ["", "get4: allocations", "over b", "bytes", "post5: allocations", "over b", "bytes", growth.as_str()];
    let mut table = Table::new(&columns);
    let mut counted = Vec::new();
    for entry in Entry::all() {
        let of = |shape, token_length| Allocations::of(Case { entry, shape, token_length });
        let growth = of(Shape::Get4, longest)?.bytes - of(Shape::Get4, shortest)?.bytes;
        counted.push((entry, [of(Shape::Get4, TOKEN_LENGTH)?, of(Shape::Post5, TOKEN_LENGTH)?], growth));
    }
    for (entry, of_entry, growth) in &counted {
        let baseline = counted.iter().find(|(other, ..)| other.name == entry.baseline());
        let mut cells = vec![entry.title()];
        for (of_entry, baseline) in of_entry.iter().zip(baseline.map_or(of_entry, |(_, of_baseline, _)| of_baseline)) {
            cells.extend([of_entry.count, of_entry.count - baseline.count, of_entry.bytes].map(number));
        }
        cells.push(number(*growth));
        table.row(cells);
    }
    let text = format!(
        "Counted by an allocator that counts per thread, over {CALLS} calls after a warm-up, token of {TOKEN_LENGTH} characters. \
         Building the request is part of every row: its header map, and the body of post5. *Over b* as above.\n\n{table}"
    );
    Ok(Section { title: "Allocations of a call".to_owned(), text, charts: Vec::new() })
}

/// Whole where it is, as almost all are.
fn number(value: f64) -> String {
    let rounded = (value * 100.0).round() / 100.0 + 0.0;
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(2.0, "2"), (0.333_333, "0.33"), (-0.0, "0"), (-1.0, "-1"), (1503.0, "1503")] {
            assert_eq!(number(value), text);
        }
    }

    /// The header map of a request, and one for a body; a clone of both is at least as much again.
    #[test]
    fn what_is_known_is_counted() {
        for (shape, of_b, of_retry) in [(Shape::Get4, 2.0, 4.0), (Shape::Post5, 3.0, 6.0)] {
            let of = |name| {
                let entry = Entry::named(name).expect("known");
                Allocations::of(Case { entry, shape, token_length: 40 }).expect("counted").count
            };
            assert!(of("b") >= of_b, "{}", of("b"));
            assert!(of("tower-retry") >= of_retry, "{}", of("tower-retry"));
        }
    }
}
