//! `[client]`: who asks for tokens.

use oauth_tokens::{AuthorizationServer, ClientAuth, TokenClient};

use super::{
    ConfigError,
    credential::{self, CertificateFiles, Credential},
    dpop::{self, Dpop},
    names::Keys,
    outside::Outside,
    reader::{Table, Written},
    server::Server,
};

pub(super) const KEYS: Keys = &[
    "id",
    "authentication",
    "secret",
    "key",
    "key_id",
    "algorithm",
    "certificate",
    "assertion",
    "assertion_type",
    "assertion_audience",
    "assertion_header_type",
    "dpop",
];

/// Who asks, before there is a connection to the server.
pub(super) struct Client {
    id: Written,
    credential: Credential,
    dpop: Option<Dpop>,
}

pub(super) fn read(table: &Table<'_>, server: &Server, outside: &Outside<'_>) -> Result<Client, ConfigError> {
    let id = table.text("id")?.ok_or_else(|| {
        table.error("id", "it is missing: give the id that the client is registered by at the authorization server")
    })?;
    // By itself, so that the error is known to be of the id.
    server.judged()?.client(&id.text, ClientAuth::none()).map_err(|error| id.refused(error))?;
    let credential = credential::read(table, &id, server, outside)?;
    let dpop = table.get("dpop").map(dpop::read).transpose()?.flatten();
    Ok(Client { id, credential, dpop })
}

impl Client {
    /// What the connection to the server has to show.
    pub(super) fn certificate_files(&self) -> Option<&CertificateFiles> {
        self.credential.certificate_files()
    }

    /// The client at its server, whose connection shows the certificate.
    pub(super) fn at(&self, server: &AuthorizationServer, outside: &Outside<'_>) -> Result<TokenClient, ConfigError> {
        let auth = self.credential.auth(outside)?;
        let client = server.client(&self.id.text, auth).map_err(|error| self.credential.refused(error))?;
        match &self.dpop {
            Some(dpop) => dpop.bind(&client, outside),
            None => Ok(client),
        }
    }

    /// Whether only the grant says who asks.
    pub(super) fn is_omitted(&self) -> bool {
        matches!(self.credential, Credential::Omitted)
    }
}
