//! The parts of a URL: how they are split, compared, and made canonical.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Problem;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) fn read(text: &str) -> Option<Self> {
        [Self::Https, Self::Http].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(super) fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Splits at the first colon outside brackets.
pub(super) fn split_authority(authority: &str) -> (&str, Option<&str>) {
    let brackets = if authority.starts_with('[') { authority.find(']') } else { None };
    let name = brackets.unwrap_or(0);
    match authority[name..].find(':') {
        None => (authority, None),
        Some(colon) => (&authority[..name + colon], Some(&authority[name + colon + 1..])),
    }
}

/// From 1 to 65535 and nothing else: no sign, no leading zero.
pub(super) fn port_number(text: &str) -> Option<u16> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| canonical)
}

pub(super) fn same_host(one: &str, other: &str) -> bool {
    without_dot(one).eq_ignore_ascii_case(without_dot(other)) || ipv6(one).is_some_and(|a| ipv6(other) == Some(a))
}

/// A name ends in one dot when it is written in full; an address does not.
pub(super) fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').filter(|name| !name.ends_with(']')).unwrap_or(host)
}

pub(super) fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

pub(super) fn check_characters(text: &str) -> Result<(), Problem> {
    for character in text.chars() {
        match character {
            '?' => return Err(Problem::Query),
            '*' => return Err(Problem::Wildcard),
            '#' => return Err(Problem::Fragment),
            _ if character.is_control() || character.is_whitespace() => {
                return Err(Problem::Whitespace);
            }
            _ if !character.is_ascii() => return Err(Problem::NonAscii),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn canonical_host(host: &str) -> Result<(String, Option<Ipv6Addr>), Problem> {
    if host.starts_with('[') {
        let address = ipv6(host).ok_or(Problem::IpAddress)?;
        return Ok((format!("[{address}]"), Some(address)));
    }
    let host = without_dot(host).to_ascii_lowercase();
    if host.is_empty() {
        return Err(Problem::NoHost);
    }
    let is_label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err(Problem::Host);
    }
    // Browsers and libcs read a host that ends in a number as an IPv4 address, whatever its form.
    if host.rsplit('.').next().is_some_and(is_number) && host.parse::<Ipv4Addr>().is_err() {
        return Err(Problem::IpAddress);
    }
    Ok((host, None))
}

fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(hex) => hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Without its trailing slash; empty for `/`.
pub(super) fn canonical_prefix(path: &str) -> Result<&str, Problem> {
    let prefix = path.strip_suffix('/').unwrap_or(path);
    // `pchar` of RFC 3986, section 3.3; `%` is looked at below.
    let is_path = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()+,;=:@/%".contains(&b);
    let encoded = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !prefix.bytes().all(is_path)
        || !prefix.split('%').skip(1).all(encoded)
        || prefix.split('/').skip(1).any(str::is_empty)
        || may_leave(prefix)
    {
        return Err(Problem::Path);
    }
    Ok(prefix)
}

/// Whether some server might take the path for one above the prefix that it begins with.
///
/// Servers and proxies differ in whether they decode before they resolve dot segments, take `\` for `/`, cut a
/// segment at `;` (`/..;/`), or drop blanks and controls (`/..%20/`, `/%09../`). So encoded slashes, backslashes, dots and
/// controls are refused, as are `%u` and the overlong `%c0` and `%c1` that no proper encoder writes, and a segment that is
/// dots up to anything that is no letter. What is encoded twice stays: read once, as it should be, it holds no dot.
pub(super) fn may_leave(path: &str) -> bool {
    let is_suspicious = |escape: &[u8]| match escape {
        [b'2', low, ..] => matches!(low, b'e' | b'E' | b'f' | b'F'),
        [b'5', low, ..] => matches!(low, b'c' | b'C'),
        [b'7', low, ..] => matches!(low, b'f' | b'F'),
        [b'c' | b'C', low, ..] => matches!(low, b'0' | b'1'),
        [high, ..] => matches!(high, b'0' | b'1' | b'u' | b'U'),
        [] => false,
    };
    let is_dots = |mut segment: &[u8]| {
        while let Some(rest) = segment.strip_prefix(b"%20") {
            segment = rest;
        }
        let rest = segment.strip_prefix(b".").map(|rest| rest.strip_prefix(b".").unwrap_or(rest));
        let goes_on = |next: &u8| next.is_ascii_alphanumeric() || b"-_~.".contains(next);
        rest.is_some_and(|rest| !rest.first().is_some_and(goes_on))
    };
    let bytes = path.as_bytes();
    bytes.contains(&b'\\')
        || bytes.split(|&byte| byte == b'%').skip(1).any(is_suspicious)
        || bytes.split(|&byte| byte == b'/').any(is_dots)
}
