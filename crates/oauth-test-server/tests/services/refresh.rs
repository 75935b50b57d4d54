use oauth_test_server::{Client, TestServer};

use super::*;

const AUTH: &str = "client_id=m2m&client_secret=secret";

async fn refresh(server: &TestServer, refresh_token: &str) -> Answer {
    let parameters = format!("{AUTH}&grant_type=refresh_token&refresh_token={refresh_token}");
    token(server, &parameters).await
}

#[tokio::test(start_paused = true)]
async fn rotation_and_reuse() {
    let server = TestServer::builder().client(m2m()).build();
    let first = server.issue_refresh_token("m2m", "api read");
    let unrelated = server.issue_refresh_token("m2m", "api");

    let one = refresh(&server, &first).await;
    assert_eq!((one.status.as_u16(), one.text("scope").as_str()), (200, "api read"));
    let second = one.text("refresh_token");
    assert_ne!(first, second);
    let two = refresh(&server, &second).await;
    assert_eq!(api(&server, &two.text("access_token")).await.text("sub"), "alice");

    // The first one again: somebody has stolen one of them, so none is good any more.
    refresh(&server, &first).await.assert_error(400, "invalid_grant");
    assert_eq!(server.counters().refresh_reuse_detected, 1);
    refresh(&server, &two.text("refresh_token")).await.assert_error(400, "invalid_grant");
    for answer in [&one, &two] {
        assert_eq!(api(&server, &answer.text("access_token")).await.status, 401);
    }
    assert_eq!(refresh(&server, &unrelated).await.status, 200);
    assert_eq!(server.counters().refresh_reuse_detected, 1);
}

#[tokio::test(start_paused = true)]
async fn without_rotation_the_answer_has_no_refresh_token() {
    let server = TestServer::builder().rotate_refresh_tokens(false).build();
    let refresh_token = server.issue_refresh_token("m2m", "api");
    for _ in 0..3 {
        let answer = refresh(&server, &refresh_token).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json().get("refresh_token"), None);
    }
    server.revoke_all();
    refresh(&server, &refresh_token).await.assert_error(400, "invalid_grant");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_belongs_to_its_client() {
    let server = TestServer::builder().client(m2m()).client(Client::new("public")).build();
    let theirs = server.issue_refresh_token("public", "api");
    refresh(&server, &theirs).await.assert_error(400, "invalid_grant");
    let own = format!("client_id=public&grant_type=refresh_token&refresh_token={theirs}");
    assert_eq!(token(&server, &own).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn scopes_can_be_narrowed_and_not_widened() {
    let server = TestServer::builder().client(m2m()).build();
    let first = server.issue_refresh_token("m2m", "read other");
    refresh(&server, &format!("{first}&scope=api")).await.assert_error(400, "invalid_scope");

    // Narrowed for this access token; the next one may have all again.
    let narrow = refresh(&server, &format!("{first}&scope=read")).await;
    assert_eq!(narrow.text("scope"), "read");
    let wide = refresh(&server, &narrow.text("refresh_token")).await;
    assert_eq!(wide.text("scope"), "other read");
}

#[tokio::test(start_paused = true)]
async fn a_refused_refresh_spends_nothing() {
    let server = TestServer::builder().client(m2m()).build();
    let first = server.issue_refresh_token("m2m", "api");
    refresh(&server, &format!("{first}&scope=more")).await.assert_error(400, "invalid_scope");
    refresh(&server, &format!("{first}&resource=relative")).await.assert_error(400, "invalid_target");
    assert_eq!(refresh(&server, &first).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn client_credentials_can_bring_one_too() {
    let server = TestServer::builder().refresh_tokens(true).build();
    let answer = token(&server, CLIENT_CREDENTIALS).await;
    let next = refresh(&server, &answer.text("refresh_token")).await;
    assert_eq!(next.status, 200);
    server.revoke(&next.text("refresh_token"));
    assert_eq!(api(&server, &answer.text("access_token")).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn access_tokens_alone_can_be_revoked() {
    let server = TestServer::builder().build();
    let access = server.issue_access_token("m2m", "api");
    let refresh_token = server.issue_refresh_token("m2m", "api");
    server.revoke_access_tokens();
    assert_eq!(api(&server, &access).await.status, 401);
    assert_eq!(refresh(&server, &refresh_token).await.status, 200);
}
