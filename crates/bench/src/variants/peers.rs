//! Other people's crates: each configured as its documentation says, and where there is a choice, in its favour.
//!
//! Where a crate has a tower layer, that is called as ours is. Where it only hands out tokens or headers, the variant is the
//! least that sends a request with them: an async function on the caller's stack, without the box that most layers around
//! such a function would need. Where it has a request type of its own, there is a variant `…-static` beside it: the same
//! chain of calls with a header that never changes, which is to it what b is to the others.

mod aliri;
mod azure;
mod cf_gears;
mod google;
mod huskarl;
mod kube;
mod mcp;
mod middleware;
mod smithy;
#[cfg(test)]
mod tests;
mod tokens;

use std::{fmt, hint::black_box};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use tower::Service;

use super::{Caller, Entry, Family, Setting, Variant};
use crate::{
    BoxError,
    inner::{self, Inner},
    poll,
    report::Section,
    request::{Body, Requests, Shape},
};
use tokens::Tokens;

pub(super) const ENTRIES: &[Entry] = &[
    huskarl::PLAIN,
    huskarl::CLONE,
    cf_gears::PLAIN,
    cf_gears::RETRY,
    aliri::ENTRY,
    google::PLAIN,
    google::TAGGED,
    kube::ENTRY,
    azure::ENTRY,
    azure::STATIC,
    middleware::PLAIN,
    middleware::RETRY,
    middleware::STATIC,
    smithy::ENTRY,
    smithy::STATIC,
    mcp::ENTRY,
];

/// What one might look for and does not find, and why.
pub(crate) const NOT_COMPARED: &[(&str, &str)] = &[
    ("Go's golang.org/x/oauth2", "It is not Rust: another compiler, another allocator, another HTTP stack."),
    (
        "oauth2, openidconnect",
        "They make and read the messages of the protocol. Keeping, renewing and sending the token is left to the caller.",
    ),
    (
        "azure_identity",
        "It gets tokens and keeps them for each set of scopes; what is called for each request is azure_core's policy, which is \
         measured, over a credential that returns a token at once.",
    ),
    (
        "aws-smithy-runtime's whole operation",
        "Serialisation, endpoint, retries, interceptors and signing belong together there. Its token cache and its signer are \
         public, and measured without the rest.",
    ),
    (
        "rmcp's AuthClient",
        "It wraps a client of messages of the Model Context Protocol, not of HTTP requests: it can try a message again after a \
         401, and nothing else. What it asks for its token, the AuthorizationManager, is measured.",
    ),
    (
        "yup-oauth2, gcp_auth and others that hand out tokens",
        "Of that kind are aliri_tokens, google-cloud-auth and rmcp, which are measured.",
    ),
];

/// What they do, beside what they cost.
///
/// # Errors
///
/// None; all sections have one.
pub(crate) fn section() -> Result<Section, BoxError> {
    let text = include_str!("peers/behaviour.md").to_owned();
    Ok(Section { title: "What the peers do".to_owned(), text, ..Section::default() })
}

/// Sends a request in a peer's way.
trait Sender: Clone + Send + 'static {
    fn send(&mut self, request: Request<Body>) -> impl Future<Output = Result<Response<Body>, BoxError>>;
}

/// Calls a [`Sender`], as [`Calling`](super::Calling) calls a tower service.
struct Sending<T> {
    sender: T,
    requests: Requests,
}

impl<T: Sender> Sending<T> {
    fn boxed(sender: T, shape: Shape) -> Result<Box<dyn Variant>, BoxError> {
        Ok(Box::new(Self { sender, requests: Requests::new(shape)? }))
    }
}

impl<T: Sender> Caller for Sending<T> {
    #[inline]
    fn call(&mut self) {
        let request = self.requests.make();
        let _ = black_box(poll::to_end!(self.sender.send(request)));
    }

    fn fork(&self) -> Result<Self, BoxError> {
        Ok(Self { sender: self.sender.clone(), requests: Requests::new(self.requests.shape())? })
    }
}

/// Where all variants end: [`Inner`] when they are measured, a server that rejects a token when they are tested.
trait End:
    Service<Request<Body>, Response = Response<Body>, Error = std::convert::Infallible, Future: Send>
    + Clone
    + fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// For those that are no tower services. The headers are asked for only by who reads them.
    fn answer(&self, headers: impl FnOnce() -> HeaderMap) -> StatusCode;
}

impl End for Inner {
    #[inline]
    fn answer(&self, headers: impl FnOnce() -> HeaderMap) -> StatusCode {
        inner::send_with(headers);
        StatusCode::OK
    }
}

/// The parts of the requests that all others send, for clients with a request type of their own: what a request of theirs
/// is built from costs them no more than it costs the others.
struct RequestParts {
    get4: Requests,
    shape: Shape,
}

impl RequestParts {
    fn new(shape: Shape) -> Result<Self, BoxError> {
        Ok(Self { get4: Requests::new(Shape::Get4)?, shape })
    }

    #[inline]
    fn make(&self) -> (Parts, Option<Bytes>) {
        let (mut parts, _) = self.get4.make().into_parts();
        match self.shape {
            Shape::Get4 => (parts, None),
            Shape::Post5 => {
                parts.method = Method::POST;
                parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                (parts, Some(Bytes::from(vec![b'x'; 64])))
            }
        }
    }
}

fn bearer(token: &str) -> Result<HeaderValue, BoxError> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
    value.set_sensitive(true);
    Ok(value)
}
