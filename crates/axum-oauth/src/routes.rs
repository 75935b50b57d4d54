//! The routes of a sign-in.
//!
//! | file | idea |
//! |---|---|
//! | `login.rs` | sends the user to the server |
//! | `callback.rs` | takes what the server sends the user back with |
//! | `logout.rs` | signs out, here and at the server |
//! | `backchannel.rs` | the server itself says that a sign-in has ended |

mod backchannel;
mod callback;
mod login;
mod logout;

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, HeaderValue, REFERRER_POLICY, SET_COOKIE},
};
use tower_sessions::cookie::Cookie;

use crate::{Problem, ProblemQuery, SignIn, User, asked::NO_STORE, pages, paths::Paths};

/// A logout token is a small JWT.
const MAX_BODY: usize = 64 * 1024;

pub(crate) fn router<S: Clone + Send + Sync + 'static>(sign_in: &SignIn) -> Router<S> {
    let paths = &sign_in.0.paths;
    // Whoever only wants to know whether there is a page must not use up a sign-in.
    let no_head = || async { StatusCode::METHOD_NOT_ALLOWED };
    let mut router = Router::new()
        .route(&paths.login, get(login::login).head(no_head))
        .route(&paths.callback, get(callback::callback).head(no_head))
        .route(&paths.logout, post(logout::logout))
        .route(&paths.backchannel_logout, post(backchannel::logout).layer(DefaultBodyLimit::max(MAX_BODY)));
    if !sign_in.0.pages.has_own_problem {
        router = router.route(&paths.problem, get(problem_page));
    }
    if !sign_in.0.pages.has_own_signed_out {
        router = router.route(&paths.signed_out, get(signed_out_page));
    }
    router.layer(Extension(sign_in.clone())).with_state(())
}

async fn problem_page(Extension(sign_in): Extension<SignIn>, query: ProblemQuery) -> Response {
    pages::told(&query, &sign_in.0.paths)
}

/// A link to it must not tell anybody that they are signed out who are not.
async fn signed_out_page(Extension(sign_in): Extension<SignIn>, user: Option<User>) -> Response {
    if user.is_some() {
        return pages::still_signed_in();
    }
    pages::signed_out(&sign_in.0.paths.login)
}

/// To the page that says what went wrong: the address of a callback has a code in it, which is not to stay on anybody's screen.
pub(crate) fn to_problem(sign_in: &SignIn, problem: Problem, return_to: &str) -> Response {
    let mut location = format!("{}?why={}", sign_in.0.pages.problem, problem.code());
    if return_to != "/" && sign_in.0.paths.may_return_to(return_to) {
        location.push_str("&return_to=");
        location.push_str(&Paths::encode(return_to));
    }
    redirect(&location)
}

/// A redirect that tells the next place nothing of this one.
fn redirect(location: &str) -> Response {
    let headers = [(CACHE_CONTROL, NO_STORE), (REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
    (headers, Redirect::to(location)).into_response()
}

fn with_cookies(mut response: Response, cookies: impl IntoIterator<Item = Cookie<'static>>) -> Response {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::try_from(cookie.to_string()) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}
