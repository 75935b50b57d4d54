//! Redirects, followed above the layer (R13).

use async_trait::async_trait;
use http::{
    Extensions, HeaderMap, Method, StatusCode,
    header::{
        AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION,
        TRANSFER_ENCODING,
    },
};
use reqwest::{Request, Response, Url};
use reqwest_middleware::{Middleware, Next, Result};

use crate::{Error, ErrorKind};

/// As many as reqwest follows.
const MAX_REDIRECTS: usize = 10;

/// Follows redirects as reqwest does (RFC 9110, section 15.4), but through the middlewares below it, each time anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FollowRedirects;

#[async_trait]
impl Middleware for FollowRedirects {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        for _ in 0..MAX_REDIRECTS {
            let kept = request.try_clone();
            let head = bodiless(&request);
            let response = next.clone().run(request, extensions).await?;
            match redirected(&response, kept, head) {
                Some(next_request) => request = next_request,
                None => return Ok(response),
            }
        }
        let response = next.run(request, extensions).await?;
        if location(&response).is_none() {
            return Ok(response);
        }
        let message = format!(
            "more than {MAX_REDIRECTS} redirects, the last one from {}",
            response.url().origin().ascii_serialization()
        );
        Err(reqwest_middleware::Error::middleware(Error::new(ErrorKind::TooManyRedirects, message)))
    }
}

/// The request that a redirect asks for. None: it is none, or it asks for a body that is gone.
fn redirected(response: &Response, kept: Option<Request>, head: Request) -> Option<Request> {
    let target = location(response)?;
    let method = head.method();
    let drops_body = match response.status() {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => method == Method::POST,
        StatusCode::SEE_OTHER => method != Method::HEAD,
        _ => false,
    };
    let mut request = if drops_body { head } else { kept? };
    if drops_body {
        *request.method_mut() = Method::GET;
        for header in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
            request.headers_mut().remove(header);
        }
    }
    if target.origin() != request.url().origin() {
        forget_origin(request.headers_mut());
    }
    *request.url_mut() = target;
    Some(request)
}

/// Where a redirect leads, if it is one that can be followed.
fn location(response: &Response) -> Option<Url> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| is_redirect)?;
    let target = response.url().join(location.to_str().ok()?).ok()?;
    let downgraded = response.url().scheme() == "https" && target.scheme() == "http";
    (matches!(target.scheme(), "http" | "https") && !downgraded).then_some(target)
}

/// What was meant for the old origin does not go to the new one.
fn forget_origin(headers: &mut HeaderMap) {
    for header in [AUTHORIZATION, COOKIE, HOST, PROXY_AUTHORIZATION] {
        headers.remove(header);
    }
}

fn bodiless(request: &Request) -> Request {
    let mut head = Request::new(request.method().clone(), request.url().clone());
    *head.headers_mut() = request.headers().clone();
    *head.version_mut() = request.version();
    *head.timeout_mut() = request.timeout().copied();
    head
}
