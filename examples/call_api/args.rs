//! What can be said on the command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{ArgGroup, CommandFactory, Parser, ValueEnum, error::ErrorKind};
use http::{HeaderName, HeaderValue, Method, header::AUTHORIZATION};
use reqwest::Url;

/// Never an argument: every user of the machine can read those.
pub(crate) const SECRET_VARIABLE: &str = "OAUTH_CLIENT_SECRET";

const USAGE: &str = "call_api (--issuer <URL> | --token-endpoint <URL>) --client-id <ID> [OPTIONS] <URL>
       call_api --config <FILE> [OPTIONS] <URL>";

/// What settings say in place of options.
const IN_SETTINGS: [&str; 15] = [
    "issuer",
    "token_endpoint",
    "client_id",
    "client_secret_file",
    "auth",
    "key",
    "key_id",
    "cert",
    "assertion_file",
    "dpop",
    "exchange_token_file",
    "scope",
    "resource",
    "audience",
    "ca_cert",
];

const SERVER: &str = "The authorization server";
const CLIENT: &str = "The client";
const TOKEN: &str = "The token";
const REQUEST: &str = "The request";

const EXAMPLES: &str = "\
The client's secret is read from the environment variable OAUTH_CLIENT_SECRET, or from --client-secret-file.

Examples:
  export OAUTH_CLIENT_SECRET=...
  call_api --issuer https://id.example.com --client-id m2m --scope api https://api.example.com/orders

  call_api --token-endpoint https://localhost:5001/master/token --ca-cert dev-root.pem \\
           --client-id m2m --client-secret-file secret.txt --auth post \\
           --data '{\"item\":\"tea\"}' --show-token https://localhost:6001/orders

  call_api --issuer https://id.example.com --client-id m2m --auth private-key-jwt --key key.pem --dpop \\
           https://api.example.com/orders

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

    /// PEM file with root certificates that are trusted besides the system's, for the token server and for the API
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,

    /// Prints the token's claims (never the token itself)
    #[arg(long)]
    pub(crate) show_token: bool,

    /// The authorization server's issuer; its endpoints are discovered
    #[arg(help_heading = SERVER, long, value_name = "URL")]
    pub(crate) issuer: Option<String>,

    /// The token endpoint itself, instead of an issuer
    #[arg(help_heading = SERVER, long, value_name = "URL")]
    pub(crate) token_endpoint: Option<String>,

    /// The client's id, as registered at the server
    #[arg(help_heading = CLIENT, long, value_name = "ID", required_unless_present = "config")]
    pub(crate) client_id: Option<String>,

    /// A file with the client's secret; goes before OAUTH_CLIENT_SECRET
    #[arg(help_heading = CLIENT, long, value_name = "FILE")]
    pub(crate) client_secret_file: Option<PathBuf>,

    /// How the client proves who it is
    #[arg(help_heading = CLIENT, long, value_enum, default_value_t = Auth::Basic)]
    pub(crate) auth: Auth,

    /// The private key, for private-key-jwt (PEM or JWK) and mtls (PEM)
    #[arg(help_heading = CLIENT, long, value_name = "FILE", required_if_eq_any([("auth", "private-key-jwt"), ("auth", "mtls")]))]
    pub(crate) key: Option<PathBuf>,

    /// The key's name at the server, for private-key-jwt; a JWK can say it itself
    #[arg(help_heading = CLIENT, long, value_name = "ID")]
    pub(crate) key_id: Option<String>,

    /// The certificate (PEM), for mtls; shown to the token server and to the API
    #[arg(help_heading = CLIENT, long, value_name = "FILE", required_if_eq("auth", "mtls"))]
    pub(crate) cert: Option<PathBuf>,

    /// The assertion, for assertion-file: signed by somebody else
    #[arg(help_heading = CLIENT, long, value_name = "FILE", required_if_eq("auth", "assertion-file"))]
    pub(crate) assertion_file: Option<PathBuf>,

    /// A scope to ask for; may be repeated
    #[arg(help_heading = TOKEN, long)]
    pub(crate) scope: Vec<String>,

    /// A resource that the token is for, an absolute URI (RFC 8707); may be repeated
    #[arg(help_heading = TOKEN, long, value_name = "URI")]
    pub(crate) resource: Vec<String>,

    /// The audience that the token is for, as Auth0 wants it
    #[arg(help_heading = TOKEN, long)]
    pub(crate) audience: Option<String>,

    /// An access token, in exchange for which the client gets one for the API (RFC 8693)
    #[arg(help_heading = TOKEN, long, value_name = "FILE")]
    pub(crate) exchange_token_file: Option<PathBuf>,

    /// Binds the token to a new key (DPoP)
    #[arg(help_heading = TOKEN, long)]
    pub(crate) dpop: bool,

    /// A header for the API, `Name: value`; may be repeated
    #[arg(help_heading = REQUEST, long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(HeaderName, HeaderValue)>,

    /// The request's body, or @FILE; sent as JSON if it is JSON, else as text, unless a header says otherwise
    #[arg(help_heading = REQUEST, long, value_name = "TEXT")]
    pub(crate) data: Option<String>,

    /// The method [default: GET, or POST with --data]
    #[arg(help_heading = REQUEST, long)]
    pub(crate) method: Option<Method>,

    /// The URL to call; its origin, and no other, gets the token, or those that the settings name
    #[arg(value_parser = url)]
    pub(crate) url: Url,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Auth {
    /// Secret in an Authorization header, form-encoded as the standard says (client_secret_basic)
    Basic,
    /// Secret in the form (client_secret_post)
    Post,
    /// Secret in an Authorization header, as it is: for Cognito and others that do not decode
    RawBasic,
    /// Assertion signed with the secret (client_secret_jwt)
    SecretJwt,
    /// Assertion signed with --key (private_key_jwt)
    PrivateKeyJwt,
    /// TLS certificate: --cert and --key (tls_client_auth, self_signed_tls_client_auth)
    Mtls,
    /// Assertion of --assertion-file: Kubernetes, workload identity
    AssertionFile,
}

