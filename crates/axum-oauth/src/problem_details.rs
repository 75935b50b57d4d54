//! What is wrong, for programs (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE},
};
use serde_json::{Map, Value, json};

use crate::asked::NO_STORE;

/// How to get in: by the session of a sign-in. A 401 has to say something (RFC 9110, section 15.5.2), and no browser asks anybody for
/// a password by this.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Session");

pub(crate) struct ProblemDetails {
    status: StatusCode,
    fields: Map<String, Value>,
}

impl ProblemDetails {
    pub(crate) fn new(status: StatusCode, title: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("title".to_owned(), json!(title));
        fields.insert("status".to_owned(), json!(status.as_u16()));
        Self { status, fields }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.insert(name.to_owned(), json!(value));
        self
    }
}

impl IntoResponse for ProblemDetails {
    fn into_response(self) -> Response {
        let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/problem+json")), (CACHE_CONTROL, NO_STORE)];
        challenged((self.status, headers, Value::Object(self.fields).to_string()).into_response())
    }
}

pub(crate) fn challenged(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    }
    response
}
