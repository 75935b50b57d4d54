//! A run against embedded servers, which ends by itself.

use std::{io::Write, path::Path};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode, header};
use oauth_test_server::{Endpoint, TestServer};
use reqwest::{Client, RequestBuilder};
use tokio::sync::oneshot;

use super::{Proxy, Settings};
use crate::Steps;

/// Starts an authorization server, an API and a proxy on this machine, and calls the API as a program does that knows of no
/// tokens.
///
/// # Errors
///
/// When something is not as it should be.
pub async fn demo() -> Result<()> {
    let server = TestServer::start().await?;
    let mut secret = tempfile::NamedTempFile::new()?;
    secret.write_all(b"secret")?;
    let proxy = Proxy::bind(&settings(&server, secret.path())?).await?;
    let (here, admin) = (format!("http://{}", proxy.address()?), format!("http://{}", proxy.admin_address()?));
    println!("authorization server  {}", server.issuer());
    println!("the API it protects   {}", server.api_origin());
    println!("the proxy             {here}");
    println!("its health, figures   {admin}/healthz, {admin}/metrics");
    let (end, told_to_end) = oneshot::channel::<()>();
    let serving = tokio::spawn(proxy.serve(async { drop(told_to_end.await) }));

    // The program: it knows an address, and nothing of tokens.
    let program = Client::builder().no_proxy().build()?;
    let mut steps = Steps::default();

    steps.begin("The proxy is asked whether it has its tokens.");
    steps.note(succeeded(program.get(format!("{admin}/healthz"))).await?);

    steps.begin("A program calls the API through the proxy.");
    let orders = format!("{here}/crm/orders");
    steps.note(format!("the API saw: {}", succeeded(program.get(&orders)).await?));

    steps.begin("The token is revoked while a program uploads. The proxy renews it, and sends the request again.");
    server.revoke_access_tokens();
    let echoed = succeeded(program.post(format!("{here}/crm/echo")).body("a long text")).await?;
    steps.note(format!("the program noticed nothing; the API has {echoed:?}"));
    ensure!(echoed == "a long text", "the body should have come whole");

    steps.begin("A program sends an Authorization header of its own. It ends at the proxy.");
    succeeded(program.get(&orders).header(header::AUTHORIZATION, "Bearer mine")).await?;
    let calls = server.requests_to(Endpoint::Api);
    ensure!(calls.iter().all(|call| call.bearer_token() != Some("mine")), "a caller's token came to the API");
    steps.note("the API saw the proxy's token only");

    steps.begin("What does not get through.");
    let page = program.get(&orders).header("sec-fetch-site", "cross-site");
    steps.note(refused("a web page", page, StatusCode::FORBIDDEN).await?);
    let rebound = program.get(&orders).header(header::HOST, "evil.example.com");
    steps.note(refused("a page's own name for this machine", rebound, StatusCode::MISDIRECTED_REQUEST).await?);
    let trace = program.request(Method::TRACE, &orders);
    steps.note(refused("TRACE, which would show the token", trace, StatusCode::METHOD_NOT_ALLOWED).await?);

    steps.begin("Figures for Prometheus, some of them.");
    let figures = succeeded(program.get(format!("{admin}/metrics"))).await?;
    for line in figures
        .lines()
        .filter(|line| line.contains("_problems_total{") || line.contains("request_duration_seconds_count"))
    {
        steps.note(line);
    }
    ensure!(figures.contains("from_page"), "the refusals should have been counted");

    steps.begin("The proxy is told to end, as by SIGTERM.");
    drop(end);
    serving.await??;
    steps.note("it has ended");

    let counted = server.counters();
    println!("\ncalls that the API served: {}", counted.api_accepted);
    println!("token requests: {}", counted.token_requests);
    println!("retried after 401: {}", counted.api_unauthorized);
    let counted = (counted.api_accepted, counted.token_requests, counted.api_unauthorized);
    ensure!(counted == (3, 2, 1), "the numbers are not as they should be: {counted:?}");
    Ok(())
}

fn settings(server: &TestServer, secret: &Path) -> Result<Settings> {
    let (issuer, api) = (server.issuer(), server.api_origin());
    Settings::parse(&format!(
        r#"
        listen = "127.0.0.1:0"
        admin = "127.0.0.1:0"

        [oauth.crm]
        origins = ["{api}"]
        server = {{ issuer = "{issuer}" }}
        client = {{ id = "m2m", secret = {{ file = {secret:?} }} }}
        grant = {{ scope = "api" }}

        [[upstreams]]
        name = "crm"
        path = "/crm"
        url = "{api}"
        oauth = "crm"
        "#
    ))
}

async fn succeeded(request: RequestBuilder) -> Result<String> {
    Ok(request.send().await?.error_for_status()?.text().await?)
}

async fn refused(what: &str, request: RequestBuilder, expected: StatusCode) -> Result<String> {
    let response = request.send().await?;
    let status = response.status();
    ensure!(status == expected, "{what} should have been refused with {expected}, not {status}");
    let problem: serde_json::Value = response.json().await.context("a problem should be JSON")?;
    Ok(format!("{what}: {status}, {}", problem["code"].as_str().unwrap_or_default()))
}
