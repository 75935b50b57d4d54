//! S2: what Redis holds is of no use without the keys, and what is put there is believed only if it is ours.

use futures_util::future::join_all;
use oauth_tokens::{StoreKeys, TokenStore};
use tests::redis::RedisServer;

use super::support::{KEY_1, KEY_2, Raw, content, key, name, patient, record, store};

#[tokio::test]
async fn s1_redis_holds_no_secret() {
    let server = RedisServer::start();
    let store = store(&server);
    let mut raw = Raw::open(&server.url()).await;
    assert!(store.replace(&key("alice"), None, &record(1, "s3cr3t-token")).await.expect("a store"));
    let names: Vec<String> = raw.say("KEYS *").await;
    assert_eq!(names, [name(&key("alice"))]);
    assert!(!names[0].contains("alice"));
    let value: Vec<u8> = raw.send(&[b"GET", names[0].as_bytes()]).await;
    assert!(!String::from_utf8_lossy(&value).contains("s3cr3t"));
    assert!(!format!("{store:?}").contains(KEY_1));
}

#[tokio::test]
async fn s2_a_record_that_was_moved_is_garbage() {
    let server = RedisServer::start();
    let store = store(&server);
    let mut raw = Raw::open(&server.url()).await;
    let (alice, mallory) = (key("alice"), key("mallory"));
    assert!(store.replace(&alice, None, &record(1, "alice's")).await.expect("a store"));
    let _: i64 = raw.say(&format!("COPY {} {}", name(&alice), name(&mallory))).await;
    assert_eq!(content(store.load(&mallory).await.expect("a store")), None);
    assert_eq!(content(store.load(&alice).await.expect("a store")), Some((1, "alice's".to_owned())));
}

/// Changes what is kept as somebody could who writes to Redis.
type Change = fn(&[u8]) -> Vec<u8>;

#[tokio::test]
async fn s2_garbage_is_none_and_stays_until_a_record_takes_its_place() {
    let server = RedisServer::start();
    let store = store(&server);
    let mut raw = Raw::open(&server.url()).await;
    let changes: [(&str, Change); 9] = [
        ("nothing", |_| Vec::new()),
        ("text", |_| b"hello".to_vec()),
        ("only a version", |_| b"1:".to_vec()),
        ("another version", |kept| [b"2", &kept[1..]].concat()),
        ("no number", |kept| [b"x", &kept[1..]].concat()),
        ("a number in another form", |kept| [b"0", kept].concat()),
        ("cut", |kept| kept[..kept.len() - 1].to_vec()),
        ("a changed bit", |kept| [&kept[..kept.len() - 1], &[kept[kept.len() - 1] ^ 1]].concat()),
        ("longer than any record", |kept| [kept, &vec![0; 2 * 1024 * 1024]].concat()),
    ];
    for (what, change) in changes {
        let key = key(what);
        let name = name(&key);
        assert!(store.replace(&key, None, &record(1, "a")).await.expect("a store"), "{what}");
        let kept: Vec<u8> = raw.send(&[b"GET", name.as_bytes()]).await;
        let garbage = change(&kept);
        let _: () = raw.send(&[b"SET", name.as_bytes(), &garbage]).await;
        assert_eq!(content(store.load(&key).await.expect("a store")), None, "{what}");
        let left: Vec<u8> = raw.send(&[b"GET", name.as_bytes()]).await;
        assert_eq!(left, garbage, "{what}: a process with other keys must not destroy it");
        assert!(store.replace(&key, None, &record(3, "b")).await.expect("a store"), "{what}");
        assert_eq!(content(store.load(&key).await.expect("a store")), Some((3, "b".to_owned())), "{what}");
    }
}

#[tokio::test]
async fn s2_garbage_of_another_type_is_none_and_makes_room() {
    let server = RedisServer::start();
    let store = store(&server);
    let mut raw = Raw::open(&server.url()).await;
    let (list, hash) = (key("list"), key("hash"));
    let _: i64 = raw.say(&format!("LPUSH {} x", name(&list))).await;
    let _: i64 = raw.say(&format!("HSET {} version 1", name(&hash))).await;
    for key in [list, hash] {
        assert_eq!(content(store.load(&key).await.expect("a store")), None);
        assert!(!store.delete(&key, 1).await.expect("a store"));
        assert!(!store.replace(&key, Some(1), &record(2, "a")).await.expect("a store"));
        assert!(store.replace(&key, None, &record(1, "b")).await.expect("a store"));
        assert_eq!(content(store.load(&key).await.expect("a store")), Some((1, "b".to_owned())));
    }
}

#[tokio::test]
async fn s2_of_many_that_replace_garbage_one_does() {
    let server = RedisServer::start();
    let stores: Vec<_> = (0..8).map(|_| store(&server)).collect();
    let mut raw = Raw::open(&server.url()).await;
    for round in 0..20 {
        let key = key(&round.to_string());
        let _: () = raw.say(&format!("SET {} garbage", name(&key))).await;
        let racing =
            stores.iter().map(async |store| store.replace(&key, None, &record(1, "a")).await.expect("a store"));
        let winners = join_all(racing).await.into_iter().filter(|did| *did).count();
        assert_eq!(winners, 1);
    }
}

#[tokio::test]
async fn s2_keys_rotate_without_losing_a_record() {
    let server = RedisServer::start();
    let with = |keys: &str| patient(&server.url(), StoreKeys::new(keys.to_owned()));
    let (old, new) = (KEY_1, KEY_2);
    let first = with(old);
    assert!(first.replace(&key("a"), None, &record(1, "by the old key")).await.expect("a store"));
    // The new key is there, then it seals, then the old one goes: neighbours always understand each other.
    let (second, third, last) = (with(&format!("{old} {new}")), with(&format!("{new} {old}")), with(new));
    assert_eq!(content(third.load(&key("a")).await.expect("a store")), Some((1, "by the old key".to_owned())));
    assert!(third.replace(&key("a"), Some(1), &record(2, "by the new key")).await.expect("a store"));
    assert_eq!(content(second.load(&key("a")).await.expect("a store")), Some((2, "by the new key".to_owned())));
    assert_eq!(content(last.load(&key("a")).await.expect("a store")), Some((2, "by the new key".to_owned())));
    // Who was left behind sees garbage, and destroys nothing unless told to write over it.
    assert_eq!(content(first.load(&key("a")).await.expect("a store")), None);
    assert!(!first.replace(&key("a"), Some(1), &record(3, "late")).await.expect("a store"));
    assert_eq!(content(last.load(&key("a")).await.expect("a store")), Some((2, "by the new key".to_owned())));
}
