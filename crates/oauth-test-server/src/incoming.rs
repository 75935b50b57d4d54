use http::header::HOST;
use http::request::Parts;
use http::uri::Scheme;

use crate::certificate::PresentedCertificate;
use crate::client::ClientAuthMethod;
use crate::state::{Model, Shared};

/// A request whose body was read, and where it is written down.
pub(crate) struct Incoming<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) parts: &'a Parts,
    /// Its place in the log.
    pub(crate) number: u64,
    /// Whether the answer is to be the token that was issued last.
    pub(crate) same_token: bool,
}

impl Incoming<'_> {
    /// The thumbprint of the client's certificate.
    pub(crate) fn certificate(&self) -> Option<&str> {
        self.parts.extensions.get().map(PresentedCertificate::thumbprint)
    }

    /// The URL to which the client has sent it, without its query. What the request does not say, as
    /// HTTP/1 does not say the scheme, is that of `origin`.
    pub(crate) fn url(&self, origin: &str) -> String {
        let uri = &self.parts.uri;
        let (scheme, authority) = origin.split_once("://").unwrap_or(("https", origin));
        let authority = authority.split('/').next().unwrap_or_default();
        let scheme = uri.scheme().map_or(scheme, Scheme::as_str);
        let host = || self.parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = uri.authority().map(|authority| authority.as_str()).or_else(host).unwrap_or(authority);
        format!("{scheme}://{authority}{}", uri.path())
    }

    pub(crate) fn note_client(&self, model: &mut Model, id: &str, method: ClientAuthMethod) {
        if let Some(record) = model.log.get(self.number) {
            record.client_auth = Some(method);
            record.client_id = Some(id.to_owned());
        }
    }
}
