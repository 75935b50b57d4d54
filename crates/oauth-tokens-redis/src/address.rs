//! Where a Redis listens, and the URL that says so.

use std::{fmt, net::IpAddr};

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

const DEFAULT_PORT: u16 = 6379;

/// A host and a port, each in a form that nobody reads in two ways.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    /// A name in lower case, or an IP address without brackets.
    host: String,
    port: u16,
}

impl Address {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or("its host cannot be read")?)),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        if text.starts_with('[') != host.contains(':') {
            return Err("its host cannot be read (an IPv6 address is written in brackets)");
        }
        Self::new(host, port.map_or(Ok(DEFAULT_PORT), parse_port)?)
    }

    fn new(host: &str, port: u16) -> Result<Self, &'static str> {
        let host = host.to_ascii_lowercase();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if host.parse::<IpAddr>().is_err() {
            if host.is_empty() || !host.bytes().all(is_name) {
                return Err("its host cannot be read");
            }
            if looks_numeric(&host) {
                return Err("its host is an IP address in no canonical form: write all four decimal numbers");
            }
        }
        Ok(Self { host, port })
    }

    /// Where a node of a cluster sends us, in its own words: `host:port`, IPv6 without brackets, no host for its own.
    pub(crate) fn redirected(text: &str, from: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = if host.is_empty() { &from.host } else { host };
        Self::new(host, parse_port(port).ok()?).ok()
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn is_localhost(&self) -> bool {
        self.host == "localhost"
    }

    /// A literal loopback address, or `localhost`, which is then this machine and nothing else.
    pub(crate) fn is_loopback(&self) -> bool {
        let literal = self.host.parse::<IpAddr>().ok();
        self.is_localhost() || literal.is_some_and(|address| address.to_canonical().is_loopback())
    }
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.filter(|port| *port != 0).ok_or("its port cannot be read")
}

/// `127.1` or `0x7f000001`: what it leads to is anybody's guess.
fn looks_numeric(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").unwrap_or("-");
    last.bytes().all(|byte| byte.is_ascii_digit()) || hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a URL says: `redis[s]://[user[:password]@]host[:port][/database]`.
#[derive(Clone)]
pub(crate) struct ServerUrl {
    pub(crate) address: Address,
    pub(crate) tls: bool,
    pub(crate) login: Login,
    pub(crate) database: u16,
}

/// Who we are at the server.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Zeroizing<String>>,
}

impl ServerUrl {
    /// Reads a URL. The error repeats nothing of it: there may be a password in it.
    pub(crate) fn parse(url: &str) -> Result<Self, &'static str> {
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it holds spaces, control or non-ASCII characters");
        }
        // A query or a fragment would be settings that nobody honours, `#insecure` among them.
        if url.contains(['?', '#', '\\']) {
            return Err("it holds a query, a fragment or a backslash (in a password, write %3F, %23 or %5C)");
        }
        let (scheme, rest) = url.split_once("://").ok_or("it is no URL")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "rediss" => true,
            "redis" => false,
            _ => return Err("it is neither a rediss:// nor a redis:// URL"),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        if login.contains('@') {
            return Err("it holds two @ (in a password, write %40)");
        }
        let database = if path.is_empty() { Ok(0) } else { path.parse() };
        let database =
            database.map_err(|_| "its path is not the number of a database (in a password, write %2F for /)")?;
        Ok(Self { address: Address::parse(address)?, tls, login: Login::parse(login)?, database })
    }
}

impl Login {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (user, password) = text.split_once(':').map_or((text, None), |(user, password)| (user, Some(password)));
        if password.is_some_and(|password| password.contains(':')) {
            return Err("its password holds a colon (write %3A)");
        }
        let user = Some(decoded(user)?.to_string()).filter(|user| !user.is_empty());
        let password = password.map(decoded).transpose()?.filter(|password| !password.is_empty());
        Ok(Self { user, password })
    }

    pub(crate) fn is_given(&self) -> bool {
        *self != Self::default()
    }
}

