//! What a gRPC server answers, for a [`Script`](crate::script::Script).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use prost::Message;

use super::greeter::Greeting;
use crate::{probe::ProbeBody, script::Answer};

/// An answer without messages: the status is among the headers.
#[must_use]
pub fn trailers_only(grpc_status: &str) -> Answer {
    trailers_only_with(grpc_status, &[])
}

/// The same, with more headers.
///
/// # Panics
///
/// When they are no headers.
#[must_use]
pub fn trailers_only_with(grpc_status: &str, headers: &[(&'static str, &str)]) -> Answer {
    let mut response = head(ProbeBody::of(&[]));
    for (name, value) in [("grpc-status", grpc_status)].iter().chain(headers) {
        response.headers_mut().append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    }
    Answer::new(response)
}

/// One greeting, and `OK` in the trailers.
#[must_use]
pub fn greeting(text: &str) -> Answer {
    greetings(&[text])
}

/// Several greetings, and `OK` in the trailers.
#[must_use]
pub fn greetings(texts: &[&str]) -> Answer {
    Answer::new(in_trailers("0", texts))
}

/// A response of these greetings, and a status in the trailers.
///
/// # Panics
///
/// When the status is no header value.
#[must_use]
pub fn in_trailers(grpc_status: &str, texts: &[&str]) -> Response<ProbeBody> {
    let frames: Vec<_> = texts.iter().map(|text| frame(text)).collect();
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        HeaderValue::from_str(grpc_status).expect("a header value"),
    )]);
    head(ProbeBody::of(&frames).trailers(trailers))
}

fn head(body: ProbeBody) -> Response<ProbeBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// A greeting as it is on the wire. Short and plain ones are text, so that a probe takes them.
fn frame(text: &str) -> &'static str {
    let message = Greeting { text: text.to_owned() }.encode_to_vec();
    let length = u32::try_from(message.len()).expect("a short text").to_be_bytes();
    let wire = [&[0], length.as_slice(), message.as_slice()].concat();
    String::from_utf8(Bytes::from(wire).to_vec()).expect("a short and plain text").leak()
}
