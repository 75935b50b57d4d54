//! How the browser is opened, and what happens where there is none.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use oauth_test_server::TestServer;
use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, NativeSignIn};
use serde_json::json;
use tests::{canned, canned::Canned, support::eventually};

use super::{client, native, server, waiting};

/// Where nothing can be opened.
fn without_browser(server: &TestServer) -> NativeSignIn {
    native(server).open_with(|_| Err(io::Error::other("no screen")))
}

/// The user enters the code that is shown, at once.
fn approving(server: &TestServer, sign_in: NativeSignIn) -> NativeSignIn {
    let server = server.clone();
    sign_in.or_device(move |device| assert!(server.approve_device_as(device.user_code(), "ann")))
}

#[tokio::test]
async fn l1_without_a_browser_the_user_takes_another_device() {
    let server = server();
    let signed_in = approving(&server, without_browser(&server)).run().await.expect("signed in");
    assert_eq!(signed_in.id_token.as_ref().expect("an ID token").subject(), "ann");
    assert_eq!((signed_in.scope(), signed_in.return_to()), ("api openid", "/"));
    assert_eq!(server.counters().authorization_requests, 0);

    // The same when it is wanted so.
    let signed_in = approving(&server, native(&server)).run_on_device().await.expect("signed in");
    assert_eq!(signed_in.id_token.expect("an ID token").subject(), "ann");
    let error = native(&server).run_on_device().await.expect_err("nobody would see the code");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

#[tokio::test]
async fn l1_an_id_token_that_nobody_asked_for_is_not_believed() {
    let server = server();
    let sign_in = client(&server).native_sign_in().scope("api").open_with(|_| Err(io::Error::other("no screen")));
    let signed_in = approving(&server, sign_in).run().await.expect("signed in");
    assert!(signed_in.id_token.is_none() && signed_in.tokens.id_token.is_none());
}

#[tokio::test]
async fn l1_without_any_of_it_the_error_says_what_to_do() {
    let server = server();
    let panics = native(&server).open_with(|_| panic!("a bug of the caller's"));
    for sign_in in [without_browser(&server), panics] {
        let error = sign_in.run().await.expect_err("no browser");
        assert_eq!(error.kind(), ErrorKind::SignInCancelled, "{error}");
        assert!(error.to_string().contains("BROWSER") && !error.is_transient(), "{error}");
    }
}

#[tokio::test]
async fn l1_a_user_who_has_the_url_opens_it_by_hand() {
    let server = server();
    let shown: Arc<Mutex<Option<String>>> = Arc::default();
    let shows = shown.clone();
    let sign_in = without_browser(&server).show_url(move |url| *shows.lock().expect("a lock") = Some(url.to_owned()));
    let run = tokio::spawn(async move { sign_in.run().await });
    eventually("the URL is shown", || shown.lock().expect("a lock").is_some()).await;
    let url = shown.lock().expect("a lock").clone().expect("a URL");
    super::Waiting::new(server, url, run).goes_on_undisturbed().await;
}

#[tokio::test]
async fn l1_only_https_and_loopback_are_opened() {
    let metadata = |page: &str| {
        let metadata = json!({
            "issuer": "http://id.test",
            "authorization_endpoint": page,
            "token_endpoint": "http://id.test/token",
        });
        Canned::new(move |_| canned::json(200, metadata.to_string()))
    };
    for page in ["http://id.test/authorize", "file:///etc/passwd", "javascript:alert(1)", "https://a b/"] {
        let opened = Arc::new(AtomicU32::new(0));
        let count = opened.clone();
        // What is allowed for its endpoints is not for a browser.
        let at =
            AuthorizationServer::via(metadata(page).http()).dangerously_allow_plain_http().issuer("http://id.test");
        let client = at.and_then(|at| at.client("native", ClientAuth::none())).expect("a client");
        let sign_in = client.native_sign_in().timeout(Duration::from_secs(2)).open_with(move |_| {
            count.fetch_add(1, SeqCst);
            Ok(())
        });
        let error = sign_in.run().await.expect_err(page);
        assert_eq!(error.kind(), ErrorKind::InvalidEndpoint, "{page}: {error}");
        assert_eq!(opened.load(SeqCst), 0, "{page}");
    }
}

#[tokio::test]
async fn s1_debug_and_url_hold_no_secret() {
    let waiting = waiting().await;
    let state = waiting.state().await;
    let shown = format!("{:?}", native(&waiting.server));
    assert!(!shown.contains(&state) && shown.contains("NativeSignIn"), "{shown}");
    assert!(!waiting.url.contains(&state));
    let cookie = waiting.browser.header();
    let (_, cookie) = cookie.trim().split_once('=').expect("a cookie");
    assert!(!waiting.url.contains(cookie) && !shown.contains(cookie), "{shown}");
    waiting.goes_on_undisturbed().await;
}
