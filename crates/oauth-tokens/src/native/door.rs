//! What a request to the listener gets: who may come in, and what is said to them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    header::{ALLOW, CONTENT_TYPE, HOST, LOCATION},
};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::sync::{Notify, mpsc, oneshot};
use zeroize::Zeroizing;

use super::{
    browser::TheBrowser,
    page::{Outcome, Pages},
};
use crate::{Callback, Error, timer};

const CALLBACK: &str = "/callback";
const DONE: &str = "/done";
/// More than a posted callback needs, in bytes, and how long it may take.
const MAX_BODY: usize = 16 * 1024;
const BODY: Duration = Duration::from_secs(5);

pub(super) type Answer = Response<Full<Bytes>>;

/// The sign-in that callbacks are to belong to.
pub(super) struct Expected {
    /// The random part of the address that the browser is given.
    pub(super) start: Zeroizing<String>,
    /// Where the sign-in begins: the server's page.
    pub(super) target: String,
    pub(super) state: String,
    pub(super) may_post: bool,
}

/// A callback with the right `state`. Its browser waits until `answer` is sent.
pub(super) struct Arrival {
    pub(super) callback: Callback,
    pub(super) answer: oneshot::Sender<()>,
}

pub(super) struct Door {
    /// The only `Host` there is: by another name this is somebody's page, whose name leads here (DNS rebinding).
    host: String,
    start_path: String,
    target: Zeroizing<String>,
    state: Zeroizing<String>,
    may_post: bool,
    browser: TheBrowser,
    pages: Pages,
    phase: Mutex<Phase>,
    arrivals: mpsc::Sender<Arrival>,
    farewell: Notify,
}

enum Phase {
    Waiting,
    /// Its code is being redeemed.
    Taken,
    Over(Outcome),
}

impl Door {
    pub(super) fn new(
        host: String,
        expected: Expected,
        pages: Pages,
        arrivals: mpsc::Sender<Arrival>,
    ) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            host,
            start_path: format!("/start/{}", *expected.start),
            browser: TheBrowser::new(&expected.start)?,
            target: Zeroizing::new(expected.target),
            state: Zeroizing::new(expected.state),
            may_post: expected.may_post,
            pages,
            phase: Mutex::new(Phase::Waiting),
            arrivals,
            farewell: Notify::new(),
        }))
    }

    pub(super) fn start_path(&self) -> &str {
        &self.start_path
    }

    /// From now on there is only this to say.
    pub(super) fn close(&self, outcome: Outcome) {
        *self.phase() = Phase::Over(outcome);
    }

    /// Ends when a browser has the last page.
    pub(super) async fn said_farewell(&self) {
        self.farewell.notified().await;
    }

    pub(super) fn note_farewell(&self) {
        self.farewell.notify_one();
    }

    pub(super) fn is_farewell(&self, request: &Request<Incoming>) -> bool {
        let is_over = matches!(*self.phase(), Phase::Over(_));
        is_over
            && request.uri().path() == DONE
            && self.refuses(request.version(), request.uri(), request.headers()).is_none()
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        if let Some(refusal) = self.refuses(head.version, &head.uri, &head.headers) {
            return refusal;
        }
        match (head.uri.path(), &head.method) {
            // It does not end the wait, whatever it knows.
            (CALLBACK, &Method::GET) if !self.browser.sent(&head.headers) => self.pages.of_another(),
            (CALLBACK, &Method::GET) => {
                let query = head.uri.query().unwrap_or_default();
                self.arrived(Callback::from_query(query).ok()).await
            }
            (CALLBACK, &Method::POST) if self.may_post => {
                // The post comes from the server's site, and so without a cookie that is `SameSite=Lax`.
                if !self.browser.has_opened() {
                    return self.pages.of_another();
                }
                self.arrived(posted(&head.headers, body).await).await
            }
            (CALLBACK, _) => not_allowed(if self.may_post { "GET, POST" } else { "GET" }),
            (path, &Method::GET) if same(path, &self.start_path) => self.start(&head.headers),
            (DONE, &Method::GET) => self.done(),
            _ => plain(StatusCode::NOT_FOUND),
        }
    }

    /// Requests that no browser makes which comes back from a sign-in.
    fn refuses(&self, version: Version, uri: &http::Uri, headers: &HeaderMap) -> Option<Answer> {
        let mut hosts = headers.get_all(HOST).iter();
        let is_ours =
            hosts.next().is_some_and(|host| host.as_bytes() == self.host.as_bytes()) && hosts.next().is_none();
        if !is_ours || version != Version::HTTP_11 || uri.authority().is_some() {
            return Some(plain(StatusCode::MISDIRECTED_REQUEST));
        }
        // A page that fetches us, or embeds us: it could not read the answer, but has no business here.
        let says =
            |name: &str, expected: &str| headers.get(name).is_none_or(|value| value.as_bytes() == expected.as_bytes());
        if !says("sec-fetch-mode", "navigate") || !says("sec-fetch-dest", "document") {
            // An icon is what browsers ask for by themselves.
            let status = if uri.path() == "/favicon.ico" { StatusCode::NOT_FOUND } else { StatusCode::FORBIDDEN };
            return Some(plain(status));
        }
        None
    }

    /// On to the server, as often as the user opens it, but in one browser only: whoever else reads the address on a command line
    /// does not get what is sent there.
    fn start(&self, headers: &HeaderMap) -> Answer {
        if !matches!(*self.phase(), Phase::Waiting) {
            return self.pages.over();
        }
        if self.browser.sent(headers) {
            return see_other(&self.target);
        }
        if !self.browser.is_first() {
            return self.pages.open_elsewhere();
        }
        let mut answer = see_other(&self.target);
        self.browser.mark(&mut answer);
        answer
    }

    fn done(&self) -> Answer {
        let Phase::Over(outcome) = &*self.phase() else { return plain(StatusCode::NOT_FOUND) };
        let mut answer = self.pages.last(outcome);
        self.browser.unmark(&mut answer);
        answer
    }

    async fn arrived(&self, callback: Option<Callback>) -> Answer {
        let Some(callback) = callback else { return self.pages.unreadable() };
        if !callback.state().is_some_and(|state| same(state, &self.state)) {
            return self.pages.of_another();
        }
        let (answer, answered) = oneshot::channel();
        {
            let mut phase = self.phase();
            if !matches!(*phase, Phase::Waiting) || self.arrivals.try_send(Arrival { callback, answer }).is_err() {
                return self.pages.over();
            }
            *phase = Phase::Taken;
        }
        match answered.await {
            // So that the code is not left in the address bar.
            Ok(()) => see_other(DONE),
            Err(_) => self.pages.over(),
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn posted(headers: &HeaderMap, body: Incoming) -> Option<Callback> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
    if !content_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    // What is announced is not waited for.
    if body.size_hint().lower() > MAX_BODY as u64 {
        return None;
    }
    let body = timer::timeout(BODY, Limited::new(body, MAX_BODY).collect()).await.ok()??.ok()?;
    Callback::from_form(&body.to_bytes()).ok()
}

pub(super) fn same(one: &str, other: &str) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

fn see_other(place: &str) -> Answer {
    let mut answer = plain(StatusCode::SEE_OTHER);
    match place.parse() {
        Ok(place) => drop(answer.headers_mut().insert(LOCATION, place)),
        Err(_) => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    answer
}

fn not_allowed(methods: &'static str) -> Answer {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED);
    answer.headers_mut().insert(ALLOW, http::HeaderValue::from_static(methods));
    answer
}

fn plain(status: StatusCode) -> Answer {
    super::page::answer(status, None)
}
