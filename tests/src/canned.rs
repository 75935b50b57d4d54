//! HTTP services that answer as they are told, and remember what they were asked.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use oauth_tokens::HttpClient;
use tower::Service;

/// A service without sockets: a function answers each request, and all requests are kept.
#[derive(Clone)]
pub struct Canned {
    answer: Arc<Answer>,
    requests: Arc<Mutex<Vec<Request<Bytes>>>>,
}

type Answer = dyn Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync;

impl Canned {
    /// Answers by this function.
    pub fn new(answer: impl Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), requests: Arc::default() }
    }

    /// Answers always the same.
    pub fn always(response: Response<Bytes>) -> Self {
        Self::new(move |_| response.clone())
    }

    /// Answers these one after another, and the last one for ever.
    pub fn sequence(responses: impl IntoIterator<Item = Response<Bytes>>) -> Self {
        let mut left: Vec<_> = responses.into_iter().collect();
        left.reverse();
        let left = Mutex::new(left);
        Self::new(move |_| {
            let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
            let next = if left.len() > 1 { left.pop() } else { left.last().cloned() };
            next.unwrap_or_else(|| status(StatusCode::NOT_FOUND))
        })
    }

    /// The service as the client that exchanges go through.
    pub fn http(&self) -> HttpClient {
        HttpClient::new(self.clone())
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request<Bytes>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The body of every request so far, as text.
    pub fn bodies(&self) -> Vec<String> {
        self.requests().iter().map(|request| String::from_utf8_lossy(request.body()).into_owned()).collect()
    }

    /// The URL of every request so far.
    pub fn urls(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.uri().to_string()).collect()
    }
}

impl std::fmt::Debug for Canned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canned").finish_non_exhaustive()
    }
}

impl Service<Request<Full<Bytes>>> for Canned {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let this = self.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let request = Request::from_parts(parts, body);
            let response = (this.answer)(&request);
            this.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            Ok(response.map(Full::new))
        }
        .boxed()
    }
}

/// A response of this status and JSON text.
pub fn json(code: u16, body: impl Into<String>) -> Response<Bytes> {
    let mut response = status(StatusCode::from_u16(code).unwrap_or_default());
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    *response.body_mut() = Bytes::from(body.into());
    response
}

/// A response of this status and nothing else.
pub fn status(code: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = code;
    response
}

/// A token response with this access token, good for an hour.
pub fn token(access_token: &str) -> Response<Bytes> {
    json(200, format!(r#"{{"access_token":"{access_token}","token_type":"Bearer","expires_in":3600}}"#))
}

/// Metadata of this issuer, with this token endpoint.
pub fn metadata(issuer: &str, token_endpoint: &str) -> Response<Bytes> {
    json(200, serde_json::json!({ "issuer": issuer, "token_endpoint": token_endpoint }).to_string())
}
