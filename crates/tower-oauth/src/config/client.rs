//! `[client]`: who asks for tokens.

use oauth_tokens::{AuthorizationServer, ClientAuth, TokenClient};

use super::{ConfigError, names::Keys, outside::Outside, reader::Table, secret::SecretPlace};

pub(super) const KEYS: Keys = &["id", "authentication", "secret"];

/// By the names of the registry of token endpoint authentication methods (RFC 7591), and one of ours.
pub(super) const METHODS: &[(&str, Method)] = &[
    ("client_secret_basic", Method::Basic),
    ("client_secret_basic_raw", Method::RawBasic),
    ("client_secret_post", Method::Post),
    ("none", Method::None),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Basic,
    RawBasic,
    Post,
    None,
}

pub(super) fn read(
    table: &Table<'_>,
    server: &AuthorizationServer,
    outside: &Outside<'_>,
) -> Result<TokenClient, ConfigError> {
    let id = table.text("id")?.ok_or_else(|| {
        table.error("id", "it is missing: give the id that the client is registered by at the authorization server")
    })?;
    let method = table.get("authentication").map(|place| place.choice(METHODS)).transpose()?;
    let secret = table.get("secret").map(SecretPlace::read).transpose()?;
    let public = server.client(&id.text, ClientAuth::none()).map_err(|error| id.refused(error))?;

    let method = method.unwrap_or(Method::Basic);
    let secret = match secret {
        None if method == Method::None => return Ok(public),
        None => {
            // Never a public client by accident: the secret may just not have been mounted.
            let message = "it is missing: write where it is, `{ file = \"/run/secrets/NAME\" }` or `{ env = \"NAME\" }`; a \
                           client without a secret says so by `authentication = \"none\"`";
            return Err(table.error("secret", message));
        }
        Some(secret) => secret,
    };
    let value = || secret.secret(outside);
    let auth = match method {
        Method::Basic => ClientAuth::secret_basic(value()?),
        Method::RawBasic if id.text.contains(':') => {
            return Err(id.error("a client id with a colon does not go with `client_secret_basic_raw`"));
        }
        Method::RawBasic => ClientAuth::secret_basic_raw(value()?),
        Method::Post => ClientAuth::secret_post(value()?),
        Method::None => {
            return Err(secret.error("it is there, and `authentication` is `none`: remove one of them"));
        }
    };
    server.client(id.text, auth).map_err(|error| secret.refused(error))
}
