//! Instructions of a call, counted by callgrind.
//!
//! This program runs itself under valgrind, twice for each case, with two numbers of calls; the difference is what the calls
//! between them cost, and start and end of the program fall out. Other programs on the machine make no difference.
//! The kernel's instructions are not counted; under valgrind, reading the clock is left to the kernel.

use std::{
    env, fs, io,
    path::PathBuf,
    process::{self, Command},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::Case;
use crate::{BoxError, request::Shape, variants::Entry};

/// The command by which the program makes calls and nothing else.
pub(crate) const CALLS_COMMAND: &str = "calls";
pub(super) const CALLS: [u64; 2] = [500, 5_500];

/// Instructions of one call, for each case; in parallel, as that makes no difference.
///
/// # Errors
///
/// When there is no valgrind, or a case cannot be run.
pub(crate) fn count(cases: &[Case]) -> Result<Vec<f64>, BoxError> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, f64)>, BoxError> {
        let mut counted = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(number) else {
                return Ok(counted);
            };
            counted.push((number, count_case(case)?));
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let done: Result<Vec<_>, BoxError> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().map_err(|_| BoxError::from("a worker panicked"))?).collect()
    });
    let mut counted = vec![0.0; cases.len()];
    for (number, instructions) in done?.into_iter().flatten() {
        counted[number] = instructions;
    }
    Ok(counted)
}

fn count_case(case: &Case) -> Result<f64, BoxError> {
    let [few, many] = CALLS;
    let difference = run_under_callgrind(case, many)?.saturating_sub(run_under_callgrind(case, few)?);
    Ok(difference as f64 / (many - few) as f64)
}

fn run_under_callgrind(case: &Case, calls: u64) -> Result<u64, BoxError> {
    let (token_length, calls) = (case.token_length.to_string(), calls.to_string());
    callgrind(&[CALLS_COMMAND, case.entry.name, case.shape.name(), &token_length, &calls])
}

/// Instructions of this program with these arguments, from start to end.
///
/// # Errors
///
/// When there is no valgrind, or the program fails.
pub(crate) fn callgrind(arguments: &[&str]) -> Result<u64, BoxError> {
    let out = OutFile::new();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.0.display()))
        .arg(env::current_exe()?)
        .args(arguments)
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "valgrind is needed, and not there: apt-get install valgrind".into(),
            _ => BoxError::from(error),
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} under valgrind: {}\n{said}", arguments.join(" "), output.status).into());
    }
    total(&fs::read_to_string(&out.0)?).ok_or_else(|| "callgrind's file has no summary of instructions".into())
}

/// The `Ir` of a callgrind file's summary lines; there is one for each part of the file.
fn total(file: &str) -> Option<u64> {
    let line = |name: &'static str| file.lines().filter_map(move |line| line.strip_prefix(name));
    let column = line("events:").next()?.split_whitespace().position(|event| event == "Ir")?;
    let parts = line("summary:").map(|numbers| numbers.split_whitespace().nth(column)?.parse::<u64>().ok());
    let parts: Option<Vec<u64>> = parts.collect();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.into_iter().sum())
}

/// What callgrind writes; removed in the end.
struct OutFile(PathBuf);

impl OutFile {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(env::temp_dir().join(format!("bench-{}-{number}.callgrind", process::id())))
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What runs under valgrind: `calls <variant> <shape> <token length> <calls>`.
///
/// # Errors
///
/// When these are no such words.
pub(crate) fn make_calls(arguments: &[String]) -> Result<(), BoxError> {
    let [name, shape, token_length, calls] = arguments else {
        return Err("calls <variant> <shape> <token length> <calls>".into());
    };
    let shape = Shape::named(shape).ok_or("the shapes are get4 and post5")?;
    let calls = calls.parse()?;
    Entry::named(name)?.warm(shape, token_length.parse()?)?.batch(calls);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_read_from_the_summary() {
        for (file, expected) in [
            ("version: 1\nevents: Ir\nfn=(1) main\nsummary: 4711\n\ntotals: 4711\n", Some(4711)),
            ("events: Ir Dr Dw\nsummary: 10 2 3\ntotals: 10 2 3\n", Some(10)),
            ("events: Dr Ir\nsummary: 2 10\n", Some(10)),
            // Two parts: the program has been dumped once before its end.
            ("events: Ir\nsummary: 10\nevents: Ir\nsummary: 20\ntotals: 30\n", Some(30)),
            ("events: Ir\n", None),
            ("summary: 10\n", None),
            ("events: Dr\nsummary: 10\n", None),
            ("events: Ir\nsummary:\n", None),
            ("events: Ir\nsummary: ten\n", None),
            ("", None),
        ] {
            assert_eq!(total(file), expected, "{file}");
        }
    }
}
