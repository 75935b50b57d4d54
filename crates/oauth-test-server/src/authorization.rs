//! The authorization server: which path is which endpoint, and the small ones.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::json;

use crate::body::ResponseBody;
use crate::client_auth::authenticate;
use crate::form::Form;
use crate::incoming::Incoming;
use crate::logout::END_SESSION;
use crate::metadata::metadata;
use crate::pushed::{self, PUSHED_AUTHORIZATION};
use crate::record::Endpoint;
use crate::respond::{self, Answer, OAuthError, header_value};
use crate::state::Shared;
use crate::userinfo::{self, USERINFO};
use crate::{authorize, device, grants, logout};

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
        Some(device::AUTHORIZATION) => Endpoint::DeviceAuthorization,
        Some(device::VERIFICATION) => Endpoint::DeviceVerification,
        Some(PUSHED_AUTHORIZATION) => Endpoint::PushedAuthorization,
        Some(authorize::AUTHORIZATION) => Endpoint::Authorization,
        Some(authorize::SIGN_IN) => Endpoint::SignIn,
        Some(authorize::CONSENT) => Endpoint::Consent,
        Some(USERINFO) => Endpoint::Userinfo,
        Some(END_SESSION) => Endpoint::EndSession,
        Some(OPENID) => Endpoint::Discovery,
        Some(TOKEN) => Endpoint::Token,
        Some(INTROSPECT) => Endpoint::Introspection,
        Some(REVOKE) => Endpoint::Revocation,
        Some(JWKS) => Endpoint::Jwks,
        _ => Endpoint::Unknown,
    }
}

pub(crate) fn answer(incoming: &Incoming<'_>, endpoint: Endpoint, body: &[u8]) -> Response<ResponseBody> {
    let (shared, parts) = (incoming.shared, incoming.parts);
    let form = |then: &dyn Fn(&Incoming<'_>, &Form) -> Answer| {
        if parts.method != Method::POST {
            return not_allowed("POST");
        }
        let form = read_form(&parts.headers, body);
        form.and_then(|form| then(incoming, &form)).unwrap_or_else(OAuthError::into_response)
    };
    // A form of a page: what is wrong with it, a person reads.
    let page_form = |then: &dyn Fn(&Incoming<'_>, &Form) -> Response<ResponseBody>| {
        if parts.method != Method::POST {
            return not_allowed("POST");
        }
        let form = read_form(&parts.headers, body);
        form.map_or_else(|_| authorize::error_page("The form cannot be read."), |form| then(incoming, &form))
    };
    match endpoint {
        Endpoint::Token => form(&grants::answer),
        Endpoint::Introspection => form(&introspect),
        Endpoint::Revocation => form(&revoke),
        Endpoint::DeviceAuthorization => form(&device::authorize),
        Endpoint::DeviceVerification => device::verify(incoming, body),
        Endpoint::PushedAuthorization => form(&pushed::push),
        Endpoint::Authorization | Endpoint::Userinfo | Endpoint::EndSession
            if ![Method::GET, Method::POST].contains(&parts.method) =>
        {
            not_allowed("GET, POST")
        }
        Endpoint::Authorization => authorize::authorize(incoming, body),
        Endpoint::SignIn => page_form(&authorize::sign_in),
        Endpoint::Consent => page_form(&authorize::consent),
        Endpoint::Userinfo => userinfo::answer(incoming),
        Endpoint::EndSession => logout::end_session(incoming, body),
        Endpoint::Discovery | Endpoint::Jwks if parts.method != Method::GET => not_allowed("GET"),
        Endpoint::Discovery => discover(shared, parts.uri.path()),
        Endpoint::Jwks => jwks(shared),
        Endpoint::Api | Endpoint::Unknown => respond::text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn jwks(shared: &Shared) -> Response<ResponseBody> {
    let mut response = respond::json(StatusCode::OK, &shared.lock().jwks());
    if let Some(max_age) = shared.settings.jwks_max_age {
        let value = format!("public, max-age={}", max_age.as_secs());
        response.headers_mut().insert(CACHE_CONTROL, header_value(&value));
    }
    response
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

/// RFC 7662 section 2. It speaks of refresh tokens too.
fn introspect(incoming: &Incoming<'_>, form: &Form) -> Answer {
    let shared = incoming.shared;
    let mut model = shared.lock();
    // Section 2.1: the endpoint needs an authorization, so that nobody scans it for tokens.
    if authenticate(&mut model, incoming, form)?.is_public() {
        return Err(OAuthError::new("invalid_client", "a public client may not introspect"));
    }
    let token = form.get("token").ok_or_else(|| OAuthError::new("invalid_request", "token is missing"))?;
    let access = model.tokens.access.get(token);
    let refresh = model.tokens.refresh.get(token);
    let mut answer = json!({ "active": false });
    if let Some(access) = access.filter(|access| access.is_active()) {
        answer = access.claims(shared);
        answer["active"] = json!(true);
        answer["token_type"] = json!(access.grant.confirmation.token_type());
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
fn revoke(incoming: &Incoming<'_>, form: &Form) -> Answer {
    let mut model = incoming.shared.lock();
    let client_id = authenticate(&mut model, incoming, form)?.client.id;
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
