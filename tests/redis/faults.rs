//! S2: a Redis that is down, hangs, restarts or is none at all costs a bounded time, and heals by itself.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use oauth_tokens::{Secret, StoreKeys, TokenStore};
use oauth_tokens_redis::RedisStore;
use tests::redis::RedisServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::timeout,
};

use super::support::{Raw, content, eventually, key, keys, ms, patient, record, s, store};

/// The defaults, and what a busy machine needs on top.
const CONNECT: Duration = ms(1_000);
const OPERATION: Duration = ms(250);
const BUSY: Duration = ms(500);

fn default_store(url: &str) -> RedisStore {
    RedisStore::new(url, keys()).expect("a store")
}

async fn took<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    (work.await, began.elapsed())
}

#[tokio::test]
async fn s2_a_redis_that_is_down_is_an_error_at_once_and_heals() {
    let mut server = RedisServer::prepared(&[]);
    let store = default_store(&server.url());
    assert!(store.ready().await.expect_err("nobody is there").to_string().contains("cannot be connected to"));
    for _ in 0..5 {
        let (refused, time) = took(store.load(&key("a"))).await;
        assert!(refused.expect_err("nobody is there").to_string().contains("cannot be connected to"));
        assert!(time < BUSY, "{time:?}");
    }
    server.restart();
    eventually("it heals", async || store.ready().await.is_ok()).await;
    assert!(store.replace(&key("a"), None, &record(1, "a")).await.expect("a store"));
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), Some((1, "a".to_owned())));
}

#[tokio::test]
async fn a_store_whose_keys_cannot_be_read_is_not_ready() {
    let server = RedisServer::start();
    let missing = StoreKeys::new(Secret::file("/nowhere/store-keys"));
    let refused = patient(&server.url(), missing).ready().await.expect_err("no keys");
    assert!(refused.to_string().contains("/nowhere/store-keys"), "{refused}");
    store(&server).ready().await.expect("it is ready");
}

#[tokio::test]
async fn s2_a_redis_that_was_restarted_is_found_again_at_once() {
    let mut server = RedisServer::start();
    let store = store(&server);
    assert!(store.replace(&key("a"), None, &record(1, "a")).await.expect("a store"));
    server.restart();
    // The first operation after it finds the old connection broken, and nobody notices.
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), None, "it forgot everything");
    assert!(store.replace(&key("a"), None, &record(2, "b")).await.expect("a store"));
}

#[tokio::test]
async fn s2_a_lost_connection_is_made_anew_for_each_operation() {
    let server = RedisServer::start();
    let store = store(&server);
    let mut raw = Raw::open(&server.url()).await;
    for version in 1..20 {
        let expected = (version > 1).then_some(version - 1);
        assert!(store.replace(&key("a"), expected, &record(version, "a")).await.expect("a store"));
        let killed: u64 = raw.say("CLIENT KILL TYPE normal SKIPME yes").await;
        assert_eq!(killed, 1);
    }
}

#[tokio::test]
async fn s2_a_redis_that_hangs_costs_a_bounded_time_and_then_nothing() {
    let server = RedisServer::start();
    let store = default_store(&server.url());
    eventually("it is there", async || store.replace(&key("a"), None, &record(1, "a")).await.is_ok()).await;
    server.freeze();
    let (hung, time) = took(store.load(&key("a"))).await;
    assert!(hung.expect_err("nobody answers").to_string().contains("did not answer in time"));
    assert!(time < OPERATION + BUSY, "{time:?}");
    // From now on, most fail at once, and none waits longer than a connection may take.
    let began = Instant::now();
    let mut at_once = 0;
    while began.elapsed() < s(3) {
        let (hung, time) = took(store.load(&key("a"))).await;
        assert!(hung.is_err());
        assert!(time < CONNECT + BUSY, "{time:?}");
        at_once += usize::from(time < ms(50));
        tokio::time::sleep(ms(5)).await;
    }
    assert!(at_once > 50, "{at_once}");
    server.resume();
    eventually("it heals", async || store.load(&key("a")).await.is_ok()).await;
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), Some((1, "a".to_owned())));
}

#[tokio::test]
async fn s2_many_that_meet_a_hanging_redis_wait_for_one_connection() {
    let (url, accepted) = silent_server().await;
    let store = default_store(&url);
    let key = key("a");
    let (all, time) = took(join_all((0..1_000).map(|_| store.load(&key)))).await;
    assert!(all.iter().all(Result::is_err));
    assert!(time < CONNECT + BUSY, "{time:?}");
    assert_eq!(accepted.load(Relaxed), 1);
}

#[tokio::test]
async fn a_limit_may_be_as_long_as_one_likes() {
    let server = RedisServer::start();
    let builder = RedisStore::builder(&server.url(), keys()).connect_timeout(Duration::MAX);
    let store = builder.operation_timeout(Duration::MAX).build().expect("a store");
    store.ready().await.expect("it is there");
    let _: u64 = Raw::open(&server.url()).await.say("CLIENT KILL TYPE normal SKIPME yes").await;
    store.ready().await.expect("on a new connection");
}

