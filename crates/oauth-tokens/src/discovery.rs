//! An issuer's metadata: OpenID Connect Discovery 1.0 and RFC 8414.

mod metadata;

use std::{sync::Arc, time::Duration};

use http::StatusCode;

pub use self::metadata::Metadata;
use crate::{
    Error, HttpClient,
    clock::Clock,
    document::{Document, get, max_age, unexpected_status},
    endpoint_url::{EndpointUrl, PlainHttp},
};

/// How long metadata are used before they are fetched again (D4).
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
const MIN_AGE: Duration = Duration::from_secs(300);
/// Metadata younger than this are not fetched again on mere suspicion.
const SUSPECT_AGE: Duration = Duration::from_secs(60);

/// Who is asked, and who must have answered.
pub(crate) struct Issuer {
    url: EndpointUrl,
    /// What `issuer` in the metadata must be, exactly (D2).
    expected: String,
    plain_http: PlainHttp,
}

impl Issuer {
    pub(crate) fn new(url: EndpointUrl, expected: Option<String>, plain_http: PlainHttp) -> Self {
        let expected = expected.unwrap_or_else(|| url.as_str().to_owned());
        Self { url, expected, plain_http }
    }

    /// Where metadata may be, in order: appended for OpenID Connect, inserted for RFC 8414 (section 3.1) (D1).
    fn well_known_urls(&self) -> Vec<EndpointUrl> {
        let issuer = self.url.as_str().trim_end_matches('/');
        let uri = self.url.uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let path = uri.path().trim_end_matches('/');
        let candidates = [
            format!("{issuer}/.well-known/openid-configuration"),
            format!("{scheme}://{authority}/.well-known/oauth-authorization-server{path}"),
        ];
        candidates.iter().filter_map(|url| EndpointUrl::parse(url, PlainHttp::Anywhere).ok()).collect()
    }
}

/// An issuer's metadata, shared by all its clients.
pub(crate) struct Discovery {
    issuer: Issuer,
    metadata: Document<Metadata>,
}

impl Discovery {
    pub(crate) fn new(issuer: Issuer) -> Self {
        let metadata = Document::named(format!("the metadata of {}", issuer.url));
        Self { issuer, metadata }
    }

    pub(crate) fn issuer(&self) -> &EndpointUrl {
        &self.issuer.url
    }

    /// The issuer as its metadata must spell it.
    pub(crate) fn expected_issuer(&self) -> &str {
        &self.issuer.expected
    }

    pub(crate) async fn metadata(&self, http: &HttpClient, clock: &Clock) -> Result<Arc<Metadata>, Error> {
        self.metadata.get(clock, |pace| pace.keep(|timeout| self.fetch(http, clock, timeout))).await
    }

    pub(crate) fn suspect(&self, clock: &Clock) {
        self.metadata.suspect(SUSPECT_AGE, clock);
    }

    /// Tries every well-known URL; a place that has no metadata sends on to the next, anything worse ends the search.
    async fn fetch(&self, http: &HttpClient, clock: &Clock, timeout: Duration) -> Result<(Metadata, Duration), Error> {
        let mut nothing_there = None;
        for url in self.issuer.well_known_urls() {
            let what = format!("the metadata request to {url}");
            let response = get(http, &url, &what, timeout).await?;
            let status = response.status();
            if status == StatusCode::OK {
                let age = max_age(response.headers()).unwrap_or(MAX_AGE).clamp(MIN_AGE, MAX_AGE);
                return Ok((Metadata::parse(response.body(), &what, &self.issuer)?, age));
            }
            let error =
                unexpected_status(&what, &response, "check the issuer, or give the token endpoint itself", clock);
            if !status.is_client_error() || status == StatusCode::TOO_MANY_REQUESTS {
                return Err(error);
            }
            nothing_there = Some(error);
        }
        Err(nothing_there.unwrap_or_else(|| Error::config("the issuer's URL has no well-known URL")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d1_well_known_urls_are_appended_and_inserted() {
        let cases = [
            (
                "https://id.test",
                [
                    "https://id.test/.well-known/openid-configuration",
                    "https://id.test/.well-known/oauth-authorization-server",
                ],
            ),
            (
                "https://id.test/",
                [
                    "https://id.test/.well-known/openid-configuration",
                    "https://id.test/.well-known/oauth-authorization-server",
                ],
            ),
            (
                "https://id.test:8443/realms/a",
                [
                    "https://id.test:8443/realms/a/.well-known/openid-configuration",
                    "https://id.test:8443/.well-known/oauth-authorization-server/realms/a",
                ],
            ),
            (
                "https://id.test/a/",
                [
                    "https://id.test/a/.well-known/openid-configuration",
                    "https://id.test/.well-known/oauth-authorization-server/a",
                ],
            ),
        ];
        for (issuer, expected) in cases {
            let url = EndpointUrl::parse(issuer, PlainHttp::LoopbackOnly).expect("a URL");
            let urls = Issuer::new(url, None, PlainHttp::LoopbackOnly).well_known_urls();
            assert_eq!(urls.iter().map(EndpointUrl::as_str).collect::<Vec<_>>(), expected);
        }
    }
}
