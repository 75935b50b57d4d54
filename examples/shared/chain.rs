//! An error with everything that caused it.

use std::error::Error;

/// An error and its causes, one a line. The errors of these crates name their cause only in `source()`, so whoever prints
/// one for a human follows the chain.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let mut lines = vec![error.to_string()];
    for cause in causes.map(ToString::to_string) {
        // Some errors of other crates repeat their cause in their own text; once is enough.
        if !lines.iter().any(|line| line.contains(&cause)) {
            lines.push(cause);
        }
    }
    lines.join("\n  because: ")
}
