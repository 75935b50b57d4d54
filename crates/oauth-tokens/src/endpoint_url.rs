//! URLs of an authorization server: https, or http to this very machine (T1).

use std::{fmt, net::IpAddr};

use http::Uri;

/// How much plain http is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainHttp {
    LoopbackOnly,
    Anywhere,
}

/// A checked absolute URL: no credentials, no fragment, nothing that two readers could read differently.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EndpointUrl {
    text: String,
    uri: Uri,
}

impl EndpointUrl {
    pub(crate) fn parse(text: &str, plain_http: PlainHttp) -> Result<Self, &'static str> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it holds spaces, control or non-ASCII characters (write such a host in punycode)");
        }
        if text.contains(['#', '\\']) {
            return Err("it holds a fragment or a backslash");
        }
        let uri: Uri = text.parse().map_err(|_| "it is not a URL")?;
        let authority = uri.authority().ok_or("it is not an absolute URL")?;
        if authority.as_str().contains(['@', '%']) {
            return Err("it holds a user name, a password or a zone id");
        }
        if authority.host().is_empty() || (authority.port_u16().is_none() && authority.as_str() != authority.host()) {
            return Err("its host or port cannot be read");
        }
        if authority.host().starts_with('[') && !matches!(address(authority.host()), Some(IpAddr::V6(_))) {
            return Err("its host is in brackets, but no IPv6 address");
        }
        if is_disguised_address(authority.host()) {
            return Err("its host is an IP address in no canonical form: write all four decimal numbers");
        }
        let url = Self { text: text.to_owned(), uri };
        match url.uri.scheme_str() {
            Some("https") => Ok(url),
            Some("http") if plain_http == PlainHttp::Anywhere || url.is_loopback() => Ok(url),
            Some("http") => Err("it is plain http to another machine: use https"),
            _ => Err("it is not an https URL"),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    pub(crate) fn is_localhost(&self) -> bool {
        self.uri.host().is_some_and(|host| host.eq_ignore_ascii_case("localhost"))
    }

    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.uri)
    }

    /// Whatever may lead to this very machine: more than what is trusted to (D5).
    pub(crate) fn may_be_loopback(&self) -> bool {
        let host = self.uri.host().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let unspecified = address(&host).is_some_and(|address| address.to_canonical().is_unspecified());
        self.is_loopback() || unspecified || host == "localhost" || host.ends_with(".localhost")
    }
}

/// An IPv4 address as old resolvers read it, `127.1` or `0x7f000001`: what it leads to is anybody's guess.
fn is_disguised_address(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    numeric && address(host).is_none()
}

fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ipv6) => ipv6.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

/// A literal loopback address or `localhost`.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    host.eq_ignore_ascii_case("localhost") || address(host).is_some_and(|address| address.to_canonical().is_loopback())
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may hold a key, as some gateways ask for it.
        f.write_str(self.text.split('?').next().unwrap_or_default())
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t1_https_or_loopback_http_only() {
        let accepted = [
            "https://id.example.com",
            "https://id.example.com:8443/tenant/token?x=1",
            "http://127.0.0.1:8080/token",
            "http://127.9.9.9/token",
            "http://[::1]:8080/token",
            "http://localhost:5001/connect/token",
            "http://LOCALHOST/connect/token",
        ];
        for url in accepted {
            assert!(EndpointUrl::parse(url, PlainHttp::LoopbackOnly).is_ok(), "{url}");
        }
        let refused = [
            "http://id.example.com",
            "http://10.0.0.1/token",
            "http://128.0.0.1/token",
            "http://localhost.example.com/token",
            "http://127.0.0.1.example.com/token",
            "http://[::2]/token",
            "http://0.0.0.0/token",
            "http://127.1/token",
            "ftp://id.example.com",
            "id.example.com/token",
            "/token",
            "",
            "https://",
            "https://user:password@id.example.com/token",
            "https://id.example.com/#fragment",
            "https://id.exa mple.com/",
            "https://id.example.com/\u{7f}",
            "https://id.exämple.com/",
            "https://id.example.com\\@evil.example/",
            "https://id.example.com:99999/",
            "https://id.example.com:/",
            "https://[nonsense]/",
            "https://[127.0.0.1]/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.0.0.1./",
        ];
        for url in refused {
            assert!(EndpointUrl::parse(url, PlainHttp::LoopbackOnly).is_err(), "{url}");
        }
        assert!(EndpointUrl::parse("http://id.example.com", PlainHttp::Anywhere).is_ok());
        assert!(EndpointUrl::parse("ftp://id.example.com", PlainHttp::Anywhere).is_err());
    }
}
