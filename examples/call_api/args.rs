//! What can be said on the command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Parser, ValueEnum};
use http::{HeaderName, HeaderValue, Method, header::AUTHORIZATION};
use reqwest::Url;

/// Never an argument: every user of the machine can read those.
pub(crate) const SECRET_VARIABLE: &str = "OAUTH_CLIENT_SECRET";

const USAGE: &str = "call_api (--issuer <URL> | --token-endpoint <URL>) --client-id <ID> [OPTIONS] <URL>
       call_api --config <FILE> [OPTIONS] <URL>";

/// What settings say in place of options.
const IN_SETTINGS: [&str; 9] =
    ["issuer", "token_endpoint", "client_id", "client_secret_file", "auth", "scope", "resource", "audience", "ca_cert"];

const EXAMPLES: &str = "\
The client's secret is read from the environment variable OAUTH_CLIENT_SECRET, or from --client-secret-file.

Examples:
  export OAUTH_CLIENT_SECRET=...
  call_api --issuer https://id.example.com --client-id m2m --scope api https://api.example.com/orders

  call_api --token-endpoint https://localhost:5001/master/token --ca-cert dev-root.pem \\
           --client-id m2m --client-secret-file secret.txt --auth post \\
           --data '{\"item\":\"tea\"}' --show-token https://localhost:6001/orders

  call_api --config oauth.toml https://api.example.com/orders

The response's body goes to stdout, everything else to stderr. The exit code is 0 only if the API answered 2xx.";

/// Calls a protected API with an access token.
#[derive(Parser)]
#[command(name = "call_api", override_usage = USAGE, after_help = EXAMPLES)]
#[command(group = ArgGroup::new("server").required(true).args(["issuer", "token_endpoint", "config"]))]
pub(crate) struct Args {
    /// A TOML or JSON file with the settings of tower-oauth, in place of options about server, client and grant
    #[arg(long, value_name = "FILE", conflicts_with_all = IN_SETTINGS)]
    pub(crate) config: Option<PathBuf>,

    /// The authorization server's issuer; its endpoints are discovered
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,

    /// The token endpoint itself, instead of an issuer
    #[arg(long, value_name = "URL")]
    pub(crate) token_endpoint: Option<String>,

    /// The client's id, as registered at the server
    #[arg(long, value_name = "ID", required_unless_present = "config")]
    pub(crate) client_id: Option<String>,

    /// A file with the client's secret; goes before OAUTH_CLIENT_SECRET
    #[arg(long, value_name = "FILE")]
    pub(crate) client_secret_file: Option<PathBuf>,

    /// How the client shows its secret
    #[arg(long, value_enum, default_value_t = Auth::Basic)]
    pub(crate) auth: Auth,

    /// A scope to ask for; may be repeated
    #[arg(long)]
    pub(crate) scope: Vec<String>,

    /// A resource that the token is for, an absolute URI (RFC 8707); may be repeated
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Vec<String>,

    /// The audience that the token is for, as Auth0 wants it
    #[arg(long)]
    pub(crate) audience: Option<String>,

    /// PEM file with root certificates that are trusted besides the system's, for the token server and for the API
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,

    /// A header for the API, `Name: value`; may be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(HeaderName, HeaderValue)>,

    /// The request's body, or @FILE; sent as JSON if it is JSON, else as text, unless a header says otherwise
    #[arg(long, value_name = "TEXT")]
    pub(crate) data: Option<String>,

    /// The method [default: GET, or POST with --data]
    #[arg(long)]
    pub(crate) method: Option<Method>,

    /// Prints the token's claims (never the token itself)
    #[arg(long)]
    pub(crate) show_token: bool,

    /// The URL to call; its origin, and no other, gets the token, or those that the settings name
    #[arg(value_parser = url)]
    pub(crate) url: Url,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Auth {
    /// In an Authorization header, form-encoded as the standard says (client_secret_basic)
    Basic,
    /// In the form (client_secret_post)
    Post,
    /// In an Authorization header, as they are: for Cognito and others that do not decode
    RawBasic,
}

impl Auth {
    /// By the registered name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::RawBasic => "client_secret_basic_raw",
        }
    }
}

impl Args {
    pub(crate) fn method(&self) -> Method {
        let default = if self.data.is_some() { Method::POST } else { Method::GET };
        self.method.clone().unwrap_or(default)
    }

    pub(crate) fn body(&self) -> Result<Option<Vec<u8>>> {
        let read = |data: &String| match data.strip_prefix('@') {
            Some(file) => std::fs::read(file).with_context(|| format!("could not read the file {file} of --data")),
            None => Ok(data.clone().into_bytes()),
        };
        self.data.as_ref().map(read).transpose()
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':').context("a header is written as `Name: value`")?;
    let name = HeaderName::try_from(name.trim()).context("the header's name has characters that it cannot have")?;
    let value = HeaderValue::try_from(value.trim()).context("the header's value has characters that it cannot have")?;
    if name == AUTHORIZATION {
        bail!("this header is for the access token, which is what this program is about");
    }
    Ok((name, value))
}

fn url(text: &str) -> Result<Url> {
    let url = Url::parse(text).context("give it with its scheme, as in https://api.example.com/orders")?;
    if !url.username().is_empty() || url.password().is_some() {
        bail!("it has a user name or a password before `@`; the API gets an access token instead");
    }
    Ok(url)
}
