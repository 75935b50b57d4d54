//! Sends the user to the server.

use axum::{
    Extension,
    extract::{Query, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::{redirect, to_problem, with_cookies};
use crate::{Problem, SignIn, asked::is_document, problem_details::ProblemDetails};

#[derive(Deserialize)]
pub(super) struct Wish {
    return_to: Option<String>,
}

pub(super) async fn login(
    Extension(sign_in): Extension<SignIn>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    if !is_document(&headers) {
        return ProblemDetails::new(StatusCode::FORBIDDEN, "A sign-in needs a window of its own").into_response();
    }
    let return_to = match wish {
        Ok(Query(Wish { return_to })) => return_to.unwrap_or_else(|| "/".to_owned()),
        Err(_) => return to_problem(&sign_in, Problem::Link, "/"),
    };
    if !sign_in.0.paths.may_return_to(&return_to) {
        return to_problem(&sign_in, Problem::Link, "/");
    }
    match begin(&sign_in, &return_to, &headers).await {
        Ok(response) => response,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a sign-in could not be begun");
            to_problem(&sign_in, Problem::of(&error), &return_to)
        }
    }
}

async fn begin(sign_in: &SignIn, return_to: &str, headers: &HeaderMap) -> Result<Response, oauth_tokens::Error> {
    let started = sign_in.0.request.clone().return_to(return_to).begin().await?;
    let (url, pending) = started.into_parts();
    let cookies = sign_in.0.pending.remember(&pending, headers).await?;
    Ok(with_cookies(redirect(&url), cookies))
}
