//! The other side, embedded: in a program of your own these two are somewhere else, and `https`.

use std::io;

use anyhow::{Result, ensure};
use http::header::AUTHORIZATION;
use oauth_test_server::{Endpoint, TestServer};

/// Starts an authorization server and an API that it protects, and a second pair that stands for the rest of the world.
///
/// The client `m2m` with the secret `secret` may ask for the scope `api`. All of it listens on 127.0.0.1, on free ports,
/// and ends when the values are dropped.
///
/// # Errors
///
/// When a socket cannot be had.
pub async fn start_servers() -> io::Result<(TestServer, TestServer)> {
    let ours = TestServer::start().await?;
    let elsewhere = TestServer::start().await?;
    println!("authorization server  {}", ours.issuer());
    println!("the API it protects   {}", ours.api_origin());
    println!("somebody else's API   {}", elsewhere.api_origin());
    Ok((ours, elsewhere))
}

/// How often the token endpoint was asked so far, by the server's own count.
#[must_use]
pub fn token_requests(server: &TestServer) -> String {
    format!("token requests so far: {}", server.counters().token_requests)
}

/// Looks into a server's log: its API was called, and no request carried credentials.
///
/// # Errors
///
/// When that is not so.
pub fn no_token_arrived(elsewhere: &TestServer) -> Result<&'static str> {
    let requests = elsewhere.requests_to(Endpoint::Api);
    ensure!(!requests.is_empty(), "no request came to {}", elsewhere.api_origin());
    ensure!(
        requests.iter().all(|request| !request.headers.contains_key(AUTHORIZATION)),
        "a token that was meant for another API came to {}",
        elsewhere.api_origin()
    );
    Ok("no token arrived there")
}
