//! A client of an MCP server: the server says itself which authorization server it trusts (RFC 9728), and the client gets a
//! token there, if it trusts it too.
//!
//! ```sh
//! cargo run -p examples --example mcp_client
//! ```
//!
//! Read `quickstart` first. Like it, this one needs nothing but this machine, prints each step, ends with numbers from the
//! servers' own records, and exits with 0 only if all of it is as it should be.

use anyhow::{Context, Result, anyhow, ensure};
use examples::{Steps, chain, retried};
use http::header::AUTHORIZATION;
use oauth_test_server::{Endpoint, Requirement, TestServer};
use reqwest::StatusCode;
use reqwest_middleware::ClientWithMiddleware;
use serde_json::{Value, json};
use tower_oauth::{
    ErrorKind, OAuthLayer, RetryOutcome,
    oauth_tokens::{
        AuthorizationServer, ClientAuth, Error, ErrorKind as TokenErrorKind, ProtectedResource, TokenCache,
    },
};

#[tokio::main]
async fn main() -> Result<()> {
    let (mcp, stranger) = start().await?;
    let mut steps = Steps::default();
    let mut client = McpClient::new(&mcp)?;

    steps.begin("The first call. Nothing is known yet but the MCP server's URL, and whom we trust.");
    let hello = client.request("initialize", initialize()).await?;
    client.notify("notifications/initialized").await?;
    steps.note(format!("{} speaks MCP {}", text(&hello["serverInfo"]["name"])?, text(&hello["protocolVersion"])?));
    steps.note(how_it_got_in(&mcp)?);

    steps.begin("What can it do?");
    let listed = client.request("tools/list", json!({})).await?;
    for tool in listed["tools"].as_array().context("a list of tools")? {
        steps.note(format!("{}: {}", text(&tool["name"])?, text(&tool["description"])?));
    }

    steps.begin("Let it.");
    steps.note(client.whoami().await?);

    steps.begin("The token is revoked. The challenge says where the metadata are, and names a stranger's URL.");
    mcp.revoke_access_tokens();
    mcp.set_resource_metadata_url(Some(stranger.api_url("/.well-known/oauth-protected-resource/mcp")));
    steps.note(client.whoami().await?);
    steps.note(untouched(&stranger)?);

    steps.begin("From now on the MCP server trusts another authorization server. A client that starts now is told so.");
    mcp.set_resource_metadata("authorization_servers", json!([stranger.issuer()]));
    steps.note(McpClient::new(&mcp)?.refused().await?);
    steps.note(untouched(&stranger)?);

    close(&mcp, &client)
}

/// The other side, embedded: an MCP server with its authorization server, and a stranger. In a program of your own they are
/// somewhere else, and `https`.
async fn start() -> Result<(TestServer, TestServer)> {
    let mcp = TestServer::builder().resource_metadata(true).start().await?;
    // It takes no token that is meant for another API.
    mcp.require("/mcp", Requirement::Audience(mcp.api_url("/mcp")));
    let stranger = TestServer::start().await?;
    println!("MCP server                         {}", mcp.api_url("/mcp"));
    println!("the authorization server we trust  {}", mcp.issuer());
    println!("one that we do not know            {}", stranger.issuer());
    Ok((mcp, stranger))
}

/// Whom we trust, and who we are there. Only servers that are allowed here are ever contacted, whatever the MCP server says:
/// the client's secret goes nowhere else. No I/O.
fn tokens(mcp: &TestServer) -> Result<TokenCache, Error> {
    let trusted = AuthorizationServer::issuer(mcp.issuer())?.client("m2m", ClientAuth::secret_basic("secret"))?;
    ProtectedResource::new(&mcp.api_url("/mcp"))?.allow(trusted).scope("api").cached()
}

/// As much of an MCP client as it takes: JSON-RPC over one POST each.
struct McpClient {
    http: ClientWithMiddleware,
    url: String,
    calls: u64,
    retried: u64,
}

impl McpClient {
    fn new(mcp: &TestServer) -> Result<Self> {
        let url = mcp.api_url("/mcp");
        // The token goes to this path and what is below it, not to the rest of the host.
        let http = OAuthLayer::new(url.as_str(), tokens(mcp)?)?.reqwest(reqwest::Client::builder())?;
        Ok(Self { http, url, calls: 0, retried: 0 })
    }

    async fn request(&mut self, method: &str, params: Value) -> Result<Value> {
        let (mut answer, _) = self.request_told(method, params).await?;
        Ok(answer.take())
    }

