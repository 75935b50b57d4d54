//! Which node to ask: the only one, or the one that has the key.
//!
//! Each operation here is about one key, so a client of a cluster has little to know: it asks any node, which answers where
//! the key is (Redis cluster specification, "MOVED redirection"), and remembers that for the key's slot. The redis crate's
//! own cluster client would connect to whatever address a node names, in plain text too.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use redis::{Cmd, Value};
use tokio::time::{Instant, timeout};

use crate::{
    address::Address,
    failure::{Cause, Failure},
    node::Node,
    settings::Settings,
};

/// How many nodes one operation asks.
const MAX_HOPS: usize = 5;
/// The most nodes that Redis recommends for a cluster.
const MAX_NODES: usize = 1000;
const SLOTS: u16 = 16_384;

/// The servers that keep the tokens.
#[derive(Debug)]
pub(crate) struct Cluster {
    settings: Arc<Settings>,
    /// As the user gave them; one, where it is no cluster.
    seeds: Vec<Arc<Node>>,
    /// Counts on when a seed fails.
    preferred: AtomicUsize,
    map: Mutex<Map>,
}

/// What the nodes told.
#[derive(Debug, Default)]
struct Map {
    slots: HashMap<u16, Arc<Node>>,
    nodes: HashMap<Address, Arc<Node>>,
}

impl Cluster {
    pub(crate) fn new(addresses: Vec<Address>, settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let node = |address: Address| Arc::new(Node::new(address, Arc::clone(&settings)));
        let seeds: Vec<_> = addresses.into_iter().map(node).collect();
        let map = Mutex::new(Map::of(&seeds));
        Self { settings, seeds, preferred: AtomicUsize::new(fastrand::usize(..SLOTS as usize)), map }
    }

    /// Sends a command about this key. It has to be one that may be carried out twice: when the connection is lost before
    /// the answer comes, it is sent again. All of it takes no longer than a connection and an answer may.
    pub(crate) async fn send(&self, key: &str, command: &Cmd) -> Result<Value, Failure> {
        let began = Instant::now();
        let slot = slot(key.as_bytes());
        let node = self.node_of(slot);
        let failure = match node.send(command, false).await {
            Err(failure) if failure.is_redirect() || failure.is_of_connection() => failure,
            answer => return answer,
        };
        let limit = self.settings.connect_timeout.saturating_add(self.settings.operation_timeout);
        let following = self.follow(slot, command, node, failure.clone());
        timeout(limit.saturating_sub(began.elapsed()), following).await.unwrap_or(Err(failure))
    }

    /// Asks whom a failure leads to, a few times.
    async fn follow(
        &self,
        slot: u16,
        command: &Cmd,
        mut node: Arc<Node>,
        mut failure: Failure,
    ) -> Result<Value, Failure> {
        for _ in 1..MAX_HOPS {
            let asking = matches!(failure.cause, Cause::Ask(_));
            node = match &failure.cause {
                Cause::Moved(to) => self.learn(Some(slot), to, &node)?,
                Cause::Ask(to) => self.learn(None, to, &node)?,
                _ if failure.is_of_connection() => self.instead_of(slot, &node, &failure).ok_or(failure)?,
                _ => return Err(failure),
            };
            failure = match node.send(command, asking).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
        }
        Err(if failure.is_redirect() { Failure::new(node.address(), Cause::Redirects) } else { failure })
    }

    fn node_of(&self, slot: u16) -> Arc<Node> {
        self.map().slots.get(&slot).cloned().unwrap_or_else(|| self.seed())
    }

    fn seed(&self) -> Arc<Node> {
        let at = self.preferred.load(Ordering::Relaxed) % self.seeds.len();
        Arc::clone(&self.seeds[at])
    }

    /// The node at an address that another one names; from then on the slot's, if it is said which.
    fn learn(&self, slot: Option<u16>, to: &Address, named_by: &Node) -> Result<Arc<Node>, Failure> {
        if self.settings.tls.is_none() && !self.settings.plain_anywhere && !to.is_loopback() {
            return Err(Failure::new(named_by.address(), Cause::PlainRedirect(to.clone())));
        }
        let mut map = self.map();
        if !map.nodes.contains_key(to) && map.nodes.len() >= MAX_NODES {
            *map = Map::of(&self.seeds);
        }
        let new = || Arc::new(Node::new(to.clone(), Arc::clone(&self.settings)));
        let node = Arc::clone(map.nodes.entry(to.clone()).or_insert_with(new));
        if let Some(slot) = slot {
            map.slots.insert(slot, Arc::clone(&node));
        }
        Ok(node)
    }

    /// Whom to ask when a node does not answer: itself, on a new connection, or any other, which will know who has its slots
    /// now. None: nobody else is known.
    fn instead_of(&self, slot: u16, failed: &Arc<Node>, failure: &Failure) -> Option<Arc<Node>> {
        if failure.is_lost() {
            return Some(Arc::clone(failed));
        }
        let mut map = self.map();
        map.slots.remove(&slot);
        if map.nodes.len() < 2 {
            return None;
        }
        if self.seeds.iter().any(|seed| Arc::ptr_eq(seed, failed)) {
            self.preferred.fetch_add(1, Ordering::Relaxed);
        }
        let at = fastrand::usize(..map.nodes.len() - 1);
        map.nodes.values().filter(|node| !Arc::ptr_eq(node, failed)).nth(at).cloned()
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Map {
    fn of(seeds: &[Arc<Node>]) -> Self {
        let nodes = seeds.iter().map(|seed| (seed.address().clone(), Arc::clone(seed))).collect();
        Self { slots: HashMap::new(), nodes }
    }
}

/// The slot of a key (Redis cluster specification, "Key distribution model"): CRC-16/XMODEM of the key, or of its hash tag.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').map(|open| &key[open + 1..]);
    let tag = tag.and_then(|rest| Some(&rest[..rest.iter().position(|byte| *byte == b'}')?]));
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key)) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As `CLUSTER KEYSLOT` says.
        let cases: [(&str, &str); 4] =
            [("{user1000}.following", "user1000"), ("a:{b}:c", "b"), ("foo{{bar}}zap", "{bar"), ("a{b}{c}", "b")];
        for (key, tag) in cases {
            assert_eq!(slot(key.as_bytes()), crc16(tag.as_bytes()) % SLOTS, "{key}");
        }
        for whole in ["foo{}{bar}", "no tag", "{open", "", "}{"] {
            assert_eq!(slot(whole.as_bytes()), crc16(whole.as_bytes()) % SLOTS, "{whole}");
        }
        assert_eq!(slot(b"foo"), 12182);
    }
}
