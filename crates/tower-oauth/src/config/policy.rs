//! `[policy]`: how the layer treats requests.

use oauth_tokens::TokenClient;

use super::{
    ConfigError,
    grant::Grant,
    names::Keys,
    origins::Protected,
    reader::{Place, Table, Written},
};
use crate::{Error, ErrorKind, OAuthLayer, StepUp};

pub(super) const KEYS: Keys =
    &["caller_authorization", "retry", "renew_on_other_schemes", "step_up_scopes", "single_connection"];

pub(super) const CALLER_AUTHORIZATION: &[(&str, bool)] = &[("send", false), ("refuse", true)];

pub(super) struct Policy {
    refuse_caller_authorization: bool,
    never_retry: bool,
    renew_on_other_schemes: bool,
    step_up_scopes: Vec<Written>,
    single_connection: bool,
}

pub(super) fn read(
    table: &Table<'_>,
    origins: &[Protected],
    client: &TokenClient,
    grant: &Grant,
) -> Result<Policy, ConfigError> {
    let caller_authorization = table.get("caller_authorization");
    let policy = Policy {
        refuse_caller_authorization: caller_authorization
            .map_or(Ok(false), |place| place.choice(CALLER_AUTHORIZATION))?,
        never_retry: !table.get("retry").map_or(Ok(true), |place| place.flag())?,
        renew_on_other_schemes: table.flag("renew_on_other_schemes")?,
        step_up_scopes: table.get("step_up_scopes").map_or(Ok(Vec::new()), Place::texts)?,
        single_connection: table.flag("single_connection")?,
    };
    for scope in &policy.step_up_scopes {
        client.client_credentials().scope(&scope.text).cached().map_err(|error| scope.refused(error))?;
    }
    if !policy.step_up_scopes.is_empty() && (policy.never_retry || grant.is_for_one()) {
        let message = "a token with more scopes is asked for besides the first one, for a second try: it goes neither with \
                       `retry = false` nor with `refresh_token`";
        return Err(table.error("step_up_scopes", message));
    }
    if policy.single_connection && origins.len() != 1 {
        let message = "a single connection leads to a single origin: name one, or remove this";
        return Err(table.error("single_connection", message));
    }
    Ok(policy)
}

impl Policy {
    pub(super) fn layer(
        &self,
        origins: &[Protected],
        client: TokenClient,
        grant: Grant,
    ) -> Result<OAuthLayer, ConfigError> {
        // What the layer itself finds wrong was found before, with a better path.
        let mut layer = self.over(origins).map_err(|error| ConfigError::at("origins", error.to_string()))?;
        if self.refuse_caller_authorization {
            layer = layer.refuse_caller_authorization();
        }
        if self.never_retry {
            layer = layer.never_retry();
        }
        if self.renew_on_other_schemes {
            layer = layer.renew_on_other_schemes();
        }
        if !self.step_up_scopes.is_empty() {
            layer = layer.step_up(self.step_up(origins.to_vec(), client, grant));
        }
        Ok(layer)
    }

    /// The same client, by the same grant, asks for what the origin is asked for, and for the scopes that the API names.
    fn step_up(&self, origins: Vec<Protected>, client: TokenClient, grant: Grant) -> StepUp {
        let step_up = StepUp::new(move |origin, demand| {
            let known = origins.iter().find(|known| known.origin == *origin)?;
            grant.tokens(&client, &known.asked.and_scopes(&demand.scopes)).ok()
        });
        step_up.allow_scopes(self.step_up_scopes.iter().flat_map(|scope| scope.text.split(' ')))
    }

    fn over(&self, origins: &[Protected]) -> Result<OAuthLayer, Error> {
        let [first, others @ ..] = origins else {
            return Err(Error::new(ErrorKind::Config, "there is no origin"));
        };
        let begin = if self.single_connection { OAuthLayer::for_connection } else { OAuthLayer::new };
        let layer = begin(first.origin.clone(), first.tokens.clone())?;
        others.iter().try_fold(layer, |layer, Protected { origin, tokens, shares, .. }| {
            let add = if *shares { OAuthLayer::origin_sharing } else { OAuthLayer::origin };
            add(layer, origin.clone(), tokens.clone())
        })
    }
}