impl Auth {
    /// By the name in settings, which is the registered one where there is one.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::RawBasic => "client_secret_basic_raw",
            Self::SecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::Mtls => "tls_client_auth",
            Self::AssertionFile => "assertion_file",
        }
    }

    /// Whether it takes the secret.
    pub(crate) fn has_secret(self) -> bool {
        matches!(self, Self::Basic | Self::Post | Self::RawBasic | Self::SecretJwt)
    }

    /// Whether the client signs something.
    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Self::SecretJwt | Self::PrivateKeyJwt)
    }
}

impl Args {
    /// What was typed. Ends the program when it cannot be understood.
    pub(crate) fn read() -> Self {
        let args = Self::parse();
        if let Some(message) = args.needless() {
            Self::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
        args
    }

    /// An option that would change nothing.
    fn needless(&self) -> Option<String> {
        let fits = |auths: &[Auth]| auths.contains(&self.auth);
        let signed = fits(&[Auth::PrivateKeyJwt]);
        let (certified, asserted) = (fits(&[Auth::Mtls]), fits(&[Auth::AssertionFile]));
        let options = [
            (self.key.is_some() && !signed && !certified, "--key goes with --auth private-key-jwt or --auth mtls"),
            (self.key_id.is_some() && !signed, "--key-id goes with --auth private-key-jwt"),
            (self.cert.is_some() && !certified, "--cert goes with --auth mtls"),
            (self.assertion_file.is_some() && !asserted, "--assertion-file goes with --auth assertion-file"),
            (
                self.client_secret_file.is_some() && !self.auth.has_secret(),
                "--client-secret-file goes with an --auth that takes a secret",
            ),
        ];
        let found = options.into_iter().find(|(is_needless, _)| *is_needless);
        found.map(|(_, message)| message.to_owned())
    }

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
