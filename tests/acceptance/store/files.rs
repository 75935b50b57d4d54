//! S3: tokens in files, for their owner alone.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::SystemTime,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::future::join_all;
use oauth_test_server::{Endpoint, TestServer};
use oauth_tokens::{FileStore, Record, StoreKeys, TokenStore};
use tests::{
    contract::{self, Time},
    support::{TempFolder, eventually, shown},
};
use tokio::time::{Instant, advance};

use super::{content, key, record, request_to, s};

fn keys(byte: u8) -> StoreKeys {
    StoreKeys::new(BASE64_STANDARD.encode([byte; 32]))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("there").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
}

/// A store with a record, and the record's file.
async fn with_record(folder: &TempFolder) -> (FileStore, PathBuf) {
    let path = folder.path("tokens");
    let store = FileStore::new(&path);
    assert!(store.replace(&key("a"), None, &record(1, "s3cr3t")).await.expect("a store"));
    (store, path.join(format!("{}.token", key("a").as_str())))
}

async fn loaded(store: &FileStore) -> Option<(u64, String)> {
    content(store.load(&key("a")).await.expect("a store"))
}

#[tokio::test(start_paused = true)]
async fn what_every_store_keeps_to() {
    let folder = TempFolder::new();
    let plain = || FileStore::new(folder.path("plain"));
    contract::all(&plain(), &plain(), Time::Paused).await;
    let encrypted = || FileStore::new(folder.path("deep/er/encrypted")).encrypted(keys(1));
    contract::all(&encrypted(), &encrypted(), Time::Paused).await;
}

#[tokio::test]
async fn s3_the_folder_and_all_files_are_their_owners_alone() {
    let folder = TempFolder::new();
    let (store, file) = with_record(&folder).await;
    store.lease(&key("a"), s(10)).await.expect("a store").expect("the lease");
    assert_eq!(mode(file.parent().expect("a folder")), 0o700);
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(file.parent().expect("a folder")).expect("a folder") {
        let entry = entry.expect("an entry");
        assert_eq!(mode(&entry.path()), 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().expect("a name"));
    }
    names.sort();
    let key = key("a");
    assert_eq!(names, [format!("{}.lease", key.as_str()), format!("{}.token", key.as_str()), "lock".to_owned()]);
}

#[tokio::test]
async fn s3_a_folder_that_others_may_enter_is_refused() {
    let folder = TempFolder::new();
    let (store, file) = with_record(&folder).await;
    let path = file.parent().expect("a folder").to_owned();
    for unsafe_mode in [0o701, 0o710, 0o750, 0o755, 0o777] {
        set_mode(&path, unsafe_mode);
        let error = store.load(&key("a")).await.expect_err("others may enter");
        assert!(error.to_string().contains("0700"), "{error}");
        assert!(store.replace(&key("b"), None, &record(1, "b")).await.is_err());
        assert!(store.lease(&key("b"), s(1)).await.is_err());
    }
    set_mode(&path, 0o700);
    assert!(loaded(&store).await.is_some());
    // A link to a folder, and what is no folder.
    symlink(&path, folder.path("link")).expect("a link");
    folder.write("file", "");
    for other in ["link", "file"] {
        let error = FileStore::new(folder.path(other)).load(&key("a")).await.expect_err("no folder of its own");
        assert!(error.to_string().contains("link"), "{error}");
    }
}

/// What is in the way of a record is not read, and not followed; a new record takes its place.
#[tokio::test]
async fn s3_links_pipes_large_files_and_those_that_others_can_read_are_refused() {
    type Plant = fn(&Path, &TempFolder);
    let plants: [(&str, Plant); 8] = [
        ("a link", |file, folder| {
            fs::rename(file, folder.path("elsewhere")).expect("moved");
            symlink(folder.path("elsewhere"), file).expect("a link");
        }),
        ("a link to nothing", |file, folder| {
            fs::remove_file(file).expect("removed");
            symlink(folder.path("victim"), file).expect("a link");
        }),
        ("a hard link", |file, folder| fs::hard_link(file, folder.path("elsewhere")).expect("a link")),
        ("group", |file, _| set_mode(file, 0o640)),
        ("others", |file, _| set_mode(file, 0o604)),
        ("writable", |file, _| set_mode(file, 0o602)),
        ("large", |file, _| {
            let mut content = fs::read(file).expect("a file");
            content.resize(1024 * 1024 + 1, 0);
            fs::write(file, content).expect("a file");
        }),
        ("a pipe", |file, _| {
            fs::remove_file(file).expect("removed");
            let made = std::process::Command::new("mkfifo").arg("-m").arg("600").arg(file).status();
            assert!(made.expect("mkfifo").success());
        }),
    ];
    for (what, plant) in plants {
        let folder = TempFolder::new();
        let (store, file) = with_record(&folder).await;
        plant(&file, &folder);
        let began = std::time::Instant::now();
        assert_eq!(loaded(&store).await, None, "{what}");
        assert!(began.elapsed() < s(2), "{what}: a pipe is not waited for");
        assert!(store.replace(&key("a"), None, &record(2, "new")).await.expect("a store"), "{what}");
        assert_eq!(loaded(&store).await, Some((2, "new".to_owned())), "{what}");
        assert_eq!(mode(&file), 0o600, "{what}");
        assert!(fs::symlink_metadata(&file).expect("there").is_file(), "{what}");
        assert!(!folder.path("victim").exists(), "{what}: nothing is written through a link");
        if let Ok(elsewhere) = fs::read(folder.path("elsewhere")) {
            assert!(!String::from_utf8_lossy(&elsewhere).contains("new"), "{what}");
        }
    }
}

