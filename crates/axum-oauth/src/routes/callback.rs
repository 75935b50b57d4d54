//! Takes what the server sends the user back with.

use axum::{
    Extension,
    extract::RawQuery,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use oauth_tokens::{Callback, Error, ErrorKind, PendingSignIn, SignedIn};
use tower_sessions::Session;

use super::{redirect, to_problem, with_cookies};
use crate::{
    Problem, SignIn, UserKey,
    asked::is_document,
    problem_details::ProblemDetails,
    session::{self, SignedInUser},
};

pub(super) async fn callback(
    Extension(sign_in): Extension<SignIn>,
    session: Session,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if !is_document(&headers) {
        return ProblemDetails::new(StatusCode::FORBIDDEN, "A sign-in needs a window of its own").into_response();
    }
    let callback = match Callback::from_query(query.as_deref().unwrap_or_default()) {
        Ok(callback) => callback,
        Err(error) => return refused(&sign_in, &error, "/"),
    };
    // Without it, nobody knows whose it is.
    let Some(state) = callback.state() else { return to_problem(&sign_in, Problem::Refused, "/") };
    let pending = match sign_in.0.pending.take(state, &headers).await {
        Ok(Some(pending)) => pending,
        Ok(None) => return to_problem(&sign_in, Problem::Expired, "/"),
        Err(error) => return refused(&sign_in, &error, "/"),
    };
    let return_to = pending.return_to().to_owned();
    let response = match finish(&sign_in, &session, pending, &callback).await {
        Ok(()) => with_cookies(redirect(&return_to), [sign_in.0.pending.just_signed_in()]),
        Err(error) => refused(&sign_in, &error, &return_to),
    };
    with_cookies(response, [sign_in.0.pending.removal(state)])
}

fn refused(sign_in: &SignIn, error: &Error, return_to: &str) -> Response {
    tracing::warn!(error = error as &dyn std::error::Error, "a sign-in was not finished");
    to_problem(sign_in, Problem::of(error), return_to)
}

async fn finish(sign_in: &SignIn, session: &Session, pending: PendingSignIn, callback: &Callback) -> Result<(), Error> {
    // First: a store that is down is to cost no code.
    let previous = session::load(session, &sign_in.0.realm).await.map_err(store_failed)?;
    let signed_in = sign_in.0.client.finish_sign_in(pending, callback).await?;
    let user = user_of(sign_in, &signed_in).await?;
    sign_in.0.users.sign_in(&user.key, signed_in).await?;
    if let Err(error) = session::begin(session, previous.as_ref(), &user).await {
        let _ = sign_in.0.users.forget(&user.key).await;
        return Err(store_failed(error));
    }
    if let Some(previous) = previous {
        sign_in.replaced(&previous).await;
    }
    Ok(())
}

/// Who it is, from the ID token, and from the server if the application wants that.
async fn user_of(sign_in: &SignIn, signed_in: &SignedIn) -> Result<SignedInUser, Error> {
    let token = signed_in
        .id_token
        .as_ref()
        .ok_or_else(|| Error::source_failed("the sign-in brought no ID token").permanent())?;
    let mut user = SignedInUser::new(UserKey::random()?, &sign_in.0.realm, token, &sign_in.0.claims);
    if sign_in.0.userinfo {
        match sign_in.0.client.userinfo(&signed_in.tokens.access_token, &user.sub).await {
            Ok(info) => user.add_claims(&sign_in.0.claims, |name| info.claim(name)),
            // It speaks of somebody else, or is not to be believed.
            Err(error) if error.kind() == ErrorKind::InvalidIdToken => return Err(error),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a user is signed in without userinfo");
            }
        }
    }
    Ok(user)
}

fn store_failed(error: tower_sessions::session::Error) -> Error {
    Error::source_failed("the session store does not work").caused_by(error)
}
