//! Signs out: here, at the server, and in the server's own session.

use std::time::Duration;

use axum::{
    Extension,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use oauth_tokens::{Error, ErrorKind, IdToken};
use tokio::time::timeout;
use tower_sessions::Session;

use super::{redirect, to_problem, with_cookies};
use crate::{
    Problem, SignIn, UserKey,
    problem_details::ProblemDetails,
    session::{self, SignedInUser},
};

/// The longest ID token that goes into a URL, in bytes: proxies take 4 KiB of headers, at times no more.
const MAX_HINT: usize = 3 * 1024;
/// How long a user waits for a server to revoke tokens; it goes on all the same.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn logout(Extension(sign_in): Extension<SignIn>, session: Session, headers: HeaderMap) -> Response {
    // Who says nothing of where it comes from is not a form of ours in any browser of this decade.
    if sign_in.0.origin.is_foreign(&headers) != Some(false) {
        return ProblemDetails::new(Problem::Foreign.status(), Problem::Foreign.title()).into_response();
    }
    let user = match session::load(&session, &sign_in.0.realm).await {
        Ok(Some(user)) => user,
        Ok(None) => return redirect(&sign_in.0.pages.signed_out),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a session could not be read, to sign out");
            return to_problem(&sign_in, Problem::SignedIn, "/");
        }
    };
    // Whoever closes the window now is signed out all the same.
    let signing_out = tokio::spawn({
        let sign_in = sign_in.clone();
        async move { sign_out(&sign_in, &session, &user).await }
    });
    let response = match signing_out.await {
        Ok(Some(Some(url))) => redirect(&url),
        Ok(Some(None)) => redirect(&sign_in.0.pages.signed_out),
        Ok(None) | Err(_) => return to_problem(&sign_in, Problem::SignedIn, "/"),
    };
    with_cookies(response, [sign_in.0.pending.no_longer_just_signed_in()])
}

/// Where to go on at the server, if anywhere. None: the user is still signed in.
async fn sign_out(sign_in: &SignIn, session: &Session, user: &SignedInUser) -> Option<Option<String>> {
    let users = &sign_in.0.users;
    let hint = users.id_token(&user.key).await.ok().flatten();
    // Each of the two ends the sign-in here.
    let ended = sign_in.end(user).await;
    let flushed = session.flush().await;
    if let (Err(error), Err(_)) = (&ended, &flushed) {
        tracing::warn!(error = error as &dyn std::error::Error, "a user could not be signed out");
        return None;
    }
    let forgetting = tokio::spawn(forget(sign_in.clone(), user.key.clone()));
    let _ = timeout(PATIENCE, forgetting).await;
    match end_session(sign_in, hint.as_ref()).await {
        Ok(url) => Some(Some(url)),
        Err(error) if error.kind() == ErrorKind::MissingEndpoint => Some(None),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a user is not signed out at the server");
            Some(None)
        }
    }
}

async fn forget(sign_in: SignIn, key: UserKey) {
    if let Err(error) = sign_in.0.users.forget(&key).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "a user's tokens could not be revoked");
    }
}

async fn end_session(sign_in: &SignIn, hint: Option<&IdToken>) -> Result<String, Error> {
    let back = format!("{}{}", sign_in.0.origin, sign_in.0.pages.signed_out);
    let mut end = sign_in.0.client.end_session().post_logout_redirect_uri(back);
    // Without it, the server asks the user.
    if let Some(hint) = hint.filter(|hint| hint.as_str().len() <= MAX_HINT) {
        end = end.id_token(hint);
    }
    end.url().await
}
