//! `application/x-www-form-urlencoded`, read strictly.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// The parameters of a form, or `None` if it is none.
pub(crate) fn pairs(form: &[u8]) -> Option<Vec<(String, String)>> {
    form.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next()?)?;
            let value = decode(halves.next().unwrap_or_default())?;
            Some((name, value))
        })
        .collect()
}

/// Undoes form encoding; `None` for a broken escape or what is not UTF-8.
pub(crate) fn decode(text: &[u8]) -> Option<String> {
    for (at, byte) in text.iter().enumerate() {
        let escape = text.get(at + 1..at + 3);
        if *byte == b'%' && !escape.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
            return None;
        }
    }
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok()
}

/// All but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Writes a form, or a query.
pub(crate) fn encode(pairs: &[(String, String)]) -> String {
    let text = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect();
    pairs.join("&")
}

/// The parameters of a request to an OAuth endpoint.
#[derive(Debug)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// RFC 6749 section 3.2: parameters without a value count as omitted, none may come twice, except
    /// those that name several targets (RFC 8707, RFC 8693).
    pub(crate) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let mut pairs = pairs(body).ok_or("the body is not a form")?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            let repeatable = name == "resource" || name == "audience";
            if !repeatable && pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err("a parameter was sent twice");
            }
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self(pairs))
    }

    /// The parameters of a form that was read before.
    pub(crate) fn again(pairs: &[(String, String)]) -> Self {
        Self(pairs.to_vec())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All but what a client shows of itself.
    pub(crate) fn without_credentials(&self) -> Vec<(String, String)> {
        let mut pairs = self.0.clone();
        pairs.retain(|(name, _)| !["client_secret", "client_assertion", "client_assertion_type"].contains(&&**name));
        pairs
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
