//! Whether a renewal is of the same user as the sign-in (L4; OpenID Connect Core, section 12.2).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{Error, ErrorKind, json::Object};

/// More than any ID token has, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// Whether a renewal brought the ID token of another user or issuer than that of the sign-in. Nobody verifies it, since it can do no
/// more than to end the sign-in; so it counts whatever its algorithm is, and however old it is. What cannot be read, an encrypted one
/// for example, says nothing of anybody.
pub(crate) fn is_another(signed_in: Option<&str>, renewed: Option<&str>) -> bool {
    match (signed_in.and_then(claims), renewed.and_then(claims)) {
        (Some(old), Some(new)) => ["iss", "sub"].iter().any(|name| old.text(name) != new.text(name)),
        _ => false,
    }
}

/// Why what came is not used.
pub(crate) fn another() -> Error {
    let message = "the authorization server renewed the tokens with an ID token of another user or issuer; what came is not used, \
                   and the user has to sign in again";
    Error::new(ErrorKind::InvalidResponse, message).permanent()
}

fn claims(jwt: &str) -> Option<Object> {
    let mut parts = jwt.split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let decoded = (jwt.len() <= MAX_BYTES).then(|| BASE64_URL_SAFE_NO_PAD.decode(claims).ok()).flatten()?;
    Object::parse(&decoded).ok()
}
