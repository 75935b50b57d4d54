//! `client.dpop`: tokens that are bound to a key (RFC 9449).

use oauth_tokens::TokenClient;
#[cfg(feature = "dpop")]
use oauth_tokens::{Algorithm, DpopKey, SigningKey};

#[cfg(feature = "dpop")]
use super::signing;
use super::{ConfigError, names::Keys, outside::Outside, reader::Place, secret::SecretPlace};

pub(super) const KEYS: Keys = &["key"];

/// The key that tokens are bound to.
#[cfg_attr(not(feature = "dpop"), expect(dead_code, reason = "refused where the feature is off"))]
pub(super) enum Dpop {
    /// A new one, for as long as the program runs.
    Generated,
    Key(SecretPlace),
}

/// None: it is set to false.
pub(super) fn read(place: &Place<'_>) -> Result<Option<Dpop>, ConfigError> {
    let dpop = if place.is_text() || place.is_flag() {
        place.flag()?.then_some(Dpop::Generated)
    } else if place.is_table() {
        let table = place.table(KEYS)?;
        let key = table.get("key").ok_or_else(|| {
            let message = "it is missing: write where the private key is, `{ file = \"/run/secrets/NAME\" }` or \
                           `{ env = \"NAME\" }`; for a new key at each start, write `dpop = true`";
            table.error("key", message)
        })?;
        Some(Dpop::Key(SecretPlace::read(key)?))
    } else {
        return Err(place.must_be("`true`, `false` or a table"));
    };
    match dpop {
        Some(_) if !cfg!(feature = "dpop") => Err(place.error("it needs the feature `dpop` of tower-oauth")),
        dpop => Ok(dpop),
    }
}

#[cfg(feature = "dpop")]
impl Dpop {
    pub(super) fn bind(&self, client: &TokenClient, outside: &Outside<'_>) -> Result<TokenClient, ConfigError> {
        let (path, key) = match self {
            Self::Generated => ("client.dpop", Some(SigningKey::generate(Algorithm::Es256))),
            Self::Key(place) => (place.path(), signing::private_key(place, outside)?.map(Ok)),
        };
        match key {
            Some(key) => {
                let key = key.and_then(DpopKey::new).map_err(|error| ConfigError::of_tokens(path, error))?;
                Ok(client.dpop(key))
            }
            // It is not looked at.
            None => Ok(client.clone()),
        }
    }
}

#[cfg(not(feature = "dpop"))]
impl Dpop {
    pub(super) fn bind(&self, client: &TokenClient, _: &Outside<'_>) -> Result<TokenClient, ConfigError> {
        Ok(client.clone())
    }
}
