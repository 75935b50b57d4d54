//! S1, S3: where a store may connect to, who it says it is, and that nobody else reads that.

use std::{fmt::Write as _, net::Ipv4Addr, sync::Arc};

use oauth_tokens::{ErrorKind, Secret, StoreKeys, TokenStore};
use oauth_tokens_redis::RedisStore;
use tests::{
    capture::Capture,
    redis::RedisServer,
    support::{TempFolder, shown},
};
use tokio::net::TcpListener;

use super::support::{KEY_1, Raw, content, eventually, key, keys, patient, record, s};

const PASSWORD: &str = "s3cr3t-of-redis";

#[test]
fn s3_plain_redis_is_for_this_machine_unless_allowed_by_name() {
    for url in ["redis://localhost", "redis://127.0.0.1:7000/1", "redis://[::1]", "rediss://redis.example.com"] {
        assert!(RedisStore::new(url, keys()).is_ok(), "{url}");
    }
    let elsewhere = [
        "redis://redis.example.com",
        "redis://:s3cr3t-of-redis@10.0.0.1:6379",
        "redis://0.0.0.0",
        "redis://localhost.example.com",
        "redis://[::2]",
    ];
    for url in elsewhere {
        let refused = RedisStore::new(url, keys()).expect_err(url);
        assert_eq!(refused.kind(), ErrorKind::Config, "{url}");
        assert!(refused.to_string().contains("rediss://"), "{url}: it says what to do: {refused}");
        assert!(!shown(&refused).contains(PASSWORD), "{url}");
        let as_second = RedisStore::builder("redis://localhost", keys()).node(url).build();
        assert!(as_second.is_err(), "{url}");
        assert!(RedisStore::builder(url, keys()).dangerously_allow_plain_redis().build().is_ok(), "{url}");
    }
}

#[test]
fn s1_what_cannot_be_used_is_refused_without_repeating_it() {
    let root = TempFolder::new();
    let missing = Secret::file(root.path("missing"));
    let with = |url: &str| RedisStore::builder(url, keys());
    let cases = [
        ("query", with("rediss://:s3cr3t-of-redis@a/?insecure=true")),
        ("fragment", with("rediss://:s3cr3t-of-redis@a/#insecure")),
        ("no URL", with("s3cr3t-of-redis")),
        ("password that is a port", with("redis://localhost:s3cr3t-of-redis")),
        ("password that is a path", with("redis://localhost/s3cr3t-of-redis@b")),
        ("keys", RedisStore::builder("redis://localhost", StoreKeys::new(PASSWORD))),
        ("prefix", with("redis://localhost").prefix("two words")),
        ("braces", with("redis://localhost").prefix("{tag}")),
        ("no prefix", with("redis://localhost").prefix("")),
        ("no time", with("redis://localhost").operation_timeout(s(0))),
        ("no time to connect", with("redis://localhost").connect_timeout(s(0))),
        ("roots", with("rediss://a").root_certificates(PASSWORD)),
        ("roots that nobody uses", with("redis://localhost").root_certificates("-----BEGIN CERTIFICATE-----")),
        ("identity", with("rediss://a").identity(PASSWORD, PASSWORD)),
        ("two passwords", with("rediss://:s3cr3t-of-redis@a").password(missing)),
        ("user without password", with("rediss://fleet@a")),
        ("other scheme", with("rediss://localhost").node("redis://localhost")),
        ("other login", with("rediss://a").node("rediss://:s3cr3t-of-redis@b")),
        ("other database", with("rediss://a").node("rediss://b/1")),
        ("a cluster's database", with("rediss://a/1").node("rediss://b/1")),
    ];
    for (what, builder) in cases {
        let mut text = format!("{builder:?}");
        let refused = builder.build().expect_err(what);
        assert_eq!(refused.kind(), ErrorKind::Config, "{what}");
        let _ = write!(text, "{}", shown(&refused));
        assert!(!text.contains(PASSWORD) && !text.contains(KEY_1), "{what}: {text}");
    }
    assert!(
        with("rediss://user:s3cr3t-of-redis@a")
            .node("rediss://b")
            .node("rediss://user:s3cr3t-of-redis@c")
            .build()
            .is_ok()
    );
}

