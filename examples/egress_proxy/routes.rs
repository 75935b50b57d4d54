//! Which upstream a request is for, and by which URL.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::{
    Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use reqwest::Url;
use tower_oauth::Origin;

use super::{
    door::{Host, bare},
    problem::Problem,
    settings::{Settings, UpstreamSettings},
    upstream::Upstream,
};

/// All ways through the proxy, fixed when it starts.
#[derive(Debug)]
pub(super) struct Routes {
    /// Names of the proxy itself.
    hosts: Vec<Authority>,
    by_host: Vec<(Authority, Route)>,
    /// The longest path first.
    by_path: Vec<Route>,
}

#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) upstream: Arc<Upstream>,
    /// What is taken off a request's path: empty, or `/segments`.
    prefix: String,
    base: Base,
}

/// The URL that is put before what is left.
#[derive(Clone, Debug)]
pub(super) struct Base {
    scheme: Scheme,
    authority: Authority,
    /// Empty, or `/segments`.
    path: String,
}

impl Routes {
    pub(super) fn new(settings: &Settings, upstreams: &[Arc<Upstream>]) -> Result<Self> {
        let hosts = settings.hosts.iter().map(|host| name(host)).collect::<Result<_>>().context("`hosts`")?;
        let mut routes = Self { hosts, by_host: Vec::new(), by_path: Vec::new() };
        for (settings, upstream) in settings.upstreams.iter().zip(upstreams) {
            routes.add(settings, upstream).with_context(|| format!("the upstream `{}`", settings.name))?;
        }
        routes.by_path.sort_by_key(|route| std::cmp::Reverse(route.prefix.len()));
        let twice = routes.by_path.windows(2).any(|pair| pair[0].prefix == pair[1].prefix);
        ensure!(!twice, "two upstreams have the same `path`: nobody could tell where a request goes");
        for (index, (host, _)) in routes.by_host.iter().enumerate() {
            let others = routes.by_host[..index].iter().map(|(host, _)| host).chain(&routes.hosts);
            let is_taken = others.into_iter().any(|other| overlap(other, host));
            ensure!(!is_taken, "a host is named twice: nobody could tell where a request goes");
        }
        Ok(routes)
    }

    fn add(&mut self, settings: &UpstreamSettings, upstream: &Arc<Upstream>) -> Result<()> {
        let route = |prefix: String| -> Result<Route> {
            Ok(Route { upstream: Arc::clone(upstream), prefix, base: Base::read(&settings.url)? })
        };
        match (&settings.path, &settings.host) {
            (Some(path), None) => self.by_path.push(route(prefix(path)?)?),
            (None, Some(host)) => self.by_host.push((name(host)?, route(String::new())?)),
            _ => anyhow::bail!("it needs either a `path` or a `host`"),
        }
        Ok(())
    }

    pub(super) fn find(&self, host: &Host, target: &Uri) -> Result<(&Route, Uri), Problem> {
        let route = match self.by_host.iter().find(|(known, _)| host.is(known)) {
            Some((_, route)) => route,
            None if !self.hosts.iter().any(|known| host.is(known)) => return Err(Problem::HostNotAllowed),
            None => {
                let covers = |route: &&Route| below(&route.prefix, target.path()).is_some();
                self.by_path.iter().find(covers).ok_or(Problem::NoUpstream)?
            }
        };
        Ok((route, route.uri(target)?))
    }

    /// Whether a request for this URL could come to this proxy, which answers to all its names.
    pub(super) fn are_at(&self, url: &Url) -> bool {
        let is_at = |known: &Authority| {
            let same_host = url.host_str().is_some_and(|host| bare(host).eq_ignore_ascii_case(bare(known.host())));
            same_host && known.port().is_none_or(|_| known.port_u16() == url.port_or_known_default())
        };
        self.hosts.iter().chain(self.by_host.iter().map(|(host, _)| host)).any(is_at)
    }
}

impl Route {
    fn uri(&self, target: &Uri) -> Result<Uri, Problem> {
        if may_lead_out(target.path()) {
            return Err(Problem::BadPath);
        }
        let below = below(&self.prefix, target.path()).ok_or(Problem::NoUpstream)?;
        self.base.join(below, target.query()).ok_or(Problem::BadPath)
    }

