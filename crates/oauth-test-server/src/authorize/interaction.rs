//! The pages between a request and its answer, and the forms in them.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use http::{Response, StatusCode};
use tokio::time::Instant;

use crate::authorize::request::Request;
use crate::authorize::{CONSENT, Progress, SIGN_IN, error_page, proceed};
use crate::body::ResponseBody;
use crate::form::Form;
use crate::incoming::Incoming;
use crate::page::{self, Page};
use crate::respond::OAuthError;
use crate::session::{Cookie, Session, secret};
use crate::state::Model;

const LIFETIME: Duration = Duration::from_secs(600);

pub(super) enum Step {
    SignIn,
    Consent,
    Answer(Box<Session>),
    Refuse(&'static str, &'static str),
}

/// A page that was shown. Its form comes back with the name of it, which no other site knows, from the
/// browser that has seen it.
struct Interaction {
    progress: Progress,
    path: &'static str,
    browser: String,
    expires_at: Instant,
}

/// The pages that wait for an answer.
#[derive(Default)]
pub(crate) struct Interactions(HashMap<String, Interaction>);

impl fmt::Debug for Interactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interactions").field("waiting", &self.0.len()).finish()
    }
}

impl Interactions {
    fn take(&mut self, name: &str, path: &str, browser: &str) -> Option<Progress> {
        let known = self.0.get(name)?;
        let good = known.browser == browser && known.path == path && Instant::now() < known.expires_at;
        good.then(|| self.0.remove(name)).flatten().map(|interaction| interaction.progress)
    }
}

/// To what users have agreed, so that they are asked once.
#[derive(Debug, Default)]
pub(crate) struct Consents(HashMap<(String, String), BTreeSet<String>>);

impl Consents {
    pub(super) fn covers(&self, request: &Request, user: &str) -> bool {
        let known = self.0.get(&(user.to_owned(), request.client.id.clone()));
        !request.client.ask_consent || known.is_some_and(|known| request.scopes.is_subset(known))
    }

    pub(super) fn remember(&mut self, request: &Request, user: &str) {
        let known = self.0.entry((user.to_owned(), request.client.id.clone())).or_default();
        known.extend(request.scopes.iter().cloned());
    }
}

/// Shows a page whose form leads on with this progress.
fn show(
    incoming: &Incoming<'_>,
    model: &mut Model,
    progress: Progress,
    path: &'static str,
    status: StatusCode,
    draw: impl FnOnce(&str) -> Page,
) -> Response<ResponseBody> {
    let shared = incoming.shared;
    let known = Cookie::Browser.read(shared, &incoming.parts.headers).filter(|browser| browser.len() == 32);
    let browser = known.clone().unwrap_or_else(secret);
    let name = secret();
    let mut page = draw(&name);
    page.leads_to(page::source(&progress.request.reply.redirect_uri));
    let mut response = page.into_response(status);
    if known.is_none() {
        Cookie::Browser.set(shared, &mut response, &browser);
    }
    let now = Instant::now();
    model.interactions.0.retain(|_, interaction| now < interaction.expires_at);
    model.interactions.0.insert(name, Interaction { progress, path, browser, expires_at: now + LIFETIME });
    response
}

