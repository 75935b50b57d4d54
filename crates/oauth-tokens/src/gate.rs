//! What protects an authorization server from all its clients and caches together (F15): so many token requests at once, and
//! one at a time while it is down.
//!
//! | file | idea |
//! |---|---|
//! | `in_flight.rs` | places for so many requests at once, and a queue for the rest |
//! | `outage.rs` | whether the server is down, and when it is asked again |

mod in_flight;
mod outage;

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::time::Instant;

use self::{
    in_flight::{InFlight, LONGEST_WAIT, Place},
    outage::{Admission, Failure, Outage, Reason, Refused},
};
use crate::{
    Error, ErrorKind, OAuthError,
    clock::Clock,
    retry::MAX_ATTEMPTS,
    telemetry::{self, Refusal},
};

/// So many token requests are under way at once, if nobody says otherwise.
pub(crate) const MAX_IN_FLIGHT: usize = 64;
/// Whoever is dropped after waiting this long for an answer, has learnt that there is none.
const NO_ANSWER: Duration = Duration::from_secs(5);

/// All token requests to one server come through here.
pub(crate) struct Gate {
    in_flight: InFlight,
    outage: Mutex<Outage>,
    ids: AtomicU64,
}

impl Gate {
    /// Lets so many through at once.
    pub(crate) fn new(max_in_flight: usize) -> Self {
        Self { in_flight: InFlight::new(max_in_flight), outage: Mutex::default(), ids: AtomicU64::new(0) }
    }

    /// A number for an exchange.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Relaxed)
    }

    /// Whether another exchange failed before, in the same outage.
    pub(crate) fn is_known(&self, id: u64) -> bool {
        self.outage().is_known(id)
    }

    /// For the attempts of one exchange.
    pub(crate) fn pass<'a>(&'a self, id: u64, clock: &'a Clock, what: &'a str) -> Pass<'a> {
        Pass { gate: self, clock, what, id, attempt: None, failed: 0, failure: None }
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One exchange on its way through the gate.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    clock: &'a Clock,
    /// What is tried, by whom: the beginning of every message.
    what: &'a str,
    id: u64,
    attempt: Option<Attempt<'a>>,
    /// How many attempts failed.
    failed: u32,
    /// How the latest did, if it speaks against the server, and when it began.
    failure: Option<(Failure, Instant)>,
}

/// A request under way.
struct Attempt<'a> {
    _place: Place<'a>,
    began: Instant,
    is_probe: bool,
}

impl<'a> Pass<'a> {
    /// Whether there is any point in making a request ready: it takes secrets and signatures.
    pub(crate) fn look(&self) -> Result<(), Error> {
        let seen = self.gate.outage().look(self.clock.now());
        seen.map_err(|refused| self.refusal(&refused))
    }

    /// Waits for a place, right before the request is sent. Nothing else is waited for with a place taken: what makes a
    /// request ready may be an exchange itself.
    pub(crate) async fn enter(&mut self) -> Result<(), Error> {
        let Some(place) = self.gate.in_flight.enter(self.clock).await? else {
            telemetry::refused(Refusal::Full);
            let message = format!(
                "{} was not sent: too many to that server are under way, and no place became free within {} s; it is slow, \
                 or AuthorizationServerBuilder::max_in_flight is too low",
                self.what,
                LONGEST_WAIT.as_secs()
            );
            return Err(Error::new(ErrorKind::ServerUnavailable, message).with_unsent(true));
        };
        let now = self.clock.now();
        // Only now: the server may have gone down meanwhile.
        let admission = self.gate.outage().admit(self.id, now);
        let is_probe = match admission {
            Admission::Open => false,
            Admission::Probe => true,
            Admission::Refused(refused) => return Err(self.refusal(&refused)),
        };
        self.attempt = Some(Attempt { _place: place, began: now, is_probe });
        Ok(())
    }

