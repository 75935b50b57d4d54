//! Stored tokens that are bound to a key (RFC 9449).

use http::Method;
use oauth_test_server::{Client, Endpoint, TestServer};
use oauth_tokens::{
    AccessToken, Algorithm, AuthorizationServer, ClientAuth, DpopKey, HttpClient, SharedStore, SigningKey, TokenCache,
    TokenClient, UserTokens,
};
use tests::store::{Call, TestStore};

fn server() -> TestServer {
    let m2m = Client::new("m2m").secret("secret").require_dpop().grant_types(["client_credentials", "refresh_token"]);
    TestServer::builder().client(m2m).require_dpop().build()
}

fn signing_key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256).expect("a key")
}

fn client(server: &TestServer, key: &DpopKey) -> TokenClient {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .and_then(|at| at.client("m2m", ClientAuth::secret_basic("secret")))
        .expect("a client")
        .dpop(key.clone())
}

fn process(server: &TestServer, store: &TestStore, key: &DpopKey) -> TokenCache {
    let store = SharedStore::new(store.clone());
    client(server, key).client_credentials().stored(store).cached().expect("a cache")
}

fn requests(server: &TestServer) -> u64 {
    server.counters().requests_to(Endpoint::Token)
}

#[tokio::test(start_paused = true)]
async fn f14_a_loaded_token_is_bound_to_the_clients_key_again_and_to_no_other() {
    let (server, store) = (server(), TestStore::new());
    let signer = signing_key();
    let same = || DpopKey::new(signer.clone()).expect("a key");
    let token = process(&server, &store, &same()).token().await.expect("a token");
    let loaded = process(&server, &store, &same()).token().await.expect("a token");
    assert_eq!((loaded.clone(), requests(&server)), (token.clone(), 1));
    assert!(loaded.is_bound());
    let proof = loaded.proof(&Method::GET, "https://api.test/", None).expect("a proof").await.expect("signed");
    assert!(proof.is_sensitive());

    let other = DpopKey::new(signing_key()).expect("a key");
    assert_ne!(process(&server, &store, &other).token().await.expect("a token"), token);
    assert_eq!(
        process(&server, &store, &same()).token().await.expect("a token"),
        token,
        "each has a record of its own"
    );
    assert_eq!(requests(&server), 2);

    // The key is replaced while the process runs: what is stored is no use with the new one.
    let key = same();
    let client = client(&server, &key);
    key.replace(signing_key()).expect("a key");
    let cache = client.client_credentials().stored(SharedStore::new(store.clone())).cached().expect("a cache");
    assert_ne!(cache.token().await.expect("a token"), token);
    assert_eq!(requests(&server), 3);
}

#[tokio::test(start_paused = true)]
async fn a_users_bound_token_is_renewed_when_the_key_is_another_one() {
    let (server, store) = (server(), TestStore::new());
    let key = DpopKey::new(signing_key()).expect("a key");
    let users = UserTokens::<String>::new(client(&server, &key)).store(store.clone());
    let mut tokens = oauth_tokens::TokenSet::new(AccessToken::bearer("bearer-of-old").expect("a token"));
    tokens.expires_in = Some(std::time::Duration::from_secs(3600));
    tokens.refresh_token = Some(server.issue_refresh_token("m2m", "").into());
    users.sign_in(&"alice".to_owned(), tokens).await.expect("saved");
    let token = users.token(&"alice".to_owned()).await.expect("a token");
    assert!(token.is_bound(), "a bearer token does not do for a client whose tokens are bound");
    let again = UserTokens::<String>::new(client(&server, &key)).store(store);
    assert_eq!(again.token(&"alice".to_owned()).await.expect("a token"), token);
    assert_eq!(requests(&server), 1);
}

/// The access token of old is bound to the key of old: with another one it is no use.
#[tokio::test(start_paused = true)]
async fn a_users_token_is_not_bound_to_a_key_that_it_was_not_issued_for() {
    let (server, store) = (server(), TestStore::new());
    let key = DpopKey::new(signing_key()).expect("a key");
    let users = || UserTokens::<String>::new(client(&server, &key)).store(store.clone());
    let mut tokens = oauth_tokens::TokenSet::new(AccessToken::bearer("of-old").expect("a token"));
    tokens.refresh_token = Some(server.issue_refresh_token("m2m", "").into());
    users().sign_in(&"alice".to_owned(), tokens).await.expect("saved");
    let token = users().token(&"alice".to_owned()).await.expect("a token");
    assert_eq!(users().token(&"alice".to_owned()).await.expect("a token"), token);
    key.replace(signing_key()).expect("a key");
    assert_ne!(users().token(&"alice".to_owned()).await.expect("a token"), token);
    assert_eq!(requests(&server), 2);
}

/// Nobody could bind it again.
#[tokio::test(start_paused = true)]
async fn a_bound_token_of_a_named_source_is_not_saved() {
    let (server, store) = (server(), TestStore::new());
    let key = DpopKey::new(signing_key()).expect("a key");
    let source = SharedStore::new(store.clone()).source("named", client(&server, &key).client_credentials());
    let token = source.cached().expect("a cache").token().await.expect("a token");
    assert!(token.is_bound());
    assert_eq!((store.count(Call::Replace), store.count(Call::Release)), (0, 1));
}
