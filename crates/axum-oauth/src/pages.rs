//! Plain pages, for an application that has none of its own.

use std::fmt::Write as _;

use axum::response::{IntoResponse, Response};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY},
};

use crate::{Problem, ProblemQuery, asked::NO_STORE, paths::Paths, problem_details::challenged};

const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where an application's own pages are, or ours.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    pub(crate) problem: String,
    pub(crate) signed_out: String,
    pub(crate) has_own_problem: bool,
    pub(crate) has_own_signed_out: bool,
}

impl Pages {
    pub(crate) fn new(paths: &Paths, problem: Option<String>, signed_out: Option<String>) -> Self {
        Self {
            has_own_problem: problem.is_some(),
            has_own_signed_out: signed_out.is_some(),
            problem: problem.unwrap_or_else(|| paths.problem.clone()),
            signed_out: signed_out.unwrap_or_else(|| paths.signed_out.clone()),
        }
    }
}

/// In the place of what was asked for.
pub(crate) fn problem(problem: Problem, return_to: &str, paths: &Paths) -> Response {
    about(problem.status(), problem, return_to, paths)
}

/// At an address of its own.
pub(crate) fn told(query: &ProblemQuery, paths: &Paths) -> Response {
    about(query.status(), query.problem(), query.return_to(), paths)
}

fn about(status: StatusCode, problem: Problem, return_to: &str, paths: &Paths) -> Response {
    let login = paths.login_to(return_to);
    let again = match problem.is_cured_by_sign_in() {
        true => (login.as_str(), "Sign in again"),
        false => (return_to, "Try again"),
    };
    page(status, problem.title(), problem.advice(), &[again, ("/", "Start page")])
}

pub(crate) fn signed_out(login: &str) -> Response {
    page(StatusCode::OK, "You are signed out", "You can close this window.", &[(login, "Sign in"), ("/", "Start page")])
}

pub(crate) fn still_signed_in() -> Response {
    page(StatusCode::OK, "You are signed in", "This page is for whoever has signed out.", &[("/", "Start page")])
}

fn page(status: StatusCode, title: &str, text: &str, links: &[(&str, &str)]) -> Response {
    let links = links.iter().fold(String::new(), |mut list, (path, name)| {
        let _ = write!(list, "<p><a href=\"{}\">{}</a></p>", escaped(path), escaped(name));
        list
    });
    let (title, text) = (escaped(title), escaped(text));
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title></head>\
         <body><main><h1>{title}</h1><p>{text}</p>{links}</main></body></html>"
    );
    let headers: [(HeaderName, HeaderValue); 4] = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, NO_STORE),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    challenged((status, headers, html).into_response())
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, letter| {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn l3_text_stays_text() {
        let cases = [
            ("", ""),
            ("plain, 100 % ü", "plain, 100 % ü"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\"><img onerror='x'>", "&quot;&gt;&lt;img onerror=&#39;x&#39;&gt;"),
            ("/orders?x=1&y=2", "/orders?x=1&amp;y=2"),
            ("&lt;", "&amp;lt;"),
        ];
        for (text, html) in cases {
            assert_eq!(escaped(text), html);
        }
    }
}
