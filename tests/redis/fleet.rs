//! Eight stores, as eight processes have them, over one Redis: one token request where each would make its own (S2, S3).

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use oauth_test_server::{Client, Endpoint, Fault, TestServer};
use oauth_tokens::{
    AccessToken, AuthorizationServer, ClientAuth, ErrorKind, HttpClient, SharedStore, StoreKeys, TokenCache,
    TokenClient, TokenSet, UserTokens,
};
use tests::redis::RedisServer;
use tokio::time::sleep;

use super::support::{KEY_1, KEY_2, Raw, ms, patient, s, store};

const PROCESSES: usize = 8;

fn client(server: &TestServer) -> TokenClient {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .token_endpoint(&server.token_endpoint())
        .and_then(|at| at.client("app", ClientAuth::secret_basic("secret")))
        .expect("a client")
}

fn server(lifetime: Duration) -> TestServer {
    let app = Client::new("app").secret("secret").scopes(["api"]).grant_types(["client_credentials", "refresh_token"]);
    TestServer::builder().client(app).token_lifetime(Some(lifetime)).rotate_refresh_tokens(true).build()
}

fn requests(server: &TestServer) -> u64 {
    server.counters().requests_to(Endpoint::Token)
}

/// A process of its own: its cache, and its own connection to Redis, which is there.
async fn process(server: &TestServer, redis: &RedisServer) -> TokenCache {
    let store = store(redis);
    store.ready().await.expect("Redis");
    client(server).client_credentials().scope("api").stored(SharedStore::new(store)).cached().expect("a cache")
}

async fn fleet(server: &TestServer, redis: &RedisServer) -> Vec<TokenCache> {
    join_all((0..PROCESSES).map(|_| process(server, redis))).await
}

/// Each asks as many times as there are callers in a process, and all get one token.
async fn all_of(fleet: &[TokenCache]) -> AccessToken {
    let callers = fleet.iter().flat_map(|process| (0..10).map(move |_| process.token()));
    let tokens: Vec<_> = join_all(callers).await.into_iter().map(|token| token.expect("a token")).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "one token for all");
    tokens[0].clone()
}

#[tokio::test]
async fn s2_eight_stores_make_one_token_request() {
    let (server, redis) = (server(s(3600)), RedisServer::start());
    server.token_faults().push_forever(Fault::Delay(ms(200)));
    let fleet = fleet(&server, &redis).await;
    all_of(&fleet).await;
    assert_eq!(requests(&server), 1);
    // A process that starts later makes none.
    all_of(&[process(&server, &redis).await]).await;
    assert_eq!(requests(&server), 1);
}

#[tokio::test]
async fn s3_a_rejected_token_is_renewed_once_for_all_and_not_read_back() {
    let (server, redis) = (server(s(3600)), RedisServer::start());
    server.token_faults().push_forever(Fault::Delay(ms(200)));
    let fleet = fleet(&server, &redis).await;
    let dead = all_of(&fleet).await;
    assert_eq!(requests(&server), 1);
    let renewed = join_all(fleet.iter().map(|process| process.renew(&dead))).await;
    let renewed: Vec<_> = renewed.into_iter().map(|token| token.expect("another token")).collect();
    assert!(renewed.iter().all(|token| *token == renewed[0] && *token != dead), "one other token for all");
    assert_eq!(requests(&server), 2);
    assert_eq!(process(&server, &redis).await.token().await.expect("a token"), renewed[0]);
}

/// Calls all along, while Redis dies, comes back empty, hangs and goes on.
#[tokio::test]
async fn s2_no_call_fails_whatever_becomes_of_redis() {
    let (server, mut redis) = (server(s(5)), RedisServer::start());
    let processes = fleet(&server, &redis).await;
    let callers = processes.iter().map(|process| {
        let process = process.clone();
        tokio::spawn(async move {
            let (began, mut calls) = (Instant::now(), 0);
            while began.elapsed() < s(14) {
                let token = process.token().await;
                assert!(token.is_ok(), "after {:?}: {token:?}", began.elapsed());
                calls += 1;
                sleep(ms(10)).await;
            }
            calls
        })
    });
    let callers: Vec<_> = callers.collect();
    sleep(s(2)).await;
    redis.kill();
    sleep(s(4)).await;
    redis.restart();
    sleep(s(2)).await;
    redis.freeze();
    sleep(s(4)).await;
    redis.resume();
    for caller in callers {
        assert!(caller.await.expect("no call failed") > 50);
    }
    // Tokens live for 5 s: at worst each process renews its own, every 3 s and when Redis comes and goes.
    let requests = requests(&server);
    assert!(requests <= 6 * PROCESSES as u64, "{requests}");
}

