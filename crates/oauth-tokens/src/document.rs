//! A document that an authorization server publishes, fetched once for all who need it, and kept: its metadata, its keys.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::Full;
use tokio::{sync::OwnedMutexGuard, time::Instant};

use crate::{
    Error, ErrorKind, HttpClient,
    clock::{Clock, after, doubled},
    endpoint_url::EndpointUrl,
    retry::{Attempts, Repeat, retry_after},
    timer,
};

const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// For all attempts; less than an exchange's deadline, which then still has something to say (T3).
const DEADLINE: Duration = Duration::from_secs(8);
const OVERTAKE_AFTER: Duration = DEADLINE.saturating_add(Duration::from_secs(1));
/// Nobody waits long for a refresh while a stale document can serve.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);
/// Failures are remembered from one second up to ten, doubling (D4).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A document, shared: one fetch at a time, stale while the server is down, and errors remembered for a moment (D4).
pub(crate) struct Document<T> {
    /// What it is called in messages.
    name: String,
    kept: Mutex<Kept<T>>,
    /// Held while fetching. Replaced by a new one when its holder stands still.
    turn: Mutex<Arc<Turn>>,
}

type Turn = tokio::sync::Mutex<()>;

struct Kept<T> {
    document: Option<Arc<T>>,
    /// When it was asked for last, whatever came of it.
    asked_at: Option<Instant>,
    refresh_at: Option<Instant>,
    failures: u32,
    error: Option<Error>,
}

/// How a fetch is to go about it.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    timeout: Duration,
    repeat: bool,
}

impl<T> Document<T> {
    /// None yet. The name is what messages call it, in the plural: "the metadata of ...".
    pub(crate) fn named(name: String) -> Self {
        Self { name, kept: Mutex::default(), turn: Mutex::default() }
    }

    /// The document, fetched if there is none or it is old. The fetch says how long its result is good.
    pub(crate) async fn get<F>(&self, clock: &Clock, fetch: impl FnOnce(Pace) -> F) -> Result<Arc<T>, Error>
    where
        F: Future<Output = Result<(T, Duration), Error>>,
    {
        if let Some(known) = self.known(clock) {
            return known;
        }
        let stale = self.lock().document.clone();
        let _turn = match (&stale, self.turn().try_lock_owned()) {
            (_, Ok(turn)) => turn,
            // Somebody refreshes already, and what there is will do.
            (Some(stale), Err(_)) => return Ok(stale.clone()),
            (None, Err(_)) => self.await_turn().await?,
        };
        if let Some(known) = self.known(clock) {
            return known;
        }
        self.fetch(clock, stale.is_some(), fetch).await
    }

    /// Another document than the one that lacks something, if there is one; fetched at most once in this while. Whoever
    /// comes while it is fetched waits.
    pub(crate) async fn other_than<F>(
        &self,
        lacking: &Arc<T>,
        at_most_every: Duration,
        clock: &Clock,
        fetch: impl FnOnce(Pace) -> F,
    ) -> Result<Arc<T>, Error>
    where
        F: Future<Output = Result<(T, Duration), Error>>,
    {
        let lately = |at| clock.now().saturating_duration_since(at) < at_most_every;
        self.other_unless(lacking, |asked_at| asked_at.is_some_and(lately), clock, fetch).await
    }

    /// Like [`other_than`](Self::other_than), unless it is not to be fetched now: that is asked at the last moment, with when it
    /// was fetched last.
    pub(crate) async fn other_unless<F>(
        &self,
        lacking: &Arc<T>,
        refrains: impl FnOnce(Option<Instant>) -> bool,
        clock: &Clock,
        fetch: impl FnOnce(Pace) -> F,
    ) -> Result<Arc<T>, Error>
    where
        F: Future<Output = Result<(T, Duration), Error>>,
    {
        let _turn = self.await_turn().await?;
        let kept = {
            let kept = self.lock();
            let is_other = kept.document.as_ref().is_some_and(|document| !Arc::ptr_eq(document, lacking));
            if is_other || refrains(kept.asked_at) { kept.document.clone() } else { None }
        };
        match kept {
            Some(kept) => Ok(kept),
            None => self.fetch(clock, true, fetch).await,
        }
    }

