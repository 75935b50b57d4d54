//! `[server]`: the authorization server.

use oauth_tokens::{AuthorizationServer, AuthorizationServerBuilder, HttpClient};

use super::{
    ConfigError,
    names::Keys,
    outside,
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

/// Where the server is.
pub(super) struct Server {
    place: Place,
    plain_http: bool,
    pub(super) root_certificates: Option<Written>,
}

enum Place {
    Issuer { issuer: Written, overriding: Option<Written>, accepted: Option<Written> },
    TokenEndpoint(Written),
}

pub(super) fn read(table: &Table<'_>) -> Result<Server, ConfigError> {
    let issuer = table.text("issuer")?;
    let token_endpoint = table.text("token_endpoint")?;
    let overriding = table.text("override_token_endpoint")?;
    let accepted = table.text("accept_metadata_issuer")?;
    let plain_http = table.flag("dangerously_allow_plain_http")?;
    let root_certificates = table.text("root_certificates")?;

    let place = match (issuer, token_endpoint) {
        (Some(issuer), None) => Place::Issuer { issuer, overriding, accepted },
        (None, Some(url)) => match overriding.or(accepted) {
            None => Place::TokenEndpoint(url),
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
    let server = Server { place, plain_http, root_certificates };
    // Before anything else is, because the table comes first.
    server.judged()?;
    Ok(server)
}

impl Server {
    /// The server of settings that are only looked at.
    pub(super) fn judged(&self) -> Result<AuthorizationServer, ConfigError> {
        self.over(outside::nobody())
    }

    pub(super) fn has_issuer(&self) -> bool {
        matches!(self.place, Place::Issuer { .. })
    }

    pub(super) fn over(&self, http: HttpClient) -> Result<AuthorizationServer, ConfigError> {
        let builder = AuthorizationServer::via(http);
        let builder = if self.plain_http { builder.dangerously_allow_plain_http() } else { builder };
        match &self.place {
            Place::Issuer { issuer, overriding, accepted } => {
                discovered(builder, issuer, overriding.as_ref(), accepted.as_ref())
            }
            Place::TokenEndpoint(url) => builder.token_endpoint(&url.text).map_err(|error| url.refused(error)),
        }
    }
}

/// One setting after the other, so that each error is known to be of the last one.
fn discovered(
    mut builder: AuthorizationServerBuilder,
    issuer: &Written,
    overriding: Option<&Written>,
    accepted: Option<&Written>,
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
