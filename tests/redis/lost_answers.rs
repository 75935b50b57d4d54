//! S2: an answer that is lost on the way is asked for again, and what was done is not done twice.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use oauth_tokens::TokenStore;
use oauth_tokens_redis::RedisStore;
use tests::redis::RedisServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::support::{content, eventually, key, keys, patient, record, s, store};

/// Stands between a store and Redis, and swallows as many answers as it is told to: it closes the connection instead.
struct Wire {
    url: String,
    swallow: Arc<AtomicUsize>,
}

impl Wire {
    async fn to(server: &RedisServer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let url = format!("redis://{}", listener.local_addr().expect("an address"));
        let (swallow, port) = (Arc::new(AtomicUsize::new(0)), server.port());
        let left = Arc::clone(&swallow);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let redis = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("a connection");
                tokio::spawn(pass(client, redis, Arc::clone(&left)));
            }
        });
        Self { url, swallow }
    }

    /// The next answer does not arrive.
    fn cut(&self) {
        self.swallow.store(1, Relaxed);
    }

    fn was_cut(&self) -> bool {
        self.swallow.load(Relaxed) == 0
    }
}

async fn pass(mut client: TcpStream, mut redis: TcpStream, left: Arc<AtomicUsize>) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_redis, mut to_redis) = redis.split();
    let answers = async {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from_redis.read(&mut buffer).await {
            if left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                return;
            }
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = answers => {}
        _ = copy(&mut from_client, &mut to_redis) => {}
    }
}

#[tokio::test]
async fn s2_a_lost_answer_is_asked_for_again() {
    let server = RedisServer::start();
    let wire = Wire::to(&server).await;
    let store = patient(&wire.url, keys());
    let (alice, bob) = (key("alice"), key("bob"));
    assert!(store.load(&alice).await.expect("a store").is_none());

    wire.cut();
    assert!(store.replace(&alice, None, &record(1, "a")).await.expect("a store"), "it was done, by us");
    assert!(wire.was_cut());
    wire.cut();
    assert!(store.replace(&alice, Some(1), &record(2, "b")).await.expect("a store"), "it was done, by us");
    assert!(wire.was_cut());
    wire.cut();
    assert_eq!(content(store.load(&alice).await.expect("a store")), Some((2, "b".to_owned())));
    assert!(wire.was_cut());

    wire.cut();
    let lease = store.lease(&alice, s(60)).await.expect("a store").expect("the lease: nobody else has it");
    assert!(wire.was_cut());
    wire.cut();
    store.release(&alice, &lease).await.expect("a store");
    assert!(wire.was_cut());
    assert!(store.lease(&alice, s(60)).await.expect("a store").is_some(), "it was given back");

    wire.cut();
    let _ = store.delete(&alice, 2).await.expect("a store");
    assert!(wire.was_cut());
    assert!(store.load(&alice).await.expect("a store").is_none());

    // What somebody else did in between is not ours.
    assert!(store.replace(&bob, None, &record(1, "theirs")).await.expect("a store"));
    wire.cut();
    assert!(!store.replace(&bob, None, &record(2, "ours")).await.expect("a store"));
    assert!(wire.was_cut());
}

#[tokio::test]
async fn s2_a_wire_that_loses_every_answer_is_given_up() {
    let server = RedisServer::start();
    let wire = Wire::to(&server).await;
    let through = patient(&wire.url, keys());
    assert!(through.load(&key("a")).await.expect("a store").is_none());
    wire.swallow.store(usize::MAX, Relaxed);
    assert!(through.replace(&key("a"), None, &record(1, "a")).await.is_err());
    let swallowed = usize::MAX - wire.swallow.load(Relaxed);
    assert!(swallowed <= 3, "{swallowed} attempts");
    assert_eq!(content(store(&server).load(&key("a")).await.expect("a store")), Some((1, "a".to_owned())));
}

#[tokio::test]
async fn s2_a_lease_that_nobody_waited_for_is_given_back() {
    let server = RedisServer::start();
    let (hasty, other) = (store(&server), store(&server));
    for store in [&hasty, &other] {
        assert!(store.load(&key("a")).await.expect("a store").is_none(), "connected");
    }
    for round in 0..50 {
        // Given up when it is under way, at whichever moment.
        let lease = timeout(Duration::from_micros(20 * round), hasty.lease(&key("a"), s(600))).await;
        if let Ok(lease) = lease {
            let lease = lease.expect("a store").expect("the lease");
            hasty.release(&key("a"), &lease).await.expect("a store");
        }
        eventually("the lease is free", async || {
            let lease = other.lease(&key("a"), s(600)).await.expect("a store");
            if let Some(lease) = &lease {
                other.release(&key("a"), lease).await.expect("a store");
            }
            lease.is_some()
        })
        .await;
    }
}

#[tokio::test]
async fn s2_a_lease_whose_answer_came_too_late_is_given_back() {
    let server = RedisServer::start();
    let hasty = RedisStore::new(&server.url(), keys()).expect("a store");
    eventually("it is there", async || hasty.load(&key("a")).await.is_ok()).await;
    server.freeze();
    assert!(hasty.lease(&key("a"), s(600)).await.is_err(), "no answer in time");
    server.resume();
    // Redis finds the question in its socket now, and answers nobody.
    let other = store(&server);
    eventually("the lease is free", async || other.lease(&key("a"), s(600)).await.expect("a store").is_some()).await;
}
