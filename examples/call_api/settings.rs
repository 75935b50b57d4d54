//! What the command line or a file says about tokens, as settings of tower-oauth.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use examples::chain;
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower_oauth::{ConfigError, ConfiguredLayer, OAuthConfig, oauth_tokens::TokenCache};

use crate::args::{Args, SECRET_VARIABLE};

pub(crate) struct Settings {
    config: OAuthConfig,
    /// The same as it was written, to be shown.
    written: Value,
    /// None: they came from options.
    file: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn of(args: &Args) -> Result<Self> {
        let (config, written) = match &args.config {
            Some(file) => (parse(file)?, parse(file)?),
            None => {
                let written = from_options(args)?;
                (serde_json::from_value(written.clone())?, written)
            }
        };
        Ok(Self { config, written, file: args.config.clone() })
    }

    pub(crate) fn build(&self, url: &Url) -> Result<ConfiguredLayer> {
        self.config.build().map_err(|error| self.refused(&error, url))
    }

    fn refused(&self, error: &ConfigError, url: &Url) -> anyhow::Error {
        let text = chain(error);
        match &self.file {
            Some(file) => anyhow!("the settings in {} cannot be used: {text}", file.display()),
            // In terms of what was typed.
            None => {
                let name = match error.path() {
                    "origins" => format!("no token can be sent to {}", url.origin().ascii_serialization()),
                    path @ "server.root_certificates" => {
                        format!("{} {}", self.name(path), self.text("/server/root_certificates").unwrap_or_default())
                    }
                    path => self.name(path),
                };
                anyhow!(text.replacen(&format!("`{}`", error.path()), &name, 1))
            }
        }
    }

    /// The tokens for a URL, which must be one of those that get any.
    pub(crate) fn tokens<'a>(&self, configured: &'a ConfiguredLayer, url: &Url) -> Result<Tokens<'a>> {
        if let Some(cache) = configured.tokens_for(&url.as_str().parse().context("the URL cannot be read")?) {
            let index = configured.tokens().position(|(_, tokens)| tokens.is_clone_of(cache)).unwrap_or_default();
            return Ok(Tokens { cache, index });
        }
        let origins: Vec<_> = configured.tokens().map(|(origin, _)| origin.as_str()).collect();
        bail!("{} gets no token: it is in none of the origins of the settings ({})", url, origins.join(", "))
    }

    /// What a person calls a setting: an option, or where it is in the file.
    pub(crate) fn name(&self, path: &str) -> String {
        let option = match path.split(['[', ']']).next().unwrap_or_default() {
            "server.issuer" => "--issuer",
            "server.token_endpoint" => "--token-endpoint",
            "server.root_certificates" => "--ca-cert",
            "client.id" => "--client-id",
            "client.authentication" => "--auth",
            "client.secret.file" => "--client-secret-file",
            "client.secret.env" | "client.secret" => SECRET_VARIABLE,
            "client.key" | "client.key.file" => "--key",
            "client.key_id" => "--key-id",
            "client.certificate" | "client.certificate.file" => "--cert",
            "client.assertion" | "client.assertion.file" => "--assertion-file",
            "client.dpop" => "--dpop",
            "grant.subject_token" | "grant.subject_token.file" => "--exchange-token-file",
            "grant.scope" => "--scope",
            "grant.resource" => "--resource",
            "grant.audience" => "--audience",
            path => path,
        };
        match &self.file {
            Some(_) => format!("`{path}`"),
            None => option.to_owned(),
        }
    }

    /// A setting as a person would write it, such as `--auth post`.
    pub(crate) fn assignment(&self, path: &str, value: &str, option: &str) -> String {
        match &self.file {
            Some(_) => format!("`{path} = \"{value}\"`"),
            None => format!("{} {option}", self.name(path)),
        }
    }

    /// As [`assignment`](Self::assignment), of a setting that is on or off.
    pub(crate) fn switch(&self, path: &str) -> String {
        match &self.file {
            Some(_) => format!("`{path} = true`"),
            None => self.name(path),
        }
    }

    /// Where what is kept from settings came from, at a JSON pointer: a file or a variable.
    pub(crate) fn origin(&self, pointer: &str) -> Option<&str> {
        ["file", "env"].iter().find_map(|kind| self.text(&format!("{pointer}/{kind}")))
    }

    /// Whether tokens are bound to a key.
    pub(crate) fn is_bound(&self) -> bool {
        match &self.written["client"]["dpop"] {
            Value::Bool(bound) => *bound,
            Value::String(bound) => bound.eq_ignore_ascii_case("true"),
            other => other.is_object(),
        }
    }

    /// How the client proves who it is, by the registered name.
    pub(crate) fn authentication(&self) -> &str {
        self.text("/client/authentication").unwrap_or("client_secret_basic")
    }

    /// A text at a JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.written.pointer(pointer).and_then(Value::as_str)
    }

    /// What an origin asks for by this name, or the grant in its place.
    pub(crate) fn wishes(&self, origin: usize, name: &str) -> Vec<&str> {
        let own = &self.written["origins"][origin][name];
        match if own.is_null() { &self.written["grant"][name] } else { own } {
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
            other => other.as_str().into_iter().collect(),
        }
    }
}

