//! What the example `web_login` writes is for its owner only (S1).
#![cfg(unix)]

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use examples::web_login::{Settings, WebLogin};
use oauth_tokens::Secret;
use tests::support::TempFolder;

fn settings(data: &Path, store_keys: Secret) -> Settings {
    Settings {
        origin: "http://127.0.0.1:3000".to_owned(),
        issuer: "https://id.test".to_owned(),
        client_id: "parcels".to_owned(),
        client_secret: Secret::new("s3cr3t"),
        scope: String::new(),
        prompt: None,
        api: "https://api.test".to_owned(),
        data: data.to_owned(),
        store_keys,
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("it is there").permissions().mode() & 0o777
}

/// A folder that was there before, as a package or a service manager makes it; and a database of an older version.
#[tokio::test]
async fn s1_others_cannot_read_the_sessions() {
    for older in [None, Some(0o644)] {
        let folder = TempFolder::new();
        let data = folder.path("data");
        fs::create_dir(&data).expect("a folder");
        set_mode(&data, 0o755);
        let database = data.join("sessions.sqlite");
        if let Some(mode) = older {
            fs::write(&database, b"").expect("a file");
            set_mode(&database, mode);
        }
        let keys = Settings::own_store_keys(&data).expect("a key");
        WebLogin::open(&settings(&data, keys)).await.expect("an application");
        for file in ["sessions.sqlite", "store.key"] {
            assert_eq!(mode(&data.join(file)), 0o600, "{file}");
        }
    }
}

#[tokio::test]
async fn s1_a_folder_that_others_can_write_is_refused() {
    let folder = TempFolder::new();
    let data = folder.path("data");
    fs::create_dir(&data).expect("a folder");
    for mode in [0o777, 0o770, 0o702] {
        set_mode(&data, mode);
        let error = WebLogin::open(&settings(&data, Secret::new("x"))).await.expect_err("others can write into it");
        assert!(error.to_string().contains("chmod 700"), "{error}");
        Settings::own_store_keys(&data).expect_err("others can write into it");
    }
    set_mode(&data, 0o700);
}

/// It is there whole or not at all, and only one of several first starts makes it.
#[test]
fn s1_the_key_is_made_once() {
    let folder = TempFolder::new();
    let data = folder.path("data");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                Settings::own_store_keys(&data).expect("a key");
                assert_eq!(fs::read(data.join("store.key")).expect("a key").len(), 44);
            });
        }
    });
    let key = fs::read(data.join("store.key")).expect("a key");
    Settings::own_store_keys(&data).expect("a key");
    assert_eq!(fs::read(data.join("store.key")).expect("a key"), key);
    assert_eq!(fs::read_dir(&data).expect("a folder").count(), 1, "nothing else is left behind");
}
