//! What these tests share.

use std::time::{Duration, Instant};

use oauth_tokens::{StoreKey, StoreKeys};
use oauth_tokens_redis::RedisStore;
use redis::{FromRedisValue, aio::MultiplexedConnection};
pub(crate) use tests::contract::{content, key, record};
use tests::redis::RedisServer;

/// Two keys of a store, as `openssl rand -base64 32` gives them.
pub(crate) const KEY_1: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
pub(crate) const KEY_2: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn keys() -> StoreKeys {
    StoreKeys::new(KEY_1)
}

/// A store with a connection of its own. It waits long for an answer, because this machine may be busy; what is bounded is
/// tested elsewhere.
pub(crate) fn store(server: &RedisServer) -> RedisStore {
    patient(&server.url(), keys())
}

pub(crate) fn patient(url: &str, keys: StoreKeys) -> RedisStore {
    let builder = RedisStore::builder(url, keys).connect_timeout(s(10)).operation_timeout(s(10));
    builder.build().expect("a store")
}

/// Where a store keeps the record of a key.
pub(crate) fn name(key: &StoreKey) -> String {
    format!("oauth-tokens:{{{}}}", key.as_str())
}

/// A look behind the store's back.
pub(crate) struct Raw(MultiplexedConnection);

impl Raw {
    pub(crate) async fn open(url: &str) -> Self {
        let client = redis::Client::open(url).expect("a URL");
        Self(client.get_multiplexed_async_connection().await.expect("a connection"))
    }

    /// Sends a command: its words, some of which may be bytes.
    pub(crate) async fn send<T: FromRedisValue>(&mut self, words: &[&[u8]]) -> T {
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query_async(&mut self.0).await.expect("an answer")
    }

    /// As [`send`](Self::send), of plain words.
    pub(crate) async fn say<T: FromRedisValue>(&mut self, words: &str) -> T {
        let words: Vec<_> = words.split(' ').map(str::as_bytes).collect();
        self.send(&words).await
    }
}

/// Asks again and again until it holds, at most thirty seconds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < s(30), "never came true: {what}");
        tokio::time::sleep(ms(5)).await;
    }
}
