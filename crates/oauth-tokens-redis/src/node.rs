//! One node, and the connection to it that everybody shares.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redis::{Cmd, Pipeline, Value};
use tokio::{
    runtime::{Handle, Id},
    time::{Instant, timeout},
};

use crate::{
    address::Address,
    failure::{Cause, Failure},
    link::{Link, Opening},
    settings::Settings,
};

/// How many runtimes at once have a connection of their own.
const MAX_RUNTIMES: usize = 32;

/// A node of a cluster, or the only one. It is connected to when it is first asked.
pub(crate) struct Node {
    address: Address,
    settings: Arc<Settings>,
    /// A connection lives on the runtime that opened it, so each runtime has its own.
    links: Mutex<Vec<(Id, Link)>>,
}

impl Node {
    pub(crate) fn new(address: Address, settings: Arc<Settings>) -> Self {
        Self { address, settings, links: Mutex::default() }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a command and waits for its answer; `asking` says to a node that it was named for this once.
    pub(crate) async fn send(&self, command: &Cmd, asking: bool) -> Result<Value, Failure> {
        let runtime = Handle::try_current().map_err(|_| Failure::new(&self.address, Cause::NoRuntime))?;
        let opening = self.opening(&runtime)?;
        let mut connection = opening.clone().await.map_err(|(failure, _)| failure)?;
        let answering = async {
            if !asking {
                return command.query_async(&mut connection).await;
            }
            let mut pair = Pipeline::with_capacity(2);
            pair.cmd("ASKING").ignore().add_command(command.clone());
            pair.query_async::<Vec<Value>>(&mut connection).await.map(|mut values| values.pop().unwrap_or(Value::Nil))
        };
        let answer = match timeout(self.settings.operation_timeout, answering).await {
            Ok(answer) => answer.map_err(|error| Failure::of_command(&self.address, &error)),
            Err(_) => Err(Failure::new(&self.address, Cause::Timeout)),
        };
        self.learn(&opening, answer.as_ref().err());
        answer
    }

    /// The connection of this runtime, or the attempt at one that is under way; a failure while it is too early for
    /// another attempt.
    fn opening(&self, runtime: &Handle) -> Result<Opening, Failure> {
        let now = Instant::now();
        let mut links = self.links();
        let known = links.iter().position(|(id, _)| *id == runtime.id());
        let failures = match known.map(|at| (at, links[at].1.failed())) {
            Some((at, None)) => return Ok(links[at].1.opening()),
            Some((at, Some((failure, since)))) if links[at].1.is_pausing(since, now) => return Err(failure),
            Some((at, Some(_))) => links.remove(at).1.failures() + 1,
            None => 0,
        };
        let link = Link::open(runtime, self.address.clone(), Arc::clone(&self.settings), failures);
        let opening = link.opening();
        // The first is the oldest.
        if links.len() == MAX_RUNTIMES {
            links.remove(0);
        }
        links.push((runtime.id(), link));
        Ok(opening)
    }

    /// Takes note of what became of a command on a connection.
    fn learn(&self, opening: &Opening, failure: Option<&Failure>) {
        let mut links = self.links();
        let Some(at) = links.iter().position(|(_, link)| link.is(opening)) else { return };
        match failure.filter(|failure| failure.ends_connection()) {
            None => links[at].1.prove(),
            // A server that was restarted, or closes what is idle: the next attempt may follow at once.
            Some(failure) if failure.is_lost() && links[at].1.is_proven() => drop(links.remove(at)),
            Some(failure) => links[at].1.fail(failure.clone(), Instant::now()),
        }
    }

    fn links(&self) -> MutexGuard<'_, Vec<(Id, Link)>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)
    }
}
