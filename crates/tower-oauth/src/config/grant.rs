//! `[grant]`: what is handed in for a token, and what is asked for with it.

use oauth_tokens::{Error, Grant as TokenGrant, RefreshToken, TokenCache, TokenClient, TokenRequest};

use super::{
    ConfigError,
    names::Keys,
    outside::Outside,
    reader::{Place, Table, Written},
    secret::SecretPlace,
};

pub(super) const KEYS: Keys = &["type", "token", "scope", "resource", "audience", "parameters"];

/// What an origin asks for, instead of what the grant does.
pub(super) const ASKED_KEYS: Keys = &["scope", "resource", "audience", "parameters"];

pub(super) const TYPES: &[(&str, Type)] =
    &[("client_credentials", Type::ClientCredentials), ("refresh_token", Type::RefreshToken)];

#[derive(Clone, Copy)]
pub(super) enum Type {
    ClientCredentials,
    RefreshToken,
}

/// How tokens are obtained.
pub(super) struct Grant {
    kind: Kind,
    pub(super) asked: Asked,
}

enum Kind {
    ClientCredentials,
    /// As the settings have it; each rotated one is in memory only.
    RefreshToken(String),
}

pub(super) fn read(table: &Table<'_>, client: &TokenClient, outside: &Outside<'_>) -> Result<Grant, ConfigError> {
    let kind = table.get("type").map_or(Ok(Type::ClientCredentials), |place| place.choice(TYPES))?;
    let token = table.get("token").map(SecretPlace::read).transpose()?;
    let asked = Asked::read(table)?;
    let kind = match (kind, token) {
        (Type::ClientCredentials, None) => Kind::ClientCredentials,
        (Type::ClientCredentials, Some(_)) => {
            let message = "it goes with the type `refresh_token` only: remove it, or set `type = \"refresh_token\"`";
            return Err(table.error("token", message));
        }
        (Type::RefreshToken, None) => {
            let message = "it is missing: write where the refresh token is, `{ file = \"/run/secrets/NAME\" }` or \
                           `{ env = \"NAME\" }`";
            return Err(table.error("token", message));
        }
        (Type::RefreshToken, Some(token)) => Kind::RefreshToken(token.value(outside)?),
    };
    asked.check(client)?;
    Ok(Grant { kind, asked })
}

impl Grant {
    /// Whether each token set needs a grant of its own: a refresh token that rotates can be handed in only once.
    pub(super) fn is_for_one(&self) -> bool {
        matches!(self.kind, Kind::RefreshToken(_))
    }

    pub(super) fn tokens(&self, client: &TokenClient, asked: &Asked) -> Result<TokenCache, Error> {
        match &self.kind {
            Kind::ClientCredentials => asked.ask(client.client_credentials()).cached(),
            Kind::RefreshToken(token) => asked.ask(client.grant(RefreshToken::new(token))).cached(),
        }
    }
}

/// What is asked for; nothing where none was said.
#[derive(Clone, Default)]
pub(super) struct Asked {
    scope: Option<Vec<Written>>,
    resource: Option<Vec<Written>>,
    audience: Option<Written>,
    parameters: Option<Vec<(String, Written)>>,
}

impl Asked {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            scope: table.get("scope").map(Place::texts).transpose()?,
            resource: table.get("resource").map(Place::texts).transpose()?,
            audience: table.text("audience")?,
            parameters: table.get("parameters").map(parameters).transpose()?,
        })
    }

    /// These, and where none was said those.
    pub(super) fn or(self, those: &Self) -> Self {
        Self {
            scope: self.scope.or_else(|| those.scope.clone()),
            resource: self.resource.or_else(|| those.resource.clone()),
            audience: self.audience.or_else(|| those.audience.clone()),
            parameters: self.parameters.or_else(|| those.parameters.clone()),
        }
    }

    fn ask<G: TokenGrant>(&self, mut request: TokenRequest<G>) -> TokenRequest<G> {
        for scope in self.scope.iter().flatten() {
            request = request.scope(&scope.text);
        }
        for resource in self.resource.iter().flatten() {
            request = request.resource(&resource.text);
        }
        if let Some(audience) = &self.audience {
            request = request.audience(&audience.text);
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
        for (name, value) in self.parameters.iter().flatten() {
            // Its own words, because the error's repeat the name.
            let message = "the name is odd, or one of the protocol's own: `scope`, `resource` and `audience` are settings by \
                           themselves, and the rest is set by the grant and by the client's authentication";
            empty().param(name, &value.text).cached().map_err(|_| value.error(message))?;
        }
        Ok(())
    }
}

fn parameters(place: &Place<'_>) -> Result<Vec<(String, Written)>, ConfigError> {
    let entries = place.entries()?.into_iter();
    entries.map(|(name, value)| Ok((name.to_owned(), value.text()?))).collect()
}
