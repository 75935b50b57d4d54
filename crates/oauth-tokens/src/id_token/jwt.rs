//! A signed JWT taken apart (RFC 7515, section 3.1, and RFC 7519): strictly, and not believed yet.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{Algorithm, json::Object};

/// A longer one is refused: no server that means well makes one.
const MAX_BYTES: usize = 64 * 1024;

/// A JWT whose signature was not looked at. What is wrong with one is told without its text, which may be a secret (S1).
pub(crate) struct Jwt<'a> {
    pub(crate) algorithm: Algorithm,
    /// The name of the key.
    pub(crate) key_id: Option<String>,
    /// `typ` in lower case, without the `application/` that may be left out (RFC 7515, section 4.1.9).
    pub(crate) media_type: Option<String>,
    pub(crate) claims: Object,
    /// What the signature is of.
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// Nothing that the header says of keys is read but a name: an embedded `jwk`, `jku`, `x5u` or `x5c` counts for nothing
    /// (L4).
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err("it is longer than 64 KiB".to_owned());
        }
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let is_encrypted = text.split('.').count() == 5;
            return Err(match is_encrypted {
                true => "it is encrypted, which is not supported: have the server sign it only".to_owned(),
                false => "it is no JWT".to_owned(),
            });
        };
        let header = object(header, "header")?;
        // Nobody here knows an extension (RFC 7515, section 4.1.11).
        if header.get("crit").is_some() {
            return Err("its header names critical extensions".to_owned());
        }
        let algorithm = string(&header, "alg")?.ok_or("its header has no `alg`")?;
        // Neither `none` nor a shared secret has a name here.
        let algorithm = Algorithm::from_name(algorithm).ok_or("it is not signed by an algorithm that is accepted")?;
        let media_type = string(&header, "typ")?.map(str::to_ascii_lowercase);
        Ok(Self {
            algorithm,
            key_id: string(&header, "kid")?.map(str::to_owned),
            media_type: media_type.map(|typ| typ.strip_prefix("application/").unwrap_or(&typ).to_owned()),
            claims: object(claims, "claims")?,
            signed: text.rsplit_once('.').map_or(text, |(signed, _)| signed),
            signature: decode(signature).ok_or("its signature is not in base64url")?,
        })
    }

    /// Refuses a JWT that says itself that it is another kind of token (RFC 8725, section 3.11).
    pub(crate) fn check_type(&self, explicit: &[&str]) -> Result<(), String> {
        match self.media_type.as_deref() {
            None | Some("jwt") => Ok(()),
            Some(typ) if explicit.contains(&typ) => Ok(()),
            Some(_) => Err("its `typ` is that of another kind of token".to_owned()),
        }
    }
}

fn object(part: &str, what: &str) -> Result<Object, String> {
    let json = decode(part).map(Zeroizing::new).ok_or_else(|| format!("its {what} is not in base64url"))?;
    Object::parse(&json).map_err(|problem| format!("its {what} {problem}"))
}

/// Base64url without padding and without stray bits (RFC 7515, section 2).
fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part).ok()
}

/// A member that is a string, if it is there.
pub(crate) fn string<'a>(object: &'a Object, name: &str) -> Result<Option<&'a str>, String> {
    match object.get(name) {
        // Some servers write null for what they have nothing to say of.
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its `{name}` is not a string")),
    }
}

/// A member that is a string with something in it.
pub(crate) fn required<'a>(object: &'a Object, name: &str) -> Result<&'a str, String> {
    match string(object, name)? {
        None => Err(format!("it has no `{name}`")),
        Some("") => Err(format!("its `{name}` is empty")),
        Some(text) => Ok(text),
    }
}

/// `NumericDate` (RFC 7519, section 2): seconds since 1970, which may have a fraction.
pub(crate) fn date(object: &Object, name: &str) -> Result<Option<SystemTime>, String> {
    let Some(value) = object.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let invalid = || format!("its `{name}` is no date");
    // Whole seconds as they are: a float would round those of a distant day.
    let since_epoch = match value.as_u64() {
        Some(seconds) => Duration::from_secs(seconds),
        None => Duration::try_from_secs_f64(value.as_f64().ok_or_else(invalid)?).map_err(|_| invalid())?,
    };
    SystemTime::UNIX_EPOCH.checked_add(since_epoch).ok_or_else(invalid).map(Some)
}

/// `aud`: one string, or a list of them.
pub(crate) fn audiences(object: &Object) -> Result<Vec<String>, String> {
    let invalid = || "its `aud` is neither a string nor a list of strings".to_owned();
    let of = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    match object.get("aud") {
        None => Err("it has no `aud`".to_owned()),
        Some(Value::Array(list)) if !list.is_empty() => list.iter().map(of).collect::<Option<_>>().ok_or_else(invalid),
        Some(one) => of(one).map(|one| vec![one]).ok_or_else(invalid),
    }
}
