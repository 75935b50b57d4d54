//! Tokens of users who signed in: rotation, sign-in, sign-out (T10, S2, F14).

mod fleet;
mod id_token;
mod rotation;
mod sign_in;
mod whose;

use std::time::Duration;

use oauth_test_server::{Client, Endpoint, TestServer};
use oauth_tokens::{
    AccessToken, AuthorizationServer, ClientAuth, HttpClient, SharedStore, TokenClient, TokenSet, UserTokens,
};
use tests::store::TestStore;

const HOUR: Duration = Duration::from_secs(3600);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn server() -> TestServer {
    let app = Client::new("app").secret("secret").scopes(["api"]).grant_types(["refresh_token"]);
    TestServer::builder().client(app).rotate_refresh_tokens(true).build()
}

fn client(server: &TestServer) -> TokenClient {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .and_then(|server| server.client("app", ClientAuth::secret_basic("secret")))
        .expect("a client")
}

/// A process of its own, with its own way to the store.
fn process(server: &TestServer, store: &TestStore) -> UserTokens<String> {
    UserTokens::new(client(server)).store(SharedStore::new(store.clone()))
}

/// What a sign-in brings: an access token that has had its use, or one that is good for an hour, and a refresh token.
fn signed_in(server: &TestServer, lifetime: Option<Duration>) -> TokenSet {
    let access = AccessToken::bearer(&server.issue_access_token("app", "api")).expect("a token");
    let mut tokens = TokenSet::new(access).expiring_in(lifetime.unwrap_or_default());
    tokens.refresh_token = Some(server.issue_refresh_token("app", "api").into());
    tokens
}

fn user(name: &str) -> String {
    name.to_owned()
}

fn requests(server: &TestServer) -> u64 {
    server.counters().requests_to(Endpoint::Token)
}
