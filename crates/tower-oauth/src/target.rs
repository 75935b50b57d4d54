//! Which origins may receive which token.
//!
//! An [`Origin`] is canonical from the day it is built, so a request need not be: its parts are compared as they
//! were written, without allocating, and a host in no canonical form equals no origin's host.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

pub(crate) use self::destination::{Destination, HostError, Located};
pub(crate) use self::parts::Scheme;
use self::parts::{canonical_host, canonical_prefix, may_leave, port_number};

mod destination;
mod parts;
#[cfg(test)]
mod tests;

/// Where a token may go: a scheme, a host and a port ([RFC 6454, section 4]), and a path prefix if given.
///
/// Two origins are equal if they cover the same requests: letter case, a default port, one trailing dot of the
/// host, the spelling of an IPv6 address and the prefix's trailing slash make no difference.
///
/// A path prefix covers whole segments: `/v2` covers `/v2`, `/v2/` and `/v2/x`, but not `/v20`. It is compared byte
/// for byte. Under a prefix, a path that some server might read as leaving it is not covered either, and refused: dot
/// segments, `\`, and encoded slashes, backslashes and dots. Without one, every path is.
///
/// ```
/// use tower_oauth::Origin;
///
/// let origin = Origin::parse("HTTPS://API.example.com.:443/v2/")?;
/// assert_eq!(origin.as_str(), "https://api.example.com/v2");
///
/// // Plain http is for this machine only, where nobody listens in.
/// assert!(Origin::parse("http://127.0.0.1:8080").is_ok());
/// assert!(Origin::parse("http://api.example.com").is_err());
/// # Ok::<(), tower_oauth::InvalidOrigin>(())
/// ```
///
/// [RFC 6454, section 4]: https://www.rfc-editor.org/rfc/rfc6454#section-4
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The canonical form of all below.
    text: String,
    scheme: Scheme,
    /// Lower case, no trailing dot; an IPv6 address in brackets.
    host: String,
    ipv6: Option<Ipv6Addr>,
    port: u16,
    /// Empty, or a leading slash and no trailing one.
    prefix: String,
}

impl Origin {
    /// Reads an `https` URL of no more than scheme, host, port and path; or an `http` one of this machine, that is
    /// 127.0.0.0/8, `[::1]` or `localhost`.
    ///
    /// # Errors
    ///
    /// When `text` is anything else, or a host is in no canonical form (`127.1`, an IPv6 zone, percent-encoded):
    /// what reads as one host here could be another there. The error says how to mend it.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let origin = Self::parse_allowing_plain_http(text)?;
        if origin.scheme == Scheme::Http && !origin.is_loopback() {
            return Err(InvalidOrigin(Problem::PlainHttp));
        }
        Ok(origin)
    }

    /// Like [`parse`](Self::parse), but for `http` to any host: whoever sees the traffic has the token.
    ///
    /// It is for networks that encrypt by other means, such as the sidecars of a service mesh.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), plain http aside.
    pub fn parse_allowing_plain_http(text: &str) -> Result<Self, InvalidOrigin> {
        Self::read(text).map_err(InvalidOrigin)
    }

    /// The canonical form, e.g. `https://api.example.com:8443/v2`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a request to `destination` may carry the token that is meant for this origin.
    pub(crate) fn coverage(&self, destination: &Destination<'_>) -> Coverage {
        if self.is_server_of(destination) { self.covers_path(destination.path) } else { Coverage::No }
    }

    /// Its scheme and authority in their canonical form, if nothing depends on the path: what nearly every request to it is
    /// written with. Those in other words are for [`coverage`](Self::coverage) to see.
    pub(crate) fn usual_form(&self) -> Option<(Scheme, Box<str>)> {
        let authority = &self.text[self.scheme.as_str().len() + "://".len()..];
        self.prefix.is_empty().then(|| (self.scheme, authority.into()))
    }

    /// Scheme, host and port, whatever the path.
    pub(crate) fn is_same_server(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }

    /// Scheme, host and port, whatever the path.
    pub(crate) fn is_server_of(&self, destination: &Destination<'_>) -> bool {
        destination.scheme.eq_ignore_ascii_case(self.scheme.as_str())
            && destination.port.unwrap_or(self.scheme.default_port()) == self.port
            && self.is_host(destination.host)
    }

    /// Plain http, which is no secret to a proxy, on this very machine.
    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn is_plain_loopback(&self) -> bool {
        self.scheme == Scheme::Http && self.is_loopback()
    }

    /// Where a request for `path` goes on a connection that is known to lead to this origin.
    pub(crate) fn destination<'a>(&'a self, path: &'a str) -> Destination<'a> {
        Destination { scheme: self.scheme.as_str(), host: &self.host, port: Some(self.port), path }
    }

    fn is_host(&self, host: &str) -> bool {
        // As nearly every request writes it.
        if host == self.host {
            return true;
        }
        parts::without_dot(host).eq_ignore_ascii_case(&self.host)
            || self.ipv6.is_some_and(|address| parts::ipv6(host) == Some(address))
    }

    fn covers_path(&self, path: &str) -> Coverage {
        if self.prefix.is_empty() {
            return Coverage::Yes;
        }
        match path.strip_prefix(&self.prefix) {
            Some("") => Coverage::Yes,
            Some(below) if !below.starts_with(['/', ';', '\\', '%']) => Coverage::No,
            Some(below) if may_leave(below) => Coverage::MayLeave,
            Some(below) if below.starts_with('/') => Coverage::Yes,
            Some(_) | None => Coverage::No,
        }
    }

    fn is_loopback(&self) -> bool {
        let ipv4 = self.host.parse::<Ipv4Addr>();
        self.host == "localhost" || ipv4.is_ok_and(|a| a.is_loopback()) || self.ipv6.is_some_and(|a| a.is_loopback())
    }

    fn read(text: &str) -> Result<Self, Problem> {
        parts::check_characters(text)?;
        let (scheme, rest) = text.split_once("://").ok_or(Problem::NoScheme)?;
        let scheme = Scheme::read(scheme).ok_or(Problem::OtherScheme)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(Problem::Userinfo);
        }
        let (host, port) = parts::split_authority(authority);
        if port.is_some_and(|port| port.contains(':')) {
            return Err(Problem::IpAddress);
        }
        let (host, ipv6) = canonical_host(host)?;
        let port = match port {
            None => scheme.default_port(),
            Some(port) => port_number(port).ok_or(Problem::Port)?,
        };
        let prefix = canonical_prefix(path)?.to_owned();
        let text = if port == scheme.default_port() {
            format!("{}://{host}{prefix}", scheme.as_str())
        } else {
            format!("{}://{host}:{port}{prefix}", scheme.as_str())
        };
        Ok(Self { text, scheme, host, ipv6, port, prefix })
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// [`Origin::parse`].
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for Origin {
    type Error = InvalidOrigin;

    /// [`Origin::parse`].
    fn try_from(text: &str) -> Result<Self, InvalidOrigin> {
        Self::parse(text)
    }
}

