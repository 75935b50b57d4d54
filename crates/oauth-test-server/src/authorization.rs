//! The authorization server: which path is which endpoint, and the small ones.

use http::header::{ALLOW, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::body::ResponseBody;
use crate::client::ClientAuthMethod;
use crate::client_auth::authenticate;
use crate::form::Form;
use crate::record::Endpoint;
use crate::respond::{self, OAuthError};
use crate::state::{Shared, overlay};
use crate::token_endpoint;

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

pub(crate) const TOKEN: &str = "/token";
pub(crate) const INTROSPECT: &str = "/introspect";
pub(crate) const REVOKE: &str = "/revoke";
pub(crate) const JWKS: &str = "/jwks";

/// OpenID Connect appends its well-known path to the issuer's, RFC 8414 section 3.1 puts it in front.
pub(crate) fn endpoint(shared: &Shared, path: &str) -> Endpoint {
    let base = shared.base_path();
    if path.strip_prefix(OAUTH) == Some(base) {
        return Endpoint::Discovery;
    }
    match path.strip_prefix(base) {
        Some(OPENID) => Endpoint::Discovery,
        Some(TOKEN) => Endpoint::Token,
        Some(INTROSPECT) => Endpoint::Introspection,
        Some(REVOKE) => Endpoint::Revocation,
        Some(JWKS) => Endpoint::Jwks,
        _ => Endpoint::Unknown,
    }
}

pub(crate) fn answer(
    shared: &Shared,
    endpoint: Endpoint,
    parts: &Parts,
    body: &[u8],
    same_token: bool,
) -> Response<ResponseBody> {
    let headers = &parts.headers;
    let form = |then: &dyn Fn(&Form) -> Result<Response<ResponseBody>, OAuthError>| {
        if parts.method != Method::POST {
            return not_allowed("POST");
        }
        read_form(headers, body).and_then(|form| then(&form)).unwrap_or_else(OAuthError::into_response)
    };
    match endpoint {
        Endpoint::Token => form(&|form| token_endpoint::answer(shared, headers, form, same_token)),
        Endpoint::Introspection => form(&|form| introspect(shared, headers, form)),
        Endpoint::Revocation => form(&|form| revoke(shared, headers, form)),
        Endpoint::Discovery | Endpoint::Jwks if parts.method != Method::GET => not_allowed("GET"),
        Endpoint::Discovery => discover(shared, parts.uri.path()),
        Endpoint::Jwks => respond::json(StatusCode::OK, &shared.key.jwks()),
        Endpoint::Api | Endpoint::Unknown => respond::text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn not_allowed(allow: &'static str) -> Response<ResponseBody> {
    let mut response = respond::text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

fn read_form(headers: &HeaderMap, body: &[u8]) -> Result<Form, OAuthError> {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(OAuthError::new("invalid_request", "the content type must be application/x-www-form-urlencoded"));
    }
    Form::parse(body).map_err(|why| OAuthError::new("invalid_request", why))
}

fn discover(shared: &Shared, path: &str) -> Response<ResponseBody> {
    let settings = &shared.settings;
    // An empty base path makes no difference here: the two well-known paths differ.
    let served = if path.starts_with(OAUTH) { settings.oauth_discovery } else { settings.openid_discovery };
    if !served {
        return respond::text(StatusCode::NOT_FOUND, "not found\n");
    }
    respond::json(StatusCode::OK, &metadata(shared).into())
}

/// RFC 8414 section 2, with what OpenID Connect Discovery asks for besides.
pub(crate) fn metadata(shared: &Shared) -> Map<String, Value> {
    let model = shared.lock();
    let mut scopes: Vec<&String> = model.clients.values().flat_map(|c| &c.scopes).collect();
    scopes.sort();
    scopes.dedup();
    let auth_methods = json!(["client_secret_basic", "client_secret_post", "none"]);
    let fields = [
        ("issuer", json!(shared.settings.issuer)),
        ("token_endpoint", json!(shared.endpoint_url(TOKEN))),
        ("introspection_endpoint", json!(shared.endpoint_url(INTROSPECT))),
        ("revocation_endpoint", json!(shared.endpoint_url(REVOKE))),
        ("jwks_uri", json!(shared.endpoint_url(JWKS))),
        ("grant_types_supported", json!(["client_credentials", "refresh_token"])),
        ("token_endpoint_auth_methods_supported", auth_methods.clone()),
        ("introspection_endpoint_auth_methods_supported", auth_methods.clone()),
        ("revocation_endpoint_auth_methods_supported", auth_methods),
        ("response_types_supported", json!([])),
        ("scopes_supported", json!(scopes)),
        ("subject_types_supported", json!(["public"])),
        ("id_token_signing_alg_values_supported", json!(["ES256"])),
    ];
    let mut metadata = Map::new();
    for (name, value) in fields {
        metadata.insert(name.to_owned(), value);
    }
    overlay(&mut metadata, &model.metadata);
    metadata
}

/// RFC 7662 section 2. It speaks of refresh tokens too.
fn introspect(shared: &Shared, headers: &HeaderMap, form: &Form) -> Result<Response<ResponseBody>, OAuthError> {
    let model = shared.lock();
    let client = authenticate(&model, headers, form)?;
    // Section 2.1: the endpoint needs an authorization, so that nobody scans it for tokens.
    if client.auth_methods == [ClientAuthMethod::None] {
        return Err(OAuthError::new("invalid_client", "a public client may not introspect"));
    }
    let token = form.get("token").ok_or_else(|| OAuthError::new("invalid_request", "token is missing"))?;
    let access = model.tokens.access.get(token);
    let refresh = model.tokens.refresh.get(token);
    let mut answer = json!({ "active": false });
    if let Some(access) = access.filter(|access| access.is_active()) {
        answer = access.claims(shared);
        answer["active"] = json!(true);
        answer["token_type"] = json!("Bearer");
    } else if let Some(refresh) = refresh.filter(|refresh| refresh.is_active()) {
        answer = json!({
            "active": true,
            "iss": shared.settings.issuer,
            "client_id": refresh.grant.client_id,
            "sub": refresh.grant.subject,
            "scope": refresh.grant.scope(),
        });
    }
    Ok(respond::no_store(respond::json(StatusCode::OK, &answer)))
}

/// RFC 7009 section 2.
fn revoke(shared: &Shared, headers: &HeaderMap, form: &Form) -> Result<Response<ResponseBody>, OAuthError> {
    let mut model = shared.lock();
    let client_id = authenticate(&model, headers, form)?.id.clone();
    let token = form.get("token").ok_or_else(|| OAuthError::new("invalid_request", "token is missing"))?;
    let access = model.tokens.access.get(token).map(|access| &access.grant);
    let refresh = model.tokens.refresh.get(token).map(|refresh| &refresh.grant);
    if access.or(refresh).is_some_and(|grant| grant.client_id != client_id) {
        return Err(OAuthError::new("unauthorized_client", "the token belongs to another client"));
    }
    // Section 2.2: an unknown token is no error.
    model.tokens.revoke(token);
    Ok(respond::with_status(StatusCode::OK, ResponseBody::full("")))
}
