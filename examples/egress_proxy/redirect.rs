//! Redirects within an upstream lead through the proxy, and none leads to another upstream.
//!
//! Whoever follows one past the proxy has no token there. A redirect to anywhere else is the caller's to follow or not; but one
//! that leads back to the proxy would make the caller send its request, perhaps with method and body, to another upstream, with
//! that one's token.

use http::{HeaderMap, HeaderValue, Uri, header::LOCATION};
use reqwest::Url;

use super::{
    door::Host,
    routes::{Route, Routes},
};

/// Rewrites `Location`: to a path of this proxy, where that leads to the same upstream; else to an absolute URL. What cannot be
/// read, and what leads to the proxy all the same, is taken off.
pub(super) fn lead_through(headers: &mut HeaderMap, routes: &Routes, host: &Host, route: &Route, asked: &Uri) {
    let mut locations = headers.get_all(LOCATION).iter();
    let Some(location) = locations.next() else {
        return;
    };
    let is_one = locations.next().is_none();
    // As the caller would read it, if it could: relative to the proxy, it would mean another place.
    let url = std::str::from_utf8(location.as_bytes()).ok().and_then(|text| resolved(text, asked));
    let led = url.filter(|_| is_one).and_then(|url| match by_this_proxy(&url, routes, host, route) {
        Some(here) => Some(here),
        None if routes.are_at(&url) => None,
        None => HeaderValue::try_from(String::from(url)).ok(),
    });
    headers.remove(LOCATION);
    match led {
        Some(led) => {
            headers.insert(LOCATION, led);
        }
        None => {
            tracing::warn!(upstream = %route.upstream.name, "a `Location` that is not safe to follow was taken off")
        }
    }
}

fn resolved(location: &str, asked: &Uri) -> Option<Url> {
    Url::parse(&asked.to_string()).ok()?.join(location).ok()
}

/// The path by which this proxy leads to a URL of the upstream: for callers of the same name, and by no other route.
fn by_this_proxy(url: &Url, routes: &Routes, host: &Host, route: &Route) -> Option<HeaderValue> {
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let name = url.host_str()?;
    let authority = match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    };
    let path = route.path_here(url.scheme(), &authority, url.path())?;
    let (found, _) = routes.find(host, &path.parse().ok()?).ok()?;
    if !std::ptr::eq(found, route) {
        return None;
    }
    let parts = [('?', url.query()), ('#', url.fragment())];
    let here = parts.into_iter().fold(path, |here, (mark, part)| match part {
        Some(part) => format!("{here}{mark}{part}"),
        None => here,
    });
    HeaderValue::try_from(here).ok()
}
