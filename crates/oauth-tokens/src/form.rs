//! `application/x-www-form-urlencoded`, as RFC 6749 (appendix B) asks for it.

use std::{borrow::Cow, fmt};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::Error;

/// Everything but RFC 3986's unreserved characters. A space becomes `%20`, which every form decoder takes, and which
/// is also right where a server percent-decodes Basic credentials without turning `+` into a space (T8).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The parameters of a request to an authorization server, in order. Values may be secrets: they are not shown, and zeroed
/// when dropped.
///
/// ```
/// let form = oauth_tokens::Form::new().with("assertion", "eyJ…");
/// assert_eq!(format!("{form:?}"), r#"Form(["assertion"])"#);
/// ```
#[derive(Clone, Default)]
pub struct Form(Vec<(Cow<'static, str>, Zeroizing<String>)>);

impl Form {
    /// An empty form.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.push(name, value);
        self
    }

    /// Adds a parameter.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        self.0.push((name.into(), Zeroizing::new(value.into())));
    }

    /// Adds a parameter, if there is none of this name yet.
    pub(crate) fn push_once(&mut self, name: &'static str, value: impl Into<String>) {
        if !self.contains(name) {
            self.push(name, value);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.iter().any(|(known, _)| known == name)
    }

    /// Takes over the parameters of another form, but none that is there already, and none that is the client's (T4, T9).
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), Error> {
        for (name, value) in other.0 {
            let repeated = self.contains(&name) && !matches!(name.as_ref(), "resource" | "audience");
            if repeated || is_clients_own(&name) {
                return Err(Error::config(format!(
                    "the parameter `{name}` is set by the protocol or set twice; remove it from the grant or the form"
                )));
            }
            self.0.push((name, value));
        }
        Ok(())
    }

    pub(crate) fn encoded(&self) -> String {
        let pairs: Vec<String> =
            self.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        pairs.join("&")
    }
}

/// Parameters with which a client says who it is: only [`ClientAuth`](crate::ClientAuth) writes them.
///
/// Some servers read names in any letter case, or trim them.
fn is_clients_own(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    matches!(name.as_str(), "grant_type" | "client_id" | "client_secret" | "client_assertion" | "client_assertion_type")
}

/// Parameters that have a meaning of their own in some grant, and so are never "extra" (T4).
pub(crate) fn is_protocols_own(name: &str) -> bool {
    let folded = name.trim().to_ascii_lowercase();
    is_clients_own(name)
        || matches!(
            folded.as_str(),
            "scope"
                | "resource"
                | "audience"
                | "code"
                | "code_verifier"
                | "redirect_uri"
                | "refresh_token"
                | "username"
                | "password"
                | "assertion"
                | "subject_token"
                | "subject_token_type"
                | "actor_token"
                | "actor_token_type"
                | "requested_token_type"
                | "authorization_details"
                | "device_code"
                | "auth_req_id"
        )
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(|(name, _)| name).collect();
        f.debug_tuple("Form").field(&names).finish()
    }
}
