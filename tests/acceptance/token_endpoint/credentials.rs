//! T15: a secret is a value, a file or a function, read anew for each exchange.

use std::{
    error::Error as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use oauth_test_server::TestServer;
use oauth_tokens::{ClientAuth, Error, ErrorKind, Secret, TokenCache, TokenSource};
use tests::support::{TempFolder, shown};
use tokio::time::advance;

use super::client_by;

fn cached(server: &TestServer, secret: Secret) -> TokenCache {
    client_by(server, ClientAuth::secret_basic(secret)).client_credentials().cached().expect("a request")
}

async fn fetch(server: &TestServer, secret: Secret) -> Result<(), Error> {
    client_by(server, ClientAuth::secret_post(secret)).client_credentials().fetch().await.map(drop)
}

#[tokio::test]
async fn t15_a_function_is_asked_for_each_exchange() {
    let server = TestServer::builder().build();
    let (reads, current) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new("secret".to_owned())));
    let secret = Secret::from_fn({
        let (reads, current) = (reads.clone(), current.clone());
        move || {
            reads.fetch_add(1, Relaxed);
            let value = current.lock().expect("a secret").clone();
            async move { Ok(value) }
        }
    });
    let request = client_by(&server, ClientAuth::secret_basic(secret)).client_credentials();
    request.fetch().await.expect("a token");
    // Rotation at both ends, and no restart.
    server.set_secret("m2m", "rotated");
    *current.lock().expect("a secret") = "rotated".to_owned();
    request.fetch().await.expect("a token with the new secret");
    assert_eq!((reads.load(Relaxed), server.counters().token_errors), (2, 0));
}

#[tokio::test]
async fn t15_a_file_is_read_for_each_exchange_and_its_line_end_dropped() {
    let server = TestServer::builder().build();
    let folder = TempFolder::new();
    let path = folder.write("secret", "secret\n");
    let request = client_by(&server, ClientAuth::secret_post(Secret::file(&path))).client_credentials();
    request.fetch().await.expect("a token");
    for (text, value) in [("two", "two"), ("three\r\n", "three"), ("four\n\n", "four"), (" five ", " five ")] {
        folder.write("secret", text);
        server.set_secret("m2m", value);
        request.fetch().await.unwrap_or_else(|error| panic!("{text:?}: {error}"));
    }
    assert_eq!(server.counters().token_errors, 0);
}

#[tokio::test]
async fn t15_a_file_that_cannot_be_used_is_a_credential_error_and_nothing_is_sent() {
    let server = TestServer::builder().build();
    let folder = TempFolder::new();
    let pipe = folder.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()), "a named pipe");
    let mut too_large = "x".repeat(1024 * 1024 + 1).into_bytes();
    let cases = [
        (folder.path("missing"), "missing"),
        (folder.write("empty", ""), "is empty"),
        (folder.write("only-line-ends", "\r\n\n"), "is empty"),
        (folder.write("two-lines", "se\ncret"), "control character"),
        (folder.write("nul", "secret\0"), "control character"),
        (folder.write("binary", b"se\xffcret"), ""),
        (folder.write("large", &too_large), "1 MiB"),
        (folder.path("."), "not a regular file"),
        (pipe, "not a regular file"),
    ];
    for (path, why) in cases {
        let error = fetch(&server, Secret::file(&path)).await.expect_err("unusable");
        assert_eq!(error.kind(), ErrorKind::Credential, "{}", path.display());
        assert!(error.is_transient(), "somebody mends the file: {error}");
        let text = shown(&error);
        assert!(text.contains(&path.display().to_string()) && text.contains(why), "{why:?} is not in {text}");
        assert!(!text.contains("cret\n") && !text.contains("xxxx"), "its content is not shown");
    }
    let missing = fetch(&server, Secret::file(folder.path("missing"))).await.expect_err("missing");
    let cause = missing.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    assert_eq!(cause.map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound));
    assert_eq!(server.counters().token_requests, 0);

    too_large.pop();
    server.set_secret("m2m", String::from_utf8(too_large.clone()).expect("text"));
    fetch(&server, Secret::file(folder.write("largest", &too_large))).await.expect("1 MiB is not over 1 MiB");
}

#[tokio::test]
async fn t15_a_function_that_fails_is_the_source_of_the_error() {
    let server = TestServer::builder().build();
    let error =
        fetch(&server, Secret::from_fn(|| async { Err("the vault is sealed".into()) })).await.expect_err("sealed");
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the vault is sealed"));
    for bad in ["", "a\nb", "\0"] {
        let secret = Secret::from_fn(move || async move { Ok(bad.to_owned()) });
        assert_eq!(fetch(&server, secret).await.expect_err("unusable").kind(), ErrorKind::Credential, "{bad:?}");
    }
    assert_eq!(server.counters().token_requests, 0);
}

#[tokio::test(start_paused = true)]
async fn t15_a_changed_file_ends_the_waiting_after_a_permanent_error() {
    let server = TestServer::builder().build();
    let folder = TempFolder::new();
    let path = folder.write("secret", "outdated");
    let tokens = cached(&server, Secret::file(&path));
    let error = tokens.token().await.expect_err("a wrong secret");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_client"));

    // An unchanged credential is not tried again: 30 s, less a quarter of jitter.
    for _ in 0..20 {
        advance(Duration::from_secs(1)).await;
        tokens.token().await.expect_err("remembered");
    }
    assert_eq!(server.counters().token_requests, 1);

    folder.write("secret", "secret");
    advance(Duration::from_secs(1)).await;
    tokens.token().await.expect("the new secret, at once");
    assert_eq!(server.counters().token_requests, 2);
}

#[tokio::test(start_paused = true)]
async fn t15_a_swapped_link_is_a_changed_credential() {
    let server = TestServer::builder().build();
    let folder = TempFolder::new();
    // Of one length and one age: only the link tells them apart.
    folder.write_of_old("old", "0utd8d");
    folder.write_of_old("new", "secret");
    let link = folder.path("secret");
    std::os::unix::fs::symlink(folder.path("old"), &link).expect("a link");
    let tokens = cached(&server, Secret::file(&link));
    tokens.token().await.expect_err("a wrong secret");

    std::os::unix::fs::symlink(folder.path("new"), folder.path("next")).expect("a link");
    std::fs::rename(folder.path("next"), &link).expect("a swap");
    advance(Duration::from_secs(1)).await;
    tokens.token().await.expect("the new secret, at once");
}

#[tokio::test(start_paused = true)]
async fn t15_a_wrong_value_is_tried_again_rarely() {
    let server = TestServer::builder().build();
    let tokens = cached(&server, Secret::new("wrong"));
    tokens.token().await.expect_err("a wrong secret");
    server.set_secret("m2m", "wrong");
    advance(Duration::from_secs(22)).await;
    tokens.token().await.expect_err("remembered for 30 s, less a quarter of jitter");
    advance(Duration::from_secs(8)).await;
    tokens.token().await.expect("somebody mended it at the server");
    assert_eq!(server.counters().token_requests, 2);
}
