//! The way of a request: in, through, back.

use std::error::Error;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tower_oauth::{BoxError, ErrorKind, oauth_tokens};

use super::{
    body::{self, Progress, ResponseBody, Stalled},
    door::{self, Host},
    figures::Account,
    headers::{self, Via},
    problem::{METHODS, Problem},
    redirect,
    routes::{Route, Routes},
    settings::Timeouts,
    upstream::Unauthorized,
};

/// Everything that a request meets.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) routes: Routes,
    pub(super) timeouts: Timeouts,
    pub(super) via: Via,
}

/// A problem, and for the log what caused it.
struct Failure(Problem, Option<String>);

impl Gateway {
    /// Always an answer: an upstream's, or a problem.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let mut account = Account::open(request.method());
        let response = match self.pass_on(request, &mut account).await {
            Ok(response) => response,
            Err(Failure(problem, cause)) => {
                account.failed(problem, cause);
                problem.into_response()
            }
        };
        account.answered(response.status());
        response.map(|body| body::holding(body, account))
    }

    async fn pass_on(
        &self,
        request: Request<Incoming>,
        account: &mut Account,
    ) -> Result<Response<ResponseBody>, Failure> {
        let (head, body) = request.into_parts();
        let host = door::admit(&head, &self.via)?;
        let (route, uri) = self.routes.find(&host, &head.uri)?;
        account.goes_to(&route.upstream.name);
        let mut headers = head.headers;
        if head.method == Method::OPTIONS && is_for_us(&mut headers) {
            return Ok(our_options());
        }
        headers::to_upstream(&mut headers, &self.via, route.upstream.cookies)?;

        let progress = Progress::new();
        let mut request = Request::new(body::to_upstream(body, self.timeouts.idle, progress.clone()));
        *request.method_mut() = head.method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        match progress.within(self.timeouts.response_head, route.upstream.send(request)).await {
            Some(Ok(response)) => Ok(self.bring_back(response, &host, route, &uri)?),
            Some(Err(error)) => Err(Failure(problem_of(&error), Some(causes(&*error)))),
            None => Err(Problem::ResponseTimeout.into()),
        }
    }

    fn bring_back(
        &self,
        response: Response<Incoming>,
        host: &Host,
        route: &Route,
        asked: &http::Uri,
    ) -> Result<Response<ResponseBody>, Problem> {
        let status = response.status();
        // The proxy has asked for no other protocol, and an upstream is no proxy.
        if status.is_informational() || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(Problem::BadResponse);
        }
        let (head, body) = response.into_parts();
        let mut headers = head.headers;
        headers::to_caller(&mut headers, &self.via, route.upstream.cookies)?;
        redirect::lead_through(&mut headers, &self.routes, host, route, asked);
        let mut response = Response::new(body::to_caller(body, self.timeouts.idle));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// Whether an `OPTIONS` may go no further (RFC 9110, section 7.6.2).
fn is_for_us(headers: &mut HeaderMap) -> bool {
    let hops = headers.get(header::MAX_FORWARDS).and_then(|hops| hops.to_str().ok()?.parse::<u32>().ok());
    match hops {
        Some(0) => true,
        Some(hops) => {
            headers.insert(header::MAX_FORWARDS, (hops - 1).into());
            false
        }
        None => false,
    }
}

fn our_options() -> Response<ResponseBody> {
    let mut response = Response::new(body::full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::ALLOW, METHODS);
    response
}

/// Why there is no answer of an upstream.
fn problem_of(error: &BoxError) -> Problem {
    if let Some(error) = error.downcast_ref::<tower_oauth::Error>() {
        return problem_of_token(error);
    }
    let any = |is: fn(&(dyn Error + 'static)) -> bool| successors(&**error).any(is);
    let is_hyper = |is: fn(&hyper::Error) -> bool| {
        successors(&**error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(is)
    };
    if any(|cause| cause.is::<Stalled>()) {
        return Problem::CallerSilent;
    }
    if any(|cause| cause.is::<Unauthorized>()) {
        return Problem::TokenRefused;
    }
    let client = error.downcast_ref::<hyper_util::client::legacy::Error>();
    if client.is_some_and(hyper_util::client::legacy::Error::is_connect) {
        return if any(is_timeout) { Problem::ConnectTimeout } else { Problem::Unreachable };
    }
    if is_hyper(hyper::Error::is_user) {
        Problem::CallerFailed
    } else if is_hyper(|error| error.is_parse() || error.is_parse_too_large()) {
        Problem::BadResponse
    } else {
        Problem::ConnectionLost
    }
}

fn problem_of_token(error: &tower_oauth::Error) -> Problem {
    match (error.kind(), error.token_error()) {
        (ErrorKind::AmbiguousPath, _) => Problem::BadPath,
        (ErrorKind::TooManyHeaders, _) => Problem::TooManyHeaders,
        (_, Some(cause)) if cause.kind() == oauth_tokens::ErrorKind::Timeout => Problem::TokenTimeout,
        (_, Some(cause)) if cause.is_transient() => Problem::TokenNotNow(cause.retry_after()),
        _ => Problem::TokenRefused,
    }
}

fn is_timeout(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
}

/// An error and its causes in one line. None of these errors holds a secret.
fn causes(error: &(dyn Error + 'static)) -> String {
    successors(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn successors<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem, None)
    }
}
