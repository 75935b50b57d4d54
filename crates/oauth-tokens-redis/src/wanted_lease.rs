//! A lease that may be ours without our knowing.

use std::{sync::Arc, time::Duration};

use oauth_tokens::Lease;
use tokio::{runtime::Handle, time::sleep};

use crate::{script, store::Inner};

/// The pauses between attempts to give a lease back that nobody knows to be taken. After them, its time ends it.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Asked for, and not answered yet. If nobody waits for the answer any more, or it does not come, the lease is given back:
/// otherwise the whole fleet would wait for somebody who does not know that it is its turn.
pub(crate) struct WantedLease {
    store: Option<Arc<Inner>>,
    name: String,
    lease: Lease,
}

impl WantedLease {
    pub(crate) fn new(store: &Arc<Inner>, name: &str, lease: &Lease) -> Self {
        Self { store: Some(Arc::clone(store)), name: name.to_owned(), lease: lease.clone() }
    }

    pub(crate) fn answered(mut self) {
        self.store = None;
    }
}

impl Drop for WantedLease {
    fn drop(&mut self) {
        let (Some(store), Ok(runtime)) = (self.store.take(), Handle::try_current()) else { return };
        let release = script::release(&self.name, self.lease.holder());
        let name = std::mem::take(&mut self.name);
        runtime.spawn(async move {
            for pause in PAUSES {
                match store.cluster.send(&name, &release).await {
                    Err(failure) if failure.may_heal() => sleep(pause).await,
                    _ => return,
                }
            }
        });
    }
}
