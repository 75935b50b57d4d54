//! An issuer's metadata: OpenID Connect Discovery 1.0 and RFC 8414.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tokio::{sync::OwnedMutexGuard, time::Instant};

use crate::{
    Error, ErrorKind, HttpClient,
    clock::{Clock, after, doubled},
    endpoint_url::{EndpointUrl, PlainHttp},
    json::Object,
    retry::{Attempts, Repeat, retry_after},
    text::{Secrets, clean},
    timer,
};

/// How long metadata are used before they are fetched again (D4).
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
const MIN_AGE: Duration = Duration::from_secs(300);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// For all attempts; less than an exchange's deadline, which then still has something to say (T3).
const DEADLINE: Duration = Duration::from_secs(8);
const OVERTAKE_AFTER: Duration = DEADLINE.saturating_add(Duration::from_secs(1));
/// Nobody waits long for a refresh while stale metadata can serve.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);
/// Failures are remembered from one second up to ten, doubling (D4).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
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
    cached: Mutex<Cached>,
    /// Held while fetching: one fetch at a time. Replaced by a new one when its holder stands still.
    turn: Mutex<Arc<Turn>>,
}

type Turn = tokio::sync::Mutex<()>;

#[derive(Default)]
struct Cached {
    metadata: Option<Arc<Metadata>>,
    fetched_at: Option<Instant>,
    refresh_at: Option<Instant>,
    failures: u32,
    error: Option<Error>,
}

impl Discovery {
    pub(crate) fn new(issuer: Issuer) -> Self {
        Self { issuer, cached: Mutex::default(), turn: Mutex::default() }
    }

    pub(crate) fn issuer(&self) -> &EndpointUrl {
        &self.issuer.url
    }

    pub(crate) async fn metadata(&self, http: &HttpClient, clock: &Clock) -> Result<Arc<Metadata>, Error> {
        if let Some(known) = self.known(clock) {
            return known;
        }
        let stale = self.lock().metadata.clone();
        let _turn = match (&stale, self.turn().try_lock_owned()) {
            (_, Ok(turn)) => turn,
            // Somebody refreshes already, and what there is will do.
            (Some(stale), Err(_)) => return Ok(stale.clone()),
            (None, Err(_)) => self.await_turn().await?,
        };
        if let Some(known) = self.known(clock) {
            return known;
        }
        let timeout = if stale.is_some() { REFRESH_TIMEOUT } else { ATTEMPT_TIMEOUT };
        let fetch = self.fetch(http, clock, timeout, stale.is_none());
        let fetched = timer::timeout(DEADLINE, fetch).await?.unwrap_or_else(|| Err(too_slow(&self.issuer.url)));
        self.remember(fetched, clock)
    }

    /// Waits for its turn. Whoever holds it has been overtaken when it took longer than a fetch can: it sits on a runtime
    /// that stands still (F13). The first to notice makes a new turn, and all go on to wait for that.
    async fn await_turn(&self) -> Result<OwnedMutexGuard<()>, Error> {
        loop {
            let turn = self.turn();
            let held = timer::timeout(OVERTAKE_AFTER, Arc::clone(&turn).lock_owned()).await?;
            let mut current = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            match held {
                Some(held) if Arc::ptr_eq(&turn, &current) => return Ok(held),
                None if Arc::ptr_eq(&turn, &current) => *current = Arc::default(),
                _ => {}
            }
        }
    }

    fn turn(&self) -> Arc<Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What needs no fetch: fresh metadata, or an error that is still remembered.
    fn known(&self, clock: &Clock) -> Option<Result<Arc<Metadata>, Error>> {
        let cached = self.lock();
        let fresh = cached.refresh_at.is_some_and(|refresh_at| clock.now() < refresh_at);
        match (&cached.metadata, &cached.error) {
            _ if !fresh => None,
            (Some(metadata), _) => Some(Ok(metadata.clone())),
            (None, error) => error.clone().map(Err),
        }
    }

    fn remember(&self, fetched: Result<(Metadata, Duration), Error>, clock: &Clock) -> Result<Arc<Metadata>, Error> {
        let now = clock.now();
        let mut cached = self.lock();
        match fetched {
            Ok((metadata, age)) => {
                let metadata = Arc::new(metadata);
                *cached = Cached {
                    metadata: Some(metadata.clone()),
                    fetched_at: Some(now),
                    refresh_at: Some(after(now, age)),
                    ..Cached::default()
                };
                Ok(metadata)
            }
            Err(error) => {
                let pause =
                    doubled(FIRST_PAUSE, cached.failures, LONGEST_PAUSE).max(error.retry_after().unwrap_or_default());
                cached.failures = cached.failures.saturating_add(1);
                cached.refresh_at = Some(after(now, pause));
                cached.error = Some(error.clone());
                if let Some(stale) = &cached.metadata {
                    tracing::warn!(issuer = %self.issuer.url, %error, "metadata could not be refreshed; the old ones serve on");
                    return Ok(stale.clone());
                }
                Err(error)
            }
        }
    }

    pub(crate) fn suspect(&self, clock: &Clock) {
        let now = clock.now();
        let mut cached = self.lock();
        let old = cached.fetched_at.is_some_and(|at| now.saturating_duration_since(at) >= SUSPECT_AGE);
        if old && cached.error.is_none() {
            cached.refresh_at = Some(now);
        }
    }

    async fn fetch(
        &self,
        http: &HttpClient,
        clock: &Clock,
        timeout: Duration,
        retry: bool,
    ) -> Result<(Metadata, Duration), Error> {
        let mut attempts = Attempts::default();
        loop {
            match self.fetch_once(http, clock, timeout).await {
                Err(error) if retry => attempts.another(error, Repeat::Freely).await?,
                result => return result,
            }
        }
    }

