//! F: keeping a token fresh, and what the defaults table says of it.

mod abandoned;
mod failures;
mod hostile;
mod lasting;
mod model;
mod outage;
mod panics;
mod rejected;
mod rotation;
mod runtimes;
mod same_token;
mod single_flight;
mod spans;
mod status;
mod storm_guard;
mod takeover;
mod warm;
mod window;

use std::time::Duration;

use oauth_test_server::{Fault, TestServer};
use oauth_tokens::{
    AuthorizationServer, ClientAuth, ClientCredentials, Error, HttpClient, TokenCache, TokenRequest, TokenSource,
};
use tokio::runtime::{Builder, Runtime};

/// The smallest step of the clock.
const TICK: Duration = Duration::from_nanos(1);
/// When a renewal is given up on, and a waiter takes over: the exchange's deadline and a second.
const TAKE_OVER: Duration = Duration::from_secs(11);

const fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn s(number: u64) -> Duration {
    Duration::from_secs(number)
}

const HOUR: Duration = s(3600);

/// A client-credentials request to the test server, without sockets.
fn request_to(server: &TestServer) -> TokenRequest<ClientCredentials> {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .token_endpoint(&server.token_endpoint())
        .expect("a token endpoint")
        .client("m2m", ClientAuth::secret_basic("secret"))
        .expect("a client")
        .client_credentials()
        .scope("api")
}

fn cache_of(server: &TestServer) -> TokenCache {
    request_to(server).cached().expect("a cache")
}

/// The error that a refusal by the server becomes. Takes no time.
async fn refusal(fault: Fault) -> Error {
    let server = TestServer::builder().build();
    server.token_faults().push_forever(fault);
    request_to(&server).fetch().await.expect_err("the server refuses")
}

/// A runtime of one thread with the system's clock, which runs only while the test drives it.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The same with its clock paused: when all wait, the clock jumps to the next timer.
fn paused_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}
