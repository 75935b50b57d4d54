//! What operators see in figures: names and labels that are documented, and nothing of a caller's.

mod exchanges;
mod renewals;
mod told;

use std::time::Duration;

use http::Response;
use oauth_tokens::{AuthorizationServer, ClientAuth, TokenClient};
use tests::canned::{Canned, json};

const fn s(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// A client of a server that answers as it is told.
fn client_at(canned: &Canned) -> TokenClient {
    AuthorizationServer::via(canned.http())
        .token_endpoint("https://id.test/token")
        .and_then(|server| server.client("m2m", ClientAuth::secret_basic("5f-m2m-c1")))
        .expect("a client")
}

fn refusal(status: u16, code: &str) -> Response<bytes::Bytes> {
    json(status, format!(r#"{{"error":"{code}"}}"#))
}
