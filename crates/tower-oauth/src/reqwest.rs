//! `reqwest::Request` over `reqwest::Client` as a tower service.

use http::{Extensions, HeaderMap, Response, StatusCode};

use crate::{
    NotReplayable, Origin,
    message::{RequestHead, sealed},
    target::{Destination, Located},
};

impl sealed::Request for ::reqwest::Request {
    type Kept = Self;

    fn located(&self) -> Located<'_> {
        Destination::of_url(self.url())
    }

    fn path(&self) -> &str {
        self.url().path()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn head<'a>(&'a self, origin: &'a Origin) -> RequestHead<'a> {
        let (method, path, headers) = (self.method(), self.url().path(), self.headers());
        RequestHead { origin, method, path, headers, extensions: None }
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    /// Reqwest copies a body that is in memory; a stream it cannot.
    fn keep(&mut self) -> Option<Self> {
        self.try_clone()
    }

    fn restore(kept: Self) -> Result<Self, NotReplayable> {
        Ok(kept)
    }
}

impl sealed::Response for ::reqwest::Response {
    type Body = ::reqwest::Body;

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
        Some(Destination::of_url(self.url()))
    }

    fn into_body(self) -> ::reqwest::Body {
        Response::from(self).into_body()
    }
}
