//! What a request asks for: a page in a browser's window, or something for a program.

use axum::{
    extract::OriginalUri,
    response::{IntoResponse, Redirect, Response},
};
use http::{
    HeaderMap, Method, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, HeaderValue},
    request::Parts,
};

use oauth_tokens::SignInRequest;

use crate::{Problem, SignIn, pages, problem_details::ProblemDetails, routes::to_problem};

pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// How a request wants to be answered.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    is_navigation: bool,
    /// Where the user can be sent back to.
    return_to: String,
}

impl Asked {
    pub(crate) fn of(parts: &Parts) -> Self {
        // A router that others are nested in has taken their prefix off.
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let return_to = match (&parts.method, uri.path_and_query()) {
            (&Method::GET, Some(path)) if SignInRequest::is_return_path(path.as_str()) => path.as_str().to_owned(),
            // What was posted cannot be posted again; and a link to `//host`, whatever was served there, leads elsewhere.
            _ => "/".to_owned(),
        };
        Self { is_navigation: is_navigation(&parts.method, &parts.headers), return_to }
    }

    /// The sign-in, for a browser that may not have been there a moment ago.
    pub(crate) fn sign_in_once(&self, sign_in: &SignIn, headers: &HeaderMap) -> Response {
        if self.is_navigation && sign_in.0.pending.has_just_signed_in(headers) {
            tracing::warn!("nobody is signed in right after a sign-in: the session does not stick");
            return self.problem(Problem::Again, sign_in);
        }
        self.sign_in(sign_in)
    }

    /// The sign-in, for whom it leads anywhere: a page that is loaded by a program cannot be left for another site.
    pub(crate) fn sign_in(&self, sign_in: &SignIn) -> Response {
        if self.is_navigation {
            let login = sign_in.login_path(&self.return_to);
            return ([(CACHE_CONTROL, NO_STORE)], Redirect::to(&login)).into_response();
        }
        ProblemDetails::new(StatusCode::UNAUTHORIZED, "Nobody is signed in")
            .with("sign_in", &sign_in.0.paths.login)
            .into_response()
    }

    /// What stands in the way. A page of ours comes right where the request was sent to: to load it again is to try again.
    pub(crate) fn problem(&self, problem: Problem, sign_in: &SignIn) -> Response {
        let own = Some(sign_in.0.pages.problem.as_str()).filter(|_| sign_in.0.pages.has_own_problem);
        // The application's own page may ask who the user is itself, and must not be sent to itself.
        let is_there = self.return_to.split('?').next() == own;
        if self.is_navigation && own.is_some() && !is_there {
            return to_problem(sign_in, problem, &self.return_to);
        }
        if self.is_navigation {
            return pages::problem(problem, &self.return_to, &sign_in.0.paths);
        }
        ProblemDetails::new(problem.status(), problem.title()).into_response()
    }
}

/// Whether a browser wants to show the answer in a window. Browsers of this decade say so; others show what they accept.
fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if let Some(mode) = headers.get("sec-fetch-mode") {
        return mode == "navigate";
    }
    let accepts_pages =
        |value: &HeaderValue| value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("text/html"));
    matches!(*method, Method::GET | Method::POST) && headers.get_all(ACCEPT).iter().any(accepts_pages)
}

/// Whether the answer becomes a page of its own, as a sign-in and its callback do: no image or frame of another page.
pub(crate) fn is_document(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_none_or(|dest| dest == "document")
}