    async fn fetch<F>(&self, clock: &Clock, is_stale: bool, fetch: impl FnOnce(Pace) -> F) -> Result<Arc<T>, Error>
    where
        F: Future<Output = Result<(T, Duration), Error>>,
    {
        let timeout = if is_stale { REFRESH_TIMEOUT } else { ATTEMPT_TIMEOUT };
        self.lock().asked_at = Some(clock.now());
        let fetched = timer::timeout(DEADLINE, fetch(Pace { timeout, repeat: !is_stale })).await?;
        self.remember(fetched.unwrap_or_else(|| Err(self.too_slow())), clock)
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

    /// What needs no fetch: a fresh document, or an error that is still remembered.
    fn known(&self, clock: &Clock) -> Option<Result<Arc<T>, Error>> {
        let kept = self.lock();
        let fresh = kept.refresh_at.is_some_and(|refresh_at| clock.now() < refresh_at);
        match (&kept.document, &kept.error) {
            _ if !fresh => None,
            (Some(document), _) => Some(Ok(document.clone())),
            (None, error) => error.clone().map(Err),
        }
    }

    fn remember(&self, fetched: Result<(T, Duration), Error>, clock: &Clock) -> Result<Arc<T>, Error> {
        let now = clock.now();
        let mut kept = self.lock();
        match fetched {
            Ok((document, age)) => {
                let document = Arc::new(document);
                *kept = Kept {
                    document: Some(document.clone()),
                    refresh_at: Some(after(now, age)),
                    asked_at: Some(now),
                    ..Kept::default()
                };
                Ok(document)
            }
            Err(error) => {
                let pause =
                    doubled(FIRST_PAUSE, kept.failures, LONGEST_PAUSE).max(error.retry_after().unwrap_or_default());
                kept.failures = kept.failures.saturating_add(1);
                kept.refresh_at = Some(after(now, pause));
                kept.error = Some(error.clone());
                if let Some(stale) = &kept.document {
                    if kept.failures == 1 {
                        tracing::warn!(what = self.name, %error, "what the authorization server publishes could not be refreshed; the old serves on");
                    }
                    return Ok(stale.clone());
                }
                Err(error)
            }
        }
    }

    /// Whoever used the document found that it may be wrong: it is fetched again when it is next asked for, if it is older
    /// than this.
    pub(crate) fn suspect(&self, older_than: Duration, clock: &Clock) {
        let now = clock.now();
        let mut kept = self.lock();
        let old = kept.asked_at.is_some_and(|at| now.saturating_duration_since(at) >= older_than);
        if old && kept.document.is_some() && kept.error.is_none() {
            kept.refresh_at = Some(now);
        }
    }

    fn too_slow(&self) -> Error {
        let message =
            format!("{} were not had within {} s; check that the server is up", self.name, DEADLINE.as_secs());
        Error::new(ErrorKind::Timeout, message)
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Document<T> {
    fn default() -> Self {
        Self::named("the documents of a server".to_owned())
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { document: None, asked_at: None, refresh_at: None, failures: 0, error: None }
    }
}

impl Pace {
    /// How long one request may take, for a fetch that is not repeated.
    pub(crate) fn timeout(self) -> Duration {
        self.timeout
    }

    /// Fetches, again if that may help and there is time.
    pub(crate) async fn keep<T, F>(self, mut fetch: impl FnMut(Duration) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut attempts = Attempts::default();
        loop {
            match fetch(self.timeout).await {
                Err(error) if self.repeat => attempts.another(error, Repeat::Freely).await?,
                result => return result,
            }
        }
    }
}

/// Asks for a document once. Redirects are not followed (T2).
pub(crate) async fn get(
    http: &HttpClient,
    url: &EndpointUrl,
    what: &str,
    timeout: Duration,
) -> Result<Response<Bytes>, Error> {
    let request = Request::builder().method(Method::GET).uri(url.uri()).header(header::ACCEPT, "application/json");
    let request = request
        .body(Full::default())
        .map_err(|error| Error::config(format!("{what} cannot be made")).caused_by(error))?;
    http.send(url, request, what, timeout).await
}

/// Why an answer of another status than 200 is no document; the hint says what to do if it is no redirect.
pub(crate) fn unexpected_status(what: &str, response: &Response<Bytes>, hint: &str, clock: &Clock) -> Error {
    let status = response.status();
    let hint = if status.is_redirection() {
        "redirects are never followed here (T2): give the issuer exactly as the server calls itself"
    } else {
        hint
    };
    let message = format!("{what} was answered with HTTP {}; {hint}", status.as_u16());
    Error::new(ErrorKind::UnexpectedResponse, message).with_status(status).with_retry_after(retry_after(
        status,
        response.headers(),
        clock.wall(),
    ))
}

/// `Cache-Control: max-age` (RFC 9111, section 5.2.2.1).
pub(crate) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get_all(header::CACHE_CONTROL).iter();
    let seconds = directives
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|directive| directive.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))
        .map(|(_, value)| value.trim().trim_matches('"'))
        .filter(|value| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()));
    // More digits than fit are a long time, too (section 1.2.2).
    seconds.map(|seconds| Duration::from_secs(seconds.parse().unwrap_or(u64::MAX)))
}