/// The tokens for a URL, and which of the origins they are for.
pub(crate) struct Tokens<'a> {
    pub(crate) cache: &'a TokenCache,
    pub(crate) index: usize,
}

fn from_options(args: &Args) -> Result<Value> {
    let path = |file: &PathBuf| -> Result<String> {
        let file = std::path::absolute(file)?.into_os_string().into_string();
        file.map_err(|file| anyhow!("the path {} is not Unicode", file.display()))
    };
    let file = |option: &Option<PathBuf>| -> Result<Value> {
        option.as_ref().map_or(Ok(Value::Null), |file| Ok(json!({ "file": path(file)? })))
    };
    let secret = match (&args.client_secret_file, std::env::var_os(SECRET_VARIABLE)) {
        _ if !args.auth.has_secret() => Value::Null,
        (Some(_), _) => file(&args.client_secret_file)?,
        (None, Some(_)) => json!({ "env": SECRET_VARIABLE }),
        (None, None) => bail!("there is no client secret: set {SECRET_VARIABLE}, or give --client-secret-file FILE"),
    };
    Ok(json!({
        "server": {
            "issuer": args.issuer,
            "token_endpoint": args.token_endpoint,
            "root_certificates": args.ca_cert.as_ref().map(path).transpose()?,
        },
        "client": {
            "id": args.client_id,
            "authentication": args.auth.name(),
            "secret": secret,
            "key": file(&args.key)?,
            "key_id": args.key_id,
            "certificate": file(&args.cert)?,
            "assertion": file(&args.assertion_file)?,
            // Without an issuer, nothing else says for whom an assertion is.
            "assertion_audience": args.token_endpoint.as_ref().filter(|_| args.auth.is_signed()),
            "dpop": args.dpop,
        },
        "grant": {
            "type": if args.exchange_token_file.is_some() { "token_exchange" } else { "client_credentials" },
            "subject_token": file(&args.exchange_token_file)?,
            "scope": args.scope,
            "resource": args.resource,
            "audience": args.audience,
        },
        "origins": args.url.origin().ascii_serialization(),
    }))
}

fn parse<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("could not read the file {shown} of --config"))?;
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("json") => serde_json::from_str(&text).with_context(|| format!("the file {shown} is no JSON")),
        // The error's own text shows the line, and there may be a secret in it.
        Some("toml") => toml::from_str(&text).map_err(|error| {
            let line = error.span().and_then(|span| text.get(..span.start)).map_or(1, |before| before.lines().count());
            anyhow!("the file {shown} is no TOML: {} (about line {line})", error.message())
        }),
        _ => bail!("the file {shown} of --config must end with .toml or .json"),
    }
}
