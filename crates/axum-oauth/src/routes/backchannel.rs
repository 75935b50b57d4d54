//! The server itself says that a sign-in has ended (OpenID Connect Back-Channel Logout 1.0).

use std::time::Duration;

use axum::{
    Extension, Form,
    extract::rejection::FormRejection,
    response::{IntoResponse, Response},
};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use oauth_tokens::Error;
use serde::Deserialize;
use tokio::time::sleep;

use crate::{SignIn, asked::NO_STORE, ended::Name, session::seconds_of};

/// A server sends a token once, and it is taken once: a store that does not work for a moment must not lose it.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(3)];

#[derive(Deserialize)]
pub(super) struct LogoutRequest {
    logout_token: String,
}

pub(super) async fn logout(
    Extension(sign_in): Extension<SignIn>,
    request: Result<Form<LogoutRequest>, FormRejection>,
) -> Response {
    let Ok(Form(request)) = request else { return refused() };
    // A token is taken once: whoever sent it may hang up now, and it ends what it names all the same.
    let ending = tokio::spawn(async move { end(&sign_in, &request.logout_token).await });
    match ending.await {
        Ok(Ok(())) => (StatusCode::OK, [(CACHE_CONTROL, NO_STORE)]).into_response(),
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a logout token ended nothing");
            refused()
        }
        Err(_) => refused(),
    }
}

async fn end(sign_in: &SignIn, token: &str) -> Result<(), Error> {
    let token = sign_in.0.client.verify_logout_token(token).await?;
    let at = seconds_of(token.issued_at());
    // A session is meant, if one is named; else all of the user's (section 2.4). A sign-in whose ID token named none may be of any.
    let names = match (token.session_id(), token.subject()) {
        (Some(sid), sub) => [Some(Name::Session(sid)), sub.map(Name::SubjectWithoutSession)],
        (None, Some(sub)) => [Some(Name::Subject(sub)), None],
        (None, None) => return Err(Error::source_failed("a logout token names nobody").permanent()),
    };
    let mut pauses = PAUSES.iter();
    for name in names.into_iter().flatten() {
        while let Err(error) = sign_in.0.ended.end(name, at).await {
            let Some(pause) = pauses.next() else { return Err(error) };
            sleep(*pause).await;
        }
    }
    // Not before: what failed may be brought again.
    token.taken();
    Ok(())
}

/// The one answer to whatever went wrong (section 2.8).
fn refused() -> Response {
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (CACHE_CONTROL, NO_STORE)];
    (StatusCode::BAD_REQUEST, headers, r#"{"error":"invalid_request"}"#).into_response()
}
