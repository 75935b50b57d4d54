//! Where a protected resource's metadata may be (RFC 9728, sections 3.1 and 5.1).

use http::Uri;

use crate::endpoint_url::{EndpointUrl, PlainHttp};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Where the next look goes.
#[derive(Default)]
pub(super) struct Places {
    /// Where the API said that its metadata are, when it last rejected a token.
    pub(super) told: Option<EndpointUrl>,
    /// The one of the well-known URLs that is looked at next. None: both, as nothing is known yet.
    well_known: Option<EndpointUrl>,
}

impl Places {
    /// Where the API said; else at the well-known URLs. Only the first look goes to both: the later ones go where there was
    /// something, or, where there was nothing, to the other one.
    pub(super) fn next(&self, resource: &EndpointUrl) -> Vec<EndpointUrl> {
        let one = self.told.as_ref().or(self.well_known.as_ref());
        one.map_or_else(|| well_known_urls(resource), |one| vec![one.clone()])
    }

    /// There were metadata at this place.
    pub(super) fn found_at(&mut self, place: &EndpointUrl, resource: &EndpointUrl) {
        if well_known_urls(resource).contains(place) {
            self.well_known = Some(place.clone());
        }
    }

    /// There was nothing.
    pub(super) fn nothing_at(&mut self, place: &EndpointUrl, resource: &EndpointUrl) {
        let places = well_known_urls(resource);
        if places.contains(place) {
            self.well_known = places.into_iter().find(|other| other != place);
        }
    }
}

/// The well-known URL, inserted between host and path; then that of the whole host, where many servers that have one resource
/// keep its metadata.
pub(super) fn well_known_urls(resource: &EndpointUrl) -> Vec<EndpointUrl> {
    let uri = resource.uri();
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let path = if uri.path() == "/" { "" } else { uri.path() };
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    let root = format!("{scheme}://{authority}{WELL_KNOWN}");
    let mut urls = vec![format!("{root}{path}{query}"), root];
    urls.dedup();
    urls.iter().filter_map(|url| EndpointUrl::parse(url, PlainHttp::LoopbackOnly).ok()).collect()
}

/// The URL that an origin named in a challenge, if the resource's metadata may be fetched there (D7): both the URL and whoever
/// named it are of the resource's own origin.
pub(super) fn acceptable(url: &str, named_by: &str, resource: &EndpointUrl) -> Result<EndpointUrl, &'static str> {
    let url = EndpointUrl::parse(url, PlainHttp::LoopbackOnly)?;
    let named_by = EndpointUrl::parse(named_by, PlainHttp::LoopbackOnly).map_err(|_| "it is not known who named it")?;
    if !is_same_origin(named_by.uri(), resource.uri()) {
        return Err("it was named by another origin than the resource's");
    }
    if !is_same_origin(url.uri(), resource.uri()) {
        return Err("it is not of the resource's own origin");
    }
    Ok(url)
}

fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    let host = |uri: &Uri| uri.host().unwrap_or_default().to_ascii_lowercase();
    one.scheme() == other.scheme() && host(one) == host(other) && port(one) == port(other)
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> EndpointUrl {
        EndpointUrl::parse(text, PlainHttp::LoopbackOnly).expect("a URL")
    }

    #[test]
    fn d7_well_known_urls_are_inserted() {
        let cases: [(&str, &[&str]); 7] = [
            ("https://api.test", &["https://api.test/.well-known/oauth-protected-resource"]),
            ("https://api.test/", &["https://api.test/.well-known/oauth-protected-resource"]),
            (
                "https://api.test:8443/mcp",
                &[
                    "https://api.test:8443/.well-known/oauth-protected-resource/mcp",
                    "https://api.test:8443/.well-known/oauth-protected-resource",
                ],
            ),
            (
                "https://api.test/mcp/",
                &[
                    "https://api.test/.well-known/oauth-protected-resource/mcp/",
                    "https://api.test/.well-known/oauth-protected-resource",
                ],
            ),
            (
                "https://api.test/a%20b?tenant=1",
                &[
                    "https://api.test/.well-known/oauth-protected-resource/a%20b?tenant=1",
                    "https://api.test/.well-known/oauth-protected-resource",
                ],
            ),
            (
                "https://api.test/?tenant=1",
                &[
                    "https://api.test/.well-known/oauth-protected-resource?tenant=1",
                    "https://api.test/.well-known/oauth-protected-resource",
                ],
            ),
            (
                "http://[::1]:5001/mcp",
                &[
                    "http://[::1]:5001/.well-known/oauth-protected-resource/mcp",
                    "http://[::1]:5001/.well-known/oauth-protected-resource",
                ],
            ),
        ];
        for (resource, expected) in cases {
            let urls = well_known_urls(&url(resource));
            assert_eq!(urls.iter().map(EndpointUrl::as_str).collect::<Vec<_>>(), expected);
        }
    }
}
