//! A token that somebody else keeps in a file.

use std::{error::Error as _, os::unix::fs::symlink, time::Duration};

use oauth_test_server::{TestServer, TokenFormat};
use oauth_tokens::{ErrorKind, TokenFile, TokenSource};
use tests::support::{TempFolder, eventually, shown};
use tokio::time::advance;

use super::client_of;

#[tokio::test(start_paused = true)]
async fn token_file_is_read_again_every_minute_while_it_is_used() {
    let folder = TempFolder::new();
    let path = folder.write("token", "first\n");
    let tokens = TokenFile::new(&path).cached();
    assert_eq!(tokens.token().await.expect("a token").secret(), "first");

    folder.write("token", "second\n");
    advance(Duration::from_secs(59)).await;
    assert_eq!(tokens.token().await.expect("a token").secret(), "first", "it is not read on every call");
    // A minute and a tenth of jitter.
    advance(Duration::from_secs(8)).await;
    assert_eq!(tokens.token().await.expect("a token").secret(), "first", "nobody waits for the file");
    eventually("the file is read", || tokens.cached().is_some_and(|token| token.secret() == "second")).await;
}

#[tokio::test(start_paused = true)]
async fn token_file_serves_the_old_token_while_the_file_is_gone() {
    let folder = TempFolder::new();
    let path = folder.write("token", "first");
    let tokens = TokenFile::new(&path).cached();
    tokens.token().await.expect("a token");
    std::fs::remove_file(&path).expect("removed");
    advance(Duration::from_secs(70)).await;
    assert_eq!(tokens.token().await.expect("served on").secret(), "first");
    eventually("reading fails", || tokens.status().last_error.is_some()).await;
    assert_eq!(tokens.token().await.expect("served on").secret(), "first");
    folder.write("token", "second");
    advance(Duration::from_secs(60)).await;
    let _ = tokens.cached();
    eventually("the file is read", || tokens.cached().is_some_and(|token| token.secret() == "second")).await;
    assert!(tokens.status().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn token_file_is_read_again_when_the_token_is_rejected() {
    let folder = TempFolder::new();
    let tokens = TokenFile::new(folder.write("token", "first")).cached();
    let first = tokens.token().await.expect("a token");
    let error = tokens.renew(&first).await.expect_err("the file holds nothing new");
    assert_eq!(error.kind(), ErrorKind::SameToken);

    folder.write("token", "second");
    advance(Duration::from_secs(10)).await;
    assert_eq!(tokens.renew(&first).await.expect("another token").secret(), "second");
}

/// Kubernetes swaps the link `..data`, to which the file's own link leads.
#[tokio::test(start_paused = true)]
async fn token_file_follows_the_swapped_link_of_a_projected_volume() {
    let folder = TempFolder::new();
    for (version, token) in [("v1", "first-"), ("v2", "second")] {
        std::fs::create_dir(folder.path(version)).expect("a folder");
        folder.write_of_old(&format!("{version}/token"), token);
    }
    symlink("v1", folder.path("..data")).expect("a link");
    symlink("..data/token", folder.path("token")).expect("a link");
    let source = TokenFile::new(folder.path("token"));
    let before = source.credential_fingerprint();
    assert_eq!(before, source.credential_fingerprint(), "nothing changed");
    let tokens = TokenFile::new(folder.path("token")).cached();
    let first = tokens.token().await.expect("a token");

    symlink("v2", folder.path("..data_tmp")).expect("a link");
    std::fs::rename(folder.path("..data_tmp"), folder.path("..data")).expect("a swap");
    assert_ne!(before, source.credential_fingerprint(), "a swap is a change");
    assert_eq!(tokens.renew(&first).await.expect("another token").secret(), "second");
}

#[tokio::test(start_paused = true)]
async fn token_file_takes_the_expiry_from_a_jwt() {
    // A JWT of the test server's, which nobody here made by hand.
    let server =
        TestServer::builder().token_format(TokenFormat::Jwt).token_lifetime(Some(Duration::from_secs(600))).build();
    let jwt = client_of(&server).client_credentials().fetch().await.expect("a JWT").access_token.secret().to_owned();
    assert_eq!(jwt.split('.').count(), 3);
    let folder = TempFolder::new();
    let tokens = TokenFile::new(folder.write("token", format!("{jwt}\n"))).fetch().await.expect("a token");
    assert_eq!(tokens.access_token.secret(), jwt);
    let lifetime = tokens.expires_in.expect("an expiry").as_secs_f64();
    assert!((595.0..=601.0).contains(&lifetime), "{lifetime}");

    let cache = TokenFile::new(folder.path("token")).cached();
    cache.token().await.expect("a token");
    let left = cache.status().expires_in.expect("an expiry");
    // Less the skew of 10 s.
    assert!(left > Duration::from_secs(580) && left <= Duration::from_secs(591), "{left:?}");
    advance(Duration::from_secs(600)).await;
    let error = cache.token().await.expect_err("the file still holds the expired one");
    assert!(error.to_string().contains("expired"), "{error}");

    let opaque = TokenFile::new(folder.write("opaque", "no.jwt")).fetch().await.expect("a token");
    assert_eq!(opaque.expires_in, None);
}

#[tokio::test]
async fn token_file_that_cannot_be_used_is_a_typed_error() {
    let folder = TempFolder::new();
    let pipe = folder.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()), "a named pipe");
    let cases = [
        folder.path("missing"),
        folder.path("missing/too"),
        folder.path("."),
        pipe,
        folder.write("empty", ""),
        folder.write("blank", " \n\t\n"),
        folder.write("two", "se cret"),
        folder.write("lines", "sec\nret"),
        folder.write("control", "sec\u{1}ret"),
        folder.write("binary", b"sec\xffret"),
        folder.write("long", "secret".repeat(3000)),
        folder.write("large", "x".repeat(1024 * 1024 + 1)),
    ];
    for path in cases {
        let error = TokenFile::new(&path).cached().token().await.expect_err("unusable");
        assert_eq!(error.kind(), ErrorKind::Credential, "{}", path.display());
        let text = shown(&error);
        assert!(text.contains(&path.display().to_string()), "{text}");
        assert!(!text.contains("ret\n") && !text.contains("secret") && !text.contains("xxxx"), "{text}");
    }
    let error = TokenFile::new(folder.path("missing")).fetch().await.expect_err("missing");
    let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    assert_eq!(cause.map(std::io::Error::kind), Some(std::io::ErrorKind::NotFound));
}
