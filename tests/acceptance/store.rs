//! S2 and S3: tokens that outlive the process, or are shared by a fleet.

mod bound;
mod contract;
#[cfg(unix)]
mod files;
mod fleet;
mod identity;
mod keys;
mod memory;
mod outages;
mod records;

use std::time::{Duration, SystemTime};

use oauth_test_server::TestServer;
use oauth_tokens::{AuthorizationServer, ClientAuth, ClientCredentials, HttpClient, Record, StoreKey, TokenRequest};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn key(name: &str) -> StoreKey {
    StoreKey::digest(&[name.as_bytes()])
}

/// A record of this version that says who it is.
fn record(version: u64, content: &str) -> Record {
    let expires_at = Some(SystemTime::now() + s(3600));
    Record { version, expires_at, content: content.as_bytes().to_vec().into() }
}

fn content(record: Option<Record>) -> Option<(u64, String)> {
    record.map(|record| (record.version, String::from_utf8_lossy(&record.content).into_owned()))
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
