//! Calls a protected API from the command line: gets a token, sends it, explains what went wrong.
//!
//! ```sh
//! export OAUTH_CLIENT_SECRET=...
//! cargo run -p examples --example call_api -- \
//!     --issuer https://id.example.com --client-id m2m --scope api https://api.example.com/orders
//! ```
//!
//! Without arguments it prints its usage. The response's body goes to stdout, everything else to stderr; the exit code is 0
//! only if the API answered 2xx, 1 if something failed, 2 if the command line cannot be understood.

mod args;
mod claims;
mod report;

use std::{
    io::Write,
    net::IpAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use http::header::CONTENT_TYPE;
use reqwest::{Certificate, Response, Url};
use reqwest_middleware::ClientWithMiddleware;
use tower_oauth::{
    OAuthLayer,
    oauth_tokens::{AuthorizationServer, HttpClient, TokenCache},
};

use self::{args::Args, report::Ending};

/// How long the API may take for everything: connecting, redirects, the body.
const API_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args_os().len() == 1 {
        // Somebody wants to know what this is. Nothing is wrong with that.
        return Args::command().print_help().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let args = Args::parse();
    match run(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}", report::failure(&error, &args));
            ExitCode::FAILURE
        }
    }
}

/// Whether the API answered with a success.
async fn run(args: &Args) -> Result<bool> {
    // All that can be known to be wrong without a network is found first.
    let ca_pem = args.ca_pem()?;
    let body = args.body()?;
    let tokens = tokens(args, ca_pem.as_deref())?;
    let api = protected_api(args, tokens.clone(), ca_pem.as_deref())?;

    get_token(args, &tokens).await?;
    let response = call(args, &api, body).await?;
    let ending = print(response).await?;
    if let Some(explanation) = report::explain(&ending, args) {
        eprintln!("{explanation}");
    }
    Ok(ending.status.is_success())
}

/// What the command line says about tokens, as a cache that keeps one fresh.
fn tokens(args: &Args, ca_pem: Option<&[u8]>) -> Result<TokenCache> {
    let http = match ca_pem {
        Some(pem) => HttpClient::with_root_certificates(pem).context("the file of --ca-cert is of no use")?,
        None => HttpClient::reqwest(),
    };
    let server = AuthorizationServer::via(http);
    let server = match (&args.issuer, &args.token_endpoint) {
        (Some(issuer), _) => server.issuer(issuer)?,
        (None, Some(endpoint)) => server.token_endpoint(endpoint)?,
        (None, None) => anyhow::bail!("give --issuer or --token-endpoint"),
    };
    let mut request = server.client(&args.client_id, args.client_auth()?)?.client_credentials();
    for scope in &args.scope {
        request = request.scope(scope);
    }
    for resource in &args.resource {
        request = request.resource(resource);
    }
    if let Some(audience) = &args.audience {
        request = request.audience(audience);
    }
    Ok(request.cached()?)
}

/// A reqwest client that sends the token to the URL's own origin and nowhere else, wherever redirects may lead.
fn protected_api(args: &Args, tokens: TokenCache, ca_pem: Option<&[u8]>) -> Result<ClientWithMiddleware> {
    let mut builder = reqwest::Client::builder().timeout(API_TIMEOUT);
    if let Some(pem) = ca_pem {
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem)?);
    }
    if is_this_machine(&args.url) {
        // A proxy from the environment would take "this machine" for itself.
        builder = builder.no_proxy();
    }
    let origin = args.url.origin().ascii_serialization();
    let layer = OAuthLayer::new(&origin, tokens).with_context(|| format!("no token can be sent to {origin}"))?;
    Ok(layer.reqwest(builder)?)
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Gets the token before the call that needs it, so that a failure here is not taken for one of the API's.
async fn get_token(args: &Args, tokens: &TokenCache) -> Result<()> {
    let server = args.issuer.as_ref().or(args.token_endpoint.as_ref()).map_or("", String::as_str);
    eprintln!("token: asking {server} as client {:?} ({}){}", args.client_id, args.auth.name(), wishes(args));
    let began = Instant::now();
    let token = tokens.token().await?;
    let lifetime = match tokens.status().expires_in {
        Some(left) => format!("usable for {} s", left.as_secs()),
        None => "the server did not say how long it is valid".to_owned(),
    };
    eprintln!("token: there after {} ms, {lifetime}", began.elapsed().as_millis());
    if args.show_token {
        eprintln!("token: {}", claims::describe(&token));
    }
    Ok(())
}

fn wishes(args: &Args) -> String {
    let named = |name: &str, values: &[String]| match values {
        [] => String::new(),
        values => format!(", {name} {}", values.join(" ")),
    };
    let audience: Vec<String> = args.audience.iter().cloned().collect();
    [named("scope", &args.scope), named("resource", &args.resource), named("audience", &audience)].concat()
}

/// Nothing here speaks of tokens: the layer puts them on, and renews and retries after a 401.
async fn call(args: &Args, api: &ClientWithMiddleware, body: Option<Vec<u8>>) -> Result<Response> {
    let method = args.method();
    eprintln!("call: {method} {}", args.url);
    let mut request = api.request(method, args.url.clone());
    for (name, value) in &args.header {
        request = request.header(name, value);
    }
    if let Some(body) = body {
        if !args.header.iter().any(|(name, _)| name == CONTENT_TYPE) {
            request = request.header(CONTENT_TYPE, content_type(&body));
        }
        request = request.body(body);
    }
    let began = Instant::now();
    let response = request.send().await.context("the API could not be called")?;
    eprintln!("call: {} after {} ms{}", response.status(), began.elapsed().as_millis(), report::retried(&response));
    if response.url() != &args.url {
        eprintln!("call: after redirects, this is the answer of {}", response.url());
    }
    Ok(response)
}

fn content_type(body: &[u8]) -> &'static str {
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Ok(_) => "application/json",
        Err(_) => "text/plain; charset=utf-8",
    }
}

/// Prints the body as it comes, and keeps what is needed to explain the answer.
async fn print(mut response: Response) -> Result<Ending> {
    let mut ending = Ending::of(&response);
    let mut stdout = std::io::stdout().lock();
    while let Some(chunk) = response.chunk().await.context("the API's answer broke off")? {
        ending.body_bytes += chunk.len();
        stdout.write_all(&chunk).context("could not write to stdout")?;
    }
    stdout.flush().context("could not write to stdout")?;
    Ok(ending)
}
