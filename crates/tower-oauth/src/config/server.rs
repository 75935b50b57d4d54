//! `[server]`: the authorization server.

use oauth_tokens::{AuthorizationServer, AuthorizationServerBuilder};

use super::{
    ConfigError,
    names::Keys,
    outside::Outside,
    reader::{Table, Written},
};

pub(super) const KEYS: Keys = &[
    "issuer",
    "token_endpoint",
    "override_token_endpoint",
    "accept_metadata_issuer",
    "dangerously_allow_plain_http",
    "root_certificates",
];

/// The server, and the root certificates that its HTTP client was given.
pub(super) fn read(
    table: &Table<'_>,
    outside: &Outside<'_>,
) -> Result<(AuthorizationServer, Option<Vec<u8>>), ConfigError> {
    let issuer = table.text("issuer")?;
    let token_endpoint = table.text("token_endpoint")?;
    let overriding = table.text("override_token_endpoint")?;
    let accepted = table.text("accept_metadata_issuer")?;
    let plain_http = table.flag("dangerously_allow_plain_http")?;
    let certificates = table.text("root_certificates")?;

    let (http, certificates) = outside.http(certificates.as_ref())?;
    let mut builder = AuthorizationServer::via(http);
    if plain_http {
        builder = builder.dangerously_allow_plain_http();
    }
    let server = match (issuer, token_endpoint) {
        (Some(issuer), None) => discovered(builder, &issuer, overriding, accepted)?,
        (None, Some(url)) => match overriding.or(accepted) {
            None => builder.token_endpoint(&url.text).map_err(|error| url.refused(error))?,
            Some(needless) => return Err(needless.error("it goes with `issuer` only: remove it")),
        },
        (None, None) => {
            let message = "it is missing: give the server's `issuer`, or its `token_endpoint` if it has no metadata";
            return Err(table.error("issuer", message));
        }
        (Some(_), Some(url)) => {
            let message = "`issuer` is there, too: remove one of them; an endpoint that goes before the metadata's is called \
                           `override_token_endpoint`";
            return Err(url.error(message));
        }
    };
    Ok((server, certificates))
}

/// One setting after the other, so that each error is known to be of the last one.
fn discovered(
    mut builder: AuthorizationServerBuilder,
    issuer: &Written,
    overriding: Option<Written>,
    accepted: Option<Written>,
) -> Result<AuthorizationServer, ConfigError> {
    let mut server = builder.clone().issuer(&issuer.text).map_err(|error| issuer.refused(error))?;
    if let Some(url) = overriding {
        builder = builder.override_token_endpoint(&url.text);
        server = builder.clone().issuer(&issuer.text).map_err(|error| url.refused(error))?;
    }
    if let Some(accepted) = accepted {
        server = builder
            .accept_metadata_issuer(&accepted.text)
            .issuer(&issuer.text)
            .map_err(|error| accepted.refused(error))?;
    }
    Ok(server)
}
