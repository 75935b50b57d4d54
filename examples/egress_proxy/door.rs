//! Who may come in: a program that means this proxy, and no web page.
//!
//! A page in a browser on this machine can send requests to loopback, too. It cannot lie in what the browser writes itself, so
//! that tells it from a program:
//!
//! - its `Host` is another name, if the page had that resolved to this machine (DNS rebinding);
//! - its `Origin` is there, or `Sec-Fetch-Site`, whatever they say: all upstreams are one origin to a browser, and a page of one
//!   must not use another's tokens; and `none` has an address that was typed, but also whatever that redirects to;
//! - `Upgrade-Insecure-Requests` is there, as in every navigation of a browser;
//! - its `Referer` is of another place: for old browsers that send none of these.
//!
//! What remains: browsers send `Sec-Fetch-Site` over plain http to loopback only. To a proxy with another name in `hosts`, a page
//! without a `Referer` can send a GET that looks like a program's, by an image for example. It cannot read the answer; the
//! upstream has had the request. There, the network has to keep browsers away.

use http::{
    HeaderMap, Uri,
    header::{EXPECT, HOST, REFERER},
    request::Parts,
    uri::Authority,
};

use super::{
    headers::{Via, asks_for_upgrade, is_framed_plainly},
    problem::Problem,
};

const FORBIDDEN: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

/// What a browser says in its requests, and a program does not.
const BROWSERS: [&str; 3] = ["origin", "sec-fetch-site", "upgrade-insecure-requests"];

/// What a request is for: a host, as it was written, and its port.
#[derive(Debug)]
pub(super) struct Host {
    authority: Authority,
}

/// Looks at a request's head. The host is one that the caller wrote; whether it is one of ours, the routes know.
pub(super) fn admit(head: &Parts, via: &Via) -> Result<Host, Problem> {
    // A trace shows its sender the request, and with it the token.
    // Methods tell letter cases apart, and some servers do not.
    if FORBIDDEN.iter().any(|method| head.method.as_str().eq_ignore_ascii_case(method)) {
        return Err(Problem::MethodNotAllowed);
    }
    let host = Host::of(&head.headers, &head.uri)?;
    refuse_pages(&head.headers, &host)?;
    if asks_for_upgrade(&head.headers) {
        return Err(Problem::Upgrade);
    }
    if !is_framed_plainly(&head.headers) {
        return Err(Problem::TransferCoding);
    }
    let mut expectations = head.headers.get_all(EXPECT).iter();
    if !expectations.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Problem::Expectation);
    }
    if via.is_in(&head.headers) {
        return Err(Problem::Loop);
    }
    Ok(host)
}

fn refuse_pages(headers: &HeaderMap, host: &Host) -> Result<(), Problem> {
    let is_browsers = BROWSERS.iter().any(|name| headers.contains_key(*name));
    let is_own = |referer: &[u8]| {
        let referer = std::str::from_utf8(referer).ok().and_then(|referer| referer.parse::<Uri>().ok());
        referer.is_some_and(|uri| uri.authority() == Some(&host.authority))
    };
    let came_from_here = headers.get_all(REFERER).iter().all(|value| is_own(value.as_bytes()));
    if came_from_here && !is_browsers { Ok(()) } else { Err(Problem::FromPage) }
}

impl Host {
    /// Of the one `Host`, which an absolute target has to agree with: who of the two is right must never matter.
    fn of(headers: &HeaderMap, uri: &Uri) -> Result<Self, Problem> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Problem::BadHost);
        };
        let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()).ok_or(Problem::BadHost)?;
        let agrees = match (uri.scheme_str(), uri.authority()) {
            (None, None) => true,
            (Some("http"), Some(target)) => *target == host,
            _ => false,
        };
        if agrees && !host.as_str().contains('@') { Ok(Self { authority: host }) } else { Err(Problem::BadHost) }
    }

    /// Whether it is this name, or name and port.
    pub(super) fn is(&self, known: &Authority) -> bool {
        let same_port = known.port().is_none_or(|_| known.port_u16() == Some(self.authority.port_u16().unwrap_or(80)));
        same_port && bare(self.authority.host()).eq_ignore_ascii_case(bare(known.host()))
    }
}

/// Without the dot of a fully qualified name.
pub(super) fn bare(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}