/// The lock is a file like the others: nobody makes us write elsewhere by it, or wait for ever.
#[tokio::test]
async fn s3_a_planted_lock_is_refused() {
    let folder = TempFolder::new();
    let (store, file) = with_record(&folder).await;
    let lock = file.with_file_name("lock");
    for what in ["a link", "a pipe", "others"] {
        let _ = fs::remove_file(&lock);
        match what {
            "a link" => symlink(folder.path("victim"), &lock).expect("a link"),
            "a pipe" => {
                let made = std::process::Command::new("mkfifo").arg("-m").arg("600").arg(&lock).status();
                assert!(made.expect("mkfifo").success());
            }
            _ => {
                fs::write(&lock, "").expect("a file");
                set_mode(&lock, 0o666);
            }
        }
        assert!(store.replace(&key("b"), None, &record(1, "b")).await.is_err(), "{what}");
        assert!(!folder.path("victim").exists(), "{what}");
    }
    fs::remove_file(&lock).expect("removed");
    assert!(store.replace(&key("b"), None, &record(1, "b")).await.expect("a store"), "it is made anew");
}

#[tokio::test]
async fn s2_a_record_is_bound_to_its_key_plain_or_encrypted() {
    for encrypted in [false, true] {
        let folder = TempFolder::new();
        let path = folder.path("tokens");
        let open = |byte| {
            let store = FileStore::new(&path);
            if encrypted { store.encrypted(keys(byte)) } else { store }
        };
        let store = open(1);
        let file = |name: &str| path.join(format!("{}.token", key(name).as_str()));
        assert!(store.replace(&key("a"), None, &record(1, "s3cr3t-t0k3n")).await.expect("a store"));
        let bytes = fs::read(file("a")).expect("a file");
        assert_eq!(String::from_utf8_lossy(&bytes).contains("s3cr3t-t0k3n"), !encrypted);

        fs::copy(file("a"), file("b")).expect("moved to another key");
        assert!(store.load(&key("b")).await.expect("a store").is_none(), "{encrypted}");
        assert!(store.replace(&key("b"), None, &record(1, "b")).await.expect("a store"), "garbage makes room");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(file("a"), changed).expect("a file");
            assert_eq!(loaded(&store).await, None, "{encrypted} byte {at}");
            fs::write(file("a"), &bytes[..at]).expect("a file");
            assert_eq!(loaded(&store).await, None, "{encrypted} cut at {at}");
        }
        fs::write(file("a"), &bytes).expect("a file");
        assert!(loaded(&open(1)).await.is_some());
        if encrypted {
            assert!(loaded(&open(2)).await.is_none(), "another key");
            assert!(loaded(&FileStore::new(&path)).await.is_none(), "no key");
        } else {
            let planted = FileStore::new(&path).encrypted(keys(1));
            assert!(loaded(&planted).await.is_none(), "what is not encrypted is garbage where records are");
        }
    }
}

#[tokio::test]
async fn s2_of_many_writers_one_wins_each_round() {
    let folder = TempFolder::new();
    let path = folder.path("tokens");
    let stores: Vec<FileStore> = (0..8).map(|_| FileStore::new(&path)).collect();
    let (name, mut previous) = (key("a"), None);
    for version in 1..=5 {
        let next = record(version, "next");
        let won = join_all(stores.iter().map(|store| store.replace(&name, previous, &next))).await;
        let won = won.into_iter().map(|won| won.expect("a store")).filter(|won| *won).count();
        assert_eq!(won, 1, "round {version}");
        previous = Some(version);
        let leases = join_all(stores.iter().map(|store| store.lease(&name, s(60)))).await;
        let taken: Vec<_> = leases.into_iter().filter_map(|lease| lease.expect("a store")).collect();
        assert_eq!(taken.len(), 1, "round {version}");
        stores[0].release(&key("a"), &taken[0]).await.expect("a store");
    }
}

/// All ask in the same moment: each reads the clock before another one has the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s2_a_lease_is_one_processs_however_close_they_ask() {
    let folder = TempFolder::new();
    let path = folder.path("tokens");
    for round in 0..25 {
        let together = std::sync::Arc::new(tokio::sync::Barrier::new(8));
        let asking = (0..8).map(|_| {
            let (store, together) = (FileStore::new(&path), together.clone());
            tokio::spawn(async move {
                together.wait().await;
                store.lease(&key(&round.to_string()), s(16)).await
            })
        });
        let leases = join_all(asking).await.into_iter().map(|asked| asked.expect("no panic"));
        let taken = leases.filter(|lease| matches!(lease, Ok(Some(_)))).count();
        assert_eq!(taken, 1, "round {round}");
    }
}

