//! The nonces that servers ask for, each for its origin (RFC 9449, sections 8 and 9).

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use http::HeaderMap;

/// So many origins are remembered, those that were heard of last.
const MAX_ORIGINS: usize = 64;
/// A longer nonce is none of a server that means well.
const MAX_NONCE_BYTES: usize = 1024;

#[derive(Default)]
pub(super) struct Nonces(Mutex<VecDeque<(String, String)>>);

impl Nonces {
    pub(super) fn get(&self, origin: &str) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(from, _)| from == origin).map(|(_, nonce)| nonce.clone())
    }

    /// The nonce that the headers bring, if they bring one.
    pub(super) fn learn(&self, origin: &str, headers: &HeaderMap) -> Option<String> {
        let mut values = headers.get_all("dpop-nonce").iter();
        let (Some(nonce), None) = (values.next(), values.next()) else { return None };
        let nonce = nonce.to_str().ok().filter(|nonce| is_nonce(nonce))?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The origin that was heard of last stands last, and the first is the first to go.
        if let Some(at) = known.iter().position(|(from, _)| from == origin) {
            known.remove(at);
        } else if known.len() == MAX_ORIGINS {
            known.pop_front();
        }
        known.push_back((origin.to_owned(), nonce.to_owned()));
        Some(nonce.to_owned())
    }
}

/// `1*NQCHAR` (RFC 9449, section 8.1).
fn is_nonce(text: &str) -> bool {
    let is_nqchar = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !text.is_empty() && text.len() <= MAX_NONCE_BYTES && text.bytes().all(is_nqchar)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(nonces: &[&str]) -> HeaderMap {
        let value = |nonce: &&str| HeaderValue::from_bytes(nonce.as_bytes()).expect("a header");
        nonces.iter().map(|nonce| (http::HeaderName::from_static("dpop-nonce"), value(nonce))).collect()
    }

    #[test]
    fn a_nonce_is_kept_for_its_origin_alone() {
        let nonces = Nonces::default();
        for _ in 0..2 {
            assert_eq!(nonces.learn("https://a.test", &headers(&["one"])).as_deref(), Some("one"));
        }
        assert_eq!(nonces.learn("https://a.test", &HeaderMap::new()), None);
        assert_eq!(nonces.get("https://a.test").as_deref(), Some("one"));
        nonces.learn("https://b.test", &headers(&["two"]));
        nonces.learn("https://a.test", &headers(&["three"]));
        assert_eq!(nonces.get("https://a.test").as_deref(), Some("three"));
        assert_eq!(nonces.get("https://b.test").as_deref(), Some("two"));
        assert_eq!(nonces.get("https://c.test"), None);
    }

    #[test]
    fn what_is_no_nonce_is_not_kept() {
        let nonces = Nonces::default();
        let long = "n".repeat(MAX_NONCE_BYTES + 1);
        for bad in [&[""][..], &["a b"], &["a\"b"], &["a\\b"], &["\u{e9}"], &["one", "two"], &[&long]] {
            assert_eq!(nonces.learn("https://a.test", &headers(bad)), None, "{bad:?}");
        }
        assert_eq!(nonces.get("https://a.test"), None);
    }

    #[test]
    fn so_many_origins_are_kept_and_no_more() {
        let nonces = Nonces::default();
        for number in 0..=MAX_ORIGINS {
            nonces.learn(&format!("https://{number}.test"), &headers(&["n"]));
        }
        assert_eq!(nonces.get("https://0.test"), None);
        assert_eq!(nonces.get("https://1.test").as_deref(), Some("n"));
        assert_eq!(nonces.get(&format!("https://{MAX_ORIGINS}.test")).as_deref(), Some("n"));
    }
}
