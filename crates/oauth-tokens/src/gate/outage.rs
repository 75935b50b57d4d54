//! Whether a server is down, and when it is asked again.

use std::{collections::VecDeque, fmt, iter, time::Duration};

use http::StatusCode;
use tokio::time::Instant;

use crate::{
    clock::{after, doubled, jitter},
    request::EXCHANGE_DEADLINE,
    retry::MAX_ATTEMPTS,
};

/// A server is down when so many attempts in a row failed in this time: those of five exchanges. A single cache asks more
/// slowly than that: its own back-off will do, and a tenant for whom nothing works shuts nobody else out.
const IN_A_ROW: usize = 5 * MAX_ATTEMPTS as usize;
const WITHIN: Duration = Duration::from_secs(10);
/// Between the requests that find out whether it is up again: full jitter, doubling.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// When nobody has asked for so long, what was then says nothing of now.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// A probe that takes longer is on a runtime that stands still (F13).
const OVERDUE: Duration = EXCHANGE_DEADLINE.saturating_add(Duration::from_secs(1));

#[derive(Default)]
pub(super) struct Outage {
    /// When the server last showed that it is alive.
    alive_at: Option<Instant>,
    /// When attempts failed since: the latest of them, as many as it takes.
    failed_at: VecDeque<Instant>,
    down: Option<Down>,
    /// The exchange that failed first since the server was alive.
    told_by: Option<u64>,
}

struct Down {
    latest: Failure,
    /// How many probes in a row failed.
    probes: u32,
    next_probe: Instant,
    probing: Option<(u64, Instant)>,
}

/// What speaks against the server.
#[derive(Clone)]
pub(super) struct Failure {
    pub(super) why: Reason,
    pub(super) retry_after: Option<Duration>,
}

/// Nothing of what the server said: that may be another tenant's business.
#[derive(Clone, Copy)]
pub(super) enum Reason {
    Unreached,
    Silence,
    Status(StatusCode),
}

pub(super) enum Admission {
    Open,
    /// The one that finds out whether the server is up again.
    Probe,
    Refused(Refused),
}

/// Why the server is not asked now.
pub(super) struct Refused {
    pub(super) why: Reason,
    /// How long it asked to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Outage {
    /// Whether a request would be let through now.
    pub(super) fn look(&mut self, now: Instant) -> Result<(), Refused> {
        if self.down.as_ref().is_some_and(|down| down.is_forgotten(now)) {
            self.forget();
        }
        match &self.down {
            Some(down) if !down.may_probe(now) => Err(down.refused(now)),
            _ => Ok(()),
        }
    }

    /// Lets a request through, or not.
    pub(super) fn admit(&mut self, id: u64, now: Instant) -> Admission {
        if let Err(refused) = self.look(now) {
            return Admission::Refused(refused);
        }
        let Some(down) = &mut self.down else { return Admission::Open };
        down.probing = Some((id, now));
        // A probe that is dropped counts for its pace, too.
        down.next_probe = after(now, down.pause());
        Admission::Probe
    }

    /// The server answered as a server should. Says whether that is news.
    pub(super) fn alive(&mut self, now: Instant) -> bool {
        self.alive_at = Some(now);
        self.told_by = None;
        self.forget()
    }

    /// An exchange fails: whether others failed before, in the same outage.
    pub(super) fn tell(&mut self, id: u64) -> bool {
        *self.told_by.get_or_insert(id) != id
    }

    /// Whether others than this one failed since the server was alive.
    pub(super) fn is_known(&self, id: u64) -> bool {
        self.told_by.is_some_and(|told_by| told_by != id)
    }

    /// A request failed that began then, and counts as so many. Says whether the server is down from now on.
    pub(super) fn failed(&mut self, failure: Failure, attempts: u32, began: Instant, now: Instant) -> bool {
        // What began before the server showed that it is alive, failed because of what was before.
        if self.alive_at.is_some_and(|alive_at| began < alive_at) {
            return false;
        }
        if let Some(down) = &mut self.down {
            // One of those that were under way: a longer wait that it was told counts.
            down.next_probe = down.next_probe.max(after(now, failure.asked_pause()));
            return false;
        }
        self.failed_at.extend(iter::repeat_n(now, attempts as usize));
        let too_many = self.failed_at.len().saturating_sub(IN_A_ROW);
        self.failed_at.drain(..too_many);
        let earliest = self.failed_at.front().copied().unwrap_or(now);
        if self.failed_at.len() < IN_A_ROW || now.saturating_duration_since(earliest) > WITHIN {
            return false;
        }
        self.down = Some(Down::new(failure, 0, now, now));
        true
    }

    pub(super) fn probe_failed(&mut self, id: u64, failure: Failure, now: Instant) {
        if let Some(down) = &mut self.down
            && let Some((by, since)) = down.probing
            && by == id
        {
            *down = Down::new(failure, down.probes.saturating_add(1), since, now);
        }
    }

    /// A probe came to nothing, which says nothing of the server.
    pub(super) fn probe_dropped(&mut self, id: u64) {
        if let Some(down) = self.down.as_mut().filter(|down| down.is_probed_by(id)) {
            down.probing = None;
        }
    }

    fn forget(&mut self) -> bool {
        self.failed_at.clear();
        self.down.take().is_some()
    }
}

impl Down {
    /// The pause counts from when the latest request began: one that hangs until its timeout was pause enough.
    fn new(latest: Failure, probes: u32, began: Instant, now: Instant) -> Self {
        let asked = after(now, latest.asked_pause());
        let mut down = Self { latest, probes, next_probe: now, probing: None };
        down.next_probe = after(began, down.pause()).max(asked);
        down
    }

    fn pause(&self) -> Duration {
        jitter(doubled(FIRST_PAUSE, self.probes, LONGEST_PAUSE))
    }

    fn may_probe(&self, now: Instant) -> bool {
        let is_probed = self.probing.is_some_and(|(_, since)| now.saturating_duration_since(since) < OVERDUE);
        !is_probed && now >= self.next_probe
    }

    fn is_probed_by(&self, id: u64) -> bool {
        self.probing.is_some_and(|(by, _)| by == id)
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        self.may_probe(now) && now.saturating_duration_since(self.next_probe) > FORGOTTEN_AFTER
    }

    fn refused(&self, now: Instant) -> Refused {
        let left = self.next_probe.saturating_duration_since(now);
        let retry_after = (left > LONGEST_PAUSE).then_some(left);
        Refused { why: self.latest.why, retry_after }
    }
}

impl Failure {
    /// No answer came in time.
    pub(super) fn silence() -> Self {
        Self { why: Reason::Silence, retry_after: None }
    }

    fn asked_pause(&self) -> Duration {
        self.retry_after.unwrap_or_default()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached => f.write_str("it could not be reached"),
            Self::Silence => f.write_str("no answer in time"),
            Self::Status(status) => write!(f, "HTTP {}", status.as_u16()),
        }
    }
}
