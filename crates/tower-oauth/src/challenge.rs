//! What a server asks for: the challenges in `WWW-Authenticate`.
//!
//! [`parse`] reads them as [RFC 9110, section 11.6.1] writes them: several in one field, several fields, a
//! `token68` or parameters, quoted strings with escapes and commas, empty list elements. The parameters that
//! matter to OAuth are those of [RFC 6750, section 3].
//!
//! ```
//! use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
//! use tower_oauth::challenge;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(
//!     WWW_AUTHENTICATE,
//!     HeaderValue::from_static(r#"Negotiate, Bearer realm="api", error="insufficient_scope", scope="read write""#),
//! );
//!
//! let challenges = challenge::parse(&headers);
//! let bearer = challenges.iter().find(|challenge| challenge.is("bearer")).expect("the server takes bearer tokens");
//! assert_eq!(bearer.error(), Some("insufficient_scope"));
//! assert_eq!(bearer.scope(), Some("read write"));
//! ```
//!
//! # Where it is strict, and where it is not
//!
//! - A field that breaks the grammar gives no challenge at all, not even those before the fault: after an
//!   unclosed quote, say, nobody knows where one challenge ended and the next began. Other fields are
//!   unaffected. A parameter that comes twice in one challenge is such a fault, for the two readings differ.
//! - More than 16 KiB over all fields, or more than 32 challenges, give none: half a list could miss the one
//!   challenge that matters. More than 64 parameters in one challenge make the field malformed.
//! - Bytes beyond ASCII are allowed in quoted strings, as the grammar says. They are read as UTF-8, and what is
//!   not UTF-8 becomes U+FFFD: a description in Latin-1 must not hide the `error` beside it.
//! - Tabs pass for spaces, and a comma may stand between a scheme and its first parameter.
//!
//! [RFC 9110, section 11.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
//! [RFC 6750, section 3]: https://www.rfc-editor.org/rfc/rfc6750#section-3

use std::fmt;

use http::{HeaderMap, header::WWW_AUTHENTICATE};

pub(crate) use self::advice::{Advice, Reason, advice};

mod advice;
#[cfg(test)]
mod tests;

/// Over all `WWW-Authenticate` fields of one response.
const MAX_BYTES: usize = 16 * 1024;

/// Over all `WWW-Authenticate` fields of one response.
const MAX_CHALLENGES: usize = 32;

/// In one challenge. A new name is compared with those before it, so this bound keeps the time linear.
const MAX_PARAMS: usize = 64;

/// Reads every `WWW-Authenticate` field of `headers`, in order.
///
/// Fields that are malformed give no challenges, see the [module](self). Takes time linear in the fields' length,
/// and at most 16 KiB are read. Never panics.
#[must_use]
pub fn parse(headers: &HeaderMap) -> Vec<Challenge> {
    let fields = headers.get_all(WWW_AUTHENTICATE);
    let bytes: usize = fields.iter().map(http::HeaderValue::len).sum();
    let mut challenges = Vec::new();
    if bytes > MAX_BYTES {
        return challenges;
    }
    for field in fields {
        challenges.extend(Reader { rest: field.as_bytes() }.challenges().unwrap_or_default());
        if challenges.len() > MAX_CHALLENGES {
            return Vec::new();
        }
    }
    challenges
}

/// One challenge: an authentication scheme that the server takes, and what it says about it.
///
/// `Debug` shows names, not values: a server may echo a token, or send a nonce.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    token68: Option<String>,
    params: Vec<(String, String)>,
}

impl Challenge {
    /// The scheme as the server wrote it, e.g. `Bearer`. Compare it with [`is`](Self::is).
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether this is a challenge of `scheme`, in any letter case (RFC 9110, section 11.1).
    #[must_use]
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// What a scheme such as `Negotiate` sends in place of parameters (RFC 9110, section 11.2).
    #[must_use]
    pub fn token68(&self) -> Option<&str> {
        self.token68.as_deref()
    }

    /// The value of the parameter `name`, in any letter case (RFC 9110, section 11.2); quotes and escapes are resolved.
    ///
    /// ```
    /// # use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
    /// # let field = HeaderValue::from_static(r#"Bearer Resource_Metadata="https://api.example.com/\"meta\"""#);
    /// # let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, field)]);
    /// # let challenge = &tower_oauth::challenge::parse(&headers)[0];
    /// // Bearer Resource_Metadata="https://api.example.com/\"meta\""
    /// assert_eq!(challenge.param("resource_metadata"), Some(r#"https://api.example.com/"meta""#));
    /// ```
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All parameters in the order in which they came, names as the server wrote them.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `realm`: the protection space, for humans (RFC 9110, section 11.5).
    #[must_use]
    pub fn realm(&self) -> Option<&str> {
        self.param("realm")
    }