#[tokio::test]
async fn s1_a_password_opens_and_shows_nowhere() {
    let capture = Capture::start();
    let server = RedisServer::with(&["--requirepass", PASSWORD]);
    let url = |login: &str| format!("redis://{login}127.0.0.1:{}", server.port());
    let mut text = String::new();
    for (login, advice) in [("", "NOAUTH"), (":wrong-s3cr3t@", "WRONGPASS"), ("somebody:s3cr3t-of-redis@", "WRONGPASS")]
    {
        let store = patient(&url(login), keys());
        let refused = store.load(&key("a")).await.expect_err(login);
        assert!(refused.to_string().contains(advice), "{login:?}: {refused}");
        assert!(refused.to_string().contains("password"), "it says what to check: {refused}");
        let _ = write!(text, "{store:?}{store:#?}{}", shown(&*refused));
    }
    let store = patient(&url(":s3cr3t-of-redis@"), keys());
    assert!(store.replace(&key("a"), None, &record(1, "a")).await.expect("a store"));
    let _ = write!(text, "{store:?}{}", capture.text());
    for secret in ["s3cr3t", KEY_1] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn s1_a_server_that_repeats_the_password_is_not_repeated() {
    // Redis answers a command that it does not know with the command's arguments.
    let server = RedisServer::with(&["--rename-command", "AUTH", ""]);
    let store = patient(&format!("redis://:{PASSWORD}@127.0.0.1:{}", server.port()), keys());
    let refused = store.load(&key("a")).await.expect_err("a refused login");
    assert!(refused.to_string().contains("refused the login"), "{refused}");
    assert!(!shown(&*refused).contains(PASSWORD), "{}", shown(&*refused));
}

#[tokio::test]
async fn s1_a_server_that_repeats_records_is_not_repeated() {
    let server = RedisServer::with(&["--rename-command", "EVAL", ""]);
    let store = patient(&server.url(), keys());
    let refused = store.replace(&key("a"), None, &record(1, "a")).await.expect_err("a refused command");
    assert!(refused.to_string().contains("refused with ERR"), "{refused}");
    assert!(!shown(&*refused).contains(key("a").as_str()), "{}", shown(&*refused));
}

#[tokio::test]
async fn a_password_in_a_file_rotates() {
    let folder = TempFolder::new();
    let file = folder.write("password", "first\n");
    let server = RedisServer::with(&["--requirepass", "first"]);
    let builder = RedisStore::builder(&server.url(), keys()).password(Secret::file(&file)).operation_timeout(s(10));
    let store = builder.build().expect("a store");
    assert!(store.replace(&key("a"), None, &record(1, "a")).await.expect("a store"));
    let mut raw = Raw::open(&format!("redis://:first@127.0.0.1:{}", server.port())).await;
    let _: () = raw.say("CONFIG SET requirepass second").await;
    folder.write("password", "second\n");
    // The connection is still one that knew the first.
    let _: i64 = raw.say("CLIENT KILL TYPE normal").await;
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), Some((1, "a".to_owned())));
    std::fs::remove_file(&file).expect("the file");
    let mut raw = Raw::open(&format!("redis://:second@127.0.0.1:{}", server.port())).await;
    let _: i64 = raw.say("CLIENT KILL TYPE normal").await;
    let unreadable = store.load(&key("a")).await.expect_err("no password");
    assert!(unreadable.to_string().contains("cannot be read"), "{unreadable}");
    folder.write("password", "second\n");
    eventually("it heals", async || store.load(&key("a")).await.is_ok()).await;
}

#[tokio::test]
async fn a_user_with_the_rights_that_the_documentation_names_is_enough() {
    let server = RedisServer::start();
    let mut raw = Raw::open(&server.url()).await;
    // As in the documentation of `RedisStore`.
    let rights = "ACL SETUSER fleet on >pw ~oauth-tokens:* -@all +eval +getrange +get +set +del +select +asking";
    let _: () = raw.say(rights).await;
    let store = patient(&format!("redis://fleet:pw@127.0.0.1:{}/3", server.port()), keys());
    assert!(store.replace(&key("a"), None, &record(1, "a")).await.expect("a store"));
    assert!(store.replace(&key("a"), Some(1), &record(2, "b")).await.expect("a store"));
    assert_eq!(content(store.load(&key("a")).await.expect("a store")), Some((2, "b".to_owned())));
    let lease = store.lease(&key("a"), s(10)).await.expect("a store").expect("the lease");
    store.release(&key("a"), &lease).await.expect("a store");
    assert!(store.delete(&key("a"), 2).await.expect("a store"));
    let url = format!("redis://fleet:pw@127.0.0.1:{}", server.port());
    let elsewhere = RedisStore::builder(&url, keys()).prefix("others").build().expect("a store");
    let refused = elsewhere.load(&key("a")).await.expect_err("no right");
    assert!(refused.to_string().contains("NOPERM"), "{refused}");
    assert!(refused.to_string().contains("ACL"), "it says what to check: {refused}");
}

#[tokio::test]
async fn building_does_no_io() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    let store = RedisStore::new(&format!("redis://127.0.0.1:{port}"), keys()).expect("a store");
    let accepted = tokio::time::timeout(std::time::Duration::from_millis(100), listener.accept()).await;
    assert!(accepted.is_err(), "nobody connects before there is something to ask");
    drop(Arc::new(store));
}
