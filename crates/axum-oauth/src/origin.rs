//! Where the application is, as browsers see it.

use std::{fmt, net::IpAddr};

use http::{HeaderMap, Uri, header::ORIGIN};
use oauth_tokens::Error;

/// Scheme, host and port, as a browser writes them in `Origin`.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    text: String,
    is_https: bool,
}

impl Origin {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Err(Error::config(format!(
                "the application's origin {why}; it is like \"https://shop.example.com\", or \"http://127.0.0.1:3000\" for \
                 development"
            )))
        };
        let Ok(uri) = text.parse::<Uri>() else { return wrong("is no URL") };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return wrong("has no scheme or no host");
        };
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return wrong("has no host, or a user before it");
        }
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") || text.contains('#') {
            return wrong("has a path; an application that is not at its host's root needs a host of its own");
        }
        let is_https = match scheme {
            "https" => true,
            "http" if is_loopback(authority.host()) => false,
            "http" => return wrong("is plain http: cookies and codes would be there for all to read"),
            _ => return wrong("has an unknown scheme"),
        };
        // Browsers leave the default port out.
        let default = if is_https { 443 } else { 80 };
        let port = authority.port_u16().filter(|port| *port != default).map(|port| format!(":{port}"));
        let host = authority.host().to_ascii_lowercase();
        Ok(Self { text: format!("{scheme}://{host}{}", port.unwrap_or_default()), is_https })
    }

    pub(crate) fn is_https(&self) -> bool {
        self.is_https
    }

    /// A cookie that no other host of the same domain can set, where that can be had.
    pub(crate) fn cookie_name(&self, name: &str) -> String {
        if self.is_https { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// Whether a page of another origin makes the browser send this: what a page cannot write itself says so.
    ///
    /// None: it does not say. No browser of this decade sends a form without.
    pub(crate) fn is_foreign(&self, headers: &HeaderMap) -> Option<bool> {
        let mut sites = headers.get_all("sec-fetch-site").iter();
        match (sites.next(), sites.next()) {
            (Some(site), None) => return Some(!matches!(site.as_bytes(), b"same-origin" | b"none")),
            (None, _) => {}
            _ => return Some(true),
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(origin), None) => Some(origin.as_bytes() != self.text.as_bytes()),
            (None, _) => None,
            _ => Some(true),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
