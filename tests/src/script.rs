//! An API that answers as it is told, and checks its callers' manners.

use std::{
    collections::VecDeque,
    fmt,
    future::pending,
    io, mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{
    Extensions, HeaderMap, Request, Response, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
    request::Parts,
};
use http_body::Body;
use http_body_util::BodyExt;
use tower::Service;
use tower_oauth::{BoxError, NotRetried, RetryOutcome};

use crate::probe::ProbeBody;

/// A service that answers one [`Answer`] after another, and 200 when none is left.
///
/// It panics when it is called without being ready.
pub struct Script {
    shared: Arc<Mutex<Shared>>,
    ready: bool,
}

#[derive(Default)]
struct Shared {
    answers: VecDeque<Answer>,
    seen: Vec<Seen>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// All but the body.
    pub head: Parts,
    /// What was read of the body; none if the answer came before.
    pub body: Option<Bytes>,
    /// The trailers that were read.
    pub trailers: Option<HeaderMap>,
    /// The body's own words about its length.
    pub exact_size: Option<u64>,
}

/// How a request is answered.
#[derive(Debug)]
pub struct Answer {
    kind: Kind,
    reads_body: bool,
}

#[derive(Debug)]
enum Kind {
    Response(Box<Response<ProbeBody>>),
    Error(io::Error),
    Never,
}

impl Answer {
    /// This response.
    #[must_use]
    pub fn new(response: Response<ProbeBody>) -> Self {
        Self { kind: Kind::Response(Box::new(response)), reads_body: true }
    }

    /// This status, with a few bytes of body.
    ///
    /// # Panics
    ///
    /// When it is no status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let mut response = Response::new(ProbeBody::of(&["an ", "answer"]));
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        Self::new(response)
    }

    /// This status, and these challenges.
    ///
    /// # Panics
    ///
    /// When they are no header values.
    #[must_use]
    pub fn challenges(status: u16, challenges: &[&str]) -> Self {
        let mut answer = Self::status(status);
        if let Kind::Response(response) = &mut answer.kind {
            for challenge in challenges {
                response.headers_mut().append(WWW_AUTHENTICATE, challenge.parse().expect("a header value"));
            }
        }
        answer
    }

    /// A 401 with this body.
    #[must_use]
    pub fn unauthorized(body: ProbeBody) -> Self {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        Self::new(response)
    }

    /// No response but an error.
    #[must_use]
    pub fn error(kind: io::ErrorKind) -> Self {
        Self { kind: Kind::Error(kind.into()), reads_body: true }
    }

    /// Nothing, ever.
    #[must_use]
    pub fn never() -> Self {
        Self { kind: Kind::Never, reads_body: true }
    }

    /// Without a look at the request's body, which is dropped.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.reads_body = false;
        self
    }
}

impl Script {
    /// These answers, then 200.
    #[must_use]
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let shared = Shared { answers: answers.into_iter().collect(), seen: Vec::new() };
        Self { shared: Arc::new(Mutex::new(shared)), ready: false }
    }

    /// One more answer, behind the others.
    pub fn answer_next(&self, answer: Answer) {
        self.lock().answers.push_back(answer);
    }

    /// What arrived.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// What arrived as `Authorization`, for each request; empty where there was none.
    #[must_use]
    pub fn authorizations(&self) -> Vec<String> {
        self.seen().iter().map(|seen| authorization(&seen.head.headers)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("nothing panics under this lock")
    }
}

/// The `Authorization` of a request; several are joined.
#[must_use]
pub fn authorization(headers: &HeaderMap) -> String {
    let values: Vec<_> = headers.get_all(AUTHORIZATION).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    values.join(" | ")
}

/// The outcome that a response tells of, in short: `-` when it tells of none.
#[must_use]
pub fn outcome(extensions: &Extensions) -> String {
    match extensions.get::<RetryOutcome>() {
        None => "-".to_owned(),
        Some(RetryOutcome::NotRetried(NotRetried::NotRenewed(error))) => format!("NotRenewed({:?})", error.kind()),
        Some(RetryOutcome::NotRetried(why)) => format!("{why:?}"),
        Some(outcome) => format!("{outcome:?}"),
    }
}

impl Clone for Script {
    /// Readiness is not cloned.
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), ready: false }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl<B> Service<Request<B>> for Script
where
    B: Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    type Response = Response<ProbeBody>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<ProbeBody>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(mem::take(&mut self.ready), "called without being ready");
        Box::pin(answer(self.clone(), request))
    }
}

async fn answer<B>(script: Script, request: Request<B>) -> io::Result<Response<ProbeBody>>
where
    B: Body<Error: Into<BoxError>>,
{
    let (head, body) = request.into_parts();
    let exact_size = body.size_hint().exact();
    let (number, answer) = {
        let mut shared = script.lock();
        shared.seen.push(Seen { head, body: None, trailers: None, exact_size });
        (shared.seen.len() - 1, shared.answers.pop_front().unwrap_or_else(|| Answer::status(200)))
    };
    if answer.reads_body {
        let (bytes, trailers) = read(body).await?;
        let seen = &mut script.lock().seen[number];
        (seen.body, seen.trailers) = (Some(bytes), trailers);
    }
    match answer.kind {
        Kind::Response(response) => Ok(*response),
        Kind::Error(error) => Err(error),
        Kind::Never => pending().await,
    }
}

async fn read<B>(body: B) -> io::Result<(Bytes, Option<HeaderMap>)>
where
    B: Body<Error: Into<BoxError>>,
{
    let mut body = pin!(body);
    let (mut bytes, mut trailers) = (BytesMut::new(), None);
    while let Some(frame) = body.frame().await {
        match frame.map_err(io::Error::other)?.into_data() {
            Ok(mut data) => bytes.put(data.copy_to_bytes(data.remaining())),
            Err(frame) => trailers = frame.into_trailers().ok().or(trailers),
        }
    }
    Ok((bytes.freeze(), trailers))
}
