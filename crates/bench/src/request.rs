//! The requests that are sent: built anew for each call, as the author of a service would.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT},
};
use http_body_util::Full;

use crate::BoxError;

pub(crate) type Body = Full<Bytes>;

pub(crate) const ORIGIN: &str = "https://api.example.com";
/// Lengths of tokens: an opaque one, a JWT, a JWT full of groups.
pub(crate) const TOKEN_LENGTHS: [usize; 3] = [40, 800, 2000];
/// The length where only one is measured.
pub(crate) const TOKEN_LENGTH: usize = 800;
const BODY_LENGTH: usize = 64;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `GET` with four headers and no body.
    Get4,
    /// `POST` with five headers and a body of 64 bytes.
    Post5,
}

impl Shape {
    pub(crate) const ALL: [Self; 2] = [Self::Get4, Self::Post5];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get4 => "get4",
            Self::Post5 => "post5",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == name)
    }
}

/// What a client holds to build its requests from. Each thread has its own, so that its reference counts are nobody else's.
#[derive(Debug)]
pub(crate) struct Requests {
    shape: Shape,
    /// Parsed once; each request has a clone, which shares the text.
    uri: Uri,
    /// From the settings of the client, so its clones share the text, too.
    user_agent: HeaderValue,
    request_id: HeaderValue,
    body: [u8; BODY_LENGTH],
}

impl Requests {
    pub(crate) fn new(shape: Shape) -> Result<Self, BoxError> {
        Ok(Self {
            shape,
            uri: format!("{ORIGIN}/v1/orders/42").try_into()?,
            user_agent: HeaderValue::from_str("orders/1.4.2")?,
            request_id: HeaderValue::from_str("3f2a9c51-7d0e-4b8f-9a66-1c5e8d7b2f40")?,
            body: [b'x'; BODY_LENGTH],
        })
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// A new request.
    #[inline]
    pub(crate) fn make(&self) -> Request<Body> {
        match self.shape {
            Shape::Get4 => self.with_four_headers(Full::default()),
            Shape::Post5 => {
                // What a serializer makes is a buffer of its own, and is not shared yet.
                let mut request = self.with_four_headers(Full::new(Bytes::from(self.body.to_vec())));
                *request.method_mut() = Method::POST;
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                request
            }
        }
    }

    #[inline]
    fn with_four_headers(&self, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, self.user_agent.clone());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
        headers.insert(REQUEST_ID, self.request_id.clone());
        request
    }
}

/// A token of this length, of the characters that tokens have.
pub(crate) fn token(length: usize) -> String {
    const CHARACTERS: &str = "eyJhbGciOiJFUzI1NiJ9.0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    CHARACTERS.chars().cycle().take(length).collect()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn requests_have_what_their_names_say() {
        for (shape, method, headers, body) in [(Shape::Get4, Method::GET, 4, 0), (Shape::Post5, Method::POST, 5, 64)] {
            let request = Requests::new(shape).expect("valid").make();
            assert_eq!(request.method(), method);
            assert_eq!(request.headers().len(), headers);
            assert_eq!(request.uri(), "https://api.example.com/v1/orders/42");
            let bytes = crate::poll::to_end!(request.into_body().collect()).expect("a body").to_bytes();
            assert_eq!(bytes.len(), body);
        }
    }

    #[test]
    fn tokens_have_their_length() {
        for length in TOKEN_LENGTHS {
            assert_eq!(token(length).len(), length);
        }
    }
}
