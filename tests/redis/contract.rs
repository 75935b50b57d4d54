//! S2: what every store keeps to, on Redis.

use std::time::SystemTime;

use futures_util::future::join_all;
use oauth_tokens::{Record, TokenStore};
use tests::{
    contract::{self, Time},
    redis::RedisServer,
};

use super::support::{Raw, content, eventually, key, ms, name, record, s, store};

#[tokio::test]
async fn what_every_store_keeps_to() {
    let server = RedisServer::start();
    contract::all(&store(&server), &store(&server), Time::Real).await;
}

#[tokio::test]
async fn s2_versions_are_compared_to_the_last_digit() {
    let server = RedisServer::start();
    let store = store(&server);
    // To a number of Lua's, these two are one.
    let (version, neighbour) = (u64::MAX - 1, u64::MAX - 2);
    assert!(store.replace(&key("a"), None, &record(version, "c")).await.expect("a store"));
    assert!(!store.replace(&key("a"), Some(neighbour), &record(u64::MAX, "d")).await.expect("a store"));
    assert!(!store.delete(&key("a"), neighbour).await.expect("a store"));
    assert!(store.replace(&key("a"), Some(version), &record(u64::MAX, "d")).await.expect("a store"));
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), Some((u64::MAX, "d".to_owned())));
}

#[tokio::test]
async fn s2_of_many_that_replace_one_record_one_does() {
    let server = RedisServer::start();
    let stores: Vec<_> = (0..8).map(|_| store(&server)).collect();
    for round in 0..20 {
        let expected = (round > 0).then_some(round);
        let racers = stores.iter().enumerate().flat_map(|(number, store)| (0..4).map(move |_| (number, store)));
        let racing = racers.map(async |(number, store)| {
            let new = record(round + 1, &number.to_string());
            (number, store.replace(&key("a"), expected, &new).await.expect("a store"))
        });
        let winners: Vec<_> = join_all(racing).await.into_iter().filter(|(_, did)| *did).collect();
        let [(winner, _)] = winners[..] else { panic!("one winner, not {winners:?}") };
        let there = content(stores[0].load(&key("a")).await.expect("a store"));
        assert_eq!(there, Some((round + 1, winner.to_string())));
    }
}

#[tokio::test]
async fn s2_of_many_that_want_the_lease_one_gets_it() {
    let server = RedisServer::start();
    let stores: Vec<_> = (0..8).map(|_| store(&server)).collect();
    for round in 0..20 {
        let key = key(&round.to_string());
        let racing = stores.iter().flat_map(|store| (0..4).map(move |_| store));
        let leases = join_all(racing.map(async |store| store.lease(&key, s(60)).await.expect("a store"))).await;
        assert_eq!(leases.iter().flatten().count(), 1);
    }
}

#[tokio::test]
async fn records_and_leases_go_when_their_time_is_over() {
    let server = RedisServer::start();
    let store = store(&server);
    let mut raw = Raw::open(&server.url()).await;
    let forever = Record { expires_at: None, ..record(1, "forever") };
    let brief = Record { expires_at: Some(SystemTime::now() + ms(100)), ..record(1, "brief") };
    let over = Record { expires_at: Some(SystemTime::now() - s(1)), ..record(1, "over") };
    for (name, record) in [("forever", &forever), ("hour", &record(1, "hour")), ("brief", &brief), ("over", &over)] {
        assert!(store.replace(&key(name), None, record).await.expect("a store"), "{name}");
    }
    let lease = store.lease(&key("hour"), s(30)).await.expect("a store").expect("the lease");
    let left: i64 = raw.say(&format!("PTTL {}", name(&key("hour")))).await;
    assert!((3_500_000..=3_600_000).contains(&left), "{left}");
    let left: i64 = raw.say(&format!("PTTL {}:lease", name(&key("hour")))).await;
    assert!((1..=30_000).contains(&left), "{left}");
    assert_eq!(raw.say::<i64>(&format!("PTTL {}", name(&key("forever")))).await, -1);
    eventually("only two are left", async || raw.say::<u64>("DBSIZE").await == 3).await;
    store.release(&key("hour"), &lease).await.expect("a store");
    assert_eq!(raw.say::<u64>("DBSIZE").await, 2);
    // A record that never goes is replaced by one that does.
    assert!(store.replace(&key("forever"), Some(1), &record(2, "hour")).await.expect("a store"));
    assert!(raw.say::<i64>(&format!("PTTL {}", name(&key("forever")))).await > 0);
    assert!(store.replace(&key("forever"), Some(2), &Record { version: 3, ..forever }).await.expect("a store"));
    assert_eq!(raw.say::<i64>(&format!("PTTL {}", name(&key("forever")))).await, -1);
}

#[tokio::test]
async fn prefixes_and_databases_keep_services_apart() {
    let server = RedisServer::start();
    let builders = ["", "/3"].map(|database| format!("{}{database}", server.url()));
    let mut stores = Vec::new();
    for url in &builders {
        for prefix in ["oauth-tokens", "billing:eu"] {
            let builder = oauth_tokens_redis::RedisStore::builder(url, super::support::keys()).prefix(prefix);
            stores.push(builder.operation_timeout(s(10)).build().expect("a store"));
        }
    }
    for (number, store) in stores.iter().enumerate() {
        assert!(store.replace(&key("a"), None, &record(1, &number.to_string())).await.expect("a store"), "{number}");
    }
    for (number, store) in stores.iter().enumerate() {
        let there = content(store.load(&key("a")).await.expect("a store"));
        assert_eq!(there, Some((1, number.to_string())));
    }
}
