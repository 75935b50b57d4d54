//! The protected API: which path answers what.

mod mcp;
mod metadata;
mod refusal;
mod requirement;
mod token_check;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{Response, StatusCode, Uri};
use serde_json::json;

pub(crate) use requirement::ApiState;
pub use requirement::Requirement;

use crate::body::ResponseBody;
use crate::form;
use crate::incoming::Incoming;
use crate::respond::{self, header_value};
use crate::service::Side;
use crate::token::Grant;

const MCP: &str = "/mcp";

/// What is known of a request that may be looked at twice: before its body and after.
#[derive(Default)]
pub(crate) struct Admission {
    /// The key of its proof, which is good only once.
    proven: Option<String>,
}

/// Whether the request may come in, by its headers alone.
pub(crate) fn admit(incoming: &Incoming<'_>, admission: &mut Admission) -> Result<Caller, Box<Response<ResponseBody>>> {
    let uri = &incoming.parts.uri;
    if public_path(uri).is_some() || metadata::resource(uri).is_some() {
        return Ok(Caller::Anyone);
    }
    token_check::check(incoming, Side::Api, admission)
        .map(|grant| Caller::Client(Box::new(grant)))
        .map_err(|refusal| Box::new(refusal.into_response(incoming, Side::Api)))
}

/// Whether the token is good for what the authorization server itself tells of a user.
pub(crate) fn signed_in(
    incoming: &Incoming<'_>,
    admission: &mut Admission,
) -> Result<Grant, Box<Response<ResponseBody>>> {
    token_check::check(incoming, Side::Authorization, admission)
        .map_err(|refusal| Box::new(refusal.into_response(incoming, Side::Authorization)))
}

pub(crate) enum Caller {
    Client(Box<Grant>),
    /// The path asks for no token.
    Anyone,
}

pub(crate) fn answer(incoming: &Incoming<'_>, admission: &mut Admission, body: Bytes) -> Response<ResponseBody> {
    let (shared, parts) = (incoming.shared, incoming.parts);
    let caller = match admit(incoming, admission) {
        Ok(caller) => caller,
        Err(refusal) => return *refusal,
    };
    {
        let mut model = shared.lock();
        match caller {
            Caller::Client(_) => model.counters.api_accepted += 1,
            Caller::Anyone => model.counters.api_public += 1,
        }
    }
    if let Some(resource) = metadata::resource(&parts.uri) {
        return metadata::answer(shared, resource);
    }
    let path = public_path(&parts.uri).unwrap_or_else(|| parts.uri.path());
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "echo"] => echo(parts, body),
        ["", "status", code] => match code.parse() {
            Ok(status) => respond::text(status, &format!("{status}\n")),
            Err(_) => respond::text(StatusCode::BAD_REQUEST, "no such status\n"),
        },
        ["", "redirect"] => redirect(StatusCode::FOUND, &parts.uri),
        ["", "redirect", code] => match code.parse() {
            Ok(status) => redirect(status, &parts.uri),
            Err(_) => respond::text(StatusCode::BAD_REQUEST, "no such status\n"),
        },
        _ if path == MCP => mcp::answer(&parts.method, &body, &caller),
        _ => tell(incoming, &body, &caller),
    }
}

/// What is left of a path after `/public`.
fn public_path(uri: &Uri) -> Option<&str> {
    let rest = uri.path().strip_prefix("/public")?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn echo(parts: &Parts, body: Bytes) -> Response<ResponseBody> {
    let mut response = respond::with_status(StatusCode::OK, ResponseBody::full(body));
    if let Some(content_type) = parts.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    response
}

fn redirect(status: StatusCode, uri: &Uri) -> Response<ResponseBody> {
    let query = form::pairs(uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
    let Some((_, to)) = query.into_iter().find(|(name, _)| name == "to") else {
        return respond::text(StatusCode::BAD_REQUEST, "the query names no target: ?to=URL\n");
    };
    let mut response = respond::text(status, "");
    response.headers_mut().insert(LOCATION, header_value(&to));
    response
}

fn tell(incoming: &Incoming<'_>, body: &Bytes, caller: &Caller) -> Response<ResponseBody> {
    let parts = incoming.parts;
    let mut answer = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "body_len": body.len(),
    });
    if let Caller::Client(grant) = caller {
        answer["client_id"] = json!(grant.client_id);
        answer["sub"] = json!(grant.subject);
        answer["scope"] = json!(grant.scope());
        answer["aud"] = json!(grant.audience);
        for (name, value) in grant.extras(incoming.shared) {
            answer[name] = value;
        }
    }
    respond::json(StatusCode::OK, &answer)
}
