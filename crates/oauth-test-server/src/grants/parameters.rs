//! What several grants take from the form.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::client::Client;
use crate::form::Form;
use crate::respond::OAuthError;
use crate::state::Shared;
use crate::token::Grant;

/// The scopes asked for, or all that are allowed.
pub(crate) fn scopes(form: &Form, allowed: &BTreeSet<String>) -> Result<BTreeSet<String>, OAuthError> {
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
pub(crate) fn target(form: &Form, client: &Client) -> Result<Option<Vec<String>>, OAuthError> {
    for resource in form.all("resource") {
        if !is_absolute_uri(resource) {
            return Err(OAuthError::new("invalid_target", "resource must be an absolute URI without a fragment"));
        }
    }
    let asked = form.all("resource").chain(form.all("audience"));
    let asked: Vec<String> = asked.map(str::to_owned).collect();
    if client.targets.as_ref().is_some_and(|allowed| asked.iter().any(|target| !allowed.contains(target))) {
        return Err(OAuthError::new("invalid_target", "the client may not ask for this resource or audience"));
    }
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

/// RFC 9396 section 5: an array of objects that each have a `type`. A later request may only ask for
/// what was `granted` before.
pub(crate) fn authorization_details(
    shared: &Shared,
    form: &Form,
    granted: Option<&Value>,
) -> Result<Option<Value>, OAuthError> {
    let Some(text) = form.get("authorization_details") else {
        return Ok(None);
    };
    let invalid = |why| OAuthError::new("invalid_authorization_details", why);
    let details: Value = serde_json::from_str(text).map_err(|_| invalid("authorization_details is no JSON"))?;
    let Value::Array(list) = &details else {
        return Err(invalid("authorization_details is no array"));
    };
    for detail in list {
        let kind = detail.get("type").and_then(Value::as_str);
        let kind = kind.ok_or_else(|| invalid("a member of authorization_details has no type"))?;
        let types = &shared.settings.authorization_details_types;
        if types.as_ref().is_some_and(|types| types.iter().all(|known| known != kind)) {
            return Err(invalid("a type of authorization_details is unknown"));
        }
        if granted.and_then(Value::as_array).is_some_and(|granted| !granted.contains(detail)) {
            return Err(invalid("a member of authorization_details was not granted"));
        }
    }
    Ok(Some(details))
}

/// The claims that a token must be able to show (OpenID Connect Core section 5.5).
pub(crate) fn claims(form: &Form) -> Result<Option<Value>, OAuthError> {
    let Some(text) = form.get("claims") else {
        return Ok(None);
    };
    let claims: Value = serde_json::from_str(text).unwrap_or_default();
    if !claims.is_object() {
        return Err(OAuthError::new("invalid_request", "claims is no JSON object"));
    }
    Ok(Some(claims))
}

/// RFC 9470: at a token endpoint without sign-in pages, asking for a stronger or a more recent sign-in
/// is as good as having done it.
pub(super) fn sign_in(form: &Form, grant: &mut Grant) -> Result<(), OAuthError> {
    if let Some(acr) = form.get("acr_values").and_then(|values| values.split_whitespace().next()) {
        grant.acr = Some(acr.to_owned());
        grant.auth_time = Instant::now();
    }
    if let Some(max_age) = form.get("max_age") {
        let seconds = max_age.parse().map_err(|_| OAuthError::new("invalid_request", "max_age is no number"))?;
        if grant.auth_time.elapsed() > Duration::from_secs(seconds) {
            grant.auth_time = Instant::now();
        }
    }
    Ok(())
}
