//! What is asked for with a grant: by the grant itself, or by an origin in its place.

use oauth_tokens::{Grant, TokenClient, TokenRequest};
use serde_json::Value;

use super::{
    ConfigError, json,
    names::Keys,
    reader::{Place, Table, Written},
};

pub(super) const KEYS: Keys = &["scope", "resource", "audience", "authorization_details", "parameters"];

/// Nothing where none was said.
#[derive(Clone, Default)]
pub(super) struct Asked {
    scope: Option<Vec<Written>>,
    resource: Option<Vec<Written>>,
    audience: Option<Written>,
    authorization_details: Option<Details>,
    parameters: Option<Vec<(String, Written)>>,
}

#[derive(Clone)]
struct Details {
    path: String,
    value: Value,
}

impl Asked {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            scope: table.get("scope").map(Place::texts).transpose()?,
            resource: table.get("resource").map(Place::texts).transpose()?,
            audience: table.text("audience")?,
            authorization_details: table.get("authorization_details").map(details).transpose()?,
            parameters: table.get("parameters").map(parameters).transpose()?,
        })
    }

    /// These, and where none was said those.
    pub(super) fn or(self, those: &Self) -> Self {
        Self {
            scope: self.scope.or_else(|| those.scope.clone()),
            resource: self.resource.or_else(|| those.resource.clone()),
            audience: self.audience.or_else(|| those.audience.clone()),
            authorization_details: self.authorization_details.or_else(|| those.authorization_details.clone()),
            parameters: self.parameters.or_else(|| those.parameters.clone()),
        }
    }

    /// The same, and more scopes.
    pub(super) fn and_scopes(&self, more: &[String]) -> Self {
        let mut scopes = self.scope.clone().unwrap_or_default();
        let is_known = |scope: &str| scopes.iter().any(|known| known.text.split(' ').any(|word| word == scope));
        let missing: Vec<_> = more.iter().filter(|scope| !is_known(scope)).cloned().collect();
        scopes.extend(missing.into_iter().map(|text| Written { path: "policy.step_up_scopes".to_owned(), text }));
        Self { scope: Some(scopes), ..self.clone() }
    }

    pub(super) fn ask<G: Grant>(&self, mut request: TokenRequest<G>) -> TokenRequest<G> {
        for scope in self.scope.iter().flatten() {
            request = request.scope(&scope.text);
        }
        for resource in self.resource.iter().flatten() {
            request = request.resource(&resource.text);
        }
        if let Some(audience) = &self.audience {
            request = request.audience(&audience.text);
        }
        if let Some(details) = self.authorization_details.as_ref().filter(|details| !details.is_empty()) {
            request = request.authorization_details(details.value.clone());
        }
        for (name, value) in self.parameters.iter().flatten() {
            request = request.param(name, &value.text);
        }
        request
    }

    /// One after the other, so that each error is known to be of that one.
    pub(super) fn check(&self, client: &TokenClient) -> Result<(), ConfigError> {
        let empty = || client.client_credentials();
        for scope in self.scope.iter().flatten() {
            empty().scope(&scope.text).cached().map_err(|error| scope.refused(error))?;
        }
        for resource in self.resource.iter().flatten() {
            empty().resource(&resource.text).cached().map_err(|error| resource.refused(error))?;
        }
        if let Some(audience) = &self.audience {
            empty().audience(&audience.text).cached().map_err(|error| audience.refused(error))?;
        }
        if let Some(details) = self.authorization_details.as_ref().filter(|details| !details.is_empty()) {
            let judged = empty().authorization_details(details.value.clone()).cached();
            judged.map_err(|error| ConfigError::of_tokens(&details.path, error))?;
        }
        for (name, value) in self.parameters.iter().flatten() {
            // Its own words, because the error's repeat the name.
            let message = "the name is odd, or one of the protocol's own: `scope`, `resource`, `audience` and \
                           `authorization_details` are settings by themselves, and the rest is set by the grant and by the \
                           client's authentication";
            empty().param(name, &value.text).cached().map_err(|_| value.error(message))?;
        }
        Ok(())
    }
}

impl Details {
    /// Nothing is asked for, where the grant asks for something.
    fn is_empty(&self) -> bool {
        self.value.as_array().is_some_and(Vec::is_empty)
    }
}

fn details(place: &Place<'_>) -> Result<Details, ConfigError> {
    Ok(Details { path: place.path().to_owned(), value: json::details(place)? })
}

fn parameters(place: &Place<'_>) -> Result<Vec<(String, Written)>, ConfigError> {
    let entries = place.entries()?.into_iter();
    entries.map(|(name, value)| Ok((name.to_owned(), value.text()?))).collect()
}
