//! The authorization endpoint (RFC 6749 section 3.1): what is asked, who is there, whether they agree.

mod code;
mod interaction;
mod redirect_uri;
mod request;
mod response;

use http::{Method, Response, StatusCode};

pub(crate) use code::{Codes, Found};
pub(crate) use interaction::{Consents, Interactions, consent, sign_in};
pub(crate) use request::{Refusal, parse};
pub(crate) use response::{redirect, with_query};

use crate::authorize::code::Code;
use crate::authorize::interaction::{Step, consent_page, sign_in_page};
use crate::authorize::request::{Prompt, Request};
use crate::body::ResponseBody;
use crate::form::Form;
use crate::incoming::Incoming;
use crate::page::Page;
use crate::respond::OAuthError;
use crate::session::{Cookie, Session};
use crate::state::{Model, Shared};
use crate::token::Grant;

pub(crate) const AUTHORIZATION: &str = "/authorize";
pub(crate) const SIGN_IN: &str = "/sign-in";
pub(crate) const CONSENT: &str = "/consent";

/// OpenID Connect Core section 3.1.2.1: by GET and by POST alike.
pub(crate) fn authorize(incoming: &Incoming<'_>, body: &[u8]) -> Response<ResponseBody> {
    let parts = incoming.parts;
    let parameters = if parts.method == Method::POST { body } else { parts.uri.query().unwrap_or_default().as_bytes() };
    let Ok(form) = Form::parse(parameters) else {
        return error_page("The request cannot be read.");
    };
    let (shared, model) = (incoming.shared, &mut *incoming.shared.lock());
    let request = match request::read(shared, model, &form) {
        Ok(request) => request,
        Err(Refusal::Page(why)) => return error_page(why),
        Err(Refusal::Client(reply, error)) => return reply.error(shared, model, &error),
    };
    let cookie = Cookie::Session.read(shared, &parts.headers);
    proceed(incoming, model, Progress { request, session: cookie, signed_in: false, agreed: false })
}

pub(crate) fn error_page(why: &str) -> Response<ResponseBody> {
    let mut page = Page::new("This does not work");
    page.alarm(why);
    page.soft("Please go back to the application and try again.");
    page.into_response(StatusCode::BAD_REQUEST)
}

/// How far a request has come.
#[derive(Clone)]
pub(crate) struct Progress {
    request: Request,
    /// The cookie of the session.
    session: Option<String>,
    /// Whether the user has signed in for this request.
    signed_in: bool,
    /// Whether the user has agreed to this request.
    agreed: bool,
}

/// Takes the next step: asks the user for something, or answers.
fn proceed(incoming: &Incoming<'_>, model: &mut Model, progress: Progress) -> Response<ResponseBody> {
    let shared = incoming.shared;
    match next_step(shared, model, &progress) {
        Step::Refuse(error, why) => progress.request.reply.error(shared, model, &OAuthError::new(error, why)),
        Step::SignIn => sign_in_page(incoming, model, progress, None),
        Step::Consent => consent_page(incoming, model, progress),
        Step::Answer(session) => {
            let code = issue(model, &progress, &session);
            progress.request.reply.code(shared, model, code)
        }
    }
}

fn next_step(shared: &Shared, model: &Model, progress: &Progress) -> Step {
    let request = &progress.request;
    let silent = request.asks(Prompt::None);
    let session =
        progress.session.as_ref().and_then(|cookie| model.sessions.get(cookie, shared.settings.session_lifetime));
    let Some(session) = session.filter(|session| suffices(request, session, progress.signed_in)) else {
        return if silent { Step::Refuse("login_required", "the user has to sign in") } else { Step::SignIn };
    };
    // The user who was asked for may not be the one who has signed in.
    if request.expected_user.as_ref().is_some_and(|expected| *expected != session.user) {
        return Step::Refuse("login_required", "another user has signed in");
    }
    if !progress.agreed && (request.asks(Prompt::Consent) || !model.consents.covers(request, &session.user)) {
        return if silent { Step::Refuse("consent_required", "the user has to agree") } else { Step::Consent };
    }
    Step::Answer(Box::new(session.clone()))
}

/// Whether the user need not sign in again.
fn suffices(request: &Request, session: &Session, signed_in: bool) -> bool {
    let recent = request.max_age.is_none_or(|max_age| session.auth_time.elapsed() <= max_age);
    let strong =
        request.acr_values.is_empty() || session.acr.as_ref().is_some_and(|acr| request.acr_values.contains(acr));
    let expected = request.expected_user.as_ref().is_none_or(|expected| *expected == session.user);
    let asked = request.asks(Prompt::Login) || request.asks(Prompt::SelectAccount);
    signed_in || (recent && strong && expected && !asked && request.max_age.is_none_or(|max_age| !max_age.is_zero()))
}

fn issue(model: &mut Model, progress: &Progress, session: &Session) -> String {
    let request = &progress.request;
    model.consents.remember(request, &session.user);
    if let Some(session) = progress.session.as_ref().and_then(|cookie| model.sessions.get_mut(cookie)) {
        session.clients.insert(request.client.id.clone());
    }
    let mut grant = Grant::new(&request.client.id, &session.user);
    grant.scopes = request.scopes.clone();
    grant.audience = request.audience.clone();
    grant.authorization_details = request.authorization_details.clone();
    grant.requested_claims = request.claims.clone();
    grant.family = Some(model.tokens.number());
    grant.acr = session.acr.clone();
    grant.auth_time = session.auth_time;
    grant.session_id = Some(session.id.clone());
    grant.by_password = session.by_password;
    model.codes.issue(Code {
        grant,
        sent_redirect_uri: request.sent_redirect_uri.clone(),
        code_challenge: request.code_challenge.clone(),
        dpop_key: request.dpop_key.clone(),
        nonce: request.nonce.clone(),
    })
}
