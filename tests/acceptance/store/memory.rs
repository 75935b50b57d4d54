//! What every store keeps to, in memory.

use std::time::SystemTime;

use oauth_tokens::{MemoryStore, Record, TokenStore};
use tests::contract::{self, Time};
use tokio::time::advance;

use super::{content, key, record, s};

#[tokio::test(start_paused = true)]
async fn what_every_store_keeps_to() {
    let store = MemoryStore::new();
    contract::all(&store, &store, Time::Paused).await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_record_is_none_and_makes_room() {
    let store = MemoryStore::new().capacity(2);
    let brief = Record { expires_at: Some(SystemTime::now() + s(60)), ..record(1, "brief") };
    let long = Record { expires_at: None, ..record(1, "long") };
    assert!(store.replace(&key("a"), None, &brief).await.expect("a store"));
    assert!(store.replace(&key("b"), None, &long).await.expect("a store"));
    let refused = store.replace(&key("c"), None, &long).await.expect_err("full");
    assert!(refused.to_string().contains("full"), "{refused}");
    assert!(store.replace(&key("b"), Some(1), &record(2, "newer")).await.expect("a store"), "what is there changes");
    advance(s(61)).await;
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), None);
    assert!(store.replace(&key("c"), None, &long).await.expect("a store"), "the expired one made room");
    assert_eq!(content(store.load(&key("b")).await.expect("a store")), Some((2, "newer".to_owned())));
}
