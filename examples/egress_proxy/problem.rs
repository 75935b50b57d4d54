//! What the proxy itself answers, in place of an upstream.

use std::time::Duration;

use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::json;

use super::{
    body::{ResponseBody, full},
    headers::NAME,
};

/// Methods that are passed on; others that are not forbidden are, too.
pub(super) const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// A reason why there is no answer of an upstream.
///
/// The set is closed, and the texts are fixed: nothing of a request, of an upstream or of a token gets into an answer, a log or
/// a metric by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    BadHost,
    HostNotAllowed,
    FromPage,
    MethodNotAllowed,
    Upgrade,
    TransferCoding,
    Expectation,
    BadConnection,
    BadPath,
    Loop,
    NoUpstream,
    TooManyHeaders,
    CallerSilent,
    CallerFailed,
    TokenRefused,
    TokenNotNow(Option<Duration>),
    TokenTimeout,
    Unreachable,
    ConnectTimeout,
    ConnectionLost,
    BadResponse,
    ResponseTimeout,
}

/// A problem in all its forms.
struct Form {
    status: StatusCode,
    /// The label in metrics, and `code` in the answer.
    code: &'static str,
    /// By the registry of `Proxy-Status` (RFC 9209, section 2.3).
    proxy_status: &'static str,
    detail: &'static str,
}

impl Problem {
    fn form(self) -> Form {
        use StatusCode as S;
        let form = |status, code, proxy_status, detail| Form { status, code, proxy_status, detail };
        let denied = "http_request_denied";
        match self {
            Self::BadHost => form(
                S::BAD_REQUEST,
                "bad_host",
                "http_request_error",
                "a request needs one `Host`, and an absolute target has to name the same",
            ),
            Self::HostNotAllowed => form(
                S::MISDIRECTED_REQUEST,
                "host_not_allowed",
                denied,
                "the request's `Host` is none of the names that this proxy goes by; its settings list them",
            ),
            Self::FromPage => form(
                S::FORBIDDEN,
                "from_page",
                denied,
                "a browser sent this request, perhaps for a web page; this proxy is for programs on this machine",
            ),
            Self::MethodNotAllowed => {
                form(S::METHOD_NOT_ALLOWED, "method_not_allowed", denied, "this method is not passed on")
            }
            Self::Upgrade => form(
                S::NOT_IMPLEMENTED,
                "upgrade",
                "http_upgrade_failed",
                "this proxy passes on requests and responses, no other protocols: neither tunnels nor WebSockets",
            ),
            Self::TransferCoding => form(
                S::NOT_IMPLEMENTED,
                "transfer_coding",
                "http_request_error",
                "of transfer codings, only `chunked` is known, once",
            ),
            Self::Expectation => {
                form(S::EXPECTATION_FAILED, "expectation", denied, "of expectations, only `100-continue` is known")
            }
            Self::BadConnection => {
                form(S::BAD_REQUEST, "bad_connection", "http_request_error", "the `Connection` header cannot be read")
            }
            Self::BadPath => form(
                S::BAD_REQUEST,
                "bad_path",
                "http_request_error",
                "the request's path may lead out of what it begins with: write it without dot segments, backslashes and control characters",
            ),
            Self::Loop => {
                form(S::LOOP_DETECTED, "loop", "proxy_loop_detected", "the request has been through this proxy before")
            }
            Self::NoUpstream => {
                form(S::NOT_FOUND, "no_upstream", "destination_not_found", "no upstream is set up for this path")
            }
            Self::TooManyHeaders => form(
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "too_many_headers",
                "http_request_error",
                "the request has so many headers that no further one can be added",
            ),
            Self::CallerSilent => form(
                S::REQUEST_TIMEOUT,
                "caller_silent",
                "http_request_error",
                "the request's body has stood still for too long",
            ),
            Self::CallerFailed => {
                form(S::BAD_REQUEST, "caller_failed", "http_request_error", "the request's body ended too early")
            }
            Self::TokenRefused => form(
                S::BAD_GATEWAY,
                "token_refused",
                "proxy_configuration_error",
                "the proxy gets no access token for this upstream, and somebody has to change something: its log says what",
            ),
            Self::TokenNotNow(_) => form(
                S::SERVICE_UNAVAILABLE,
                "token_not_now",
                "destination_unavailable",
                "the proxy gets no access token for this upstream at the moment; its log says why",
            ),
            Self::TokenTimeout => form(
                S::GATEWAY_TIMEOUT,
                "token_timeout",
                "connection_timeout",
                "the authorization server did not answer in time",
            ),
            Self::Unreachable => form(
                S::BAD_GATEWAY,
                "unreachable",
                "destination_unavailable",
                "the upstream cannot be connected to; the proxy's log says why",
            ),
            Self::ConnectTimeout => form(
                S::GATEWAY_TIMEOUT,
                "connect_timeout",
                "connection_timeout",
                "the upstream cannot be connected to in time",
            ),
            Self::ConnectionLost => form(
                S::BAD_GATEWAY,
                "connection_lost",
                "connection_terminated",
                "the upstream closed the connection before it answered; whether it acted on the request is not known",
            ),
            Self::BadResponse => form(
                S::BAD_GATEWAY,
                "bad_response",
                "http_protocol_error",
                "the upstream answered with something that a proxy cannot pass on",
            ),
            Self::ResponseTimeout => form(
                S::GATEWAY_TIMEOUT,
                "response_timeout",
                "http_response_timeout",
                "the upstream did not answer in time; whether it acted on the request is not known",
            ),
        }
    }

    pub(super) fn code(self) -> &'static str {
        self.form().code
    }

    /// As `application/problem+json` (RFC 9457), with a `Proxy-Status` (RFC 9209) by which it is told from an upstream's answer.
    pub(super) fn into_response(self) -> Response<ResponseBody> {
        let Form { status, code, proxy_status, detail } = self.form();
        let problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "code": code,
            "detail": detail,
        });
        let mut response = Response::new(full(problem.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(value) = HeaderValue::try_from(format!("{NAME}; error={proxy_status}")) {
            headers.insert(HeaderName::from_static("proxy-status"), value);
        }
        match self {
            Self::MethodNotAllowed => {
                headers.insert(ALLOW, METHODS);
            }
            Self::TokenNotNow(Some(pause)) => {
                let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
                headers.insert(RETRY_AFTER, seconds.max(1).into());
            }
            _ => {}
        }
        response
    }
}
