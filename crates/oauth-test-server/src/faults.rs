use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

use crate::body::ResponseBody;
use crate::dpop;
use crate::record::Endpoint;
use crate::respond::{self, OAuthError, header_value};
use crate::state::Shared;

/// What goes wrong with one request.
///
/// A fault comes before anything else: a request that is answered by one gets no token, spends no
/// refresh token and is not looked at. [`Delay`](Self::Delay), [`LoseAnswer`](Self::LoseAnswer) and
/// [`SameToken`](Self::SameToken) are the exceptions: the request is carried out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// This status, with a line of text.
    Status(StatusCode),
    /// This status, with a `Retry-After` header of this value (seconds or a date).
    StatusWithRetryAfter(StatusCode, String),
    /// This status, with no body and no content type.
    Empty(StatusCode),
    /// This status, with an HTML page, as proxies and firewalls answer.
    Html(StatusCode),
    /// An OAuth error (RFC 6749 section 5.2), a 401 with a Basic challenge, as token endpoints answer.
    OAuthError {
        /// Status of the answer.
        status: StatusCode,
        /// The `error` code.
        error: String,
        /// The `error_description`.
        description: Option<String>,
    },
    /// A 401 with this `WWW-Authenticate` value, or none.
    Unauthorized {
        /// The whole header value.
        challenge: Option<String>,
    },
    /// A request for a DPoP proof with this nonce (RFC 9449 sections 8 and 9): a 401 of the API, a 400
    /// elsewhere. The server does not know the nonce: with [`Faults::push_forever`] it never has enough.
    UseDpopNonce(String),
    /// A 200 that says it is JSON and is random bytes.
    Garbage,
    /// This answer, as it is.
    Raw(Response<Bytes>),
    /// This status; then the connection breaks halfway through the declared length of the body.
    CloseMidBody(StatusCode),
    /// This status, with a body that never ends, as fast as it is read.
    Endless(StatusCode),
    /// This status, with a body that never ends: one byte each time the duration has passed.
    Trickle(StatusCode, Duration),
    /// No answer for as long as the caller waits.
    Hang,
    /// The connection breaks without an answer; a plain service fails with
    /// [`io::ErrorKind::ConnectionReset`].
    Disconnect,
    /// The request is carried out after this long.
    Delay(Duration),
    /// The request is carried out, but the connection breaks instead of an answer. A rotated refresh
    /// token is lost this way.
    LoseAnswer,
    /// The token endpoint answers the access token that it issued last to that client, with what is
    /// left of its lifetime. Elsewhere, or when there was none: nothing is wrong.
    SameToken,
}

impl Fault {
    /// A 401 without a challenge.
    pub fn unauthorized() -> Self {
        Self::Unauthorized { challenge: None }
    }

    /// A 401 with this `WWW-Authenticate` value.
    pub fn challenge(value: impl Into<String>) -> Self {
        Self::Unauthorized { challenge: Some(value.into()) }
    }

    /// An OAuth error with the status 400 and no description.
    pub fn oauth_error(error: impl Into<String>) -> Self {
        Self::OAuthError { status: StatusCode::BAD_REQUEST, error: error.into(), description: None }
    }

