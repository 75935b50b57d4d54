//! What every token store keeps to (S2), and records to try it with.

use std::time::{Duration, Instant, SystemTime};

use oauth_tokens::{Lease, Record, StoreKey, TokenStore};
use tokio::time::{advance, sleep};

/// A lease that no test outlasts.
const LONG: Duration = Duration::from_secs(60);

/// How time goes on.
#[derive(Clone, Copy, Debug)]
pub enum Time {
    /// By hand: a lease ends to the millisecond.
    Paused,
    /// By itself.
    Real,
}

/// A key of this name.
#[must_use]
pub fn key(name: &str) -> StoreKey {
    StoreKey::digest(&[name.as_bytes()])
}

/// A record of this version that says who it is.
#[must_use]
pub fn record(version: u64, content: &str) -> Record {
    let expires_at = Some(SystemTime::now() + Duration::from_secs(3600));
    Record { version, expires_at, content: content.as_bytes().to_vec().into() }
}

/// A record's version, and who it is.
#[must_use]
pub fn content(record: Option<Record>) -> Option<(u64, String)> {
    record.map(|record| (record.version, String::from_utf8_lossy(&record.content).into_owned()))
}

/// All of it, by two handles on one empty store, as two processes have.
///
/// # Panics
///
/// When the store does not keep to it.
pub async fn all(store: &impl TokenStore, other: &impl TokenStore, time: Time) {
    records(store, other).await;
    leases(store, other, time).await;
}

/// A record takes only the place that it was meant for.
async fn records(store: &impl TokenStore, other: &impl TokenStore) {
    let replace =
        async |expected, version| store.replace(&key("a"), expected, &record(version, "c")).await.expect("a store");
    assert!(!replace(Some(1), 2).await, "there is none");
    assert!(replace(None, 1).await);
    assert!(!replace(None, 2).await, "there is one");
    assert!(!replace(Some(2), 3).await, "there is another");
    assert!(replace(Some(1), 2).await);
    assert!(!replace(Some(1), 3).await, "a slow process");
    assert!(!replace(Some(2), 2).await && !replace(Some(2), 1).await, "none that is newer");
    assert_eq!(content(other.load(&key("a")).await.expect("a store")), Some((2, "c".to_owned())));
    assert_eq!(content(other.load(&key("b")).await.expect("a store")), None);
    assert!(!other.delete(&key("a"), 1).await.expect("a store"), "another is there");
    assert!(other.delete(&key("a"), 2).await.expect("a store"));
    assert!(!other.delete(&key("a"), 2).await.expect("a store"), "gone");
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), None);
}

/// One has the lease until it is given back, or over.
async fn leases(store: &impl TokenStore, other: &impl TokenStore, time: Time) {
    let lease = store.lease(&key("a"), LONG).await.expect("a store").expect("the lease");
    assert!(other.lease(&key("a"), LONG).await.expect("a store").is_none());
    assert!(other.lease(&key("b"), LONG).await.expect("a store").is_some(), "another key's");
    other.release(&key("a"), &Lease::new("somebody else")).await.expect("a store");
    assert!(other.lease(&key("a"), LONG).await.expect("a store").is_none());
    store.release(&key("a"), &lease).await.expect("a store");
    let brief = Duration::from_millis(50);
    let lease = other.lease(&key("a"), brief).await.expect("a store").expect("the lease");
    let next = match time {
        Time::Paused => {
            advance(brief - Duration::from_millis(1)).await;
            assert!(store.lease(&key("a"), brief).await.expect("a store").is_none(), "not over yet");
            advance(Duration::from_millis(1)).await;
            store.lease(&key("a"), LONG).await.expect("a store").expect("the lease, which is over")
        }
        Time::Real => soon_over(store).await,
    };
    other.release(&key("a"), &lease).await.expect("a store");
    assert!(other.lease(&key("a"), LONG).await.expect("a store").is_none(), "the next one's is not given back");
    store.release(&key("a"), &next).await.expect("a store");
}

async fn soon_over(store: &impl TokenStore) -> Lease {
    let began = Instant::now();
    loop {
        if let Some(lease) = store.lease(&key("a"), LONG).await.expect("a store") {
            return lease;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the lease is never over");
        sleep(Duration::from_millis(5)).await;
    }
}