/// Another process holds the lock, and does not go on.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_lock_that_is_not_given_back_is_an_error_and_no_wait() {
    let folder = TempFolder::new();
    let (store, file) = with_record(&folder).await;
    let mut holder = std::process::Command::new("flock")
        .arg(file.with_file_name("lock"))
        .args(["sh", "-c", "echo locked; read end"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("flock");
    let mut locked = [0; 6];
    std::io::Read::read_exact(holder.stdout.as_mut().expect("its output"), &mut locked).expect("it is locked");
    let began = std::time::Instant::now();
    let error = store.replace(&key("b"), None, &record(1, "b")).await.expect_err("locked");
    assert!(error.to_string().contains("lock") && began.elapsed() < s(2), "{error} {:?}", began.elapsed());
    assert!(loaded(&store).await.is_some(), "whoever reads needs no lock");
    drop(holder.stdin.take());
    holder.wait().expect("ended");
    assert!(store.replace(&key("b"), None, &record(1, "b")).await.expect("a store"));
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_process_that_crashed_ends_and_clocks_that_are_set_back_do_not_prolong_it() {
    let folder = TempFolder::new();
    let (store, file) = with_record(&folder).await;
    store.lease(&key("a"), s(12)).await.expect("a store").expect("the lease");
    let restarted = FileStore::new(folder.path("tokens"));
    advance(s(11)).await;
    assert!(restarted.lease(&key("a"), s(12)).await.expect("a store").is_none());
    advance(s(1)).await;
    assert!(restarted.lease(&key("a"), s(12)).await.expect("a store").is_some());
    let lease = file.with_extension("lease");
    for nonsense in ["", "x", "holder 99999999999999", "holder soon", "holder 18446744073709551615", "\u{0}"] {
        fs::write(&lease, nonsense).expect("a file");
        assert!(restarted.lease(&key("a"), s(12)).await.expect("a store").is_some(), "{nonsense}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_or_was_left_behind_is_removed() {
    let folder = TempFolder::new();
    let (store, file) = with_record(&folder).await;
    let path = file.parent().expect("a folder").to_owned();
    let brief = Record { expires_at: Some(SystemTime::now() + s(60)), ..record(1, "brief") };
    let unlimited = Record { expires_at: None, ..record(1, "unlimited") };
    assert!(store.replace(&key("brief"), None, &brief).await.expect("a store"));
    assert!(store.replace(&key("unlimited"), None, &unlimited).await.expect("a store"));
    let plant = |name: &str| {
        fs::write(path.join(name), "").expect("a file");
        set_mode(&path.join(name), 0o600);
        let file = fs::File::options().write(true).open(path.join(name)).expect("a file");
        file.set_modified(SystemTime::UNIX_EPOCH).expect("its time");
    };
    for name in ["x.token.1.tmp", "x.lease", "notes.txt"] {
        plant(name);
    }
    advance(s(61)).await;
    let restarted = FileStore::new(&path);
    assert!(restarted.load(&key("brief")).await.expect("a store").is_none(), "expired");
    restarted.lease(&key("b"), s(1)).await.expect("a store").expect("the lease");
    let name_of = |name: &str| format!("{}.token", key(name).as_str());
    let over = ["x.token.1.tmp".to_owned(), "x.lease".to_owned(), name_of("brief")];
    eventually("what is over is removed", || over.iter().all(|name| !path.join(name).exists())).await;
    for name in ["notes.txt".to_owned(), name_of("a"), name_of("unlimited")] {
        assert!(path.join(&name).exists(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_started_again_makes_no_token_request() {
    let server = TestServer::builder().build();
    let folder = TempFolder::new();
    let store = || FileStore::new(folder.path("cache/tool")).encrypted(keys(1));
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let cache = request_to(&server).stored(store()).cached().expect("a cache");
        tokens.push(cache.token().await.expect("a token"));
    }
    assert!(tokens[0] == tokens[1] && tokens[1] == tokens[2]);
    assert_eq!(server.counters().requests_to(Endpoint::Token), 1);
}

/// A folder that cannot be used costs a warning, and nothing else.
#[tokio::test(start_paused = true)]
async fn a_folder_that_cannot_be_used_fails_no_call() {
    let server = TestServer::builder().build();
    let folder = TempFolder::new();
    folder.write("file", "");
    let began = Instant::now();
    let cache = request_to(&server).stored(FileStore::new(folder.path("file/tokens"))).cached().expect("a cache");
    cache.token().await.expect("a token");
    assert!(began.elapsed() < s(1));
    let error = FileStore::new(folder.path("file/tokens")).load(&key("a")).await.expect_err("no folder");
    assert!(!shown(&*error).is_empty() && !format!("{:?}", FileStore::new("x").encrypted(keys(1))).contains("AQEB"));
}
