//! The protected API (RFC 6750).

use std::fmt::Write;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Response, StatusCode, Uri};
use serde_json::json;

use crate::body::ResponseBody;
use crate::form;
use crate::respond::{self, header_value};
use crate::state::Shared;
use crate::token::Grant;

const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource";

/// Whether the request may come in, by its headers alone.
pub(crate) fn admit(shared: &Shared, parts: &Parts) -> Result<Caller, Box<Response<ResponseBody>>> {
    if public_path(&parts.uri).is_some() || parts.uri.path() == RESOURCE_METADATA {
        return Ok(Caller::Anyone);
    }
    check_token(shared, parts).map(Caller::Client).map_err(|refusal| Box::new(refusal.into_response(shared)))
}

pub(crate) enum Caller {
    Client(Grant),
    /// The path asks for no token.
    Anyone,
}

pub(crate) fn answer(shared: &Shared, parts: &Parts, body: Bytes) -> Response<ResponseBody> {
    let caller = match admit(shared, parts) {
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
        _ if path == RESOURCE_METADATA => resource_metadata(shared),
        _ => tell(parts, &body, &caller),
    }
}

/// What is left of a path after `/public`.
fn public_path(uri: &Uri) -> Option<&str> {
    let rest = uri.path().strip_prefix("/public")?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn check_token(shared: &Shared, parts: &Parts) -> Result<Grant, Refusal> {
    let mut authorizations = parts.headers.get_all(AUTHORIZATION).iter();
    let Some(authorization) = authorizations.next() else {
        return Err(Refusal::NoToken);
    };
    if authorizations.next().is_some() {
        return Err(Refusal::InvalidRequest("two Authorization headers"));
    }
    let token = authorization
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or(Refusal::NoToken)?;

    // This server remembers each token that it signed, so one that it does not remember is forged: a
    // look-up says as much about a JWT as its signature, and knows its exact expiry and revocation.
    let model = shared.lock();
    let token = model.tokens.access.get(token).ok_or(Refusal::InvalidToken("the token is unknown"))?;
    if !token.is_active() {
        return Err(Refusal::InvalidToken("the token is expired or revoked"));
    }
    let settings = &shared.settings;
    if let Some(audience) = &settings.required_audience
        && !token.grant.audience.contains(audience)
    {
        return Err(Refusal::InvalidToken("the token is for another audience"));
    }
    if let Some(scope) = &settings.required_scope
        && !token.grant.scopes.contains(scope)
    {
        return Err(Refusal::InsufficientScope(scope.clone()));
    }
    Ok(token.grant.clone())
}

/// RFC 6750 section 3.1.
enum Refusal {
    NoToken,
    InvalidRequest(&'static str),
    InvalidToken(&'static str),
    InsufficientScope(String),
}

impl Refusal {
    fn into_response(self, shared: &Shared) -> Response<ResponseBody> {
        let (status, error, description) = match &self {
            // Without credentials, no error code: the client may not have known.
            Self::NoToken => (StatusCode::UNAUTHORIZED, None, ""),
            Self::InvalidRequest(why) => (StatusCode::BAD_REQUEST, Some("invalid_request"), *why),
            Self::InvalidToken(why) => (StatusCode::UNAUTHORIZED, Some("invalid_token"), *why),
            Self::InsufficientScope(_) => {
                (StatusCode::FORBIDDEN, Some("insufficient_scope"), "the token lacks a scope")
            }
        };
        let mut challenge = "Bearer realm=\"api\"".to_owned();
        let mut parameter = |name: &str, value: &str| {
            let value = value.replace(['"', '\\'], "?");
            write!(challenge, ", {name}=\"{value}\"").expect("a string takes any text");
        };
        if let Some(error) = error {
            parameter("error", error);
            parameter("error_description", description);
        }
        if let Self::InsufficientScope(scope) = &self {
            parameter("scope", scope);
        }
        if shared.settings.resource_metadata {
            let origin = &shared.settings.api_origin;
            parameter("resource_metadata", &format!("{origin}{RESOURCE_METADATA}"));
        }
        let body = json!({ "error": error, "error_description": description });
        let mut response = respond::json(status, &body);
        response.headers_mut().insert(WWW_AUTHENTICATE, header_value(&challenge));
        response
    }
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

/// RFC 9728 section 2.
fn resource_metadata(shared: &Shared) -> Response<ResponseBody> {
    let settings = &shared.settings;
    let metadata = json!({
        "resource": settings.api_origin,
        "authorization_servers": [settings.issuer],
        "bearer_methods_supported": ["header"],
        "scopes_supported": settings.required_scope.iter().collect::<Vec<_>>(),
    });
    respond::json(StatusCode::OK, &metadata)
}

fn tell(parts: &Parts, body: &Bytes, caller: &Caller) -> Response<ResponseBody> {
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
    }
    respond::json(StatusCode::OK, &answer)
}
