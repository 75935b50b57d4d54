//! F14: what else tells a user's tokens from others.

use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, Secret, SharedStore, TokenClient, UserTokens};
use tests::{
    canned::{Canned, json},
    store::TestStore,
};
use tokio::time::{advance, sleep};

use super::{HOUR, client, requests, s, server, signed_in, user};

fn app_at(canned: &Canned, endpoint: &str, secret: impl Into<Secret>) -> TokenClient {
    AuthorizationServer::via(canned.http())
        .token_endpoint(endpoint)
        .and_then(|server| server.client("app", ClientAuth::secret_basic(secret)))
        .expect("a client")
}

#[tokio::test(start_paused = true)]
async fn f14_tenants_by_the_token_endpoints_query_share_no_users() {
    let (canned, store, server) = (Canned::always(json(500, "")), TestStore::new(), server());
    let tenant = |query: &str| {
        let client = app_at(&canned, &format!("https://gw.test/token{query}"), "secret");
        UserTokens::<String>::new(client).store(SharedStore::new(store.clone()))
    };
    tenant("?tenant=a").sign_in(&user("alice"), signed_in(&server, Some(HOUR))).await.expect("saved");
    for other in ["?tenant=b", "", "?tenant=a&b"] {
        let error = tenant(other).token(&user("alice")).await.expect_err("nobody");
        assert_eq!(error.kind(), ErrorKind::SignInRequired, "{other}");
    }
    tenant("?tenant=a").token(&user("alice")).await.expect("a token");
}

/// One sign-in is good for several resources; an access token is for its own only (RFC 8707).
#[tokio::test(start_paused = true)]
async fn f14_an_access_token_for_one_resource_serves_no_other() {
    let (server, store) = (server(), TestStore::new());
    let resources = |resources: &[&str]| {
        let users = UserTokens::<String>::new(client(&server)).store(SharedStore::new(store.clone()));
        resources.iter().fold(users, |users, resource| users.resource(*resource))
    };
    let (a, b) = ("https://a.test/", "https://b.test/");
    let tokens = signed_in(&server, Some(HOUR));
    let first = tokens.access_token.clone();
    resources(&[a]).sign_in(&user("alice"), tokens).await.expect("saved");
    assert_eq!(resources(&[a]).token(&user("alice")).await.expect("a token"), first);
    assert_eq!(requests(&server), 0);
    let mut seen = vec![first];
    for others in [&[b][..], &[a, b], &[], &[a]] {
        let token = resources(others).token(&user("alice")).await.expect("by the refresh token");
        assert!(!seen.contains(&token), "{others:?}");
        let reversed: Vec<&str> = others.iter().rev().copied().collect();
        assert_eq!(resources(&reversed).token(&user("alice")).await.expect("a token"), token, "in any order");
        seen.push(token);
        assert_eq!(requests(&server), seen.len() as u64 - 1);
    }
    assert_eq!(server.counters().refresh_reuse_detected, 0);

    // Without a refresh token there is nothing for others, and nothing of anybody's is deleted.
    let mut tokens = signed_in(&server, Some(HOUR));
    tokens.refresh_token = None;
    resources(&[a]).sign_in(&user("bob"), tokens).await.expect("saved");
    assert_eq!(resources(&[b]).token(&user("bob")).await.expect_err("none").kind(), ErrorKind::SignInRequired);
    resources(&[a]).token(&user("bob")).await.expect("still there");
}

/// What is remembered against a user ends with that user's sign-in, and with another secret of the client's.
#[tokio::test(start_paused = true)]
async fn another_users_sign_in_is_no_reason_to_try_again_and_another_secret_is() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    std::fs::write(&path, "old").expect("a file");
    let client = AuthorizationServer::via(oauth_tokens::HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .and_then(|server| server.client("app", ClientAuth::secret_basic(Secret::file(&path))))
        .expect("a client");
    let users = UserTokens::<String>::new(client);
    users.sign_in(&user("alice"), signed_in(&server, None)).await.expect("saved");
    let held = users.get(&user("alice")).expect("a cache");
    assert_eq!(held.token().await.expect_err("an old secret").kind(), ErrorKind::OAuth);
    let tried = requests(&server);
    for number in 0..20 {
        users.sign_in(&format!("user {number}"), signed_in(&server, Some(HOUR))).await.expect("saved");
        sleep(s(1)).await;
        held.token().await.expect_err("remembered");
    }
    assert_eq!(requests(&server), tried, "with the same secret it is not tried again");
    std::fs::write(&path, "secret").expect("a file");
    sleep(s(2)).await;
    held.token().await.expect("a token");
}

#[tokio::test(start_paused = true)]
async fn records_of_tokens_without_a_lifetime_expire() {
    use oauth_tokens::TokenStore as _;

    let server = server();
    let store = TestStore::new();
    let users = UserTokens::<String>::new(client(&server)).store(SharedStore::new(store.clone()));
    let mut tokens = signed_in(&server, None);
    (tokens.expires_in, tokens.refresh_token) = (None, None);
    users.sign_in(&user("alice"), tokens).await.expect("saved");
    advance(HOUR + s(3_500)).await;
    let record = store.memory().load(&store.keys()[0]).await.expect("a store");
    assert!(record.expect("it is there").expires_at.is_some());
    advance(s(200)).await;
    assert!(store.memory().load(&store.keys()[0]).await.expect("a store").is_none());
}
