use std::collections::BTreeSet;

use http::{HeaderMap, Response, StatusCode};
use serde_json::json;

use crate::body::ResponseBody;
use crate::client::Client;
use crate::client_auth::authenticate;
use crate::form::Form;
use crate::respond::{self, OAuthError};
use crate::state::{Model, Shared, overlay};
use crate::token::{Grant, RefreshState};

/// Carries out one request to the token endpoint (RFC 6749 section 3.2).
pub(crate) fn answer(
    shared: &Shared,
    headers: &HeaderMap,
    form: &Form,
    same_token: bool,
) -> Result<Response<ResponseBody>, OAuthError> {
    let model = &mut *shared.lock();
    let client = authenticate(model, headers, form)?.clone();
    let grant_type =
        form.get("grant_type").ok_or_else(|| OAuthError::new("invalid_request", "grant_type is missing"))?;
    let known = ["client_credentials", "refresh_token"].contains(&grant_type);
    if known && !client.may_use(grant_type) {
        return Err(OAuthError::new("unauthorized_client", "the client may not use this grant type"));
    }
    let (grant, refresh_token) = match grant_type {
        "client_credentials" => client_credentials(shared, model, &client, form)?,
        "refresh_token" => refresh(shared, model, &client, form)?,
        _ => {
            return Err(OAuthError::new(
                "unsupported_grant_type",
                "client_credentials and refresh_token are supported",
            ));
        }
    };
    Ok(success(shared, model, grant, refresh_token, same_token))
}

/// RFC 6749 section 4.4.
fn client_credentials(
    shared: &Shared,
    model: &mut Model,
    client: &Client,
    form: &Form,
) -> Result<(Grant, Option<String>), OAuthError> {
    if client.secret.is_none() {
        return Err(OAuthError::new("unauthorized_client", "only confidential clients may use client_credentials"));
    }
    let mut grant = Grant {
        client_id: client.id.clone(),
        subject: client.id.clone(),
        scopes: scopes(form, &client.scopes)?,
        audience: audience(form)?.unwrap_or_else(|| vec![shared.settings.api_origin.clone()]),
        family: None,
    };
    let refresh_token = shared.settings.refresh_tokens.then(|| {
        let token = model.tokens.issue_refresh_token(grant.clone());
        grant.family = model.tokens.refresh.get(&token).map(|token| token.family);
        token
    });
    Ok((grant, refresh_token))
}

/// RFC 6749 section 6, with the rotation of RFC 9700 section 4.14.2.
fn refresh(
    shared: &Shared,
    model: &mut Model,
    client: &Client,
    form: &Form,
) -> Result<(Grant, Option<String>), OAuthError> {
    let token =
        form.get("refresh_token").ok_or_else(|| OAuthError::new("invalid_request", "refresh_token is missing"))?;
    let known = model.tokens.refresh.get(token).cloned();
    let Some(known) = known.filter(|known| known.grant.client_id == client.id) else {
        return Err(OAuthError::new("invalid_grant", "unknown refresh token"));
    };
    match known.state {
        RefreshState::Live => {}
        RefreshState::Revoked => {
            return Err(OAuthError::new("invalid_grant", "the refresh token was revoked"));
        }
        RefreshState::Replaced => {
            model.counters.refresh_reuse_detected += 1;
            model.tokens.revoke_family(known.family);
            return Err(OAuthError::new(
                "invalid_grant",
                "the refresh token was used before; all its tokens are revoked",
            ));
        }
    }
    let mut grant = Grant { family: Some(known.family), ..known.grant };
    let replacement = shared.settings.rotate_refresh_tokens.then(|| grant.clone());
    // What is asked for may narrow this access token, not the refresh token.
    grant.scopes = scopes(form, &grant.scopes)?;
    if let Some(audience) = audience(form)? {
        grant.audience = audience;
    }
    let replacement = replacement.map(|grant| {
        if let Some(old) = model.tokens.refresh.get_mut(token) {
            old.state = RefreshState::Replaced;
        }
        model.tokens.issue_refresh_token(grant)
    });
    Ok((grant, replacement))
}

/// The scopes asked for, or all that are allowed.
fn scopes(form: &Form, allowed: &BTreeSet<String>) -> Result<BTreeSet<String>, OAuthError> {
    let Some(scope) = form.get("scope") else {
        return Ok(allowed.clone());
    };
    let asked: BTreeSet<String> = scope.split_whitespace().map(str::to_owned).collect();
    if !asked.is_subset(allowed) {
        return Err(OAuthError::new("invalid_scope", "a scope is not allowed"));
    }
    Ok(asked)
}

/// The resources (RFC 8707) and audiences that the token is asked for.
fn audience(form: &Form) -> Result<Option<Vec<String>>, OAuthError> {
    for resource in form.all("resource") {
        if !is_absolute_uri(resource) {
            return Err(OAuthError::new("invalid_target", "resource must be an absolute URI without a fragment"));
        }
    }
    let asked = form.all("resource").chain(form.all("audience"));
    let asked: Vec<String> = asked.map(str::to_owned).collect();
    Ok(Some(asked).filter(|asked| !asked.is_empty()))
}

/// RFC 8707 section 2: with a scheme, without a fragment. A URN is one too.
fn is_absolute_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !rest.is_empty()
            && !rest.contains(['#', ' '])
    })
}

fn success(
    shared: &Shared,
    model: &mut Model,
    grant: Grant,
    refresh_token: Option<String>,
    same_token: bool,
) -> Response<ResponseBody> {
    let last = model.tokens.last.get(&grant.client_id).cloned();
    let token = match last.filter(|_| same_token) {
        Some(last) => last,
        None => {
            model.counters.tokens_issued += 1;
            model.issue_access_token(shared, grant)
        }
    };
    let mut answer = serde_json::Map::new();
    answer.insert("access_token".to_owned(), json!(token));
    answer.insert("token_type".to_owned(), json!("Bearer"));
    if let Some(issued) = model.tokens.access.get(&token) {
        answer.insert("scope".to_owned(), json!(issued.grant.scope()));
        if let Some(seconds) = issued.expires_in() {
            answer.insert("expires_in".to_owned(), json!(seconds));
        }
    }
    if let Some(refresh_token) = refresh_token {
        answer.insert("refresh_token".to_owned(), json!(refresh_token));
    }
    overlay(&mut answer, &model.token_response);
    respond::no_store(respond::json(StatusCode::OK, &answer.into()))
}
