//! Where a session ends: OpenID Connect RP-Initiated Logout, and who is told of it.

mod backchannel;
mod token;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use http::{Method, Response, StatusCode};
use tokio::time::Instant;

pub use backchannel::{BackchannelLogout, Delivery};
pub(crate) use backchannel::{Outbox, deliver};
pub(crate) use token::logout_token;

use crate::authorize::{error_page, redirect, with_query};
use crate::body::ResponseBody;
use crate::form::{self, Form};
use crate::id_token::Hint;
use crate::incoming::Incoming;
use crate::page::{self, Page};
use crate::session::{Cookie, Session, secret};
use crate::state::{Model, Shared};

pub(crate) const END_SESSION: &str = "/end_session";

const LIFETIME: Duration = Duration::from_secs(600);

/// The question whether to sign out, as it was shown.
struct Question {
    browser: String,
    /// Where the browser goes afterwards.
    target: Option<String>,
    expires_at: Instant,
}

/// The questions that wait for an answer.
#[derive(Default)]
pub(crate) struct Questions(HashMap<String, Question>);

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Questions").field("waiting", &self.0.len()).finish()
    }
}

/// OpenID Connect RP-Initiated Logout section 2, by GET and by POST alike.
pub(crate) fn end_session(incoming: &Incoming<'_>, body: &[u8]) -> Response<ResponseBody> {
    let parts = incoming.parts;
    let posted = parts.method == Method::POST;
    let parameters = if posted { body } else { parts.uri.query().unwrap_or_default().as_bytes() };
    let Ok(form) = Form::parse(parameters) else {
        return error_page("The request cannot be read.");
    };
    let (shared, model) = (incoming.shared, &mut *incoming.shared.lock());
    if let Some(name) = form.get("confirmation").filter(|_| posted) {
        return confirmed(incoming, model, name, form.get("action") == Some("sign-out"));
    }
    let request = match read(model, &form) {
        Ok(request) => request,
        Err(why) => return error_page(why),
    };
    let session = Cookie::Session
        .read(shared, &parts.headers)
        .and_then(|cookie| model.sessions.get(&cookie, shared.settings.session_lifetime));
    let known = match (session, &request.hint) {
        (Some(session), Some(hint)) => session.user == hint.subject,
        (Some(_), None) => false,
        (None, _) => true,
    };
    if known { end(incoming, model, request.target) } else { ask(incoming, model, request.target) }
}

/// A logout request that may be carried out.
struct Request {
    hint: Option<Hint>,
    target: Option<String>,
}

fn read(model: &Model, form: &Form) -> Result<Request, &'static str> {
    let hint = match form.get("id_token_hint") {
        Some(hint) => Some(model.read_hint(hint).ok_or("The request has an ID token that is none of this server.")?),
        None => None,
    };
    let named = form.get("client_id");
    let client = match (&hint, named) {
        (Some(hint), Some(named)) if hint.client_id != named => {
            return Err("The ID token was made for another application.");
        }
        (Some(hint), _) => Some(hint.client_id.as_str()),
        (None, named) => named,
    };
    let Some(uri) = form.get("post_logout_redirect_uri") else {
        return Ok(Request { hint, target: None });
    };
    let client = client.and_then(|id| model.clients.get(id)).ok_or("The application is not known here.")?;
    if client.post_logout_redirect_uris.iter().all(|known| known != uri) {
        return Err("The application has not registered where to go after signing out.");
    }
    let state: Vec<(String, String)> =
        form.get("state").map(|state| ("state".to_owned(), state.to_owned())).into_iter().collect();
    let target = if state.is_empty() { uri.to_owned() } else { with_query(uri, &form::encode(&state)) };
    Ok(Request { hint, target: Some(target) })
}

/// Nobody has shown that the user wants this: any site can send a browser here.
fn ask(incoming: &Incoming<'_>, model: &mut Model, target: Option<String>) -> Response<ResponseBody> {
    let shared = incoming.shared;
    let known = Cookie::Browser.read(shared, &incoming.parts.headers).filter(|browser| browser.len() == 32);
    let browser = known.clone().unwrap_or_else(secret);
    let name = secret();
    let mut page = Page::new("Sign out?");
    page.soft("You will have to sign in again to use your applications.");
    page.form(&shared.endpoint_url(END_SESSION), |form| {
        form.hidden("confirmation", &name);
        form.button("action", "sign-out", "Sign out");
        form.quiet_button("action", "stay", "Stay signed in");
    });
    if let Some(target) = &target {
        page.leads_to(page::source(target));
    }
    let mut response = page.into_response(StatusCode::OK);
    if known.is_none() {
        Cookie::Browser.set(shared, &mut response, &browser);
    }
    let now = Instant::now();
    model.questions.0.retain(|_, question| now < question.expires_at);
    model.questions.0.insert(name, Question { browser, target, expires_at: now + LIFETIME });
    response
}

fn confirmed(incoming: &Incoming<'_>, model: &mut Model, name: &str, yes: bool) -> Response<ResponseBody> {
    let browser = Cookie::Browser.read(incoming.shared, &incoming.parts.headers);
    let asked = model.questions.0.get(name).filter(|question| Instant::now() < question.expires_at);
    if asked.is_none_or(|question| Some(&question.browser) != browser.as_ref()) {
        return error_page("This page is no longer good, or was opened in another browser.");
    }
    let target = model.questions.0.remove(name).and_then(|question| question.target);
    if yes {
        return end(incoming, model, target);
    }
    let mut page = Page::new("You are still signed in");
    page.paragraph("Nothing has changed. You can close this page.");
    page.into_response(StatusCode::OK)
}

fn end(incoming: &Incoming<'_>, model: &mut Model, target: Option<String>) -> Response<ResponseBody> {
    let shared = incoming.shared;
    let cookie = Cookie::Session.read(shared, &incoming.parts.headers);
    if let Some(session) = cookie.and_then(|cookie| model.sessions.end(&cookie)) {
        tell(shared, model, &session);
    }
    let mut response = match target {
        Some(target) => redirect(&target),
        None => {
            let mut page = Page::new("You are signed out");
            page.paragraph("You can close this page.");
            page.into_response(StatusCode::OK)
        }
    };
    Cookie::Session.remove(shared, &mut response);
    response
}

/// Writes a logout token for each client of a session that wants one.
pub(crate) fn tell(shared: &Shared, model: &mut Model, session: &Session) {
    for id in &session.clients {
        let client = model.clients.get(id).cloned();
        let Some((client, uri)) = client.and_then(|client| Some((client.clone(), client.backchannel_logout_uri?)))
        else {
            continue;
        };
        let logout_token = logout_token(shared, model, &client, Some(&session.user), Some(&session.id));
        model.outbox.push(&client.id, &uri, logout_token);
    }
}
