//! What the routes answer.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    response::{Html, IntoResponse, Redirect, Response},
};
use axum_oauth::{ProblemQuery, User, tower_sessions::Session};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

use super::{
    access::{Access, Moment},
    app::App,
    parcels::Answer,
};

/// Whoever is not signed in.
#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome {
    login: String,
}

/// Whoever is.
#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    name: &'a str,
    initials: String,
    email: Option<&'a str>,
    subject: &'a str,
    issuer: &'a str,
    signed_in: Moment,
    token: Access,
    answer: Answer,
    logout: &'a str,
}

/// A few words, and a way on.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    title: &'a str,
    text: &'a str,
    link: &'a str,
    label: &'a str,
}

pub(super) async fn home(State(app): State<Arc<App>>, user: Option<User>, session: Session) -> Response {
    let Some(user) = user else {
        return page(StatusCode::OK, &Welcome { login: app.sign_in.login_path("/") });
    };
    let answer = match app.parcels.ask(&user).await {
        Ok(answer) => answer,
        Err(refusal) => return refusal.into_response(),
    };
    match access(&app, &user, &session).await {
        Ok(token) => page(
            StatusCode::OK,
            &Home {
                name: user.name().unwrap_or(user.subject()),
                initials: initials(user.name().unwrap_or(user.subject())),
                email: user.email(),
                subject: user.subject(),
                issuer: user.issuer(),
                signed_in: Moment::ago(user.signed_in_for()),
                token,
                answer,
                logout: app.sign_in.logout_path(),
            },
        ),
        Err(error) => user.refusal(error).into_response(),
    }
}

async fn access(app: &App, user: &User, session: &Session) -> Result<Access, tower_oauth::BoxError> {
    let status = app.sign_in.users().get(user.key())?.status();
    Ok(Access::look(&status, session).await?)
}

/// Where the sign-in leads when something is wrong.
pub(super) async fn problem(State(app): State<Arc<App>>, query: ProblemQuery) -> Response {
    let (problem, return_to) = (query.problem(), query.return_to());
    let login = app.sign_in.login_path(return_to);
    let (link, label) =
        if problem.is_cured_by_sign_in() { (login.as_str(), "Sign in again") } else { (return_to, "Try again") };
    page(query.status(), &Notice { title: problem.title(), text: problem.advice(), link, label })
}

pub(super) async fn signed_out(State(app): State<Arc<App>>, user: Option<User>) -> Response {
    if user.is_some() {
        // A link has brought them here, and not the sign-out.
        return Redirect::to("/").into_response();
    }
    let (title, text) = ("You are signed out", "Your access has been taken back. See you soon.");
    page(StatusCode::OK, &Notice { title, text, link: &app.sign_in.login_path("/"), label: "Sign in again" })
}

pub(super) async fn not_found(State(app): State<Arc<App>>) -> Response {
    let (title, text) = ("There is no such page", "Perhaps the link is old.");
    page(StatusCode::NOT_FOUND, &Notice { title, text, link: &app.sign_in.login_path("/"), label: "Sign in" })
}

pub(super) async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "max-age=300")], include_str!("style.css"))
}

pub(super) async fn icon() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "max-age=300")], include_str!("icon.svg"))
}

fn page(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, [(CACHE_CONTROL, "no-store")], Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The first letters of the first name and the last one.
fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().next());
    let (first, last) = (words.next(), words.next_back());
    first.into_iter().chain(last).flat_map(char::to_uppercase).collect()
}
