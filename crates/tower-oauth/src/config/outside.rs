//! What settings refer to outside of themselves: an HTTP client, files, environment variables.

use std::{
    ffi::OsString,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use oauth_tokens::HttpClient;
use tower_service::Service;

use super::{ConfigError, environment::Environment, reader::Written};

pub(super) struct Outside<'a> {
    pub(super) http: Http,
    /// Where settings came from, if they came from an environment; else it is the process's.
    pub(super) environment: Option<&'a Environment>,
}

pub(super) enum Http {
    /// Reqwest's.
    #[cfg(feature = "reqwest")]
    Default,
    Given(HttpClient),
    /// Nothing is sent, and neither files nor variables are looked at: the settings alone are judged.
    LeftAlone,
}

impl Outside<'_> {
    pub(super) fn is_left_alone(&self) -> bool {
        matches!(self.http, Http::LeftAlone)
    }

    pub(super) fn variable(&self, name: &str) -> Option<OsString> {
        match self.environment {
            Some(environment) => environment.get(name),
            None => std::env::var_os(name),
        }
    }

    /// The client for the authorization server, and the certificates that it was given.
    pub(super) fn http(&self, certificates: Option<&Written>) -> Result<(HttpClient, Option<Vec<u8>>), ConfigError> {
        match (&self.http, certificates) {
            #[cfg(feature = "reqwest")]
            (Http::Default, None) => Ok((HttpClient::reqwest(), None)),
            #[cfg(feature = "reqwest")]
            (Http::Default, Some(file)) => with_certificates(file),
            (Http::Given(http), None) => Ok((http.clone(), None)),
            (Http::Given(_), Some(file)) => Err(file.error(
                "the program brings its own HTTP client, which does not read this: remove it, and give the certificates to \
                 that client",
            )),
            (Http::LeftAlone, _) => Ok((HttpClient::new(Nobody), None)),
        }
    }
}

#[cfg(feature = "reqwest")]
fn with_certificates(file: &Written) -> Result<(HttpClient, Option<Vec<u8>>), ConfigError> {
    let pem = super::secret::read_file(std::path::Path::new(&file.text)).map_err(|error| {
        let message =
            format!("the file cannot be read: {}; a relative path counts from the working folder", error.kind());
        file.error(message).caused_by(error)
    })?;
    let http = HttpClient::with_root_certificates(pem.as_bytes()).map_err(|error| file.refused(error))?;
    Ok((http, Some(pem.into_bytes())))
}

/// The HTTP client of settings that are only looked at: it is never called.
#[derive(Clone)]
struct Nobody;

impl Service<Request<Full<Bytes>>> for Nobody {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Err("there is no HTTP client"))
    }
}
