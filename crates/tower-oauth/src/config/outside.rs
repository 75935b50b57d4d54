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

use super::{ConfigError, credential::CertificateFiles, environment::Environment, reader::Written};

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

    /// Whether the program brings its own HTTP client, with certificates of its own.
    pub(super) fn has_own_http(&self) -> bool {
        matches!(self.http, Http::Given(_))
    }

    pub(super) fn variable(&self, name: &str) -> Option<OsString> {
        match self.environment {
            Some(environment) => environment.get(name),
            None => std::env::var_os(name),
        }
    }

    /// The client for the authorization server, and the root certificates that it was given.
    pub(super) fn http(
        &self,
        roots: Option<&Written>,
        certificate: Option<&CertificateFiles>,
    ) -> Result<(HttpClient, Option<Vec<u8>>), ConfigError> {
        match &self.http {
            #[cfg(feature = "reqwest")]
            Http::Default => default_client(roots, certificate),
            Http::Given(http) => {
                let needless = roots.map(|file| &file.path).or(certificate.map(|files| &files.certificate.path));
                needless.map_or(Ok((http.clone(), None)), |path| {
                    let message = "the program brings its own HTTP client, which does not read this: remove it, and give the \
                                   certificates to that client";
                    Err(ConfigError::at(path, message))
                })
            }
            Http::LeftAlone => Ok((nobody(), None)),
        }
    }
}

#[cfg(feature = "reqwest")]
fn default_client(
    roots: Option<&Written>,
    certificate: Option<&CertificateFiles>,
) -> Result<(HttpClient, Option<Vec<u8>>), ConfigError> {
    let mut builder = HttpClient::builder();
    if let Some(CertificateFiles { certificate, key }) = certificate {
        builder = builder.identity_files(&certificate.file, &key.file);
    }
    let Some(file) = roots else {
        let http = builder.build().map_err(|error| ConfigError::of_tokens("client.certificate", error))?;
        return Ok((http, None));
    };
    let pem = super::secret::read_file(file.text.as_ref()).map_err(|error| {
        let message =
            format!("the file cannot be read: {}; a relative path counts from the working folder", error.kind());
        file.error(message).caused_by(error)
    })?;
    // The files of the client's certificate are not looked at before they are needed.
    let http = builder.root_certificates(pem.as_bytes()).build().map_err(|error| file.refused(error))?;
    Ok((http, Some(pem.into_bytes())))
}

/// For settings that are only looked at.
pub(super) fn nobody() -> HttpClient {
    HttpClient::new(Nobody)
}

/// It is never called.
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
