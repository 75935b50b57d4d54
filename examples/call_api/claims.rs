//! A look into an access token.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use tower_oauth::oauth_tokens::AccessToken;

/// What the token says, if it can be read at all; never the token itself.
pub(crate) fn describe(token: &AccessToken) -> String {
    match claims(token.secret()) {
        Some(claims) => format!(
            "the token's claims (only decoded: the signature was not verified){}\n{claims:#}",
            lifetime(&claims).unwrap_or_default()
        ),
        None => format!(
            "the token is opaque: {} characters, no JWT; only the server can say what it stands for",
            token.secret().len()
        ),
    }
}

/// The payload of a signed JWT (RFC 7519): header, payload and signature, joined by dots.
fn claims(token: &str) -> Option<Value> {
    let [_header, payload, _signature] = token.split('.').collect::<Vec<_>>().try_into().ok()?;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok().filter(Value::is_object)
}

fn lifetime(claims: &Value) -> Option<String> {
    let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.get("exp")?.as_u64()?))?;
    Some(match expires.duration_since(SystemTime::now()) {
        Ok(left) => format!("; it expires in {} s", left.as_secs()),
        Err(past) => {
            format!("; it expired {} s ago: compare this machine's clock with the server's", past.duration().as_secs())
        }
    })
}
