//! What a proxy takes off a message, and what it adds (RFC 9110, section 7.6).

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, VIA},
};

use super::problem::Problem;

/// What the proxy calls itself.
pub(super) const NAME: &str = "egress-proxy";

/// They speak of one connection, and end here.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// They end here on the way to an upstream: what the proxy says itself, and what an upstream may believe although any caller can
/// write it.
const CALLERS: [&str; 17] = [
    // Only the proxy's own credentials go out.
    "authorization",
    "dpop",
    // Written anew, by the URL and the body that go out.
    "host",
    "content-length",
    // Met here: the body is asked for when the upstream is connected.
    "expect",
    // Of the network behind the proxy, an upstream learns nothing; and a caller cannot lie about it.
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    // Another host, path or method than that of the request, past its checks.
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    // CGI makes HTTP_PROXY of it, which programs take for their proxy.
    "proxy",
];
const FORWARDED: &str = "x-forwarded-";

/// They end here on the way back: `alt-svc` leads around the proxy, and by `proxy-status` its own answers are known.
const UPSTREAMS: [&str; 2] = ["alt-svc", "proxy-status"];

/// To a caller's cookie jar, all upstreams behind a path are one origin: one's cookies would go to another.
const COOKIES: [&str; 4] = ["cookie", "cookie2", "set-cookie", "set-cookie2"];

/// The proxy's entry in `Via`.
#[derive(Clone, Debug)]
pub(super) struct Via {
    pseudonym: String,
    entry: HeaderValue,
}

impl Via {
    /// Each process has a name of its own: a request may pass through two proxies, but never twice through one.
    pub(super) fn new() -> Self {
        let pseudonym = format!("{NAME}-{:08x}", fastrand::u32(..));
        let entry = HeaderValue::try_from(format!("1.1 {pseudonym}")).unwrap_or(HeaderValue::from_static("1.1 proxy"));
        Self { pseudonym, entry }
    }

    /// Whether a message has been here already.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let entries = headers.get_all(VIA).iter().filter_map(|value| value.to_str().ok());
        entries.flat_map(|value| value.split(',')).any(|entry| {
            let by = entry.split_ascii_whitespace().nth(1);
            by.is_some_and(|by| by.eq_ignore_ascii_case(&self.pseudonym))
        })
    }
}

/// Makes a caller's headers those of the request to an upstream, which may get cookies or not.
pub(super) fn to_upstream(headers: &mut HeaderMap, via: &Via, cookies: bool) -> Result<(), Problem> {
    let takes_trailers = takes_trailers(headers);
    strip(headers, |name| {
        CALLERS.contains(&name) || name.starts_with(FORWARDED) || (!cookies && COOKIES.contains(&name))
    })?;
    if takes_trailers {
        // Whether they come back as trailers is between hyper and the caller, whose `TE` it has seen.
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    headers.append(VIA, via.entry.clone());
    Ok(())
}

/// Makes an upstream's headers those of the answer to the caller; it may set cookies or not.
pub(super) fn to_caller(headers: &mut HeaderMap, via: &Via, cookies: bool) -> Result<(), Problem> {
    if !is_framed_plainly(headers) {
        return Err(Problem::BadResponse);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        // By which the body was read (RFC 9112, section 6.3): the length is wrong, or somebody else's.
        headers.remove(CONTENT_LENGTH);
    }
    strip(headers, |name| UPSTREAMS.contains(&name) || (!cookies && COOKIES.contains(&name)))
        .map_err(|_| Problem::BadResponse)?;
    headers.append(VIA, via.entry.clone());
    Ok(())
}

/// Whether a trailer may go to an upstream. What may not as a header, may not as a trailer, which some servers take for one.
pub(super) fn may_trail(name: &HeaderName) -> bool {
    let name = spelling(name);
    let is_listed = [&HOP_BY_HOP[..], &CALLERS, &COOKIES].concat().contains(&name.as_str());
    !is_listed && !name.starts_with(FORWARDED)
}

/// Whether a trailer may come back to a caller.
pub(super) fn may_trail_back(name: &HeaderName) -> bool {
    let name = spelling(name);
    ![&HOP_BY_HOP[..], &UPSTREAMS, &COOKIES].concat().contains(&name.as_str())
}

/// Whether a body is as it stands, or chunked and nothing else: another coding would be lost with its header.
pub(super) fn is_framed_plainly(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    is_chunked && codings.next().is_none()
}

/// The protocols that a request wants to go over to, h2c aside, which Java's clients ask for and do not insist on.
pub(super) fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let protocols = headers.get_all("upgrade").iter();
    protocols.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(|protocol| {
        let protocol = protocol.trim_ascii();
        !protocol.is_empty() && !protocol.eq_ignore_ascii_case(b"h2c")
    })
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(TE).iter().filter_map(|value| value.to_str().ok());
    codings.flat_map(|value| value.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// Takes off what speaks of the connection, by the standard or because `Connection` names it, and what `also` names.
fn strip(headers: &mut HeaderMap, also: impl Fn(&str) -> bool) -> Result<(), Problem> {
    let mut named = Vec::new();
    for value in headers.get_all(CONNECTION) {
        let value = value.to_str().map_err(|_| Problem::BadConnection)?;
        for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            named.push(HeaderName::try_from(name).map_err(|_| Problem::BadConnection)?);
        }
    }
    let is_removed = |name: &&HeaderName| {
        let spelling = spelling(name);
        named.contains(name) || HOP_BY_HOP.contains(&spelling.as_str()) || also(&spelling)
    };
    let removed: Vec<HeaderName> = headers.keys().filter(is_removed).cloned().collect();
    for name in removed {
        headers.remove(name);
    }
    Ok(())
}

/// As servers read it that make variables of headers: to CGI and WSGI, `X_Forwarded_For` is `X-Forwarded-For`.
fn spelling(name: &HeaderName) -> String {
    name.as_str().replace('_', "-")
}
