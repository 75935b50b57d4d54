//! A gRPC client whose calls carry a token, and are made once more when the server no longer takes it.
//!
//! ```sh
//! cargo run -p examples --example grpc
//! ```
//!
//! Read `quickstart` first. Like it, this one needs nothing but this machine, prints each step, ends with numbers from
//! the servers' own counters, and exits with 0 only if all of it is as it should be.

mod server;

/// What the build script makes of `greeter.proto`.
mod greeter {
    #![allow(unreachable_pub)]
    tonic::include_proto!("greeter");
}

use std::{error::Error as _, time::Duration};

use anyhow::{Result, ensure};
use examples::{Numbers, Steps, Tally, chain, retried, token_requests};
use http::StatusCode;
use oauth_test_server::{Fault, TestServer};
use tokio_stream::StreamExt;
use tonic::{Code, Response, transport::Endpoint};
use tower_oauth::{
    GrpcChannel, OAuthLayer,
    oauth_tokens::{AuthorizationServer, ClientAuth, Error, TokenCache},
};

use greeter::{Name, greeter_client::GreeterClient};

/// A generated client over a channel whose calls carry a token. Only spelt out because a function returns it.
type Client = GreeterClient<GrpcChannel<tonic::transport::Channel>>;

#[tokio::main]
async fn main() -> Result<()> {
    let authorization = TestServer::start().await?;
    let origin = server::start(&authorization).await?;
    println!("authorization server  {}", authorization.issuer());
    println!("greeter               {origin}");

    let mut client = client(&origin, tokens(&authorization)?)?;
    let mut steps = Steps::default();
    let mut tally = Tally::default();

    steps.begin("The first call. There is no token yet, so the layer fetches one, and then makes the call.");
    let answer = seen(client.greet(name("Ada")).await?, &mut tally);
    steps.note(format!("{:?}{}", answer.get_ref().text, retried(answer.extensions())));
    steps.note(token_requests(&authorization));

    steps.begin("The token is revoked at the server. We do not know, and call as before.");
    authorization.revoke_access_tokens();
    let before = authorization.counters().api_requests;
    let answer = seen(client.greet(name("Ada")).await?, &mut tally);
    steps.note(format!("{:?}{}", answer.get_ref().text, retried(answer.extensions())));
    let attempts = authorization.counters().api_requests - before;
    ensure!(attempts == 2, "the greeter should have seen two attempts, but saw {attempts}");
    steps.note("the greeter saw two attempts: it answered UNAUTHENTICATED to the first");
    steps.note(token_requests(&authorization));

    steps.begin("Revoked again, and this time we send a stream of names.");
    authorization.revoke_access_tokens();
    let names = tokio_stream::iter(["Ada", "Grace", "Barbara"].map(name));
    let answer = seen(client.greet_together(names).await?, &mut tally);
    steps.note(format!("{:?}{}", answer.get_ref().text, retried(answer.extensions())));
    ensure!(answer.get_ref().text == "Hello, Ada and Grace and Barbara!", "not all names arrived");
    steps.note(token_requests(&authorization));

    steps.begin("Revoked once more, and this time a stream comes back.");
    authorization.revoke_access_tokens();
    let answer = seen(client.greet_all_day(name("Ada")).await?, &mut tally);
    let outcome = retried(answer.extensions());
    let greetings: Vec<_> =
        answer.into_inner().map(|greeting| greeting.map(|it| it.text)).collect::<Result<_, _>>().await?;
    steps.note(format!("{greetings:?}{outcome}"));
    ensure!(greetings.len() == 3, "not all greetings arrived");
    steps.note(token_requests(&authorization));

    steps.begin("A call of half a second, while the authorization server stands still: its deadline is kept.");
    steps.note(call_with_deadline(&origin).await?);

    // A token for the first call, and one after each revocation.
    let expected = Numbers { succeeded: 4, failed: 0, token_requests: 4, retried: 3 };
    tally.close(&[&authorization], expected)
}

/// Who we are, and what we ask for. No I/O: the token is fetched when the first call needs it.
fn tokens(authorization: &TestServer) -> Result<TokenCache, Error> {
    let server = AuthorizationServer::issuer(authorization.issuer())?;
    server.client("m2m", ClientAuth::secret_basic("secret"))?.client_credentials().scope("api").cached()
}

/// A channel has one peer, and its requests carry no authority: `for_connection` says which origin they go to.
fn client(origin: &str, tokens: TokenCache) -> Result<Client> {
    let channel = Endpoint::from_shared(origin.to_owned())?.connect_lazy();
    Ok(GreeterClient::new(OAuthLayer::for_connection(origin, tokens)?.grpc(channel)))
}

fn name(name: &str) -> Name {
    Name { name: name.to_owned() }
}

/// Counts an answer for the closing lines.
fn seen<T>(answer: Response<T>, tally: &mut Tally) -> Response<T> {
    tally.see(StatusCode::OK, answer.extensions());
    answer
}

/// A new client has no token yet, and its authorization server accepts connections but never answers.
async fn call_with_deadline(origin: &str) -> Result<String> {
    let stuck = TestServer::start().await?;
    stuck.discovery_faults().push_forever(Fault::Hang);
    let mut client = client(origin, tokens(&stuck)?)?;

    let mut request = tonic::Request::new(name("Ada"));
    request.set_timeout(Duration::from_millis(500));
    let Err(status) = client.greet(request).await else {
        anyhow::bail!("there is no token, so the call cannot have been made");
    };
    ensure!(status.code() == Code::DeadlineExceeded, "the wait should have ended at the deadline: {status}");
    // What the layer has to say is the source of the status.
    let cause = status.source().map_or_else(String::new, chain);
    Ok(format!("{:?}: {cause}", status.code()))
}