    /// The result, and what became of a 401 if there was one.
    async fn request_told(&mut self, method: &str, params: Value) -> Result<(Value, &'static str)> {
        let message = json!({ "jsonrpc": "2.0", "id": self.calls + 1, "method": method, "params": params });
        let response = self.send(&message).await?;
        ensure!(response.status() == StatusCode::OK, "{method} was answered with {}", response.status());
        let told = retried(response.extensions());
        let mut answer: Value = response.json().await?;
        ensure!(answer["id"] == message["id"], "{method} was answered with another call's answer");
        ensure!(answer["error"].is_null(), "{method} failed: {}", answer["error"]);
        Ok((answer["result"].take(), told))
    }

    async fn notify(&mut self, method: &str) -> Result<()> {
        let response = self.send(&json!({ "jsonrpc": "2.0", "method": method })).await?;
        ensure!(response.status() == StatusCode::ACCEPTED, "{method} was answered with {}", response.status());
        Ok(())
    }

    /// Nothing here speaks of tokens.
    async fn send(&mut self, message: &Value) -> Result<reqwest::Response, reqwest_middleware::Error> {
        let request = self.http.post(&self.url).header("accept", "application/json, text/event-stream").json(message);
        let response = request.send().await?;
        self.calls += 1;
        self.retried += u64::from(matches!(response.extensions().get(), Some(RetryOutcome::Retried)));
        Ok(response)
    }

    async fn whoami(&mut self) -> Result<String> {
        let (result, told) = self.request_told("tools/call", json!({ "name": "whoami", "arguments": {} })).await?;
        Ok(format!("whoami says {:?}{told}", text(&result["content"][0]["text"])?))
    }

    /// A first call that must not get out: the error, and what it says.
    async fn refused(&mut self) -> Result<String> {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize() });
        let error = match self.send(&message).await {
            Ok(response) => {
                return Err(anyhow!("the call should have been refused, but was answered {}", response.status()));
            }
            Err(reqwest_middleware::Error::Middleware(error)) => error,
            Err(error) => return Err(error.into()),
        };
        let ours: &tower_oauth::Error = error.downcast_ref().context("the layer's own error")?;
        let kinds = (ours.kind(), ours.token_error().map(Error::kind));
        ensure!(
            kinds == (ErrorKind::NoToken, Some(TokenErrorKind::ServerNotAllowed)),
            "refused for another reason: {ours}"
        );
        Ok(chain(ours))
    }
}

fn initialize() -> Value {
    json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": { "name": "mcp_client", "version": env!("CARGO_PKG_VERSION") },
    })
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().context("the MCP server's answer lacks a text")
}

/// Looks into the server's log: the metadata came first, then one token for this resource alone.
fn how_it_got_in(mcp: &TestServer) -> Result<String> {
    let metadata = metadata_requests(mcp);
    let [path] = &metadata[..] else { return Err(anyhow!("the metadata should have been fetched once: {metadata:?}")) };
    let requests = mcp.requests_to(Endpoint::Token);
    let [request] = &requests[..] else {
        return Err(anyhow!("there should be one token request, not {}", requests.len()));
    };
    let form = String::from_utf8_lossy(&request.body).into_owned();
    let resource =
        form.split('&').find(|pair| pair.starts_with("resource=")).context("a token request with `resource`")?;
    ensure!(resource.ends_with("%2Fmcp"), "the token was asked for another resource: {resource}");
    Ok(format!("it was found by {path}, and one token was asked for, with {resource}"))
}

/// The paths of all requests for metadata: none of them carried a token.
fn metadata_requests(mcp: &TestServer) -> Vec<String> {
    let requests = mcp.requests_to(Endpoint::Api);
    let metadata = requests.iter().filter(|request| request.uri.path().starts_with("/.well-known/"));
    metadata
        .filter(|request| !request.headers.contains_key(AUTHORIZATION))
        .map(|request| request.uri.path().to_owned())
        .collect()
}

fn untouched(stranger: &TestServer) -> Result<&'static str> {
    ensure!(stranger.requests().is_empty(), "the stranger was contacted");
    Ok("the stranger was not contacted")
}

fn close(mcp: &TestServer, client: &McpClient) -> Result<()> {
    let (counters, metadata) = (mcp.counters(), metadata_requests(mcp).len());
    println!("\ncalls: {}", client.calls);
    println!("metadata requests: {metadata}");
    println!("token requests: {}", counters.token_requests);
    println!("retried after 401: {}", client.retried);
    // Five calls and one retry of the first client; the second one sent nothing but its look at the metadata.
    let numbers = (client.calls, metadata, counters.token_requests, client.retried, counters.api_unauthorized);
    ensure!(numbers == (5, 2, 2, 1, 1), "the numbers are not as they should be: {numbers:?}");
    Ok(())
}
