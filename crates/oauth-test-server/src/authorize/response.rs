//! The answer to an authorization request (RFC 6749 section 4.1.2), by redirect or by a form that posts
//! itself.

use std::fmt;

use http::header::LOCATION;
use http::{Response, StatusCode};
use serde_json::Value;

use crate::body::ResponseBody;
use crate::form;
use crate::page::{self, Page};
use crate::respond::{self, OAuthError, header_value};
use crate::state::{Model, Shared};

/// The way back to the client.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) redirect_uri: String,
    pub(crate) form_post: bool,
    pub(crate) state: Option<String>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

impl Reply {
    pub(crate) fn code(&self, shared: &Shared, model: &Model, code: String) -> Response<ResponseBody> {
        self.send(shared, model, vec![("code", code)])
    }

    pub(crate) fn error(&self, shared: &Shared, model: &Model, error: &OAuthError) -> Response<ResponseBody> {
        let mut parameters = vec![("error", error.error.to_string())];
        parameters.extend(error.description.as_ref().map(|why| ("error_description", why.to_string())));
        self.send(shared, model, parameters)
    }

    fn send(&self, shared: &Shared, model: &Model, parameters: Vec<(&str, String)>) -> Response<ResponseBody> {
        let mut parameters: Vec<(String, String)> =
            parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        parameters.extend(self.state.iter().map(|state| ("state".to_owned(), state.clone())));
        if shared.settings.response_iss {
            parameters.push(("iss".to_owned(), shared.settings.issuer.clone()));
        }
        for (name, value) in &model.authorization_response {
            parameters.retain(|(known, _)| known != name);
            match value {
                Value::Null => {}
                Value::String(value) => parameters.push((name.clone(), value.clone())),
                other => parameters.push((name.clone(), other.to_string())),
            }
        }
        if self.form_post {
            return form_post(&self.redirect_uri, &parameters);
        }
        redirect(&with_query(&self.redirect_uri, &form::encode(&parameters)))
    }
}

/// RFC 9700 section 4.12: 303, so that no browser posts a password on.
pub(crate) fn redirect(to: &str) -> Response<ResponseBody> {
    let mut response = respond::no_store(respond::text(StatusCode::SEE_OTHER, ""));
    response.headers_mut().insert(LOCATION, header_value(to));
    page::protect(&mut response, &[], None);
    response
}

pub(crate) fn with_query(uri: &str, query: &str) -> String {
    let separator = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{uri}{separator}{query}")
}

/// OAuth 2.0 Form Post Response Mode. The only page with a script; without it there is a button.
fn form_post(uri: &str, parameters: &[(String, String)]) -> Response<ResponseBody> {
    let mut page = Page::new("Back to the application");
    page.paragraph("You are signed in. If nothing happens, please continue.");
    page.form(uri, |form| {
        for (name, value) in parameters {
            form.hidden(name, value);
        }
        form.button("", "", "Continue");
    });
    page.leads_to(page::source(uri));
    page.submits_itself();
    page.into_response(StatusCode::OK)
}