/// What a sign-in brings: an access token that has had its use, and a refresh token.
fn signed_in(server: &TestServer) -> TokenSet {
    let access = AccessToken::bearer(&server.issue_access_token("app", "api")).expect("a token");
    let mut tokens = TokenSet::new(access).expiring_in(s(0));
    tokens.refresh_token = Some(server.issue_refresh_token("app", "api").into());
    tokens
}

fn users(server: &TestServer, redis: &RedisServer) -> UserTokens<String> {
    UserTokens::new(client(server)).store(SharedStore::new(store(redis)))
}

#[tokio::test]
async fn s2_a_users_refresh_token_is_used_once_in_the_whole_fleet() {
    let (server, redis) = (server(s(3600)), RedisServer::start());
    server.token_faults().push_forever(Fault::Delay(ms(200)));
    let fleet: Vec<_> = (0..PROCESSES).map(|_| users(&server, &redis)).collect();
    let names: Vec<String> = (0..10).map(|number| format!("user {number}")).collect();
    for name in &names {
        fleet[0].sign_in(name, signed_in(&server)).await.expect("saved");
    }
    let everybody = || fleet.iter().flat_map(|users| names.iter().map(move |name| (users, name)));
    let first = join_all(everybody().map(|(users, name)| users.token(name))).await;
    let first: Vec<_> = first.into_iter().map(|token| token.expect("a token")).collect();
    assert_eq!(requests(&server), names.len() as u64);
    // All of them are rejected, everywhere at once.
    let renewals = everybody().zip(&first).map(async |((users, name), dead)| users.get(name)?.renew(dead).await);
    let second = join_all(renewals).await;
    let second: Vec<_> = second.into_iter().map(|token| token.expect("another token")).collect();
    assert_eq!(requests(&server), 2 * names.len() as u64);
    for tokens in [&first, &second] {
        let same = tokens.iter().enumerate().all(|(number, token)| *token == tokens[number % names.len()]);
        assert!(same, "one token for each user, in all processes");
    }
    assert_eq!(server.counters().refresh_reuse_detected, 0);
    let mut raw = Raw::open(&redis.url()).await;
    let names: Vec<String> = raw.say("KEYS *user*").await;
    assert!(names.is_empty(), "no user's name is in Redis: {names:?}");
}

#[tokio::test]
async fn s2_a_user_waits_for_the_store_and_not_for_a_new_sign_in() {
    let alice = "alice".to_owned();
    let (server, mut redis) = (server(s(3600)), RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"]));
    let everywhere = [users(&server, &redis), users(&server, &redis)];
    everywhere[0].sign_in(&alice, signed_in(&server)).await.expect("saved");
    let first = everywhere[0].token(&alice).await.expect("a token");
    redis.kill();
    assert_eq!(everywhere[0].token(&alice).await.expect("what is valid serves"), first);
    let refused = everywhere[1].token(&alice).await.expect_err("the refresh token is not to be had");
    assert_eq!(refused.kind(), ErrorKind::Store);
    assert!(refused.is_transient());
    redis.restart();
    let began = Instant::now();
    let again = loop {
        match everywhere[1].token(&alice).await {
            Ok(token) => break token,
            Err(error) => assert!(began.elapsed() < s(30) && error.is_transient(), "{error}"),
        }
        sleep(ms(50)).await;
    };
    assert_eq!(again, first, "what was saved before it was used");
    assert_eq!((requests(&server), server.counters().refresh_reuse_detected), (1, 0));
}

#[tokio::test]
async fn two_services_with_keys_of_their_own_do_not_read_each_other() {
    let (server, redis) = (server(s(3600)), RedisServer::start());
    let with = |key: &str| {
        let store = patient(&redis.url(), StoreKeys::new(key.to_owned()));
        client(&server).client_credentials().scope("api").stored(SharedStore::new(store)).cached().expect("a cache")
    };
    let ours = with(KEY_1).token().await.expect("a token");
    let theirs = with(KEY_2).token().await.expect("a token");
    assert_ne!(ours, theirs);
}
