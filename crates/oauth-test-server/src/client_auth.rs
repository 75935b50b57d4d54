use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::client::{Client, ClientAuthMethod};
use crate::form::{self, Form};
use crate::respond::OAuthError;
use crate::state::Model;

/// Who sent this? RFC 6749 section 2.3, strictly: one way to authenticate in one request, and only
/// one that the client is registered with.
pub(crate) fn authenticate<'a>(model: &'a Model, headers: &HeaderMap, form: &Form) -> Result<&'a Client, OAuthError> {
    if form.get("client_assertion").is_some() {
        return Err(invalid_client("client assertions are not supported"));
    }
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    let (client, secret, method) = match (authorizations.next(), form.get("client_secret")) {
        (Some(_), Some(_)) => {
            return Err(invalid_request("two client authentications in one request"));
        }
        (Some(_), None) if authorizations.next().is_some() => {
            return Err(invalid_request("two Authorization headers"));
        }
        (Some(header), None) => {
            let (client, secret) = basic(model, header.as_bytes())
                .ok_or_else(|| invalid_client("unknown client, or no valid Basic credentials"))?;
            if form.get("client_id").is_some_and(|id| id != client.id) {
                return Err(invalid_request("client_id is not the one that authenticated"));
            }
            (client, Some(secret), ClientAuthMethod::ClientSecretBasic)
        }
        (None, secret) => {
            let id = form.get("client_id").ok_or_else(|| invalid_client("no client authentication"))?;
            let client = model.clients.get(id).ok_or_else(|| invalid_client("unknown client"))?;
            match secret {
                Some(secret) => (client, Some(secret.to_owned()), ClientAuthMethod::ClientSecretPost),
                None => (client, None, ClientAuthMethod::None),
            }
        }
    };
    if !client.auth_methods.contains(&method) {
        return Err(invalid_client("the client is not registered for this authentication method"));
    }
    if method != ClientAuthMethod::None && secret != client.secret {
        return Err(invalid_client("wrong client secret"));
    }
    Ok(client)
}

/// The client that a Basic header names, and the secret in it.
fn basic<'a>(model: &'a Model, header: &[u8]) -> Option<(&'a Client, String)> {
    let header = std::str::from_utf8(header).ok()?;
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;

    // A raw id may itself have a colon, so it is found by trying, not by splitting.
    let raw = model.clients.values().filter(|client| client.raw_basic);
    for client in raw {
        let rest = credentials.strip_prefix(client.id.as_str());
        if let Some(secret) = rest.and_then(|rest| rest.strip_prefix(':')) {
            return Some((client, secret.to_owned()));
        }
    }
    let (id, secret) = credentials.split_once(':')?;
    let client = model.clients.get(&form::decode(id.as_bytes())?)?;
    if client.raw_basic {
        return None;
    }
    Some((client, form::decode(secret.as_bytes())?))
}

fn invalid_client(description: &'static str) -> OAuthError {
    OAuthError::new("invalid_client", description)
}

fn invalid_request(description: &'static str) -> OAuthError {
    OAuthError::new("invalid_request", description)
}
