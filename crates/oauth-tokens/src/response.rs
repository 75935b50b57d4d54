//! Token responses and OAuth errors (RFC 6749, sections 5.1 and 5.2): strict where that is safe, lenient where servers
//! differ. No I/O here.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    AccessToken, Error, ErrorKind, OAuthError, TokenSet, TokenType,
    clock::Clock,
    dpop::BoundKey,
    json::Object,
    retry::retry_after,
    text::{Secrets, clean},
};

/// The most vendor fields of an OAuth error that are kept.
const MAX_FIELDS: usize = 16;
const MAX_SCOPE_BYTES: usize = 4096;

/// What a token endpoint answered, and what is needed to judge it.
pub(crate) struct Answer<'a> {
    /// What was tried and where: the beginning of every message.
    pub(crate) what: &'a str,
    /// The endpoint's name in the metadata.
    pub(crate) endpoint: &'static str,
    /// What to look at after `invalid_client`.
    pub(crate) invalid_client: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// What was sent, so that an echo of it is not shown.
    pub(crate) secrets: &'a Secrets,
    pub(crate) clock: &'a Clock,
}

impl Answer<'_> {
    /// A token, bound to the key if one was sent, or why there is none (T5, T7, T14).
    pub(crate) fn tokens(&self, key: Option<&Arc<BoundKey>>) -> Result<TokenSet, Error> {
        let object = self.object(&[StatusCode::OK])?;
        token_set(&object, self.secrets, key)
            .map_err(|why| self.invalid(&why).with_rotated(secret(&object, "refresh_token")))
    }

    /// The object in an answer of one of these statuses, or why there is none (T5, T7).
    pub(crate) fn object(&self, success: &[StatusCode]) -> Result<Object, Error> {
        if !success.contains(&self.status) {
            return Err(self.refusal());
        }
        let object = Object::parse(self.body).map_err(|problem| self.invalid(&format!("its body {problem}")))?;
        if object.text("error").is_some() && object.get("access_token").is_none() {
            // Some servers answer an error with 200.
            return Err(self.refusal());
        }
        Ok(object)
    }

    pub(crate) fn invalid(&self, why: &str) -> Error {
        let message = format!(
            "{} was answered with {}, but {why}; check that the URL is the {}'s",
            self.what,
            self.status.as_u16(),
            self.endpoint.replace('_', " ")
        );
        Error::new(ErrorKind::InvalidResponse, message).with_status(self.status)
    }

    /// Anything but a success: an OAuth error for any status, else what can be said of the response.
    pub(crate) fn refusal(&self) -> Error {
        let retry_after = retry_after(self.status, self.headers, self.clock.wall());
        let error = match self.oauth_error() {
            Some(oauth) => {
                let mut message =
                    format!("{} was refused with {} (HTTP {})", self.what, oauth.code, self.status.as_u16());
                if let Some(description) = &oauth.description {
                    message.push_str(&format!(": {description:?}"));
                }
                let hint = if oauth.code == "invalid_client" { Some(self.invalid_client) } else { hint(&oauth.code) };
                if let Some(hint) = hint {
                    message.push_str(&format!("; {hint}"));
                }
                Error::new(ErrorKind::OAuth, message).with_oauth(oauth)
            }
            None => Error::new(ErrorKind::UnexpectedResponse, self.unexpected()),
        };
        error.with_status(self.status).with_retry_after(retry_after)
    }

    fn oauth_error(&self) -> Option<OAuthError> {
        let object = Object::parse(self.body).ok()?;
        let text = |key| object.text(key).map(|text| clean(text, self.secrets));
        let known = [
            "error",
            "error_description",
            "error_uri",
            "access_token",
            "refresh_token",
            "id_token",
            "code",
            "device_code",
            "user_code",
            "verification_uri_complete",
            "request_uri",
        ];
        let fields = object
            .iter()
            .filter(|(key, _)| !known.contains(key))
            .filter_map(|(key, value)| Some((clean(key, self.secrets), clean(&scalar(value)?, self.secrets))))
            .take(MAX_FIELDS)
            .collect();
        Some(OAuthError {
            code: text("error")?,
            description: text("error_description"),
            uri: text("error_uri"),
            status: self.status,
            fields,
        })
    }

    fn unexpected(&self) -> String {
        let content_type = match self.headers.get(CONTENT_TYPE).map(|value| value.to_str()) {
            Some(Ok(value)) => match media_type(value) {
                Some(known) => format!("content type {:?}", clean(known, self.secrets)),
                None => "an odd content type".to_owned(),
            },
            _ => "no content type".to_owned(),
        };
        let hint = match self.status.as_u16() {
            300..=399 => "; redirects of token requests are never followed (T2): give the endpoint's final URL",
            403 if self.body.is_empty() => {
                "; an empty 403 often comes from a gateway or a filter in front of the server, or from a server that \
                 rejects the client before it reads the request: check the client id, the network rules and the URL"
            }
            404 | 405 => &format!("; check that the URL is the {}'s", self.endpoint.replace('_', " ")),
            _ => "",
        };
        format!(
            "{} was answered with HTTP {} ({content_type}, {} bytes), without an OAuth error{hint}",
            self.what,
            self.status.as_u16(),
            self.body.len()
        )
    }
}