    /// Tries every well-known URL; a place that has no metadata sends on to the next, anything worse ends the search.
    async fn fetch_once(
        &self,
        http: &HttpClient,
        clock: &Clock,
        timeout: Duration,
    ) -> Result<(Metadata, Duration), Error> {
        let mut nothing_there = None;
        for url in self.issuer.well_known_urls() {
            let what = format!("the metadata request to {url}");
            let response = http.send(&url, get(&url)?, &what, timeout).await?;
            let status = response.status();
            if status == StatusCode::OK {
                let age = max_age(&response);
                return Ok((Metadata::parse(response.body(), &what, &self.issuer)?, age));
            }
            let wait = retry_after(status, response.headers(), clock.wall());
            let error = unexpected_status(&what, status).with_retry_after(wait);
            if !status.is_client_error() || status == StatusCode::TOO_MANY_REQUESTS {
                return Err(error);
            }
            nothing_there = Some(error);
        }
        Err(nothing_there.unwrap_or_else(|| Error::config("the issuer's URL has no well-known URL")))
    }

    fn lock(&self) -> MutexGuard<'_, Cached> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn get(url: &EndpointUrl) -> Result<Request<Full<Bytes>>, Error> {
    let request = Request::builder().method(Method::GET).uri(url.uri()).header(header::ACCEPT, "application/json");
    request.body(Full::default()).map_err(|error| Error::config("the metadata request cannot be made").caused_by(error))
}

fn too_slow(issuer: &EndpointUrl) -> Error {
    let message =
        format!("the metadata of {issuer} were not had within {} s; check that the server is up", DEADLINE.as_secs());
    Error::new(ErrorKind::Timeout, message)
}

fn unexpected_status(what: &str, status: StatusCode) -> Error {
    let hint = if status.is_redirection() {
        "redirects of metadata requests are never followed (T2): give the issuer exactly as the server calls itself"
    } else {
        "check the issuer, or give the token endpoint itself"
    };
    Error::new(ErrorKind::UnexpectedResponse, format!("{what} was answered with HTTP {}; {hint}", status.as_u16()))
        .with_status(status)
}

/// `Cache-Control: max-age`, within bounds (D4).
fn max_age(response: &Response<Bytes>) -> Duration {
    let directives = response.headers().get_all(header::CACHE_CONTROL).iter();
    let seconds = directives
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|directive| directive.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))
        .and_then(|(_, value)| value.trim().trim_matches('"').parse().ok());
    seconds.map_or(MAX_AGE, Duration::from_secs).clamp(MIN_AGE, MAX_AGE)
}

/// What an authorization server says of itself (RFC 8414, section 2). Its issuer has been checked; an endpoint is checked
/// when it is asked for.
pub struct Metadata {
    object: Object,
    issuer: EndpointUrl,
    plain_http: PlainHttp,
}

impl Metadata {
    fn parse(body: &[u8], what: &str, issuer: &Issuer) -> Result<Self, Error> {
        let invalid = |problem: &str| {
            Error::new(ErrorKind::UnexpectedResponse, format!("{what} was answered with 200, but {problem}"))
        };
        let object = Object::parse(body).map_err(|problem| invalid(&format!("its body {problem}")))?;
        let found = object.text("issuer").ok_or_else(|| invalid("it names no issuer"))?;
        if found != issuer.expected {
            // Who writes an `@` there may mean a user name and a password.
            let found = match found.contains('@') {
                true => "one with an @".to_owned(),
                false => format!("{:?}", clean(found, &Secrets::default())),
            };
            let message = format!(
                "{what} was answered for another issuer, {found}, but {:?} was expected: give the issuer exactly as the \
                 server spells it, or accept it by accept_metadata_issuer",
                issuer.expected
            );
            return Err(Error::new(ErrorKind::IssuerMismatch, message));
        }
        Ok(Self { object, issuer: issuer.url.clone(), plain_http: issuer.plain_http })
    }

    /// The issuer, as the metadata spell it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.get("issuer").unwrap_or_default()
    }

    /// A member of the metadata that is a string.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.object.text(name)
    }

    /// The URL of an endpoint, `token_endpoint` for example.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingEndpoint`] when the metadata do not name it, [`ErrorKind::InvalidEndpoint`] when it must not
    /// be used: no https, or loopback where the issuer is elsewhere (D3, D5).
    pub fn endpoint(&self, name: &str) -> Result<String, Error> {
        Ok(self.checked_endpoint(name)?.as_str().to_owned())
    }

    pub(crate) fn checked_endpoint(&self, name: &str) -> Result<EndpointUrl, Error> {
        let Some(value) = self.object.get(name) else {
            let message =
                format!("the metadata of {} name no `{name}`: override it, or ask the server's operator", self.issuer);
            return Err(Error::new(ErrorKind::MissingEndpoint, message));
        };
        let invalid = |why: &str| {
            let message = format!("the metadata of {} name a `{name}` that must not be used: {why}", self.issuer);
            Error::new(ErrorKind::InvalidEndpoint, message)
        };
        let text = value.as_str().ok_or_else(|| invalid("it is not a string"))?;
        let url = EndpointUrl::parse(text, self.plain_http).map_err(invalid)?;
        if self.issuer.is_https() && !self.issuer.is_loopback() && url.may_be_loopback() {
            return Err(invalid("it is on this very machine, and the issuer is not"));
        }
        if self.issuer.is_https() && !url.is_https() {
            return Err(invalid("it is plain http, and the issuer is https"));
        }
        Ok(url)
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata").field("issuer", &self.issuer).finish_non_exhaustive()
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
