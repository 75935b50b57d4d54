//! What people read in their browser: small pages without scripts, light or dark as they like it.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use super::door::Answer;
use crate::{Error, ErrorKind, SignedIn};

const STYLE: &str = include_str!("page.css");

/// What all pages are about.
#[derive(Clone)]
pub(super) struct Pages {
    pub(super) application: String,
}

/// How a sign-in ended.
#[derive(Clone)]
pub(super) enum Outcome {
    SignedIn,
    Denied,
    Failed(String),
}

impl Default for Pages {
    fn default() -> Self {
        Self { application: "the application".to_owned() }
    }
}

impl Pages {
    pub(super) fn outcome(&self, result: &Result<SignedIn, Error>) -> Outcome {
        match result {
            Ok(_) => Outcome::SignedIn,
            Err(error) if error.kind() == ErrorKind::AccessDenied => Outcome::Denied,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    pub(super) fn last(&self, outcome: &Outcome) -> Answer {
        let name = &self.application;
        match outcome {
            Outcome::SignedIn => {
                let text = format!("You can close this window and go back to {name}.");
                page(StatusCode::OK, Mark::Good, "You are signed in", &[&text])
            }
            Outcome::Denied => {
                let text = format!("Access was not granted, so {name} cannot act for you. You can close this window.");
                page(StatusCode::OK, Mark::Bad, "You are not signed in", &[&text])
            }
            Outcome::Failed(why) => {
                let text = format!("Something went wrong. You can close this window and try again from {name}.");
                page(StatusCode::OK, Mark::Bad, "You are not signed in", &[&text, why])
            }
        }
    }

    /// A callback that belongs to no sign-in, or to somebody else's.
    pub(super) fn of_another(&self) -> Answer {
        let text = format!(
            "This page does not belong to the sign-in that {} is waiting for. Nothing was changed. Go on in the window that it \
             opened, or begin again there.",
            self.application
        );
        page(StatusCode::BAD_REQUEST, Mark::Bad, "This is not your sign-in", &[&text])
    }

    /// The address, opened by somebody who was not the first.
    pub(super) fn open_elsewhere(&self) -> Answer {
        let text = format!(
            "Go on in the browser where it was opened first. If that was not you, somebody else on this machine has opened it: stop \
             {}, and begin anew there.",
            self.application
        );
        page(StatusCode::FORBIDDEN, Mark::Bad, "This sign-in is open in another browser already", &[&text])
    }

    pub(super) fn unreadable(&self) -> Answer {
        let text = format!(
            "What the browser brought back cannot be read. Nothing was changed. Go on in the window that {} opened, or begin again \
             there.",
            self.application
        );
        page(StatusCode::BAD_REQUEST, Mark::Bad, "This is not your sign-in", &[&text])
    }

    /// One more, after the first.
    pub(super) fn over(&self) -> Answer {
        let text = format!("It was used already, and nothing was changed. Go back to {}.", self.application);
        page(StatusCode::GONE, Mark::Bad, "This sign-in is over", &[&text])
    }
}

enum Mark {
    Good,
    Bad,
}

fn page(status: StatusCode, mark: Mark, title: &str, texts: &[&str]) -> Answer {
    let (class, sign) = match mark {
        Mark::Good => ("good", "✓"),
        Mark::Bad => ("bad", "!"),
    };
    let title = escaped(title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main class=\"{class}\">\n<div class=\"mark\" aria-hidden=\"true\">{sign}</div>\n<h1>{title}</h1>\n"
    );
    for (index, text) in texts.iter().enumerate() {
        let class = if index == 0 { "" } else { " class=\"detail\"" };
        let _ = writeln!(html, "<p{class}>{}</p>", escaped(text));
    }
    html.push_str("</main>\n</body>\n</html>\n");
    answer(status, Some(html))
}

/// An answer that no cache keeps, no other page sees, and that can do nothing.
pub(super) fn answer(status: StatusCode, html: Option<String>) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(html.unwrap_or_default())));
    *response.status_mut() = status;
    let hash = BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let fixed = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in
        [("cross-origin-opener-policy", "same-origin"), ("cross-origin-resource-policy", "same-origin")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
