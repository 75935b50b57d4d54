//! Redirects, followed above the layer, so that each place that one leads to is looked at anew (R13).

use std::sync::Arc;

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

use crate::{Error, ErrorKind, TokenOptions, deadline::Deadline, policy::Policy};

/// As many as reqwest follows.
const MAX_REDIRECTS: usize = 10;

/// Follows redirects, as reqwest does (RFC 9110, section 15.4), but through the middlewares below it.
#[derive(Clone, Debug)]
pub(crate) struct FollowRedirects {
    pub(crate) policy: Arc<Policy>,
}

#[async_trait]
impl Middleware for FollowRedirects {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let deadline = Deadline::of(&request);
        let mut first = None;
        for _ in 0..MAX_REDIRECTS {
            // The only copy unless there is a redirect, as most requests meet none: three more were a fifth of reqwest's own work.
            let kept = Kept::of(&request);
            let response = next.clone().run(request, extensions).await?;
            let Some(target) = location(&response) else { return Ok(response) };
            let first = first.get_or_insert_with(|| bodiless(&kept.request));
            match self.redirected(&response, kept, target) {
                // Against what the caller asked for, not the last hop: another place on the way may have changed it.
                Some(redirected) if self.policy.keeps_key(first, &redirected, extensions) => request = redirected,
                _ => return Ok(response),
            }
            self.leave_scopes_behind(first, &request, extensions);
            deadline.apply(&mut request);
        }
        let response = next.run(request, extensions).await?;
        if location(&response).is_none() {
            return Ok(response);
        }
        let from = response.url().origin().ascii_serialization();
        let message = format!("more than {MAX_REDIRECTS} redirects, the last one from {from}");
        Err(reqwest_middleware::Error::middleware(Error::new(ErrorKind::TooManyRedirects, message)))
    }
}

impl FollowRedirects {
    /// The request that a redirect asks for. None: it is none that is followed here, or it asks for a body that is gone.
    fn redirected(&self, response: &Response, kept: Kept, target: Url) -> Option<Request> {
        let Kept { mut request, is_whole } = kept;
        let method = request.method();
        let drops_body = match response.status() {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => method == Method::POST,
            StatusCode::SEE_OTHER => method != Method::HEAD,
            _ => false,
        };
        if drops_body {
            *request.body_mut() = None;
            *request.method_mut() = Method::GET;
            for header in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
                request.headers_mut().remove(header);
            }
        } else if !is_whole {
            return None;
        }
        if !self.may_follow(request.method(), response.url(), &target) {
            return None;
        }
        if target.origin() != response.url().origin() {
            forget_origin(request.headers_mut());
        }
        *request.url_mut() = target;
        Some(request)
    }

    /// Scopes that the caller wants for one origin are not asked for on the word of another.
    fn leave_scopes_behind(&self, first: &Request, request: &Request, extensions: &mut Extensions) {
        if self.policy.route_of(first.url()) != self.policy.route_of(request.url())
            && let Some(options) = extensions.get_mut::<TokenOptions>()
        {
            options.scopes.clear();
        }
    }

    /// Nobody but the caller makes a request that changes something at an origin where it gets a token: a redirect into
    /// such an origin, from anywhere else, is followed for safe methods only.
    fn may_follow(&self, method: &Method, from: &Url, to: &Url) -> bool {
        let (source, target) = (self.policy.route_of(from), self.policy.route_of(to));
        let is_downgrade = from.scheme() == "https" && to.scheme() == "http";
        let is_driven_by_another = target.is_some() && source != target && !method.is_safe();
        !is_downgrade && !is_driven_by_another
    }
}

/// What is left of a request that is under way.
struct Kept {
    request: Request,
    /// Whether with its body: a stream is gone.
    is_whole: bool,
}

impl Kept {
    fn of(request: &Request) -> Self {
        match request.try_clone() {
            Some(request) => Self { request, is_whole: true },
            None => Self { request: bodiless(request), is_whole: false },
        }
    }
}

/// Where a redirect leads, if it is one.
fn location(response: &Response) -> Option<Url> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(LOCATION).filter(|_| is_redirect)?;
    let target = response.url().join(location.to_str().ok()?).ok()?;
    matches!(target.scheme(), "http" | "https").then_some(target)
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
