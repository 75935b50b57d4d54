//! What an authorization server says of itself (RFC 8414).

use std::fmt;

use serde_json::Value;

use super::Issuer;
use crate::{
    Error, ErrorKind,
    endpoint_url::{EndpointUrl, PlainHttp},
    json::Object,
    text::{Secrets, clean},
};

/// The same endpoints, where they ask for the client's certificate (RFC 8705, section 5).
const MTLS_ALIASES: &str = "mtls_endpoint_aliases";

/// What an authorization server says of itself (RFC 8414, section 2). Its issuer has been checked; an endpoint is checked
/// when it is asked for.
pub struct Metadata {
    object: Object,
    issuer: EndpointUrl,
    plain_http: PlainHttp,
}

impl Metadata {
    pub(super) fn parse(body: &[u8], what: &str, issuer: &Issuer) -> Result<Self, Error> {
        let invalid = |problem: &str| {
            Error::new(ErrorKind::UnexpectedResponse, format!("{what} was answered with 200, but {problem}"))
        };
        let object = Object::parse(body).map_err(|problem| invalid(&format!("its body {problem}")))?;
        let found = object.text("issuer").ok_or_else(|| invalid("it names no issuer"))?;
        if found != issuer.expected {
            // Who writes an `@` there may mean a user name and a password.
            let found = match found.contains('@') {
                true => "one with an @".to_owned(),
                false => format!("{:?}", clean(found, &Secrets::default())),
            };
            let message = format!(
                "{what} was answered for another issuer, {found}, but {:?} was expected: give the issuer exactly as the \
                 server spells it, or accept it by accept_metadata_issuer",
                issuer.expected
            );
            return Err(Error::new(ErrorKind::IssuerMismatch, message));
        }
        Ok(Self { object, issuer: issuer.url.clone(), plain_http: issuer.plain_http })
    }

    /// The issuer, as the metadata spell it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.get("issuer").unwrap_or_default()
    }

    /// A member of the metadata that is a string.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.object.text(name)
    }

    /// Any member.
    #[cfg(feature = "sign-in")]
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.object.get(name)
    }

    /// Whether a member of the metadata is `true`.
    #[cfg(feature = "sign-in")]
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.object.get(name) == Some(&Value::Bool(true))
    }

    /// The URL of an endpoint, `token_endpoint` for example.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingEndpoint`] when the metadata do not name it, [`ErrorKind::InvalidEndpoint`] when it must not
    /// be used: no https, or loopback where the issuer is elsewhere (D3, D5).
    pub fn endpoint(&self, name: &str) -> Result<String, Error> {
        Ok(self.checked_endpoint(name, false)?.as_str().to_owned())
    }

    /// The URL of an endpoint, for a client that shows its certificate or for one that does not (D6; RFC 8705, section 5).
    pub(crate) fn checked_endpoint(&self, name: &str, with_certificate: bool) -> Result<EndpointUrl, Error> {
        let alias = if with_certificate { self.alias(name)? } else { None };
        let Some(value) = alias.or_else(|| self.object.get(name)) else {
            let message =
                format!("the metadata of {} name no `{name}`: override it, or ask the server's operator", self.issuer);
            return Err(Error::new(ErrorKind::MissingEndpoint, message));
        };
        let text = value.as_str().ok_or_else(|| self.invalid(name, "it is not a string"))?;
        let url = EndpointUrl::parse(text, self.plain_http).map_err(|why| self.invalid(name, why))?;
        if self.issuer.is_https() && !self.issuer.is_loopback() && url.may_be_loopback() {
            return Err(self.invalid(name, "it is on this very machine, and the issuer is not"));
        }
        if self.issuer.is_https() && !url.is_https() {
            return Err(self.invalid(name, "it is plain http, and the issuer is https"));
        }
        Ok(url)
    }

    fn alias(&self, name: &str) -> Result<Option<&Value>, Error> {
        match self.object.get(MTLS_ALIASES) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(aliases)) => Ok(aliases.get(name)),
            Some(_) => Err(self.invalid(MTLS_ALIASES, "it is not an object")),
        }
    }

    fn invalid(&self, name: &str, why: &str) -> Error {
        let message = format!("the metadata of {} name a `{name}` that must not be used: {why}", self.issuer);
        Error::new(ErrorKind::InvalidEndpoint, message)
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
