//! Device authorization (RFC 8628): somebody says yes, or no, in a browser elsewhere. Time is real, and the server wants to
//! be asked once a second.

use std::time::{Duration, Instant};

use oauth_tokens::{ClientAuth, DeviceAuthorization, ErrorKind, TokenClient};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::{
    layer::{get, json_of, over_hyper},
    server::{RealServer, oidc},
};

#[tokio::test]
async fn the_user_says_yes_after_a_while() {
    let server = oidc();
    let client = client(server, "device");
    let mut device = client.device_authorization().scope("api offline_access").begin().await.expect("a code");
    assert!(device.verification_uri().starts_with(server.issuer()), "{}", device.verification_uri());
    assert!(device.verification_uri_complete().expect("a link").contains(device.user_code()));
    assert!(device.expires_in() > Duration::from_secs(590), "{:?}", device.expires_in());
    assert!(!format!("{device:?}").contains(device.user_code()), "{device:?}");

    let began = Instant::now();
    let code = device.user_code().to_owned();
    let user = async {
        sleep(Duration::from_millis(1_300)).await;
        decide(server, &code, "approve").await;
    };
    let (tokens, ()) = tokio::join!(device.cached(), user);
    let tokens = tokens.expect("approved");
    assert!(began.elapsed() >= Duration::from_secs(2), "asked twice, a second apart");

    // What came along serves first, and then the refresh token.
    let api = over_hyper(server, tokens.clone());
    for renewals in [1, 2] {
        let response = api.clone().oneshot(get(&server.api("/things"))).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(json_of(response).await["sub"], "alice");
        assert_eq!(tokens.status().renewals, renewals);
        let token = tokens.token().await.expect("a token");
        tokens.renew_for(&server.api(&renewals.to_string()), &token).await.expect("by the refresh token");
    }
}

#[tokio::test]
async fn the_user_says_no() {
    let server = oidc();
    let mut device = begin(server, "device").await;
    decide(server, device.user_code(), "deny").await;
    let error = device.wait().await.expect_err("no");
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
    assert_eq!(error.oauth().expect("the server's word").code, "access_denied");
    assert!(!error.is_transient(), "{error}");
}

#[tokio::test]
async fn slow_down_is_heeded() {
    let server = oidc();
    let before = server.stats().await["slow_downs"].clone();
    // Its first poll is too soon for the server, whenever it comes. The next would be six seconds later.
    let mut device = begin(server, "device_slow").await.give_up_after(Duration::from_millis(2_500));
    let error = device.wait().await.expect_err("nobody has said yes");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let after = server.stats().await["slow_downs"].clone();
    assert_eq!(after.as_u64(), before.as_u64().map(|before| before + 1), "asked once");
    assert!(format!("{device:?}").contains("interval: 6s"), "{device:?}");
}

#[tokio::test]
async fn nobody_answers_until_the_code_expires() {
    let server = oidc();
    let mut device = begin(server, "device_short").await;
    let began = Instant::now();
    let error = device.wait().await.expect_err("nobody has said anything");
    assert_eq!(error.kind(), ErrorKind::DeviceCodeExpired, "{error}");
    assert!(!error.is_transient(), "{error}");
    assert!(error.to_string().contains("begin anew"), "what to do: {error}");
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(3) && waited < Duration::from_secs(9), "{waited:?}");
}

#[tokio::test]
async fn a_wait_that_is_dropped_goes_on_later() {
    let server = oidc();
    let mut device = begin(server, "device").await;
    timeout(Duration::from_millis(300), device.wait()).await.expect_err("too soon for the first poll");
    decide(server, device.user_code(), "approve").await;
    let tokens = device.wait().await.expect("approved");
    assert_eq!(server.call(&tokens.access_token).await.1["sub"], "alice");
    let error = device.wait().await.expect_err("a code is good for one token");
    assert_eq!(error.oauth().expect("an OAuth error").code, "invalid_grant");
}

#[tokio::test]
async fn a_device_with_a_key_where_nonces_are_required() {
    let server = oidc().realm("single_use");
    let key = crate::dpop::key();
    let client = client(&server, "device").dpop(key.clone());
    let mut device = client.device_authorization().scope("api offline_access").begin().await.expect("a code");
    decide(&server, device.user_code(), "approve").await;
    let tokens = device.cached().await.expect("approved");
    let token = tokens.token().await.expect("a token");
    assert!(token.is_bound());
    // The refresh token is bound, too, as the client is a public one.
    tokens.renew_for(&server.api(""), &token).await.expect("by the refresh token");
    let response = over_hyper(&server, tokens).oneshot(get(&server.api("/things"))).await.expect("an answer");
    let seen = json_of(response).await;
    assert_eq!((&seen["sub"], &seen["cnf"]["jkt"]), (&json!("alice"), &json!(key.thumbprint())), "{seen}");
}

#[tokio::test]
async fn what_the_server_does_not_give_a_code_for() {
    let server = oidc();
    let error = server.client_by_issuer("basic").device_authorization().begin().await.expect_err("not for this client");
    assert!(error.oauth().is_some_and(|oauth| oauth.status.as_u16() == 400), "{error}");
    let error = client(server, "device").device_authorization().scope("api:write").begin().await;
    assert_eq!(error.expect_err("a scope of others").oauth().expect("an OAuth error").code, "invalid_scope");
    // Known by its token endpoint only: nothing says where codes are to be had.
    let id = server.of_client("device", "id");
    let blind = server.by_token_endpoint().client(id, ClientAuth::none()).expect("a usable client");
    let error = blind.device_authorization().begin().await.expect_err("no endpoint");
    assert_eq!(error.kind(), ErrorKind::MissingEndpoint, "{error}");
}

fn client(server: &RealServer, role: &str) -> TokenClient {
    server.client_by(role, ClientAuth::none())
}

async fn begin(server: &RealServer, role: &str) -> DeviceAuthorization {
    client(server, role).device_authorization().scope("api").begin().await.expect("a code")
}

/// What the user does.
async fn decide(server: &RealServer, code: &str, decision: &str) {
    assert_eq!(server.admin(&format!("device?user_code={code}&decision={decision}"), "decision").await, decision);
}
