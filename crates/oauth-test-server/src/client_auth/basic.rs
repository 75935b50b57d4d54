//! `client_secret_basic` (RFC 6749 section 2.3.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Authenticated, check_secret, invalid_client, invalid_request, registered};
use crate::client::{Client, ClientAuthMethod};
use crate::form::{self, Form};
use crate::respond::OAuthError;
use crate::state::Model;

pub(super) fn authenticate(model: &Model, header: &[u8], form: &Form) -> Result<Authenticated, OAuthError> {
    let (client, secret) =
        credentials(model, header).ok_or_else(|| invalid_client("unknown client, or no valid Basic credentials"))?;
    if form.get("client_id").is_some_and(|id| id != client.id) {
        return Err(invalid_request("client_id is not the one that authenticated"));
    }
    let authenticated = registered(client, ClientAuthMethod::ClientSecretBasic)?;
    check_secret(client, &secret)?;
    Ok(authenticated)
}

/// The client that a Basic header names, and the secret in it.
fn credentials<'a>(model: &'a Model, header: &[u8]) -> Option<(&'a Client, String)> {
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
