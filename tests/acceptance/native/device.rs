//! What is promised of a sign-in on another device, and what is asked before the user is sent there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use oauth_test_server::{Client, ClientAuthMethod, TestServer};
use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, HttpClient, NativeSignIn};
use tests::support::eventually;

use super::{native, server};

/// The user enters the code at once.
fn approved(server: &TestServer, sign_in: NativeSignIn) -> NativeSignIn {
    let server = server.clone();
    sign_in.or_device(move |device| assert!(server.approve_device_as(device.user_code(), "ann")))
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn l1_max_age_counts_on_another_device_too() {
    let hour_ago = || {
        let hour_ago = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() - 3_600;
        Some(hour_ago)
    };
    for (what, auth_time) in [("an hour ago", hour_ago()), ("nobody says when", None)] {
        let server = server();
        server.tamper_id_tokens(move |jwt| match auth_time {
            Some(time) => jwt.set_claim("auth_time", time),
            None => drop(jwt.claims.remove("auth_time")),
        });
        let signed_in = approved(&server, native(&server)).run_on_device().await.expect("nobody asked how long ago");
        assert_eq!(signed_in.id_token.expect("an ID token").subject(), "ann");
        let error = approved(&server, native(&server).max_age(MINUTE)).run_on_device().await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::InvalidIdToken, "{what}: {error}");
        eventually("nobody keeps these tokens", || server.counters().revocations == 2).await;
    }

    let server = server();
    let signed_in = approved(&server, native(&server).max_age(MINUTE)).run_on_device().await.expect("just now");
    assert_eq!(signed_in.id_token.expect("an ID token").subject(), "ann");
    assert_eq!(server.counters().revocations, 0);
}

/// Whoever signed in since then did as was asked, however long the tokens take.
#[tokio::test(start_paused = true)]
async fn l1_max_age_is_counted_from_when_it_began() {
    let native_client = Client::new("native").scopes(["openid", "api"]).auth_methods([ClientAuthMethod::None]);
    let server = TestServer::builder().client(native_client).device_interval(Some(2 * MINUTE)).build();
    approved(&server, native(&server).max_age(MINUTE)).run_on_device().await.expect("signed in since");
}

#[tokio::test(start_paused = true)]
async fn l1_nobody_is_sent_off_for_what_cannot_be_verified() {
    let server = server();
    let base = server.issuer();
    let http = HttpClient::new(server.authorization_service());
    let at = AuthorizationServer::via(http)
        .override_endpoint("device_authorization_endpoint", format!("{base}/device_authorization"))
        .token_endpoint(&format!("{base}/token"))
        .expect("a server");
    let without_issuer = at.client("native", ClientAuth::none()).expect("a client");
    let cases = [
        ("whose ID token would it be?", without_issuer.native_sign_in().scope("api openid")),
        ("what would tell how long ago?", super::client(&server).native_sign_in().scope("api").max_age(MINUTE)),
    ];
    let shown = Arc::new(AtomicU32::new(0));
    for (what, sign_in) in cases {
        let count = shown.clone();
        let sign_in = sign_in.or_device(move |_| {
            count.fetch_add(1, SeqCst);
        });
        let error = sign_in.run_on_device().await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Config, "{what}: {error}");
    }
    assert_eq!((shown.load(SeqCst), server.counters().device_authorizations), (0, 0));

    // Without an ID token all is well.
    let sign_in = approved(&server, without_issuer.native_sign_in().scope("api"));
    assert!(sign_in.run_on_device().await.expect("tokens").id_token.is_none());
}
