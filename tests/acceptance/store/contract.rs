//! What every store keeps to (S2).

use oauth_tokens::{Lease, TokenStore};
use tokio::time::advance;

use super::{content, key, record, s};

/// All of it, in an empty store. Time passes.
pub(super) async fn all(store: &impl TokenStore) {
    records(store).await;
    leases(store).await;
}

/// A record takes only the place that it was meant for.
async fn records(store: &impl TokenStore) {
    let replace =
        async |expected, version| store.replace(&key("a"), expected, &record(version, "c")).await.expect("a store");
    assert!(!replace(Some(1), 2).await, "there is none");
    assert!(replace(None, 1).await);
    assert!(!replace(None, 2).await, "there is one");
    assert!(!replace(Some(2), 3).await, "there is another");
    assert!(replace(Some(1), 2).await);
    assert!(!replace(Some(1), 3).await, "a slow process");
    assert!(!replace(Some(2), 2).await && !replace(Some(2), 1).await, "none that is newer");
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), Some((2, "c".to_owned())));
    assert_eq!(content(store.load(&key("b")).await.expect("a store")), None);
    assert!(!store.delete(&key("a"), 1).await.expect("a store"), "another is there");
    assert!(store.delete(&key("a"), 2).await.expect("a store"));
    assert!(!store.delete(&key("a"), 2).await.expect("a store"), "gone");
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), None);
}

/// One has the lease until it is given back, or over.
async fn leases(store: &impl TokenStore) {
    let lease = store.lease(&key("a"), s(15)).await.expect("a store").expect("the lease");
    assert!(store.lease(&key("a"), s(15)).await.expect("a store").is_none());
    assert!(store.lease(&key("b"), s(15)).await.expect("a store").is_some(), "another key's");
    store.release(&key("a"), &Lease::new("somebody else")).await.expect("a store");
    assert!(store.lease(&key("a"), s(15)).await.expect("a store").is_none());
    store.release(&key("a"), &lease).await.expect("a store");
    let lease = store.lease(&key("a"), s(15)).await.expect("a store").expect("the lease");
    advance(s(15)).await;
    let next = store.lease(&key("a"), s(15)).await.expect("a store").expect("the lease, which is over");
    store.release(&key("a"), &lease).await.expect("a store");
    assert!(store.lease(&key("a"), s(15)).await.expect("a store").is_none(), "the next one's is not given back");
    store.release(&key("a"), &next).await.expect("a store");
}
