//! A cluster of three masters.

use std::{net::Ipv4Addr, time::Instant};

use futures_util::future::join_all;
use oauth_tokens::{StoreKey, TokenStore};
use oauth_tokens_redis::RedisStore;
use tests::redis::RedisServer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::support::{Raw, content, eventually, key, keys, ms, name, patient, record, s};

const OPTIONS: [&str; 6] =
    ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"];

/// Three masters, each with a third of the slots.
struct Cluster {
    nodes: Vec<RedisServer>,
    raw: Vec<Raw>,
}

impl Cluster {
    async fn start() -> Self {
        let nodes: Vec<_> = (0..3).map(|_| RedisServer::with(&OPTIONS)).collect();
        let mut raw = Vec::new();
        for node in &nodes {
            raw.push(Raw::open(&node.url()).await);
        }
        for (node, slots) in raw.iter_mut().zip(["0 5460", "5461 10922", "10923 16383"]) {
            let _: () = node.say(&format!("CLUSTER ADDSLOTSRANGE {slots}")).await;
        }
        for node in &nodes[1..] {
            let _: () = raw[0].say(&format!("CLUSTER MEET 127.0.0.1 {}", node.port())).await;
        }
        for node in &mut raw {
            eventually("the cluster stands", async || {
                let info: String = node.say("CLUSTER INFO").await;
                info.contains("cluster_state:ok")
                    && info.contains("cluster_known_nodes:3")
                    && info.contains("slots_ok:16384")
            })
            .await;
        }
        Self { nodes, raw }
    }

    /// Which node serves a slot.
    fn home(slot: u64) -> usize {
        match slot {
            0..=5460 => 0,
            5461..=10922 => 1,
            _ => 2,
        }
    }

    async fn slot(&mut self, key: &StoreKey) -> u64 {
        self.raw[0].say(&format!("CLUSTER KEYSLOT {}", name(key))).await
    }

    /// A key that lives on this node, and its slot.
    async fn key_on(&mut self, node: usize) -> (StoreKey, u64) {
        for number in 0.. {
            let key = key(&format!("on {node}, {number}"));
            let slot = self.slot(&key).await;
            if Self::home(slot) == node {
                return (key, slot);
            }
        }
        unreachable!("every node has slots")
    }

    async fn id(&mut self, node: usize) -> String {
        self.raw[node].say("CLUSTER MYID").await
    }
}

#[tokio::test]
async fn s2_records_of_a_cluster_are_found_from_any_node() {
    let mut cluster = Cluster::start().await;
    let stores: Vec<_> = cluster.nodes.iter().map(|node| patient(&node.url(), keys())).collect();
    let written = (0..60).map(async |number: usize| {
        let (key, store) = (key(&number.to_string()), &stores[number % 3]);
        let lease = store.lease(&key, s(60)).await.expect("a store").expect("the lease");
        assert!(store.replace(&key, None, &record(1, &number.to_string())).await.expect("a store"));
        store.release(&key, &lease).await.expect("a store");
    });
    join_all(written).await;
    for number in 0..60 {
        for store in &stores {
            let there = content(store.load(&key(&number.to_string())).await.expect("a store"));
            assert_eq!(there, Some((1, number.to_string())));
        }
    }
    for node in &mut cluster.raw {
        assert!(node.say::<u64>("DBSIZE").await > 0, "each has some of them");
    }
}

#[tokio::test]
async fn s2_a_slot_that_moves_takes_its_records_along() {
    let mut cluster = Cluster::start().await;
    let store = patient(&cluster.nodes[0].url(), keys());
    let (key, slot) = cluster.key_on(0).await;
    assert!(store.replace(&key, None, &record(1, "a")).await.expect("a store"));
    let (from, to) = (cluster.id(0).await, cluster.id(1).await);
    let _: () = cluster.raw[1].say(&format!("CLUSTER SETSLOT {slot} IMPORTING {from}")).await;
    let _: () = cluster.raw[0].say(&format!("CLUSTER SETSLOT {slot} MIGRATING {to}")).await;
    let port = cluster.nodes[1].port();
    let _: () = cluster.raw[0].say(&format!("MIGRATE 127.0.0.1 {port} {} 0 5000", name(&key))).await;
    // Half way, the old node says to ask the new one, and means this once.
    assert_eq!(content(store.load(&key).await.expect("a store")), Some((1, "a".to_owned())));
    assert!(store.replace(&key, Some(1), &record(2, "b")).await.expect("a store"));
    for node in [1, 0, 2] {
        let _: () = cluster.raw[node].say(&format!("CLUSTER SETSLOT {slot} NODE {to}")).await;
    }
    assert_eq!(content(store.load(&key).await.expect("a store")), Some((2, "b".to_owned())));
    assert!(store.delete(&key, 2).await.expect("a store"));
}

