//! Requests and responses as the core sees them: of `http`, and of reqwest.

mod kept;

use std::time::Duration;

use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;

use self::kept::{Kept, KeptHead};
use crate::{
    NotReplayable, Origin, ReplayBody, grpc,
    target::{Destination, Located, Scheme},
};

/// A request that the layer takes: `http::Request<B>` with a [`ReplayBody`], and `reqwest::Request`. Sealed.
pub trait ProtectedRequest: sealed::Request {}

/// A response that the layer takes: `http::Response<B>`, and `reqwest::Response`. Sealed.
pub trait ProtectedResponse: sealed::Response {}

/// A service that the layer goes over: any that is `Clone`, as each request takes a clone along for its retry.
#[diagnostic::on_unimplemented(
    message = "the OAuth layer cannot go directly over `{Self}`, which is not `Clone`",
    label = "this service is not `Clone`",
    note = "put a `tower::buffer::Buffer` between them: `.layer(oauth).buffer(64).service(..)`"
)]
pub trait CloneService: Clone {}

// So that rustc says the words above, and not that `Clone` is missing.
#[diagnostic::do_not_recommend]
impl<S: Clone> CloneService for S {}

impl<R: sealed::Request> ProtectedRequest for R {}
impl<R: sealed::Response> ProtectedResponse for R {}

/// What a function that selects tokens, or tells a key, sees of a request; see
/// [`OAuthLayer::selecting`](crate::OAuthLayer::selecting) and [`OAuthLayer::keyed_by`](crate::OAuthLayer::keyed_by).
///
/// Scheme, host and port are those of the origin.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The origin, of those that the layer was told of, to which the request goes.
    pub origin: &'a Origin,
    /// The method.
    pub method: &'a Method,
    /// The path, without the query.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The extensions: the request's, or those of reqwest-middleware. None for a `reqwest::Request` anywhere else.
    pub extensions: Option<&'a Extensions>,
}

pub(crate) mod sealed {
    use super::{
        Body, Duration, Extensions, HeaderMap, Located, Method, NotReplayable, Origin, RequestHead, Scheme, StatusCode,
    };

    /// Where a request goes, as proofs of possession name it.
    pub trait Target {
        fn located(&self) -> Located<'_>;
        fn method(&self) -> &Method;
        fn path(&self) -> &str;
    }

    impl<T: Target> Target for &T {
        fn located(&self) -> Located<'_> {
            T::located(self)
        }

        fn method(&self) -> &Method {
            T::method(self)
        }

        fn path(&self) -> &str {
            T::path(self)
        }
    }

    #[diagnostic::on_unimplemented(
        message = "`{Self}` is no request that the OAuth layer takes",
        label = "neither `http::Request<B>` nor `reqwest::Request`",
        note = "the layer takes `http::Request<B>`, and `reqwest::Request` with the feature `reqwest`"
    )]
    pub trait Request: Target + Sized {
        /// What is held of the request while it is under way, to send it again.
        type Kept;
        /// What is held of its head, if that is by itself: it is large, and is not moved about.
        type KeptHead: Default;

        /// Whether the request is a gRPC call.
        const GRPC: bool = false;

        fn headers(&self) -> &HeaderMap;
        fn query(&self) -> Option<&str>;
        fn extensions(&self) -> Option<&Extensions>;
        fn head<'a>(&'a self, origin: &'a Origin, extensions: Option<&'a Extensions>) -> RequestHead<'a> {
            let (method, path, query, headers) = (self.method(), self.path(), self.query(), self.headers());
            RequestHead { origin, method, path, query, headers, extensions }
        }
        fn headers_mut(&mut self) -> &mut HeaderMap;
        /// Whether its URL is written with just this scheme and authority, and a path.
        fn is_written(&self, scheme: Scheme, authority: &str) -> bool;
        /// Whether its URL names no server at all.
        fn is_nowhere(&self) -> bool;
        /// The time that the request gives itself: for everything, the wait for a token and the retry included.
        fn timeout(&self) -> Option<Duration>;
        /// Tells whoever sends the request what is left of that time.
        fn set_timeout(&mut self, left: Duration);
        /// What it takes to send it again, but for its token and its head. None: it can be sent once.
        fn keep(&mut self) -> Option<Self::Kept>;
        fn keep_head(&self, head: &mut Self::KeptHead);
        /// What a proof needs of what was kept.
        fn target(kept: &Self::Kept, head: &Self::KeptHead) -> impl Target;
        fn restore(kept: Self::Kept, head: &Self::KeptHead) -> Result<Self, NotReplayable>;
    }

    #[diagnostic::on_unimplemented(
        message = "`{Self}` is no response that the OAuth layer takes",
        label = "neither `http::Response<B>` of a body nor `reqwest::Response`",
        note = "the layer takes `http::Response<B>` where `B` is an `http_body::Body`, and `reqwest::Response` with the feature `reqwest`"
    )]
    pub trait Response {
        type Body: Body;

        fn status(&self) -> StatusCode;
        fn headers(&self) -> &HeaderMap;
        fn extensions_mut(&mut self) -> &mut Extensions;
        /// Where the response came from, if it says so.
        fn came_from(&self) -> Option<Located<'_>>;
        fn into_body(self) -> Self::Body;
    }
}

