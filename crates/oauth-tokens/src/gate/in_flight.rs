//! Places for so many requests at once, and a queue for the rest.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use crate::{
    Error,
    clock::{Clock, after},
    request::EXCHANGE_DEADLINE,
    timer,
};

/// How long a request waits for a place: less than an exchange's deadline, which then still has something to say (T3).
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Whoever has a place for longer than any request takes is on a runtime that stands still (F13): the place is lost to it.
const OVERDUE: Duration = EXCHANGE_DEADLINE.saturating_add(Duration::from_secs(1));

/// Like a semaphore, but for places that are lost to runtimes that stand still, be it before or after they were handed on.
pub(super) struct InFlight {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ids: u64,
    /// Who has a place, and since when. Ids grow, so the first has had it for longest.
    taken: BTreeMap<u64, Instant>,
    /// Who waits for one, first come, first served.
    queue: BTreeMap<u64, Waiting>,
}

struct Waiting {
    call: oneshot::Sender<()>,
    since: Instant,
}

/// A place, or one in the queue: given up when dropped.
pub(super) struct Place<'a> {
    of: &'a InFlight,
    id: u64,
}

impl InFlight {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Waits for a place. None: none became free in time.
    pub(super) async fn enter(&self, clock: &Clock) -> Result<Option<Place<'_>>, Error> {
        let began = clock.now();
        let (call, mut called) = oneshot::channel();
        let id = self.lock().line_up(call, began);
        let place = Place { of: self, id };
        self.hand_on(began);
        loop {
            let now = clock.now();
            let left = LONGEST_WAIT.saturating_sub(now.saturating_duration_since(began));
            // The queue is nobody's to drive: whoever waits looks whether a place was lost meanwhile.
            let look_in = self.lock().next_overdue().map_or(left, |at| at.saturating_duration_since(now));
            match timer::timeout(left.min(look_in), &mut called).await? {
                Some(Ok(())) => return Ok(Some(place)),
                Some(Err(_)) => return Ok(None),
                None if clock.now().saturating_duration_since(began) >= LONGEST_WAIT => return Ok(None),
                None => self.hand_on(clock.now()),
            }
        }
    }

    /// Gives what is free to who waits. Not under the lock: whoever is called, or given up, may be on a runtime that shuts
    /// down, which drops the waiting one here and now.
    fn hand_on(&self, now: Instant) {
        loop {
            let mut stale = Vec::new();
            let next = self.lock().next(self.limit, now, &mut stale);
            drop(stale);
            let Some((id, call)) = next else { return };
            if call.send(()).is_err() {
                self.lock().taken.remove(&id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn line_up(&mut self, call: oneshot::Sender<()>, since: Instant) -> u64 {
        self.ids += 1;
        self.queue.insert(self.ids, Waiting { call, since });
        self.ids
    }

    /// Who is next. Those who should have gone are put aside: dropping them calls them.
    fn next(
        &mut self,
        limit: usize,
        now: Instant,
        stale: &mut Vec<oneshot::Sender<()>>,
    ) -> Option<(u64, oneshot::Sender<()>)> {
        while self.next_overdue().is_some_and(|at| at <= now) {
            self.taken.pop_first();
        }
        while self.taken.len() < limit {
            let (id, Waiting { call, since }) = self.queue.pop_first()?;
            // Whoever should have gone by itself stands still, too.
            if now.saturating_duration_since(since) <= LONGEST_WAIT {
                self.taken.insert(id, now);
                return Some((id, call));
            }
            stale.push(call);
        }
        None
    }

    fn next_overdue(&self) -> Option<Instant> {
        self.taken.first_key_value().map(|(_, since)| after(*since, OVERDUE))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.of.lock();
            state.taken.remove(&self.id);
            state.queue.remove(&self.id)
        };
        drop(waiting);
        self.of.hand_on(Instant::now());
    }
}
