//! S2 and S3: tokens that outlive the process, or are shared by a fleet.

mod bound;
#[cfg(unix)]
mod files;
mod fleet;
mod identity;
mod keys;
mod memory;
mod outages;
mod records;

use std::time::Duration;

use oauth_test_server::TestServer;
use oauth_tokens::{AuthorizationServer, ClientAuth, ClientCredentials, HttpClient, TokenRequest};
use tests::contract::{content, key, record};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A client-credentials request to the test server, without sockets.
fn request_to(server: &TestServer) -> TokenRequest<ClientCredentials> {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .token_endpoint(&server.token_endpoint())
        .and_then(|server| server.client("m2m", ClientAuth::secret_basic("secret")))
        .expect("a client")
        .client_credentials()
        .scope("api")
}