    /// The path, query included, by which this proxy leads to a path of the upstream; none where it does not.
    pub(super) fn path_here(&self, scheme: &str, authority: &str, path: &str) -> Option<String> {
        let is_there = scheme == self.base.scheme.as_str() && self.base.authority == *authority;
        let below = below(&self.base.path, path).filter(|_| is_there)?;
        let here = format!("{}{below}", self.prefix);
        match here.as_str() {
            "" => Some("/".to_owned()),
            // To a client that would be another host.
            _ if here.starts_with("//") => None,
            _ => Some(here),
        }
    }
}

impl Base {
    /// As the OAuth layer reads origins, so that both mean the same place.
    fn read(url: &str) -> Result<Self> {
        // Whether plain http may be, the credentials' origins say.
        let origin = Origin::parse_allowing_plain_http(url)?;
        let parts = origin.as_str().parse::<Uri>()?.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            anyhow::bail!("an upstream's `url` needs a scheme and a host");
        };
        let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::path).trim_end_matches('/').to_owned();
        Ok(Self { scheme, authority, path })
    }

    fn join(&self, below: &str, query: Option<&str>) -> Option<Uri> {
        let path = match (self.path.as_str(), below) {
            ("", "") => "/",
            _ => &format!("{}{below}", self.path),
        };
        let path_and_query = match query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path_and_query).build().ok()
    }
}

/// The URL of an upstream itself.
pub(super) fn base_uri(url: &str) -> Result<Uri> {
    let base = Base::read(url)?;
    base.join("", None).ok_or_else(|| anyhow::anyhow!("the URL cannot be used"))
}

/// What follows a prefix of whole segments.
fn below<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    path.strip_prefix(prefix).filter(|below| below.is_empty() || below.starts_with('/'))
}

/// Whether some server might read dot segments in a path, or what it calls so: encoded, behind a backslash or an encoded slash,
/// or with anything after the dots that it cuts off (`/..;/`, `/..%20/`).
///
/// At least as strict as the OAuth layer, which looks only where a credential is for a part of an origin. So what no proper
/// encoder writes is refused, too: controls, which some servers drop, `%u`, and the overlong `%c0` and `%c1`.
fn may_lead_out(path: &str) -> bool {
    let mut path = path.to_ascii_lowercase();
    let is_improper =
        |escape: &[u8]| matches!(escape, [b'0' | b'1' | b'u', ..] | [b'7', b'f', ..] | [b'c', b'0' | b'1', ..]);
    if path.as_bytes().split(|byte| *byte == b'%').skip(1).any(is_improper) {
        return true;
    }
    for (written, meant) in [("%2e", "."), ("%2f", "/"), ("%5c", "/"), ("\\", "/")] {
        path = path.replace(written, meant);
    }
    !path.starts_with('/') || path.split('/').any(is_dots)
}

/// Whether a segment is one or two dots up to what might be cut off; `.well-known` and `..a` are names.
fn is_dots(segment: &str) -> bool {
    let segment = segment.trim_start_matches("%20");
    let rest = segment.strip_prefix('.').map(|rest| rest.strip_prefix('.').unwrap_or(rest));
    let goes_on = |next: u8| next.is_ascii_alphanumeric() || b"-._~".contains(&next);
    rest.is_some_and(|rest| !rest.bytes().next().is_some_and(goes_on))
}

/// A `path` of the settings: `/crm`, `/crm/`, `/`.
fn prefix(path: &str) -> Result<String> {
    let is_plain = path.parse::<PathAndQuery>().is_ok_and(|parsed| parsed.as_str() == path && parsed.query().is_none());
    ensure!(
        path.starts_with('/') && is_plain && !may_lead_out(path) && !path.contains(['%', '\\']) && !path.contains("//"),
        "an upstream's `path` begins with `/` and has plain segments, as in `/crm`"
    );
    Ok(path.trim_end_matches('/').to_owned())
}

fn name(host: &str) -> Result<Authority> {
    let authority = host.parse::<Authority>().ok().filter(|parsed| !parsed.as_str().contains(['@', '*', '%']));
    authority
        .ok_or_else(|| anyhow::anyhow!("a host is a name, with a port if only that one is meant: `localhost:8080`"))
}

/// Whether some `Host` could mean either.
fn overlap(one: &Authority, other: &Authority) -> bool {
    let any_port = one.port().is_none() || other.port().is_none();
    one.host().eq_ignore_ascii_case(other.host()) && (any_port || one.port_u16() == other.port_u16())
}
