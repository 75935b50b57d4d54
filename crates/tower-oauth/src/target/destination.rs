//! Where a request goes: its URL's parts, as they were written.

use http::{HeaderMap, Uri, header::HOST};
#[cfg(feature = "reqwest")]
use reqwest::Url;
#[cfg(all(feature = "reqwest-0-12", not(feature = "reqwest")))]
use reqwest_0_12::Url;

use super::parts::{Scheme, port_number, same_host, split_authority};

/// What a request's URL says about where it goes.
#[derive(Clone, Copy, Debug)]
pub enum Located<'a> {
    /// There: to be compared with the origins.
    Here(Destination<'a>),
    /// It does not say: the URL is a path.
    NoAuthority,
    /// It asks for a tunnel (`CONNECT host:port`), whoever is at its other end.
    Tunnel,
    /// It says so in a way that no origin matches: with userinfo, or a port that is none.
    Unmatchable,
}

/// The parts of a request's URL that decide who gets a token, as they were written.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    pub(super) scheme: &'a str,
    /// An IPv6 address in brackets.
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    pub(super) path: &'a str,
}

impl<'a> Destination<'a> {
    pub(crate) fn of_uri(uri: &'a Uri) -> Located<'a> {
        let (scheme, authority) = match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => (scheme, authority),
            (None, Some(_)) => return Located::Tunnel,
            (_, None) => return Located::NoAuthority,
        };
        // Before http 1.5 a path may begin with anything. `@evil.test` or `.evil.test` makes another host of the authority for
        // whoever reads the URL anew, as reqwest does.
        if !uri.path().starts_with('/') {
            return Located::Unmatchable;
        }
        // Not `Uri::host` and `Uri::port_u16`: they look past userinfo and past ports that are none.
        match host_and_port(authority.as_str()) {
            Some((host, port)) => Located::Here(Destination { scheme, host, port, path: uri.path() }),
            None => Located::Unmatchable,
        }
    }

    /// Every version of reqwest has the same `Url`.
    #[cfg(any(feature = "reqwest", feature = "reqwest-0-12"))]
    pub(crate) fn of_url(url: &'a Url) -> Located<'a> {
        let Some(host) = url.host_str() else {
            return Located::NoAuthority;
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Located::Unmatchable;
        }
        Located::Here(Destination { scheme: url.scheme(), host, port: url.port(), path: url.path() })
    }

    /// The URL without query, as proofs of possession name it (RFC 9449, section 4.2).
    pub(crate) fn url(&self) -> String {
        match self.port {
            Some(port) => format!("{}://{}:{port}{}", self.scheme, self.host, self.path),
            None => format!("{}://{}{}", self.scheme, self.host, self.path),
        }
    }

    /// Whether `Host` agrees with the URL (R5): the server goes by one of them, and we by the other. It need not
    /// be there, for whoever sends the request derives it from the URL.
    pub(crate) fn check_host(&self, headers: &HeaderMap) -> Result<(), HostError> {
        let mut fields = headers.get_all(HOST).iter();
        let Some(field) = fields.next() else {
            return Ok(());
        };
        if fields.next().is_some() {
            return Err(HostError::Several);
        }
        let text = field.to_str().map_err(|_| HostError::Unreadable)?;
        let (host, port) = host_and_port(text).ok_or(HostError::Unreadable)?;
        let default = Scheme::read(self.scheme).map(Scheme::default_port);
        if same_host(host, self.host) && port.or(default) == self.port.or(default) {
            Ok(())
        } else {
            Err(HostError::Different)
        }
    }
}

/// Why a request's `Host` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostError {
    Several,
    Unreadable,
    Different,
}

/// Splits an authority without userinfo into host and port; `None` if it has userinfo, no host, or a port that is none.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = split_authority(authority);
    if host.is_empty() || authority.contains('@') {
        return None;
    }
    match port {
        None => Some((host, None)),
        Some(port) => Some((host, Some(port_number(port)?))),
    }
}
