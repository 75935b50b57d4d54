//! Calls a protected API from the command line: gets a token, sends it, explains what went wrong.
//!
//! ```sh
//! export OAUTH_CLIENT_SECRET=...
//! cargo run -p examples --example call_api -- \
//!     --issuer https://id.example.com --client-id m2m --scope api https://api.example.com/orders
//! ```
//!
//! Or with settings from a file: `call_api --config oauth.toml https://api.example.com/orders`.
//!
//! Without arguments it prints its usage. The response's body goes to stdout, everything else to stderr; the exit code is 0
//! only if the API answered 2xx, 1 if something failed, 2 if the command line cannot be understood.

mod args;
mod claims;
mod report;
mod settings;

use std::{
    io::Write,
    net::IpAddr,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::CommandFactory;
use examples::chain;
use http::header::CONTENT_TYPE;
use reqwest::{Certificate, Identity, Response, Url};
use reqwest_middleware::ClientWithMiddleware;
use tower_oauth::ConfiguredLayer;

use self::{
    args::Args,
    report::Ending,
    settings::{Settings, Tokens},
};

/// How long the API may take for everything: connecting, redirects, the body.
const API_TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args_os().len() == 1 {
        // Somebody wants to know what this is. Nothing is wrong with that.
        return Args::command().print_help().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let args = Args::read();
    match run(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Whether the API answered with a success.
async fn run(args: &Args) -> Result<bool> {
    // All that can be known to be wrong without a network is found first.
    let body = args.body()?;
    let settings = Settings::of(args)?;
    let configured = settings.build(&args.url)?;
    let tokens = settings.tokens(&configured, &args.url)?;
    let api = protected_api(&configured, &args.url)?;

    let ending = async {
        get_token(args, &settings, &tokens).await?;
        print(call(args, &settings, &api, body).await?).await
    };
    let ending = ending.await.map_err(|error| report::failure(&error, &settings))?;
    if let Some(explanation) = report::explain(&ending, args, &settings) {
        eprintln!("{explanation}");
    }
    Ok(ending.status.is_success())
}

/// A reqwest client that sends tokens to the origins of the settings and nowhere else, wherever redirects may lead.
fn protected_api(configured: &ConfiguredLayer, url: &Url) -> Result<ClientWithMiddleware> {
    let mut builder = reqwest::Client::builder().timeout(API_TIMEOUT);
    if let Some(pem) = configured.root_certificates() {
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem)?);
    }
    let mut failed = "a client of the API could not be made".to_owned();
    if let Some((certificate, key)) = configured.certificate_files() {
        // Tokens may be bound to it.
        let shown = format!("the certificate in {} and the key in {}", certificate.display(), key.display());
        builder = builder.identity(identity(certificate, key).with_context(|| format!("{shown} cannot be used"))?);
        failed = format!("{shown} cannot be used: do they belong together?");
    }
    if is_this_machine(url) {
        // A proxy from the environment would take "this machine" for itself.
        builder = builder.no_proxy();
    }
    configured.layer().reqwest(builder).context(failed)
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity> {
    let read = |file: &Path| std::fs::read(file).with_context(|| format!("could not read the file {}", file.display()));
    let mut pem = read(certificate)?;
    if key != certificate {
        pem.push(b'\n');
        pem.extend(read(key)?);
    }
    Ok(Identity::from_pem(&pem)?)
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Gets the token before the call that needs it, so that a failure here is not taken for one of the API's.
async fn get_token(args: &Args, settings: &Settings, tokens: &Tokens<'_>) -> Result<()> {
    let server = settings.text("/server/issuer").or(settings.text("/server/token_endpoint")).unwrap_or_default();
    let id = settings.text("/client/id").unwrap_or_default();
    let wishes = wishes(settings, tokens);
    eprintln!("token: asking {server} as client {id:?} ({}){wishes}", settings.authentication());
    let began = Instant::now();
    let token = tokens.cache.token().await?;
    let lifetime = match tokens.cache.status().expires_in {
        Some(left) => format!("usable for {} s", left.as_secs()),
        None => "the server did not say how long it is valid".to_owned(),
    };
    let bound = if token.is_bound() { ", bound to a key (DPoP)" } else { "" };
    eprintln!("token: there after {} ms, {lifetime}{bound}", began.elapsed().as_millis());
    if args.show_token {
        eprintln!("token: {}", claims::describe(&token));
    }
    Ok(())
}

fn wishes(settings: &Settings, tokens: &Tokens<'_>) -> String {
    let wish = |name: &str| match settings.wishes(tokens.index, name).join(" ") {
        nothing if nothing.is_empty() => nothing,
        values => format!(", {name} {values}"),
    };
    let exchanged = settings.origin("/grant/subject_token");
    let exchange = exchanged.map(|origin| format!(", in exchange for the token in {origin}")).unwrap_or_default();
    [exchange, ["scope", "resource", "audience"].map(wish).concat()].concat()
}

/// Nothing here speaks of tokens: the layer puts them on, and renews and retries after a 401.
async fn call(args: &Args, settings: &Settings, api: &ClientWithMiddleware, body: Option<Vec<u8>>) -> Result<Response> {
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
    eprintln!(
        "call: {} after {} ms{}",
        response.status(),
        began.elapsed().as_millis(),
        report::retried(&response, settings)
    );
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