fn decoded(text: &str) -> Result<Zeroizing<String>, &'static str> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "its user or password is not UTF-8")?;
    if decoded.chars().any(char::is_control) {
        return Err("its user or password holds a control character");
    }
    Ok(Zeroizing::new(decoded.into_owned()))
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("given", &self.is_given()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_everybody_reads_them() {
        let cases = [
            ("redis://localhost", "localhost:6379", false, None, None, 0),
            ("REDISS://Redis.Example.com:6380", "redis.example.com:6380", true, None, None, 0),
            (
                "rediss://fleet:s%40crt%2F@cache_1.example.com/",
                "cache_1.example.com:6379",
                true,
                Some("fleet"),
                Some("s@crt/"),
                0,
            ),
            ("redis://:secret@127.0.0.1:7000/15", "127.0.0.1:7000", false, None, Some("secret"), 15),
            ("redis://[::1]:7000", "[::1]:7000", false, None, None, 0),
            ("redis://[fe80::1]", "[fe80::1]:6379", false, None, None, 0),
            ("redis://user@localhost", "localhost:6379", false, Some("user"), None, 0),
            ("redis://@localhost", "localhost:6379", false, None, None, 0),
        ];
        for (text, address, tls, user, password, database) in cases {
            let url = ServerUrl::parse(text).expect(text);
            assert_eq!(url.address.to_string(), address, "{text}");
            assert_eq!((url.tls, url.database), (tls, database), "{text}");
            assert_eq!(url.login.user.as_deref(), user, "{text}");
            assert_eq!(url.login.password.as_ref().map(|password| password.as_str()), password, "{text}");
        }
    }

    #[test]
    fn s3_urls_that_can_be_read_in_two_ways_are_refused() {
        let refused = [
            "",
            "localhost",
            "localhost:6379",
            "http://localhost",
            "unix:///run/redis.sock",
            "redis://",
            "redis:///0",
            "redis://localhost:",
            "redis://localhost:0",
            "redis://localhost:+1",
            "redis://localhost:65536",
            "redis://localhost/db",
            "redis://localhost/0/1",
            "redis://localhost?protocol=resp3",
            "rediss://localhost/#insecure",
            "redis://a@b@localhost",
            "redis://:a:b@localhost",
            "redis://:%ff@localhost",
            "redis://:%0a@localhost",
            "redis://127.1",
            "redis://2130706433",
            "redis://0x7f000001",
            "redis://0x7f.1",
            "redis://127.0.0.1.",
            "redis://::1",
            "redis://[127.0.0.1]",
            "redis://[::1",
            "redis://[::1]x",
            "redis://[::1%25eth0]",
            "redis://local host",
            "redis://lo%63alhost",
            "redis://exämple.com",
            "redis://localhost\\@evil.example",
            "redis://a,b",
        ];
        for text in refused {
            assert!(ServerUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn s3_loopback_is_literal_or_localhost() {
        for text in [
            "redis://localhost",
            "redis://LOCALHOST",
            "redis://127.9.9.9",
            "redis://[::1]",
            "redis://[::ffff:127.0.0.1]",
        ] {
            assert!(ServerUrl::parse(text).expect(text).address.is_loopback(), "{text}");
        }
        for text in [
            "redis://localhost.example.com",
            "redis://localhost.",
            "redis://128.0.0.1",
            "redis://0.0.0.0",
            "redis://[::2]",
        ] {
            assert!(!ServerUrl::parse(text).expect(text).address.is_loopback(), "{text}");
        }
    }

    #[test]
    fn redirects_are_read_in_redis_own_form() {
        let from = ServerUrl::parse("redis://node-1:7000").expect("a URL").address;
        let cases = [
            ("10.0.0.7:7001", Some("10.0.0.7:7001")),
            ("::1:7001", Some("[::1]:7001")),
            ("[::1]:7001", Some("[::1]:7001")),
            (":7002", Some("node-1:7002")),
            ("Node-2.example.com:7001", Some("node-2.example.com:7001")),
            ("?:7001", None),
            ("127.1:7001", None),
            ("10.0.0.7", None),
            ("10.0.0.7:", None),
            ("10.0.0.7:0", None),
            ("a b:7001", None),
            ("user@evil:7001", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let read = Address::redirected(text, &from).map(|address| address.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