    /// Waits out the fault, as far as it answers the request.
    pub(crate) async fn apply(self, endpoint: Endpoint) -> io::Result<Effect> {
        let response = match self {
            Fault::Status(status) => respond::text(status, &format!("fault: {status}\n")),
            Fault::StatusWithRetryAfter(status, after) => {
                let mut response = respond::text(status, &format!("fault: {status}\n"));
                response.headers_mut().insert(RETRY_AFTER, header_value(&after));
                response
            }
            Fault::Empty(status) => respond::with_status(status, ResponseBody::full("")),
            Fault::Html(status) => {
                let page = format!("<!DOCTYPE html>\n<html><body><h1>{status}</h1></body></html>\n");
                respond::content(status, "text/html; charset=utf-8", ResponseBody::full(page))
            }
            Fault::OAuthError { status, error, description } => {
                OAuthError { status, error: error.into(), description: description.map(Into::into) }.into_response()
            }
            Fault::Unauthorized { challenge } => {
                let mut response = respond::text(StatusCode::UNAUTHORIZED, "fault: 401\n");
                if let Some(challenge) = challenge {
                    response.headers_mut().insert(WWW_AUTHENTICATE, header_value(&challenge));
                }
                response
            }
            Fault::UseDpopNonce(nonce) => dpop::challenge(endpoint, &nonce),
            Fault::Garbage => {
                // 0xff first: never UTF-8, whatever the dice say.
                let mut bytes = vec![0xff; 256];
                fastrand::fill(&mut bytes[1..]);
                respond::content(StatusCode::OK, "application/json", ResponseBody::full(bytes))
            }
            Fault::Raw(response) => response.map(ResponseBody::full),
            Fault::CloseMidBody(status) => {
                let half = r#"{"access_token":"never-whole","#;
                let mut response = respond::content(status, "application/json", ResponseBody::broken(half));
                response.headers_mut().insert(CONTENT_LENGTH, (half.len() * 2).into());
                response
            }
            Fault::Endless(status) => respond::content(status, "application/json", ResponseBody::endless()),
            Fault::Trickle(status, every) => respond::content(status, "application/json", ResponseBody::trickle(every)),
            Fault::Hang => std::future::pending().await,
            Fault::Disconnect => return Err(disconnected()),
            Fault::Delay(duration) => {
                tokio::time::sleep(duration).await;
                return Ok(Effect::CarryOut(Twist::None));
            }
            Fault::LoseAnswer => return Ok(Effect::CarryOut(Twist::LoseAnswer)),
            Fault::SameToken => return Ok(Effect::CarryOut(Twist::SameToken)),
        };
        Ok(Effect::Answer(response))
    }

    /// Whether the request is looked at in spite of the fault.
    pub(crate) fn carries_out(&self) -> bool {
        matches!(self, Fault::Delay(_) | Fault::LoseAnswer | Fault::SameToken)
    }
}

pub(crate) enum Effect {
    Answer(Response<ResponseBody>),
    CarryOut(Twist),
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Twist {
    None,
    LoseAnswer,
    SameToken,
}

pub(crate) fn disconnected() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the test server broke the connection")
}

/// The faults that wait for the next requests to one endpoint, in order.
#[derive(Clone, Debug)]
pub struct Faults {
    shared: Arc<Shared>,
    endpoint: Endpoint,
}

impl Faults {
    pub(crate) fn new(shared: Arc<Shared>, endpoint: Endpoint) -> Self {
        Self { shared, endpoint }
    }

    /// The fault for the next `times` requests that have none yet.
    pub fn push(&self, times: usize, fault: Fault) {
        self.with(|queue| queue.push(Some(times), fault));
    }

    /// The fault for all requests from then on, until [`clear`](Self::clear).
    pub fn push_forever(&self, fault: Fault) {
        self.with(|queue| queue.push(None, fault));
    }

    /// Forgets the faults that were not used.
    pub fn clear(&self) {
        self.with(|queue| queue.0.clear());
    }

    /// Whether all faults were used.
    pub fn is_empty(&self) -> bool {
        self.with(|queue| queue.0.is_empty())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        change(self.shared.lock().faults.entry(self.endpoint).or_default())
    }
}

/// Faults with how often each is still due; `None` is for ever.
#[derive(Debug, Default)]
pub(crate) struct Queue(VecDeque<(Option<usize>, Fault)>);

impl Queue {
    fn push(&mut self, times: Option<usize>, fault: Fault) {
        if times != Some(0) {
            self.0.push_back((times, fault));
        }
    }

    pub(crate) fn next(&mut self) -> Option<Fault> {
        let (times, fault) = self.0.front_mut()?;
        let fault = fault.clone();
        if let Some(times) = times {
            *times -= 1;
            if *times == 0 {
                self.0.pop_front();
            }
        }
        Some(fault)
    }
}
