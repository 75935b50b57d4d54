//! The one browser that a sign-in belongs to: whichever opened it first, known by a cookie from then on.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};
use zeroize::Zeroizing;

use super::door::{Answer, same};
use crate::{Error, sign_in::random};

/// Of the start's random text, in the name of the cookie.
const NAME: usize = 8;

pub(super) struct TheBrowser {
    cookie_name: String,
    cookie: Zeroizing<String>,
    has_opened: AtomicBool,
}

impl TheBrowser {
    /// Browsers do not keep the cookies of two ports apart, so each sign-in's cookie has a name of its own.
    pub(super) fn new(start: &str) -> Result<Self, Error> {
        let mark: String = start.chars().take(NAME).collect();
        Ok(Self { cookie_name: format!("sign-in-{mark}"), cookie: random()?, has_opened: AtomicBool::new(false) })
    }

    /// Whether whoever opens the sign-in now is the first: said once.
    pub(super) fn is_first(&self) -> bool {
        !self.has_opened.swap(true, SeqCst)
    }

    pub(super) fn has_opened(&self) -> bool {
        self.has_opened.load(SeqCst)
    }

    /// Whether a request is of this browser: it has the cookie.
    pub(super) fn sent(&self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(COOKIE).iter();
        // A browser sends one line (RFC 6265, section 5.4).
        let (Some(line), None) = (lines.next(), lines.next()) else { return false };
        // Programs on other ports set cookies as they like, in bytes that are no text, and by our name: theirs are passed over.
        let line = Zeroizing::new(String::from_utf8_lossy(line.as_bytes()).into_owned());
        line.split("; ")
            .filter_map(|cookie| cookie.split_once('='))
            .any(|(name, value)| name == self.cookie_name && same(value, &self.cookie))
    }

    pub(super) fn mark(&self, answer: &mut Answer) {
        self.set_cookie(answer, &self.cookie, "");
    }

    /// No cookie is left behind: other programs on this machine would get it for as long as the browser runs.
    pub(super) fn unmark(&self, answer: &mut Answer) {
        self.set_cookie(answer, "", "; Max-Age=0");
    }

    fn set_cookie(&self, answer: &mut Answer, value: &str, age: &str) {
        let name = &self.cookie_name;
        let cookie = Zeroizing::new(format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{age}"));
        if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
            cookie.set_sensitive(true);
            answer.headers_mut().insert(SET_COOKIE, cookie);
        }
    }
}
