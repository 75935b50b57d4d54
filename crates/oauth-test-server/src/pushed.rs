//! Pushed authorization requests (RFC 9126): taken and kept, not carried out.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::client_auth::authenticate;
use crate::form::Form;
use crate::grants::{authorization_details, scopes, target};
use crate::incoming::Incoming;
use crate::respond::{self, Answer, OAuthError};

pub(crate) const PUSHED_AUTHORIZATION: &str = "/par";

const LIFETIME: Duration = Duration::from_secs(60);

/// The requests by their `request_uri`.
#[derive(Debug, Default)]
pub(crate) struct PushedRequests(HashMap<String, PushedRequest>);

#[derive(Debug)]
struct PushedRequest {
    parameters: Vec<(String, String)>,
    expires_at: Instant,
}

impl PushedRequests {
    /// The parameters, until they expire.
    pub(crate) fn get(&self, request_uri: &str) -> Option<Vec<(String, String)>> {
        let request = self.0.get(request_uri).filter(|request| Instant::now() < request.expires_at)?;
        Some(request.parameters.clone())
    }
}

/// RFC 9126 section 2.
pub(crate) fn push(incoming: &Incoming<'_>, form: &Form) -> Answer {
    let shared = incoming.shared;
    let model = &mut *shared.lock();
    let client = authenticate(model, incoming, form)?.client;
    let invalid = |why| OAuthError::new("invalid_request", why);
    if form.get("request_uri").is_some() {
        return Err(invalid("a pushed request has no request_uri"));
    }
    if form.get("client_id").is_none() {
        return Err(invalid("client_id is missing"));
    }
    if form.get("response_type").is_none() {
        return Err(invalid("response_type is missing"));
    }
    scopes(form, &client.scopes)?;
    target(form, &client)?;
    authorization_details(shared, form, None)?;

    let request_uri = format!("urn:ietf:params:oauth:request_uri:{:032x}", fastrand::u128(..));
    let request = PushedRequest { parameters: form.without_credentials(), expires_at: Instant::now() + LIFETIME };
    model.pushed.0.insert(request_uri.clone(), request);
    let answer = json!({ "request_uri": request_uri, "expires_in": LIFETIME.as_secs() });
    Ok(respond::no_store(respond::json(StatusCode::CREATED, &answer)))
}