pub(super) fn sign_in_page(
    incoming: &Incoming<'_>,
    model: &mut Model,
    progress: Progress,
    wrong: Option<&str>,
) -> Response<ResponseBody> {
    let action = incoming.shared.endpoint_url(SIGN_IN);
    let client = progress.request.client.display_name().to_owned();
    let hint = wrong.or(progress.request.login_hint.as_deref()).unwrap_or_default().to_owned();
    let passwords = model.users.have_passwords();
    let failed = wrong.is_some();
    let status = if failed { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    show(incoming, model, progress, SIGN_IN, status, |name| {
        let mut page = Page::new("Sign in");
        page.soft(&format!("to continue to {client}"));
        if failed {
            page.alarm("The user name or the password is wrong.");
        }
        page.form(&action, |form| {
            form.hidden("interaction", name);
            let usual = "type=\"text\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" required";
            let focus = if hint.is_empty() { " autofocus" } else { "" };
            form.field("username", "User name", &hint, &format!("{usual}{focus}"));
            if passwords {
                let focus = if hint.is_empty() { "" } else { " autofocus" };
                form.field(
                    "password",
                    "Password",
                    "",
                    &format!("type=\"password\" autocomplete=\"current-password\"{focus}"),
                );
            }
            form.button("action", "sign-in", "Sign in");
            form.quiet_button("action", "cancel", "Cancel");
        });
        page
    })
}

pub(super) fn consent_page(incoming: &Incoming<'_>, model: &mut Model, progress: Progress) -> Response<ResponseBody> {
    let action = incoming.shared.endpoint_url(CONSENT);
    let lifetime = incoming.shared.settings.session_lifetime;
    let session = progress.session.as_ref().and_then(|cookie| model.sessions.get(cookie, lifetime));
    let user = session.map(|session| session.user.clone()).unwrap_or_default();
    let client = progress.request.client.display_name().to_owned();
    let scopes = progress.request.scopes.clone();
    show(incoming, model, progress, CONSENT, StatusCode::OK, |name| {
        let mut page = Page::new(&format!("Allow {client}?"));
        page.soft(&format!("You are signed in as {user}."));
        if scopes.is_empty() {
            page.paragraph(&format!("{client} wants to act for you."));
        } else {
            page.paragraph(&format!("{client} wants to:"));
        }
        page.list(described(&scopes).into_iter());
        page.form(&action, |form| {
            form.hidden("interaction", name);
            form.button("action", "allow", "Allow");
            form.quiet_button("action", "deny", "Deny");
            form.link_button("action", "switch", "Use another account");
        });
        page
    })
}

/// What each scope lets the client do, and its name; what everybody knows comes first.
fn described(scopes: &BTreeSet<String>) -> Vec<(&str, &str)> {
    const KNOWN: [(&str, &str); 6] = [
        ("Know who you are", "openid"),
        ("See your name and profile", "profile"),
        ("See your e-mail address", "email"),
        ("See your postal address", "address"),
        ("See your phone number", "phone"),
        ("Stay connected when you are away", "offline_access"),
    ];
    let is_known = |scope: &str| KNOWN.iter().any(|(_, known)| *known == scope);
    let known = KNOWN.into_iter().filter(|(_, scope)| scopes.contains(*scope));
    known.chain(scopes.iter().filter(|scope| !is_known(scope)).map(|scope| (scope.as_str(), ""))).collect()
}

/// The form of the sign-in page.
pub(crate) fn sign_in(incoming: &Incoming<'_>, form: &Form) -> Response<ResponseBody> {
    let (shared, model) = (incoming.shared, &mut *incoming.shared.lock());
    let Some(mut progress) = resume(incoming, model, form, SIGN_IN) else {
        return stale();
    };
    if form.get("action") == Some("cancel") {
        return denied(incoming, model, &progress, "the user has cancelled");
    }
    let name = form.get("username").unwrap_or_default().trim();
    let Some(user) = model.users.sign_in(name, form.get("password")) else {
        return sign_in_page(incoming, model, progress, Some(name));
    };
    if let Some(old) = Cookie::Session.read(shared, &incoming.parts.headers) {
        model.sessions.end(&old);
    }
    let session = Session {
        id: secret(),
        user: user.name,
        auth_time: Instant::now(),
        // Asking for it is as good as having done it.
        acr: progress.request.acr_values.first().cloned(),
        by_password: user.password.is_some(),
        clients: BTreeSet::new(),
    };
    let cookie = model.sessions.begin(session);
    progress.session = Some(cookie.clone());
    progress.signed_in = true;
    let mut response = proceed(incoming, model, progress);
    Cookie::Session.set(shared, &mut response, &cookie);
    response
}

/// The form of the consent page.
pub(crate) fn consent(incoming: &Incoming<'_>, form: &Form) -> Response<ResponseBody> {
    let (shared, model) = (incoming.shared, &mut *incoming.shared.lock());
    let Some(mut progress) = resume(incoming, model, form, CONSENT) else {
        return stale();
    };
    // Who agrees is who was asked.
    if progress.session != Cookie::Session.read(shared, &incoming.parts.headers) {
        return stale();
    }
    match form.get("action") {
        Some("allow") => {
            progress.agreed = true;
            proceed(incoming, model, progress)
        }
        Some("switch") => {
            progress.signed_in = false;
            progress.request.login_hint = None;
            sign_in_page(incoming, model, progress, None)
        }
        _ => denied(incoming, model, &progress, "the user has said no"),
    }
}

fn resume(incoming: &Incoming<'_>, model: &mut Model, form: &Form, path: &str) -> Option<Progress> {
    let browser = Cookie::Browser.read(incoming.shared, &incoming.parts.headers)?;
    model.interactions.take(form.get("interaction")?, path, &browser)
}

fn stale() -> Response<ResponseBody> {
    error_page("This page is no longer good, or was opened in another browser.")
}

fn denied(incoming: &Incoming<'_>, model: &Model, progress: &Progress, why: &'static str) -> Response<ResponseBody> {
    progress.request.reply.error(incoming.shared, model, &OAuthError::new("access_denied", why))
}