    /// The request was answered, or failed. Says whether that is known already: another request failed in the same outage.
    pub(crate) fn ended(&mut self, failure: Option<&Error>) -> bool {
        let Some(attempt) = self.attempt.take() else { return false };
        match Word::of(failure) {
            Word::Alive => {
                self.failure = None;
                if self.gate.outage().alive(self.clock.now()) {
                    tracing::info!(what = self.what, "the authorization server answers again");
                }
            }
            Word::Nothing => self.release(&attempt),
            Word::Down(failure) => {
                self.down(&attempt, failure);
                return self.gate.outage().tell(self.id);
            }
        }
        false
    }

    fn down(&mut self, attempt: &Attempt<'_>, failure: Failure) {
        if attempt.is_probe {
            self.gate.outage().probe_failed(self.id, failure, self.clock.now());
            return;
        }
        self.failed += 1;
        self.count(failure.clone(), 1, attempt.began);
        self.failure = Some((failure, attempt.began));
    }

    /// A failure counts as so many attempts.
    fn count(&self, failure: Failure, attempts: u32, began: Instant) {
        let why = failure.why;
        if self.gate.outage().failed(failure, attempts, began, self.clock.now()) {
            // Of the outage itself whoever failed first has warned.
            tracing::info!(what = self.what, %why, "the authorization server seems to be down; it is asked now and then");
        }
    }

    fn release(&self, attempt: &Attempt<'_>) {
        if attempt.is_probe {
            self.gate.outage().probe_dropped(self.id);
        }
    }

    fn refusal(&self, refused: &Refused) -> Error {
        telemetry::refused(Refusal::Down);
        // Nothing of what the server said: that may be another tenant's business.
        let message = format!(
            "{} was not sent: the last token requests to that server all failed (the latest: {}), so it is asked now and \
             then until it answers; check that it is up",
            self.what, refused.why
        );
        Error::new(ErrorKind::ServerUnavailable, message)
            .with_unsent(true)
            .with_known(true)
            .with_retry_after(refused.retry_after)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            // Dropped before the answer came: by the exchange's deadline, or by whoever waited for it.
            match self.clock.now().saturating_duration_since(attempt.began) >= NO_ANSWER {
                true => {
                    self.down(&attempt, Failure::silence());
                    self.gate.outage().tell(self.id);
                }
                false => self.release(&attempt),
            }
        }
        if let Some((failure, began)) = self.failure.take() {
            // What was not tried again weighs as much as what was.
            self.count(failure, MAX_ATTEMPTS.saturating_sub(self.failed), began);
        }
    }
}

/// What the end of a request says of the server.
enum Word {
    Alive,
    Down(Failure),
    /// Nothing: it is about this client or request, or the fault is ours.
    Nothing,
}

impl Word {
    fn of(failure: Option<&Error>) -> Self {
        let Some(error) = failure else { return Self::Alive };
        let down = |why| Self::Down(Failure { why, retry_after: error.retry_after() });
        match (error.kind(), error.status()) {
            (ErrorKind::Timeout, _) => Self::Down(Failure::silence()),
            (ErrorKind::Transport, _) => down(Reason::Unreached),
            // One client's business; its cache heeds `Retry-After` by itself.
            (_, Some(StatusCode::TOO_MANY_REQUESTS)) => Self::Nothing,
            (_, Some(status)) if is_unwell(status, error.oauth()) => down(Reason::Status(status)),
            // Whether the token is of use to whoever asked is that one's business.
            (ErrorKind::OAuth | ErrorKind::InvalidResponse, Some(_)) => Self::Alive,
            // A filter in front of the server dislikes this one request: others it may like.
            _ => Self::Nothing,
        }
    }
}

/// Whether an answer speaks of the server, not of the request, by its status or its error (RFC 6749, section 4.1.2.1, names
/// these for another endpoint).
fn is_unwell(status: StatusCode, oauth: Option<&OAuthError>) -> bool {
    let code = oauth.map(|oauth| oauth.code.as_str());
    let by_code = matches!(code, Some("temporarily_unavailable" | "server_error"));
    by_code || status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT
}
