//! The whole idea in one program: call a protected API as if it were open.
//!
//! ```sh
//! cargo run -p examples --example quickstart
//! ```
//!
//! It needs nothing but this machine: an authorization server and an API are embedded. What happens when a token is
//! missing, revoked or not wanted is printed step by step, and counted by the servers. The exit code is 0 only if all
//! of it is as it should be.

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;
use examples::{Numbers, Steps, Tally, no_token_arrived, retried, start_servers, token_requests};
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use oauth_test_server::{Endpoint, TestServer};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_oauth::{
    OAuth, OAuthLayer, Replay, ReplayLayer, ReplayService,
    oauth_tokens::{AuthorizationServer, ClientAuth, Error, TokenCache},
};

/// The body of our requests: nothing, or a stream of unknown length. One type for both keeps one client for both.
type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What the layers make of a plain hyper client. Only spelt out because `Caller` keeps it in a field.
type Api = ReplayService<OAuth<Client<HttpConnector, Replay<Body>>>>;

#[tokio::main]
async fn main() -> Result<()> {
    let (server, elsewhere) = start_servers().await?;
    let tokens = tokens(&server)?;
    let mut caller = Caller { api: protected_api(&server, tokens.clone())?, tally: Tally::default() };
    let mut steps = Steps::default();

    steps.begin("The first call. There is no token yet, so the layer fetches one, and then sends the request.");
    steps.note(caller.get(&server.api_url("/orders")).await?);
    steps.note(token_requests(&server));

    steps.begin("Nine more calls. The token is in memory, and costs one atomic load each.");
    for number in 1..=9 {
        caller.get(&server.api_url(&format!("/orders/{number}"))).await?;
    }
    steps.note("nine times 200 OK");
    steps.note(token_requests(&server));

    steps.begin("The token is revoked at the server. We do not know, and call as before.");
    server.revoke_access_tokens();
    steps.note(caller.get(&server.api_url("/orders")).await?);
    steps.note(token_requests(&server));

    steps.begin("Revoked again, and this time we upload a stream that can be read only once.");
    server.revoke_access_tokens();
    steps.note(caller.upload(&server.api_url("/echo")).await?);
    steps.note(both_uploads_were_whole(&server)?);
    steps.note(token_requests(&server));

    steps.begin("A call to somebody else's API through the same client. Our token is none of their business.");
    steps.note(caller.get(&elsewhere.api_url("/public/weather")).await?);
    steps.note(no_token_arrived(&elsewhere)?);

    steps.begin("What a health check sees of the tokens.");
    let health = tokens.status();
    steps.note(format!("usable: {}, renewals so far: {}", health.usable, health.renewals));

    // 1 + 9 + 1 + 1 + 1 calls. A token for the first call, and one after each revocation.
    let expected = Numbers { succeeded: 13, failed: 0, token_requests: 3, retried: 2 };
    caller.tally.close(&[&server, &elsewhere], expected)
}

/// Who we are, and what we ask for. No I/O: the server's endpoints are discovered when the first token is needed, so a
/// service starts while its authorization server is down.
fn tokens(server: &TestServer) -> Result<TokenCache, Error> {
    let client = AuthorizationServer::issuer(server.issuer())?.client("m2m", ClientAuth::secret_basic("secret"))?;
    client.client_credentials().scope("api").cached()
}

/// A hyper client whose requests to the API carry a token.
fn protected_api(server: &TestServer, tokens: TokenCache) -> Result<Api> {
    let hyper = Client::builder(TokioExecutor::new()).build_http();
    let oauth = OAuthLayer::new(server.api_origin(), tokens)?;
    // ReplayLayer remembers up to 64 KiB of a stream while it is sent, so that it can be sent again. Bodies that are
    // plain values (`Full`, `String`) are cloned, and need no ReplayLayer.
    Ok(ServiceBuilder::new().layer(ReplayLayer::new()).layer(oauth).service(hyper))
}

/// Makes calls, as a program of yours would, and counts them for the closing lines.
struct Caller {
    api: Api,
    tally: Tally,
}

impl Caller {
    async fn get(&mut self, url: &str) -> Result<String> {
        let response = self.send(Request::get(url).body(nothing())?).await?;
        Ok(format!("GET {url} -> {}{}", response.status(), retried(response.extensions())))
    }

    async fn upload(&mut self, url: &str) -> Result<String> {
        let response = self.send(Request::post(url).body(lines())?).await?;
        let answer = format!("POST {url} -> {}{}", response.status(), retried(response.extensions()));
        let echo = response.into_body().collect().await?.to_bytes();
        ensure!(echo == LINES.concat(), "the API got another body than we sent");
        Ok(answer)
    }

    /// Nothing here speaks of tokens.
    async fn send(&mut self, request: Request<Body>) -> Result<Response<hyper::body::Incoming>> {
        // The layer's errors are boxed, as everywhere in tower; `anyhow!` keeps them and their causes.
        let api = self.api.ready().await.map_err(|error| anyhow!(error))?;
        let response = api.call(request).await.map_err(|error| anyhow!(error))?;
        self.tally.see(response.status(), response.extensions());
        ensure!(response.status() == StatusCode::OK, "the API answered {}", response.status());
        Ok(response)
    }
}

fn nothing() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

const LINES: [&str; 3] = ["first line\n", "second line\n", "third line\n"];

/// A body that comes in pieces, and whose length nobody knows beforehand.
fn lines() -> Body {
    StreamBody::new(stream::iter(LINES.map(|line| Ok(Frame::data(Bytes::from(line)))))).boxed_unsync()
}

/// Looks into the server's log: the upload came twice, whole both times.
fn both_uploads_were_whole(server: &TestServer) -> Result<&'static str> {
    let requests = server.requests_to(Endpoint::Api);
    let uploads: Vec<_> = requests.iter().filter(|request| request.uri.path() == "/echo").collect();
    ensure!(uploads.len() == 2, "the upload should have come twice, but came {} times", uploads.len());
    ensure!(uploads.iter().all(|upload| upload.complete && upload.body == LINES.concat()), "an upload was not whole");
    Ok("it arrived twice, whole both times: once with the dead token, once with the new one")
}
