//! Where the program runs, and how much of a processor it has used.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What this process has used so far, in user and kernel mode, on all threads. Not under valgrind, which rustix does not get on
/// with.
pub(crate) fn used() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// Which of the processors that a thread may use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    First,
    Last,
    /// Counted from zero, and from the first again after the last.
    Nth(usize),
}

/// Keeps this thread on one processor, so that the scheduler does not put client and server on the same one in one round, and
/// on two in the next. Whether it could: with one processor, or not on Linux, it cannot.
pub(crate) fn pin(which: Which) -> bool {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

        let Ok(allowed) = sched_getaffinity(None) else { return false };
        let mut numbers = (0..CpuSet::MAX_CPU).filter(|number| allowed.is_set(*number));
        let number = match which {
            Which::First => numbers.next(),
            Which::Last => numbers.next_back(),
            Which::Nth(number) => numbers.nth(number % (allowed.count() as usize).max(1)),
        };
        let Some(number) = number.filter(|_| allowed.count() > 1) else { return false };
        let mut one = CpuSet::new();
        one.set(number);
        sched_setaffinity(None, &one).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = which;
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_is_counted_and_waiting_is_not() {
        let (began, before) = (Instant::now(), used());
        while used() - before < Duration::from_millis(20) && began.elapsed() < Duration::from_secs(10) {
            std::hint::spin_loop();
        }
        assert!(used() - before >= Duration::from_millis(20), "{:?}", used() - before);
    }
}
