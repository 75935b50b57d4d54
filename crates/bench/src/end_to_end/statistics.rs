//! What can be said of many measurements: percentiles, medians, and how sure they are.

/// The value that this share of all is not above, by nearest rank. Zero when there is none.
pub(crate) fn percentile(sorted: &[u32], share: f64) -> u32 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).or(sorted.last()).copied().unwrap_or_default()
}

/// The median of ratios, and where it lies with 95 % confidence, by order statistics: no distribution is assumed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Median {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Median {
    /// None when there are no values.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let (half, margin) = (values.len() as f64 / 2.0, 0.98 * (values.len() as f64).sqrt());
        let low = ((half - margin).floor() - 1.0).max(0.0) as usize;
        let high = (half + margin).ceil() as usize;
        Some(Self {
            value: (values[last / 2] + values[values.len() / 2]) / 2.0,
            low: values[low],
            high: values[high.min(last)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred: Vec<u32> = (1..=100).collect();
        let cases = [
            (&hundred[..], 0.0, 1),
            (&hundred, 0.5, 50),
            (&hundred, 0.501, 51),
            (&hundred, 0.99, 99),
            (&hundred, 0.999, 100),
            (&hundred, 1.0, 100),
            (&[7], 0.5, 7),
            (&[7, 9], 0.5, 7),
            (&[], 0.5, 0),
        ];
        for (sorted, share, expected) in cases {
            assert_eq!(percentile(sorted, share), expected, "{share} of {} values", sorted.len());
        }
    }

    #[test]
    fn a_median_lies_within_its_bounds() {
        let of = |values: &[f64]| Median::of(values.to_vec());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[2.0]), Some(Median { value: 2.0, low: 2.0, high: 2.0 }));
        assert_eq!(of(&[4.0, 1.0]), Some(Median { value: 2.5, low: 1.0, high: 4.0 }));
        assert_eq!(of(&[9.0, 1.0, 2.0]), Some(Median { value: 2.0, low: 1.0, high: 9.0 }));
        // Ranks 40 and 61 of a hundred are the usual 95 % bounds.
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(of(&hundred), Some(Median { value: 50.5, low: 40.0, high: 61.0 }));
    }
}
