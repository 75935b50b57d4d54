//! Signed assertions (RFC 7521 section 4.2, RFC 7523 section 2.2): the client's own, those of an issuer
//! that speaks for it, and SPIFFE's.

use std::time::Duration;

use super::{Authenticated, invalid_client, registered};
use crate::client::{Client, ClientAuthMethod};
use crate::form::Form;
use crate::jws::{Algorithm, Jws, PublicKey};
use crate::respond::OAuthError;
use crate::state::{Model, Shared};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// How far ahead an assertion's `exp` may be.
const LONGEST: Duration = Duration::from_secs(300);

pub(super) fn authenticate(model: &mut Model, shared: &Shared, form: &Form) -> Result<Authenticated, OAuthError> {
    let kind = form.get("client_assertion_type");
    let kind = kind.ok_or_else(|| invalid_client("client_assertion_type is missing"))?;
    let assertion = form.get("client_assertion").ok_or_else(|| invalid_client("client_assertion is missing"))?;
    let jws = Jws::parse(assertion).map_err(invalid_client)?;
    let authenticated = match kind {
        JWT_BEARER => {
            let issuer = jws.claims.required_text("iss", "the assertion has no iss").map_err(invalid_client)?;
            if model.issuers.contains_key(issuer) {
                federated(model, shared, form, &jws)?
            } else {
                own(model, shared, &jws)?
            }
        }
        SPIFFE => spiffe(model, shared, &jws)?,
        _ => return Err(invalid_client("client_assertion_type is unknown")),
    };
    if form.get("client_id").is_some_and(|id| id != authenticated.client.id) {
        return Err(invalid_client("client_id is not the one of the assertion"));
    }
    Ok(authenticated)
}

/// `client_secret_jwt` or `private_key_jwt` (OpenID Connect Core section 9).
fn own(model: &mut Model, shared: &Shared, jws: &Jws) -> Result<Authenticated, OAuthError> {
    let id = jws.claims.text("iss").unwrap_or_default();
    let client = model.clients.get(id).ok_or_else(|| invalid_client("unknown client"))?;
    let method = match jws.algorithm {
        Algorithm::Hs256 => ClientAuthMethod::ClientSecretJwt,
        _ => ClientAuthMethod::PrivateKeyJwt,
    };
    let authenticated = registered(client, method)?;
    let (id, until) = check_own(model, shared, &authenticated.client, jws).map_err(invalid_client)?;
    model.spend(shared, id, until).map_err(invalid_client)?;
    Ok(authenticated)
}

/// All but whether it was seen before: its identifier, and until when it is good.
fn check_own(model: &Model, shared: &Shared, client: &Client, jws: &Jws) -> Result<(String, Duration), &'static str> {
    if client.assertion_algorithm.is_some_and(|algorithm| algorithm != jws.algorithm) {
        return Err("the client is registered for another alg");
    }
    // An access token or a proof signed with the same key must not pass for an assertion.
    if jws.header.contains_key("typ")
        && !matches!(jws.media_type().as_deref(), Some("jwt" | "client-authentication+jwt"))
    {
        return Err("the assertion's typ is another");
    }
    match jws.algorithm {
        Algorithm::Hs256 => {
            let secret = client.secret.as_deref().ok_or("the client has no secret")?;
            jws.verify(&PublicKey::Secret(secret.as_bytes().to_vec()))?;
        }
        _ => jws.verify_with(&client.keys)?,
    }
    if jws.claims.text("sub") != Some(&client.id) {
        return Err("the assertion's sub is not the client");
    }
    jws.claims.check_audience(model.assertion_audience.as_deref().unwrap_or(&shared.settings.issuer))?;
    let until = jws.claims.check_dates(shared.clock.now(), Some(LONGEST))?;
    let jti = jws.claims.required_text("jti", "the assertion has no jti")?;
    Ok((format!("client {} {jti}", client.id), until))
}

/// An issuer that both sides trust says which of its workloads this is.
fn federated(model: &mut Model, shared: &Shared, form: &Form, jws: &Jws) -> Result<Authenticated, OAuthError> {
    let issuer = jws.claims.text("iss").unwrap_or_default();
    let subject = jws.claims.text("sub").unwrap_or_default();
    let speaks_for = |client: &&Client| {
        client.federated.iter().any(|(known, workload)| known == issuer && workload == subject)
            && form.get("client_id").is_none_or(|id| id == client.id)
    };
    let client = model.clients.values().find(speaks_for);
    let client = client.ok_or_else(|| invalid_client("no client is registered for the assertion's iss and sub"))?;
    let authenticated = registered(client, ClientAuthMethod::FederatedJwt)?;
    model.verify_foreign(shared, issuer, jws, None).map_err(invalid_client)?;
    Ok(authenticated)
}

/// A JWT-SVID, whose subject is a SPIFFE ID. Its trust domain is what vouches for it; `iss` may be absent.
fn spiffe(model: &mut Model, shared: &Shared, jws: &Jws) -> Result<Authenticated, OAuthError> {
    let id = jws.claims.text("sub").unwrap_or_default();
    let domain = trust_domain(id).ok_or_else(|| invalid_client("the assertion's sub is no SPIFFE ID"))?;
    let client = model.clients.values().find(|client| client.spiffe_id.as_deref() == Some(id));
    let client = client.ok_or_else(|| invalid_client("no client is registered for the SPIFFE ID"))?;
    let authenticated = registered(client, ClientAuthMethod::SpiffeJwt)?;
    model.verify_foreign(shared, domain, jws, None).map_err(invalid_client)?;
    Ok(authenticated)
}

/// `spiffe://domain` of `spiffe://domain/workload`.
fn trust_domain(id: &str) -> Option<&str> {
    let rest = id.strip_prefix("spiffe://")?;
    let length = rest.find('/').filter(|length| *length > 0)?;
    Some(&id[.."spiffe://".len() + length])
}
