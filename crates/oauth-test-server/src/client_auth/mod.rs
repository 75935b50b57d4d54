//! Who sent this? RFC 6749 section 2.3, strictly: one way to authenticate in one request, and only one
//! that the client is registered with.

mod assertion;
mod basic;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::client::{Client, ClientAuthMethod};
use crate::form::Form;
use crate::incoming::Incoming;
use crate::respond::OAuthError;
use crate::state::Model;

/// A client that has shown who it is.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) client: Client,
    pub(crate) method: ClientAuthMethod,
}

impl Authenticated {
    /// Anybody can say the name of a public client.
    pub(crate) fn is_public(&self) -> bool {
        self.method == ClientAuthMethod::None
    }
}

pub(crate) fn authenticate(
    model: &mut Model,
    incoming: &Incoming<'_>,
    form: &Form,
) -> Result<Authenticated, OAuthError> {
    let authenticated = match credential(&incoming.parts.headers, form)? {
        Credential::Basic(header) => basic::authenticate(model, header, form)?,
        Credential::Post(secret) => post(model, form, secret)?,
        Credential::Assertion => assertion::authenticate(model, incoming.shared, form)?,
        Credential::Name => name(model, incoming, form)?,
    };
    incoming.note_client(model, &authenticated.client.id, authenticated.method);
    Ok(authenticated)
}

/// Whether the form says anything of a client; a JWT-bearer grant need not (RFC 7523 section 3.1).
pub(crate) fn names_no_client(headers: &HeaderMap, form: &Form) -> bool {
    !headers.contains_key(AUTHORIZATION)
        && ["client_id", "client_secret", "client_assertion", "client_assertion_type"]
            .iter()
            .all(|name| form.get(name).is_none())
}

enum Credential<'a> {
    Basic(&'a [u8]),
    Post(&'a str),
    Assertion,
    /// Nothing but `client_id`: a public client, or one whose certificate speaks for it.
    Name,
}

fn credential<'a>(headers: &'a HeaderMap, form: &'a Form) -> Result<Credential<'a>, OAuthError> {
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    let header = authorizations.next();
    if authorizations.next().is_some() {
        return Err(invalid_request("two Authorization headers"));
    }
    let secret = form.get("client_secret");
    let asserts = form.get("client_assertion").is_some() || form.get("client_assertion_type").is_some();
    match (header, secret, asserts) {
        (Some(header), None, false) => Ok(Credential::Basic(header.as_bytes())),
        (None, Some(secret), false) => Ok(Credential::Post(secret)),
        (None, None, true) => Ok(Credential::Assertion),
        (None, None, false) => Ok(Credential::Name),
        _ => Err(invalid_request("two client authentications in one request")),
    }
}

fn post(model: &Model, form: &Form, secret: &str) -> Result<Authenticated, OAuthError> {
    let client = named(model, form)?;
    let authenticated = registered(client, ClientAuthMethod::ClientSecretPost)?;
    check_secret(client, secret)?;
    Ok(authenticated)
}

/// By the certificate, if that is how the client is registered (RFC 8705 section 2), else by nothing.
fn name(model: &Model, incoming: &Incoming<'_>, form: &Form) -> Result<Authenticated, OAuthError> {
    let client = named(model, form)?;
    let by = |method| client.auth_methods.contains(&method);
    let (certified, self_signed) = (by(ClientAuthMethod::TlsClientAuth), by(ClientAuthMethod::SelfSignedTlsClientAuth));
    if !certified && !self_signed {
        return registered(client, ClientAuthMethod::None);
    }
    let thumbprint = incoming.certificate().ok_or_else(|| invalid_client("no client certificate"))?;
    // The authority remembers what it has issued, so there is no chain to follow.
    let issued = model.certificates.get(thumbprint);
    if certified && issued.is_some() && client.certificate.as_ref() == issued {
        return registered(client, ClientAuthMethod::TlsClientAuth);
    }
    if self_signed && client.thumbprints.iter().any(|known| known == thumbprint) {
        return registered(client, ClientAuthMethod::SelfSignedTlsClientAuth);
    }
    Err(invalid_client("the certificate is not the client's"))
}

fn named<'a>(model: &'a Model, form: &Form) -> Result<&'a Client, OAuthError> {
    let id = form.get("client_id").ok_or_else(|| invalid_client("no client authentication"))?;
    model.clients.get(id).ok_or_else(|| invalid_client("unknown client"))
}

fn registered(client: &Client, method: ClientAuthMethod) -> Result<Authenticated, OAuthError> {
    if !client.auth_methods.contains(&method) {
        return Err(invalid_client("the client is not registered for this authentication method"));
    }
    Ok(Authenticated { client: client.clone(), method })
}

fn check_secret(client: &Client, secret: &str) -> Result<(), OAuthError> {
    if client.secret.as_deref() != Some(secret) {
        return Err(invalid_client("wrong client secret"));
    }
    Ok(())
}

fn invalid_client(description: &'static str) -> OAuthError {
    OAuthError::new("invalid_client", description)
}

fn invalid_request(description: &'static str) -> OAuthError {
    OAuthError::new("invalid_request", description)
}
