//! Background renewal for a token that must be there before anybody asks for it.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Weak},
    task::Poll,
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};

use super::{
    flight::{Flight, launch},
    shared::AnyCache,
};
use crate::{Error, clock::now, telemetry::Cause, timer};

/// So often at most is looked whether something is to be done.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// That a cache is kept warm. Its task ends when this is dropped, with the cache.
pub(super) struct Warm(oneshot::Sender<()>);

/// What the task waits for.
enum Wait {
    For(Duration),
    Flight(Flight),
}

impl AnyCache {
    pub(super) fn keep_warm(self: &Arc<Self>) -> Result<(), Error> {
        let runtime = timer::runtime_with_timer()?;
        let mut ledger = self.lock();
        // A task that a runtime took with it leaves its end open.
        if ledger.warm.as_ref().is_none_or(|warm| warm.0.is_closed()) {
            let (stop, stopped) = oneshot::channel();
            ledger.warm = Some(Warm(stop));
            drop(ledger);
            runtime.spawn(keep_warm(Arc::downgrade(self), stopped));
        }
        Ok(())
    }

    /// Whoever comes by takes over from a runtime that has ended.
    pub(super) fn rewarm(self: &Arc<Self>, runtime: &Handle) {
        let is_left_alone = self.lock().warm.as_ref().is_some_and(|warm| warm.0.is_closed());
        if is_left_alone {
            let _guard = runtime.enter();
            // There is a runtime with a timer, so nothing fails.
            drop(self.keep_warm());
        }
    }

    /// Starts what is due, and says what to wait for.
    fn warm_up(self: &Arc<Self>, runtime: &Handle) -> Wait {
        let now = now();
        let mut ledger = self.lock();
        if let Some(flight) = self.live_flight(&mut ledger, now) {
            return Wait::Flight(flight);
        }
        let current = self.current.load();
        let due = match current.as_ref() {
            Some(entry) if now < entry.refresh_at => entry.refresh_at,
            Some(entry) if entry.is_usable(now) => ledger.background_due(now),
            _ => ledger.forgiven_at(now),
        };
        if due <= now {
            let (flight, launch) = launch(&mut ledger, Cause::Warm, None, None, now);
            drop(ledger);
            self.spawn(runtime, launch);
            return Wait::Flight(flight);
        }
        Wait::For(due.saturating_duration_since(now).max(SHORTEST_PAUSE))
    }
}

/// Holds nothing of the cache while it waits.
async fn keep_warm(cache: Weak<AnyCache>, stopped: oneshot::Receiver<()>) {
    let mut stopped = pin!(stopped);
    while let (Some(cache), Ok(runtime)) = (cache.upgrade(), timer::runtime()) {
        let wait = cache.warm_up(&runtime);
        drop(cache);
        let mut waiting = pin!(async {
            match wait {
                Wait::For(pause) => match timer::sleep(pause) {
                    Ok(pause) => pause.await,
                    Err(_) => return false,
                },
                Wait::Flight(flight) => {
                    let ended = flight.wait().await;
                    // Whatever became of it: the next look tells, and never at once.
                    match (ended, timer::sleep(SHORTEST_PAUSE)) {
                        (Ok(_), Ok(pause)) => pause.await,
                        _ => return false,
                    }
                }
            }
            true
        });
        let goes_on = poll_fn(|cx| match stopped.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending => waiting.as_mut().poll(cx),
        });
        if !goes_on.await {
            return;
        }
    }
}
