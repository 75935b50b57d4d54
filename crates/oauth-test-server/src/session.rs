//! Who is signed in at the authorization server, in which browser.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, Response};
use tokio::time::Instant;

use crate::body::ResponseBody;
use crate::respond::header_value;
use crate::state::Shared;

/// A user who has signed in.
#[derive(Clone)]
pub(crate) struct Session {
    /// The `sid` of ID tokens, which others see: it opens nothing.
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) auth_time: Instant,
    pub(crate) acr: Option<String>,
    /// Whether a password was typed.
    pub(crate) by_password: bool,
    /// The clients to which the user went from here.
    pub(crate) clients: BTreeSet<String>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The sessions by the value of their cookie.
#[derive(Default)]
pub(crate) struct Sessions(HashMap<String, Session>);

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.values()).finish()
    }
}

impl Sessions {
    /// Begins a session under a cookie of its own: one that was there before the sign-in is worth nothing
    /// afterwards.
    pub(crate) fn begin(&mut self, session: Session) -> String {
        let cookie = secret();
        self.0.insert(cookie.clone(), session);
        cookie
    }

    pub(crate) fn get(&self, cookie: &str, lifetime: Duration) -> Option<&Session> {
        self.0.get(cookie).filter(|session| session.auth_time.elapsed() < lifetime)
    }

    pub(crate) fn get_mut(&mut self, cookie: &str) -> Option<&mut Session> {
        self.0.get_mut(cookie)
    }

    pub(crate) fn end(&mut self, cookie: &str) -> Option<Session> {
        self.0.remove(cookie)
    }

    /// Ends the sessions of a user.
    pub(crate) fn end_all_of(&mut self, user: &str) -> Vec<Session> {
        let cookies: Vec<String> =
            self.0.iter().filter(|(_, session)| session.user == user).map(|(cookie, _)| cookie.clone()).collect();
        cookies.iter().filter_map(|cookie| self.0.remove(cookie)).collect()
    }
}

/// What nobody guesses, as far as this server goes.
pub(crate) fn secret() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// The two cookies of the pages.
#[derive(Clone, Copy)]
pub(crate) enum Cookie {
    /// Which browser has asked: forms are good only where they were shown.
    Browser,
    /// Who is signed in.
    Session,
}

impl Cookie {
    /// Servers on several ports of one host share a browser's cookies, so the port is in the name.
    fn name(self, shared: &Shared) -> String {
        let kind = match self {
            Self::Browser => "browser",
            Self::Session => "session",
        };
        let origin = shared.settings.issuer.split_once("://").map_or("", |(_, rest)| rest);
        let authority = origin.split('/').next().unwrap_or_default();
        let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
        format!("oauth_test_server_{kind}_{port}").trim_end_matches('_').to_owned()
    }

    pub(crate) fn read(self, shared: &Shared, headers: &HeaderMap) -> Option<String> {
        let name = self.name(shared);
        let cookies = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
        let mut pairs = cookies.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }

    /// No script reads it, no other site sends it with a post, and over https it goes over nothing else.
    pub(crate) fn set(self, shared: &Shared, response: &mut Response<ResponseBody>, value: &str) {
        self.write(shared, response, value, "");
    }

    pub(crate) fn remove(self, shared: &Shared, response: &mut Response<ResponseBody>) {
        self.write(shared, response, "", "; Max-Age=0");
    }

    fn write(self, shared: &Shared, response: &mut Response<ResponseBody>, value: &str, more: &str) {
        let name = self.name(shared);
        let path = if shared.base_path().is_empty() { "/" } else { shared.base_path() };
        let secure = if shared.settings.issuer.starts_with("https://") { "; Secure" } else { "" };
        let cookie = format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}{more}");
        response.headers_mut().append(SET_COOKIE, header_value(&cookie));
    }
}