    /// `error`: a code such as `invalid_token` (RFC 6750, section 3.1).
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.param("error")
    }

    /// `error_description`: the same for a developer. It is the server's text: escape it before you show it
    /// (RFC 6750, section 3).
    #[must_use]
    pub fn error_description(&self) -> Option<&str> {
        self.param("error_description")
    }

    /// `scope`: the scopes that the request needs, separated by spaces (RFC 6750, section 3).
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.param("scope")
    }

    fn new(scheme: &[u8]) -> Self {
        Self { scheme: text(scheme), token68: None, params: Vec::new() }
    }

    /// `None` when that makes the challenge malformed.
    fn add(&mut self, name: &[u8], value: String) -> Option<()> {
        let name = text(name);
        if self.token68.is_some() || self.params.len() == MAX_PARAMS || self.param(&name).is_some() {
            return None;
        }
        self.params.push((name, value));
        Some(())
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Names<'a>(&'a Challenge);
        impl fmt::Debug for Names<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.0.params().map(|(name, _)| name)).finish()
            }
        }
        f.debug_struct("Challenge").field("scheme", &self.scheme).field("params", &Names(self)).finish_non_exhaustive()
    }
}

/// What is left of one field. Its methods take from the front; `None` says that the field is malformed.
///
/// Nothing is read more than twice: only the first word after a scheme is, as a `token68` and then as a name.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The whole field, or one challenge more than allowed: enough to refuse it.
    fn challenges(mut self) -> Option<Vec<Challenge>> {
        let mut found: Vec<Challenge> = Vec::new();
        loop {
            self.take_while(|byte| is_space(byte) || byte == b',');
            if self.rest.is_empty() || found.len() > MAX_CHALLENGES {
                return Some(found);
            }
            let word = self.token()?;
            let spaced = self.skip_spaces();
            // Commas separate challenges and parameters alike; the `=` tells which of them a word begins.
            if self.rest.starts_with(b"=") {
                let value = self.value()?;
                found.last_mut()?.add(word, value)?;
            } else {
                let mut challenge = Challenge::new(word);
                if spaced && !self.ends_element() {
                    self.first(&mut challenge)?;
                }
                found.push(challenge);
            }
            self.skip_spaces();
            if !self.ends_element() {
                return None;
            }
        }
    }

    /// What follows a scheme: a token68, or the first of its parameters.
    fn first(&mut self, challenge: &mut Challenge) -> Option<()> {
        if let Some(token68) = self.token68() {
            challenge.token68 = Some(text(token68));
            return Some(());
        }
        let name = self.token()?;
        self.skip_spaces();
        let value = self.value()?;
        challenge.add(name, value)
    }

    /// Takes a token68 if one fills the element, else nothing.
    fn token68(&mut self) -> Option<&'a [u8]> {
        let mut ahead = Reader { rest: self.rest };
        let length = ahead.take_while(is_token68).len() + ahead.take_while(|byte| byte == b'=').len();
        ahead.skip_spaces();
        if !ahead.ends_element() {
            return None;
        }
        let token68 = self.rest.get(..length);
        self.rest = ahead.rest;
        token68
    }

    /// `=` and a token or a quoted string, with spaces between.
    fn value(&mut self) -> Option<String> {
        self.rest = self.rest.strip_prefix(b"=")?;
        self.skip_spaces();
        match self.rest.strip_prefix(b"\"") {
            None => self.token().map(text),
            Some(rest) => {
                self.rest = rest;
                self.quoted()
            }
        }
    }

    /// The inside of a quoted string, and its closing quote (RFC 9110, section 5.6.4). The characters that it may
    /// not have are those that no `HeaderValue` has.
    fn quoted(&mut self) -> Option<String> {
        let mut value = Vec::new();
        loop {
            value.extend_from_slice(self.take_while(|byte| byte != b'"' && byte != b'\\'));
            match *self.rest {
                [b'"', ref rest @ ..] => {
                    self.rest = rest;
                    return Some(text(&value));
                }
                [b'\\', escaped, ref rest @ ..] => {
                    value.push(escaped);
                    self.rest = rest;
                }
                _ => return None,
            }
        }
    }

    fn token(&mut self) -> Option<&'a [u8]> {
        Some(self.take_while(is_token)).filter(|token| !token.is_empty())
    }

    fn skip_spaces(&mut self) -> bool {
        !self.take_while(is_space).is_empty()
    }

    fn ends_element(&self) -> bool {
        matches!(self.rest, [] | [b',', ..])
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&byte| !wanted(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110, section 11.2, without the `=` at the end.
fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte)
}