#[tokio::test]
async fn s2_attempts_to_connect_are_paced() {
    let (url, accepted) = refusing_server(b"").await;
    let store = default_store(&url);
    let began = Instant::now();
    while began.elapsed() < s(3) {
        assert!(store.load(&key("a")).await.is_err());
        tokio::time::sleep(ms(1)).await;
    }
    // With pauses of 125 to 250 ms, then 250 to 500 ms, 0.5 to 1 s, 1 to 2 s: five or six.
    let accepted = accepted.load(Relaxed);
    assert!((3..=8).contains(&accepted), "{accepted}");
}

#[tokio::test]
async fn s2_what_is_no_redis_is_an_error() {
    let answers: [&[u8]; 7] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
        b"$-5\r\n",
        b"*99999999999999999999\r\n",
        b"$536870912\r\nx",
        b":1\r\n:1\r\n:1\r\n",
        b"\x00\xff\xfe",
    ];
    for answer in answers {
        let (url, _) = refusing_server(answer).await;
        let store = default_store(&url);
        for _ in 0..2 {
            let (refused, time) = took(store.load(&key("a"))).await;
            assert!(refused.is_err(), "{}", String::from_utf8_lossy(answer));
            assert!(time < CONNECT + OPERATION + BUSY, "{time:?}");
        }
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_the_connection_to_the_next() {
    let server = RedisServer::start();
    let store = store(&server);
    let mut raw = Raw::open(&server.url()).await;
    for _ in 0..20 {
        let _ = timeout(Duration::ZERO, store.load(&key("a"))).await;
        tokio::task::yield_now().await;
    }
    assert!(store.replace(&key("a"), None, &record(1, "a")).await.expect("a store"));
    for version in 1..50 {
        let _ = timeout(Duration::from_micros(50 * version), store.load(&key("a"))).await;
    }
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), Some((1, "a".to_owned())));
    let connections: String = raw.say("CLIENT LIST TYPE normal").await;
    assert_eq!(connections.lines().count(), 2, "{connections}");
}

#[test]
fn f13_each_runtime_has_its_connection_and_may_end_with_it() {
    let server = RedisServer::start();
    let store = store(&server);
    for version in 1..5 {
        let expected = (version > 1).then_some(version - 1);
        let replaced = runtime().block_on(store.replace(&key("a"), expected, &record(version, "a")));
        assert!(replaced.expect("a store"), "{version}");
    }
    // One that stands still, with its connection, is in nobody's way.
    let (idle, busy) = (runtime(), runtime());
    for _ in 0..3 {
        for runtime in [&idle, &busy] {
            assert_eq!(content(runtime.block_on(store.load(&key("a"))).expect("a store")), Some((4, "a".to_owned())));
        }
    }
    let clients =
        busy.block_on(async { Raw::open(&server.url()).await.say::<String>("CLIENT LIST TYPE normal").await });
    assert_eq!(clients.lines().count(), 3, "{clients}");
}

#[test]
fn without_a_runtime_or_its_parts_there_is_an_error_and_no_panic() {
    let server = RedisServer::start();
    let store = store(&server);
    let bare = Builder::new_current_thread().build().expect("a runtime");
    let refused = bare.block_on(store.load(&key("a"))).expect_err("no I/O");
    assert!(refused.to_string().contains("runtime"), "{refused}");
    let refused =
        futures_util::FutureExt::now_or_never(store.load(&key("a"))).expect("at once").expect_err("no runtime");
    assert!(refused.to_string().contains("runtime"), "{refused}");
    assert!(runtime().block_on(store.load(&key("a"))).is_ok());
}

#[test]
fn a_runtime_that_ends_while_it_connects_is_an_error_for_its_own_only() {
    let server = RedisServer::start();
    let store = Arc::new(store(&server));
    server.freeze();
    let (begun, begins) = oneshot::channel();
    let waiting = Arc::clone(&store);
    let ended = thread::spawn(move || {
        runtime().block_on(async {
            let _ = timeout(ms(100), waiting.load(&key("a"))).await;
            let _ = begun.send(());
        });
    });
    runtime().block_on(begins).expect("it waited");
    ended.join().expect("no panic");
    server.resume();
    assert!(runtime().block_on(store.load(&key("a"))).is_ok());
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Takes connections and says nothing, as long as the test's runtime runs.
async fn silent_server() -> (String, Arc<AtomicUsize>) {
    serve(async |mut stream: TcpStream| while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}).await
}

/// Answers the first that it hears with this, and closes.
async fn refusing_server(answer: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    serve(async move |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(answer).await;
    })
    .await
}

async fn serve<F>(answer: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> (String, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let url = format!("redis://{}", listener.local_addr().expect("an address"));
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Relaxed);
            tokio::spawn(answer(stream));
        }
    });
    (url, accepted)
}
