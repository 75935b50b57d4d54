//! `[policy]`: how the layer treats requests.

use super::{ConfigError, names::Keys, origins::Protected, reader::Table};
use crate::{Error, ErrorKind, OAuthLayer};

pub(super) const KEYS: Keys = &["caller_authorization", "retry", "renew_on_other_schemes", "single_connection"];

pub(super) const CALLER_AUTHORIZATION: &[(&str, bool)] = &[("send", false), ("refuse", true)];

pub(super) struct Policy {
    refuse_caller_authorization: bool,
    never_retry: bool,
    renew_on_other_schemes: bool,
    single_connection: bool,
}

pub(super) fn read(table: &Table<'_>, origins: &[Protected]) -> Result<Policy, ConfigError> {
    let caller_authorization = table.get("caller_authorization");
    let policy = Policy {
        refuse_caller_authorization: caller_authorization
            .map_or(Ok(false), |place| place.choice(CALLER_AUTHORIZATION))?,
        never_retry: !table.get("retry").map_or(Ok(true), |place| place.flag())?,
        renew_on_other_schemes: table.flag("renew_on_other_schemes")?,
        single_connection: table.flag("single_connection")?,
    };
    if policy.single_connection && origins.len() != 1 {
        let message = "a single connection leads to a single origin: name one, or remove this";
        return Err(table.error("single_connection", message));
    }
    Ok(policy)
}

impl Policy {
    pub(super) fn layer(&self, origins: &[Protected]) -> Result<OAuthLayer, ConfigError> {
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
        Ok(layer)
    }

    fn over(&self, origins: &[Protected]) -> Result<OAuthLayer, Error> {
        let [first, others @ ..] = origins else {
            return Err(Error::new(ErrorKind::Config, "there is no origin"));
        };
        let begin = if self.single_connection { OAuthLayer::for_connection } else { OAuthLayer::new };
        let layer = begin(first.origin.clone(), first.tokens.clone())?;
        others.iter().try_fold(layer, |layer, Protected { origin, tokens, shares }| {
            let add = if *shares { OAuthLayer::origin_sharing } else { OAuthLayer::origin };
            add(layer, origin.clone(), tokens.clone())
        })
    }
}
