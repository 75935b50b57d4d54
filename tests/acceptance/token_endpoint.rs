//! T: talking to an authorization server. Building, grants, and what a token endpoint may answer.

mod answers;
mod building;
mod client_auth;
mod credentials;
mod deadlines;
mod grants;
mod lifetimes;
mod own;
mod plain_http;
mod proxy;
mod refresh;
mod refresh_once;
mod refusals;
mod retry_after;
mod sockets;
mod token_file;

use oauth_test_server::{Client, TestServer};
use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient, TokenClient};
use tests::canned::Canned;

const TOKEN_ENDPOINT: &str = "https://id.test/token";

/// The client that the test server knows, without sockets.
fn client_of(server: &TestServer) -> TokenClient {
    client_by(server, ClientAuth::secret_basic("secret"))
}

fn client_by(server: &TestServer, auth: ClientAuth) -> TokenClient {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .token_endpoint(&server.token_endpoint())
        .and_then(|server| server.client("m2m", auth))
        .expect("a client")
}

/// A server that knows an app which redeems refresh tokens.
fn app_server() -> TestServer {
    let app = Client::new("app").secret("secret").scopes(["api"]).grant_types(["refresh_token"]);
    TestServer::builder().client(app).build()
}

fn app_client(server: &TestServer) -> TokenClient {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .token_endpoint(&server.token_endpoint())
        .and_then(|server| server.client("app", ClientAuth::secret_basic("secret")))
        .expect("a client")
}

/// A client of a server that answers as it is told.
fn client_at(canned: &Canned) -> TokenClient {
    AuthorizationServer::via(canned.http())
        .token_endpoint(TOKEN_ENDPOINT)
        .and_then(|server| server.client("m2m", ClientAuth::secret_basic("5f-m2m-c1")))
        .expect("a client")
}