/// The content type, if its first half is a registered one: what else a server writes there is no help, and might be an
/// echo.
fn media_type(content_type: &str) -> Option<&str> {
    let (kind, _) = content_type.split_once('/')?;
    let kinds = ["application", "audio", "font", "image", "message", "model", "multipart", "text", "video"];
    kinds.iter().any(|known| known.eq_ignore_ascii_case(kind.trim())).then_some(content_type)
}

fn token_set(object: &Object, secrets: &Secrets, key: Option<&Arc<BoundKey>>) -> Result<TokenSet, String> {
    let token = match object.get("access_token") {
        Some(Value::String(token)) => token,
        Some(_) => return Err("its `access_token` is not a string".to_owned()),
        None => return Err("it holds no `access_token`".to_owned()),
    };
    let is = |kind: &str| object.text("token_type").is_some_and(|found| found.eq_ignore_ascii_case(kind));
    let access_token = match key {
        None if is("bearer") => AccessToken::bearer(token),
        None if is("dpop") => {
            return Err("its token is bound to a key (`token_type` DPoP), which was not asked for".to_owned());
        }
        #[cfg(feature = "dpop")]
        Some(key) if is("dpop") => AccessToken::dpop(token, Arc::clone(key) as _),
        Some(_) if is("bearer") => {
            return Err(
                "its token is not bound to the key (`token_type` Bearer), as was asked for: check that the server \
                        supports DPoP, and that the client is allowed to use it"
                    .to_owned(),
            );
        }
        _ if object.text("token_type").is_none() => return Err("it holds no `token_type`".to_owned()),
        _ => return Err("its `token_type` is not one that can be sent".to_owned()),
    };
    let access_token = access_token.map_err(|error| error.to_string())?;
    Ok(TokenSet {
        scope: granted_scope(object, secrets, token),
        access_token,
        expires_in: object.seconds("expires_in"),
        refresh_in: object.seconds("refresh_in"),
        refresh_token: secret(object, "refresh_token"),
        id_token: secret(object, "id_token"),
        issued_token_type: object.text("issued_token_type").and_then(TokenType::read),
        authorization_details: object.get("authorization_details").filter(|details| details.is_array()).cloned(),
        age: Duration::ZERO,
    })
}

/// The scope, as far as it is one: it is shown to people, so no echo of a secret goes with it.
pub(crate) fn granted_scope(object: &Object, sent: &Secrets, access_token: &str) -> Option<String> {
    let scope = object.text("scope").filter(|scope| scope.len() <= MAX_SCOPE_BYTES)?;
    let is_scope = scope.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let mut received = Secrets::default();
    received.add(access_token);
    for token in ["refresh_token", "id_token"] {
        received.add(object.text(token).unwrap_or_default());
    }
    is_scope.then(|| received.redact(&sent.redact(scope)))
}

pub(crate) fn secret(object: &Object, key: &str) -> Option<Zeroizing<String>> {
    object.text(key).map(|text| Zeroizing::new(text.to_owned()))
}

/// A vendor's field as text: a scalar, or a list of scalars (`error_codes`).
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(items) => {
            let items: Option<Vec<String>> =
                items.iter().map(|item| if item.is_array() { None } else { scalar(item) }).collect();
            Some(items?.join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// What to do about one of the known codes.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "invalid_grant" => "what was redeemed is expired, revoked, used before, or another client's: sign in again",
        "invalid_scope" => "check that the server knows the scopes and that the client may ask for them",
        "unauthorized_client" => "allow this grant for the client at the server",
        "unsupported_grant_type" => "the server does not offer this grant: check its configuration and the URL",
        "invalid_request" => "the server misses or dislikes a parameter: check scope, resource and audience",
        "invalid_target" => "the server does not know the resource, or the client may not ask for it",
        "access_denied" => "the user, or a rule of the server's, said no",
        "expired_token" => "the user did not answer in time: begin anew",
        "temporarily_unavailable" | "server_error" => "it will be tried again",
        _ => return None,
    })
}