impl<B: ReplayBody> sealed::Target for Request<B> {
    fn located(&self) -> Located<'_> {
        Destination::of_uri(self.uri())
    }

    fn method(&self) -> &Method {
        self.method()
    }

    fn path(&self) -> &str {
        self.uri().path()
    }
}

impl<B: ReplayBody> sealed::Request for Request<B> {
    type Kept = Kept<B::Kept>;
    type KeptHead = KeptHead;

    const GRPC: bool = B::GRPC;

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn query(&self) -> Option<&str> {
        self.uri().query()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions())
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    #[inline]
    fn is_written(&self, scheme: Scheme, authority: &str) -> bool {
        let uri = self.uri();
        let expected = match scheme {
            Scheme::Https => &http::uri::Scheme::HTTPS,
            Scheme::Http => &http::uri::Scheme::HTTP,
        };
        uri.scheme() == Some(expected)
            && uri.authority().is_some_and(|written| written.as_str() == authority)
            && uri.path_and_query().is_some_and(|path| path.as_str().starts_with('/'))
    }

    #[inline]
    fn is_nowhere(&self) -> bool {
        self.uri().authority().is_none()
    }

    fn timeout(&self) -> Option<Duration> {
        if B::GRPC { grpc::timeout(self.headers()) } else { None }
    }

    fn set_timeout(&mut self, left: Duration) {
        if B::GRPC {
            grpc::set_timeout(self.headers_mut(), left);
        }
    }

    #[inline]
    fn keep(&mut self) -> Option<Self::Kept> {
        // The body first: a request that cannot be sent again is not copied for nothing.
        let body = self.body_mut().keep()?;
        Some(Kept {
            method: self.method().clone(),
            version: self.version(),
            extensions: self.extensions().clone(),
            body,
        })
    }

    #[inline]
    fn keep_head(&self, head: &mut KeptHead) {
        head.keep(self.uri(), self.headers());
    }

    fn target(kept: &Self::Kept, head: &KeptHead) -> impl sealed::Target {
        let mut target = Request::new(());
        *target.method_mut() = kept.method.clone();
        *target.uri_mut() = head.uri().unwrap_or_default();
        target
    }

    fn restore(kept: Self::Kept, head: &KeptHead) -> Result<Self, NotReplayable> {
        let uri = head.uri().ok_or(NotReplayable::Opaque)?;
        let headers = head.headers().ok_or(NotReplayable::Opaque)?;
        // Last of what can fail, as it supersedes the first body.
        let mut request = Self::new(B::restore(kept.body)?);
        *request.method_mut() = kept.method;
        *request.uri_mut() = uri;
        *request.version_mut() = kept.version;
        *request.headers_mut() = headers;
        *request.extensions_mut() = kept.extensions;
        Ok(request)
    }
}

impl<B: Body> sealed::Response for Response<B> {
    type Body = B;

    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions_mut()
    }

    fn came_from(&self) -> Option<Located<'_>> {
        None
    }

    fn into_body(self) -> B {
        self.into_body()
    }
}
