//! What a gRPC client sends.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Method, Request, header::CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::Full;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;

use super::greeter::Name;

/// The path of the unary method.
pub const GREET: &str = "/greeter.Greeter/Greet";

/// A name, as a message.
#[must_use]
pub fn name(name: impl Into<String>) -> Name {
    Name { name: name.into() }
}

/// A unary call whose body has a size of the test's choice.
#[derive(Clone, Copy, Debug)]
pub struct Unary {
    /// All bytes of the body, the five before the message included.
    pub wire: usize,
}

impl Unary {
    /// The message that makes a body of that size.
    ///
    /// # Panics
    ///
    /// When no message does.
    #[must_use]
    pub fn message(self) -> Name {
        let fits = |len: &usize| 5 + name("x".repeat(*len)).encoded_len() == self.wire;
        let len = (self.wire.saturating_sub(10)..=self.wire).find(fits).expect("a size that messages can have");
        name("x".repeat(len))
    }
}

/// A stream of names that the test sends one by one, and ends by dropping the sender.
#[must_use]
pub fn by_channel() -> (mpsc::UnboundedSender<Name>, UnboundedReceiverStream<Name>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, UnboundedReceiverStream::new(receiver))
}

/// A stream of these names.
pub fn names<const N: usize>(names: [&'static str; N]) -> impl tokio_stream::Stream<Item = Name> + Send + 'static {
    tokio_stream::iter(names.map(name))
}

/// The names in a body, as the wire has them.
///
/// # Panics
///
/// When they are not whole messages.
#[must_use]
pub fn names_in(body: &Bytes) -> Vec<String> {
    let (mut rest, mut found) = (body.clone(), Vec::new());
    while !rest.is_empty() {
        let head = rest.split_to(5);
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        found.push(Name::decode(rest.split_to(length)).expect("a message").name);
    }
    found
}

/// A call as it arrives at a channel: one name, these headers, no generated client.
///
/// # Panics
///
/// When it is no request.
#[must_use]
pub fn raw(uri: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let message = name("Ada");
    let mut wire = BytesMut::from(&[0, 0, 0, 0, 0][..]);
    wire[4] = u8::try_from(message.encoded_len()).expect("a short message");
    wire.put(message.encode_to_vec().as_slice());
    let body = Full::new(wire.freeze());
    assert!(!body.is_end_stream(), "there is a message in it");
    let mut request = Request::new(Body::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.parse().expect("a URI");
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    for (name, value) in headers {
        request.headers_mut().append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    }
    request
}