#[tokio::test]
async fn s2_a_dead_node_is_missed_by_its_own_records_only() {
    let mut cluster = Cluster::start().await;
    let (on_first, _) = cluster.key_on(0).await;
    let (on_second, _) = cluster.key_on(1).await;
    let (on_third, _) = cluster.key_on(2).await;
    let builder = RedisStore::builder(&cluster.nodes[0].url(), keys()).node(cluster.nodes[1].url());
    let store = builder.operation_timeout(s(10)).build().expect("a store");
    for key in [&on_first, &on_second, &on_third] {
        assert!(store.replace(key, None, &record(1, "a")).await.expect("a store"));
    }
    cluster.nodes[0].kill();
    assert!(store.load(&on_first).await.is_err());
    for key in [&on_second, &on_third] {
        assert_eq!(content(store.load(key).await.expect("a store")), Some((1, "a".to_owned())));
    }
    // Somebody who only begins now finds the way by the second node.
    let builder = RedisStore::builder(&cluster.nodes[0].url(), keys()).node(cluster.nodes[1].url());
    let newcomer = builder.operation_timeout(s(10)).build().expect("a store");
    for key in [&on_second, &on_third] {
        assert_eq!(content(newcomer.load(key).await.expect("a store")), Some((1, "a".to_owned())));
    }
}

#[tokio::test]
async fn s2_a_replica_that_takes_over_is_found() {
    let mut cluster = Cluster::start().await;
    let (key, _) = cluster.key_on(0).await;
    let master = cluster.id(0).await;
    let replica = RedisServer::with(&OPTIONS);
    let mut raw = Raw::open(&replica.url()).await;
    let _: () = cluster.raw[1].say(&format!("CLUSTER MEET 127.0.0.1 {}", replica.port())).await;
    eventually("they have met", async || raw.say::<String>("CLUSTER NODES").await.contains(&master)).await;
    let _: () = raw.say(&format!("CLUSTER REPLICATE {master}")).await;
    let store = patient(&cluster.nodes[1].url(), keys());
    assert!(store.replace(&key, None, &record(1, "a")).await.expect("a store"));
    eventually("it has a copy", async || raw.say::<u64>("DBSIZE").await == 1).await;
    for node in &mut cluster.raw {
        eventually("all know it", async || node.say::<String>("CLUSTER NODES").await.contains("slave")).await;
    }
    cluster.nodes[0].kill();
    eventually("it takes over", async || store.load(&key).await.is_ok()).await;
    assert_eq!(content(store.load(&key).await.expect("a store")), Some((1, "a".to_owned())));
    assert!(store.replace(&key, Some(1), &record(2, "b")).await.expect("a store"));
}

#[tokio::test]
async fn s2_a_cluster_that_hangs_costs_a_bounded_time() {
    let mut cluster = Cluster::start().await;
    let mut builder = RedisStore::builder(&cluster.nodes[0].url(), keys());
    for node in &cluster.nodes[1..] {
        builder = builder.node(node.url());
    }
    let store = builder.build().expect("a store");
    let (key, _) = cluster.key_on(1).await;
    eventually("it is there", async || store.load(&key).await.is_ok()).await;
    cluster.nodes.iter().for_each(RedisServer::freeze);
    for _ in 0..10 {
        let began = Instant::now();
        assert!(store.load(&key).await.is_err());
        let took = began.elapsed();
        assert!(took < ms(1_250 + 500), "a connection and an answer, not one for each node: {took:?}");
    }
    cluster.nodes.iter().for_each(RedisServer::resume);
    eventually("it heals", async || store.load(&key).await.is_ok()).await;
}

#[tokio::test]
async fn s3_a_node_that_names_another_machine_is_not_followed_in_plain_text() {
    for answer in ["MOVED 1 192.0.2.1:6379", "ASK 1 redis.example.com:6379", "MOVED 1 0.0.0.0:6379"] {
        let store = RedisStore::new(&fake_node(answer).await, keys()).expect("a store");
        let refused = store.load(&key("a")).await.expect_err(answer);
        assert!(refused.to_string().contains("use rediss://"), "{answer}: {refused}");
    }
}

#[tokio::test]
async fn nodes_that_name_each_other_are_asked_a_few_times() {
    for answer in
        ["MOVED 1 :{port}", "ASK 1 127.0.0.1:{port}", "MOVED 1 ?:1", "MOVED", "MOVED 1 127.1:5", "TRYAGAIN later"]
    {
        let store = RedisStore::new(&fake_node(answer).await, keys()).expect("a store");
        let began = Instant::now();
        store.load(&key("a")).await.expect_err(answer);
        assert!(began.elapsed() < ms(1_500), "{answer}");
    }
}

/// Answers everything with this error.
async fn fake_node(answer: &str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    let answer = format!("-{}\r\n", answer.replace("{port}", &address.port().to_string()));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut heard = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut heard).await {
                    // Each command is an array; the array's mark stands only at the beginning of a line here.
                    let commands =
                        heard[..read].split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"*")).count();
                    let _ = stream.write_all(answer.repeat(commands.max(1)).as_bytes()).await;
                }
            });
        }
    });
    format!("redis://{address}")
}
