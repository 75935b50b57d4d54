//! Text that came from elsewhere, made fit for an error or a log line (S1).

use std::fmt::Write as _;

use zeroize::Zeroizing;

const MAX_CHARS: usize = 512;
/// A secret shorter than this is looked for only as a word of its own: `a` redacted everywhere would leave no text.
const SHORT_SECRET: usize = 4;

/// The secrets of one exchange, in every form in which they went out: what a server may echo.
#[derive(Default)]
pub(crate) struct Secrets(Vec<Zeroizing<String>>);

impl Secrets {
    pub(crate) fn add(&mut self, secret: &str) {
        let encoded = crate::form::encode(secret);
        let with_plus = encoded.replace("%20", "+");
        // What servers write of what they have read: as it was, and by encoders of other habits.
        for form in [secret.to_owned(), lower_hex(&encoded), lower_hex(&with_plus), encoded, with_plus] {
            if !form.is_empty() && !self.0.iter().any(|known| **known == form) {
                self.0.push(Zeroizing::new(form));
            }
        }
        // The longest first: a secret that holds another one disappears whole.
        self.0.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    /// A URL's query, and each value in it: some gateways ask for a key there.
    pub(crate) fn add_query(&mut self, query: Option<&str>) {
        let query = query.unwrap_or_default();
        self.add(query);
        for value in query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value) {
            self.add(value);
        }
    }

    pub(crate) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = replace(&text, secret);
        }
        text
    }
}

/// `%2F` as `%2f`.
fn lower_hex(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut text, part| {
        let (hex, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        let _ = write!(text, "%{}{rest}", hex.to_ascii_lowercase());
        text
    })
}

fn replace(text: &str, secret: &str) -> String {
    if secret.len() >= SHORT_SECRET {
        return text.replace(secret, "[redacted]");
    }
    let is_word = |part: &str| part.chars().all(|c| !c.is_alphanumeric());
    let mut out = String::with_capacity(text.len());
    let mut last = 0;
    for (at, found) in text.match_indices(secret) {
        let end = at + found.len();
        let before = text[..at].chars().next_back().map_or(String::new(), String::from);
        let after = text[end..].chars().next().map_or(String::new(), String::from);
        if is_word(&before) && is_word(&after) {
            out.push_str(&text[last..at]);
            out.push_str("[redacted]");
            last = end;
        }
    }
    out.push_str(&text[last..]);
    out
}

/// Redacts, escapes control characters, and cuts at 512 characters.
///
/// Redacting comes first, over all of it: a secret that the cut would halve is found all the same.
pub(crate) fn clean(text: &str, secrets: &Secrets) -> String {
    let redacted = secrets.redact(text);
    let mut out = String::new();
    for (count, c) in redacted.chars().enumerate() {
        if count == MAX_CHARS {
            out.push('…');
            break;
        }
        if is_deceptive(c) {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters, and those that reorder or hide text on a terminal.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_server_text_is_escaped_cut_and_redacted() {
        let mut secrets = Secrets::default();
        secrets.add("s3cr3t value+");
        secrets.add("ab");
        let cases = [
            ("plain", "plain"),
            ("a\r\nb\u{1b}[31m", "a\\u{d}\\u{a}b\\u{1b}[31m"),
            ("got s3cr3t value+ here", "got [redacted] here"),
            ("got s3cr3t%20value%2B here", "got [redacted] here"),
            ("ab cab ab", "[redacted] cab [redacted]"),
            ("\u{202e}evil", "\\u{202e}evil"),
        ];
        for (text, clean_text) in cases {
            assert_eq!(clean(text, &secrets), clean_text);
        }
        assert_eq!(clean(&"é".repeat(2000), &secrets).chars().count(), MAX_CHARS + 1);
        let halved = format!("{}s3cr3t value+", "x".repeat(MAX_CHARS - 4));
        assert!(!clean(&halved, &secrets).contains("s3cr"));
    }
}
