//! Answers, small and plain.

use std::borrow::Cow;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use crate::body::ResponseBody;

pub(crate) fn json(status: StatusCode, value: &Value) -> Response<ResponseBody> {
    content(status, "application/json", ResponseBody::full(value.to_string()))
}

pub(crate) fn text(status: StatusCode, text: &str) -> Response<ResponseBody> {
    content(status, "text/plain; charset=utf-8", ResponseBody::full(text.to_owned()))
}

pub(crate) fn content(status: StatusCode, content_type: &'static str, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = with_status(status, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn with_status(status: StatusCode, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// RFC 6749 section 5.1: answers with tokens or other secrets are not stored.
pub(crate) fn no_store(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A header value from a test's own text. What no header can carry becomes `?`.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| {
        let visible: String = text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect();
        HeaderValue::from_str(&visible).expect("visible ASCII is a header value")
    })
}

/// What an endpoint of the authorization server comes to.
pub(crate) type Answer = Result<Response<ResponseBody>, OAuthError>;

/// An error answer of the authorization server (RFC 6749 section 5.2).
#[derive(Debug)]
pub(crate) struct OAuthError {
    pub(crate) status: StatusCode,
    pub(crate) error: Cow<'static, str>,
    pub(crate) description: Option<Cow<'static, str>>,
}

impl OAuthError {
    pub(crate) fn new(error: impl Into<Cow<'static, str>>, description: &'static str) -> Self {
        let error = error.into();
        let status = match &*error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { status, error, description: Some(description.into()) }
    }

    pub(crate) fn into_response(self) -> Response<ResponseBody> {
        let mut body = json!({ "error": self.error });
        if let Some(description) = self.description {
            body["error_description"] = json!(description);
        }
        let mut response = no_store(json(self.status, &body));
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"oauth-test-server\""));
        }
        response
    }
}
