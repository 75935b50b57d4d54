//! What happened, and what should not have.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// More than this are only counted.
const SHOWN: usize = 20;

#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    injected: BTreeMap<String, u64>,
    calls: BTreeMap<String, u64>,
    figures: Vec<String>,
    violations: BTreeMap<String, u64>,
    more_violations: u64,
}

impl Tally {
    pub(crate) fn injected(&self, what: impl Display) {
        *self.lock().injected.entry(what.to_string()).or_default() += 1;
    }

    pub(crate) fn call(&self, how_it_ended: impl Display) {
        *self.lock().calls.entry(how_it_ended.to_string()).or_default() += 1;
    }

    pub(crate) fn figure(&self, text: impl Display) {
        self.lock().figures.push(text.to_string());
    }

    /// Something that must not be.
    pub(crate) fn violation(&self, what: impl Display) {
        let (mut inner, what) = (self.lock(), what.to_string());
        if let Some(count) = inner.violations.get_mut(&what) {
            *count += 1;
        } else if inner.violations.len() < SHOWN {
            // At once, too: for whoever watches, and in case the end is never reached.
            eprintln!("VIOLATION: {what}");
            inner.violations.insert(what, 1);
        } else {
            inner.more_violations += 1;
        }
    }

    pub(crate) fn expect(&self, holds: bool, what: impl Display) {
        if !holds {
            self.violation(what);
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.lock().violations.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The report.
impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        for (title, counts) in [("injected", &inner.injected), ("calls", &inner.calls)] {
            writeln!(f, "{title}: {} in all", counts.values().sum::<u64>())?;
            for (what, count) in counts {
                writeln!(f, "  {count:>8}  {what}")?;
            }
        }
        for figure in &inner.figures {
            writeln!(f, "{figure}")?;
        }
        for (violation, count) in &inner.violations {
            writeln!(f, "VIOLATION, {count} times: {violation}")?;
        }
        match inner.violations.values().sum::<u64>() + inner.more_violations {
            0 => write!(f, "verdict: clean"),
            violations => write!(f, "verdict: {violations} violations"),
        }
    }
}