impl TryFrom<&String> for Origin {
    type Error = InvalidOrigin;

    /// [`Origin::parse`].
    fn try_from(text: &String) -> Result<Self, InvalidOrigin> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Origin {
    type Error = InvalidOrigin;

    /// [`Origin::parse`].
    fn try_from(text: String) -> Result<Self, InvalidOrigin> {
        Self::parse(&text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Origin").field(&self.text).finish()
    }
}

/// How a request's URL lies to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coverage {
    No,
    Yes,
    /// It begins below the path prefix, and some server might read it as leaving it.
    MayLeave,
}

/// A text is no [`Origin`]. `Display` says what is wrong and what to write instead; it never repeats the text, which
/// may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin(Problem);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Whitespace,
    NonAscii,
    NoScheme,
    OtherScheme,
    PlainHttp,
    NoHost,
    Userinfo,
    Wildcard,
    Host,
    IpAddress,
    Port,
    Path,
    Query,
    Fragment,
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid origin: ")?;
        f.write_str(match self.0 {
            Problem::Whitespace => "it has whitespace or control characters; remove them",
            Problem::NonAscii => "it is not ASCII; write the host in punycode (`xn--...`) and percent-encode the path",
            Problem::NoScheme => "it has no scheme; write `https://` before the host",
            Problem::OtherScheme => "its scheme is neither `https` nor `http`; write `https://`",
            Problem::PlainHttp => {
                "plain http beyond loopback shows the token to the network; write `https://`, or allow plain http by name"
            }
            Problem::NoHost => "it has no host; write it as in `https://api.example.com`",
            Problem::Userinfo => "it has a user name or password before `@`; remove them",
            Problem::Wildcard => "it has a wildcard; name each host by itself, and a path prefix without `*`",
            Problem::Host => "its host is no name of letters, digits, `-`, `_` and single dots, as in `api.example.com`",
            Problem::IpAddress => {
                "its host is an IP address in no canonical form; write all four decimal numbers of an IPv4 address \
                 (`127.0.0.1`), an IPv6 address in brackets and without a zone (`[::1]`)"
            }
            Problem::Port => "its port is no number from 1 to 65535; correct it, or leave it out with its `:`",
            Problem::Path => {
                "its path has dot segments, empty segments, encoded slashes or dots, or characters that a URL path \
                 cannot have; write it as in `https://api.example.com/v2`"
            }
            Problem::Query => "it has a query; remove the `?` and all after it",
            Problem::Fragment => "it has a fragment; remove the `#` and all after it",
        })
    }
}

impl std::error::Error for InvalidOrigin {}
