//! Pushed authorization requests (RFC 9126).

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::authorize::{self, Refusal};
use crate::client_auth::authenticate;
use crate::dpop;
use crate::form::Form;
use crate::grants::{authorization_details, scopes, target};
use crate::incoming::Incoming;
use crate::respond::{self, Answer, OAuthError};

pub(crate) const PUSHED_AUTHORIZATION: &str = "/par";

const LIFETIME: Duration = Duration::from_secs(60);

/// The requests by their `request_uri`.
#[derive(Default)]
pub(crate) struct PushedRequests(HashMap<String, PushedRequest>);

struct PushedRequest {
    client_id: String,
    parameters: Vec<(String, String)>,
    expires_at: Instant,
    used: bool,
}

impl fmt::Debug for PushedRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushedRequests").field("pushed", &self.0.len()).finish()
    }
}

impl PushedRequests {
    /// The parameters, until they expire.
    pub(crate) fn get(&self, request_uri: &str) -> Option<Vec<(String, String)>> {
        let request = self.0.get(request_uri).filter(|request| Instant::now() < request.expires_at)?;
        Some(request.parameters.clone())
    }

    /// The request, once, for the client that has pushed it (RFC 9126 section 4).
    pub(crate) fn spend(&mut self, request_uri: &str, client_id: &str) -> Option<Form> {
        let request = self.0.get_mut(request_uri)?;
        if request.used || request.client_id != client_id || Instant::now() >= request.expires_at {
            return None;
        }
        request.used = true;
        Some(Form::again(&request.parameters))
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
    let proof = dpop::at_token_endpoint(model, incoming)?;
    scopes(form, &client.scopes)?;
    target(form, &client)?;
    authorization_details(shared, form, None)?;

    let request_uri = format!("urn:ietf:params:oauth:request_uri:{:032x}", fastrand::u128(..));
    let mut parameters = form.without_credentials();
    if let Some(proof) = proof {
        // RFC 9449 section 10.1: the proof says which key the code will be bound to.
        if form.get("dpop_jkt").is_some_and(|key| key != proof.key) {
            return Err(invalid("dpop_jkt is not the key of the proof"));
        }
        parameters.retain(|(name, _)| name != "dpop_jkt");
        parameters.push(("dpop_jkt".to_owned(), proof.key));
    }
    // One that leads nowhere can only be looked at.
    if !client.redirect_uris.is_empty() {
        authorize::parse(shared, model, &client, form, true).map_err(|refusal| match refusal {
            Refusal::Page(_) => invalid("the redirect_uri is missing or not registered"),
            Refusal::Client(_, error) => error,
        })?;
    }
    let expires_at = Instant::now() + LIFETIME;
    let request = PushedRequest { client_id: client.id, parameters, expires_at, used: false };
    model.pushed.0.insert(request_uri.clone(), request);
    let answer = json!({ "request_uri": request_uri, "expires_in": LIFETIME.as_secs() });
    Ok(respond::no_store(respond::json(StatusCode::CREATED, &answer)))
}
