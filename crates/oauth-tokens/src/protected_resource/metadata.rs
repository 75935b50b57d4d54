//! What a protected resource says of itself (RFC 9728, section 2).

use serde_json::Value;

use crate::{
    Error, ErrorKind,
    endpoint_url::EndpointUrl,
    json::Object,
    text::{Secrets, clean},
};

/// So many of the servers that a resource names are told to people.
const MAX_SHOWN: usize = 8;

/// The metadata of exactly one resource, as far as they are used here.
pub(super) struct ResourceMetadata {
    authorization_servers: Vec<String>,
    scopes: Vec<String>,
}

impl ResourceMetadata {
    pub(super) fn parse(body: &[u8], what: &str, resource: &EndpointUrl) -> Result<Self, Error> {
        let invalid = |problem: &str| {
            Error::new(ErrorKind::UnexpectedResponse, format!("{what} was answered with 200, but {problem}"))
        };
        let object = Object::parse(body).map_err(|problem| invalid(&format!("its body {problem}")))?;
        let found = object.text("resource").ok_or_else(|| invalid("it names no `resource`"))?;
        if found != resource.as_str() {
            let message = format!(
                "{what} was answered for another resource, {}, but {} was expected: give the resource exactly as it spells \
                 itself",
                shown(found),
                shown(resource.as_str())
            );
            return Err(Error::new(ErrorKind::ResourceMismatch, message));
        }
        let authorization_servers = match object.get("authorization_servers") {
            None | Some(Value::Null) => Vec::new(),
            Some(list) => strings(list).ok_or_else(|| invalid("its `authorization_servers` are no list of strings"))?,
        };
        // Nothing depends on these but what the caller allows besides.
        let scopes = object.get("scopes_supported").and_then(strings).unwrap_or_default();
        Ok(Self { authorization_servers, scopes })
    }

    pub(super) fn authorization_servers(&self) -> &[String] {
        &self.authorization_servers
    }

    pub(super) fn names_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|named| named == scope)
    }

    /// The servers, for people.
    pub(super) fn named_servers(&self) -> String {
        let names: Vec<String> = self.authorization_servers.iter().take(MAX_SHOWN).map(|name| shown(name)).collect();
        let more = self.authorization_servers.len() - names.len();
        match (names.len(), more) {
            (0, _) => "no authorization server at all".to_owned(),
            (1, _) => format!("the authorization server {}", names.concat()),
            (_, 0) => format!("the authorization servers {}", names.join(", ")),
            _ => format!("the authorization servers {} and {more} more", names.join(", ")),
        }
    }
}

fn strings(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// A URL that came from elsewhere, fit for people: a query may hold a key, and an `@` be preceded by a password.
pub(super) fn shown(url: &str) -> String {
    match url.contains('@') {
        true => "one with an @".to_owned(),
        false => format!("{:?}", clean(url.split('?').next().unwrap_or_default(), &Secrets::default())),
    }
}
