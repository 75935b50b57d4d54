//! Whether a token is good for a request (RFC 6750, RFC 9449 section 7, RFC 8705 section 3).

use http::header::AUTHORIZATION;

use crate::api::Admission;
use crate::api::refusal::{Problem, Refusal, Scheme};
use crate::dpop::{self, Refused};
use crate::incoming::Incoming;
use crate::service::Side;
use crate::state::Model;
use crate::token::Grant;

pub(super) fn check(incoming: &Incoming<'_>, side: Side, admission: &mut Admission) -> Result<Grant, Refusal> {
    let (scheme, token) = token(incoming)?;
    let model = &mut *incoming.shared.lock();
    let proof = match scheme {
        Scheme::Bearer => None,
        Scheme::Dpop => {
            Some(proof(model, incoming, side, admission, &token).map_err(|problem| scheme.refuse(problem))?)
        }
    };
    // This server remembers each token that it signed, so one that it does not remember is forged: a
    // look-up says as much about a JWT as its signature, and knows its exact expiry and revocation.
    let known = model.tokens.access.get(&token);
    let known = known.ok_or_else(|| scheme.refuse(Problem::InvalidToken("the token is unknown")))?;
    if !known.is_active() {
        return Err(scheme.refuse(Problem::InvalidToken("the token is expired or revoked")));
    }
    check_binding(incoming, &known.grant, scheme, proof)?;
    match side {
        Side::Api => check_settings(incoming, model, &known.grant),
        Side::Authorization => check_user(&known.grant),
    }
    .map_err(|problem| scheme.refuse(problem))?;
    Ok(known.grant.clone())
}

fn token(incoming: &Incoming<'_>) -> Result<(Scheme, String), Refusal> {
    let mut authorizations = incoming.parts.headers.get_all(AUTHORIZATION).iter();
    let Some(authorization) = authorizations.next() else {
        return Err(Refusal::NoToken);
    };
    if authorizations.next().is_some() {
        return Err(Scheme::Bearer.refuse(Problem::InvalidRequest("two Authorization headers")));
    }
    let (scheme, token) =
        authorization.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Refusal::NoToken)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "bearer" if incoming.shared.requires_dpop() => {
            return Err(Scheme::Dpop.refuse(Problem::InvalidToken("only tokens bound to a key are taken")));
        }
        "bearer" => Scheme::Bearer,
        "dpop" if incoming.shared.offers_dpop() => Scheme::Dpop,
        _ => return Err(Refusal::NoToken),
    };
    Ok((scheme, token.trim().to_owned()))
}

/// The thumbprint of the key whose proof this is.
fn proof(
    model: &mut Model,
    incoming: &Incoming<'_>,
    side: Side,
    admission: &mut Admission,
    token: &str,
) -> Result<String, Problem> {
    if let Some(key) = &admission.proven {
        return Ok(key.clone());
    }
    match dpop::check(model, incoming, side, Some(token)) {
        Ok(proof) => {
            admission.proven = Some(proof.key.clone());
            Ok(proof.key)
        }
        Err(Refused::Invalid(why)) => Err(Problem::InvalidProof(why)),
        Err(Refused::Nonce) => {
            match side {
                Side::Api => model.counters.api_nonce_challenges += 1,
                Side::Authorization => model.counters.token_nonce_challenges += 1,
            }
            Err(Problem::UseNonce)
        }
    }
}

fn check_binding(incoming: &Incoming<'_>, grant: &Grant, scheme: Scheme, proof: Option<String>) -> Result<(), Refusal> {
    let bound = &grant.confirmation;
    let problem = match (scheme, &bound.key) {
        (Scheme::Bearer, Some(_)) if incoming.shared.offers_dpop() => {
            // Told in the scheme that would do (RFC 9449 section 7.2).
            return Err(Scheme::Dpop.refuse(Problem::InvalidToken("the token is bound to a key")));
        }
        (Scheme::Dpop, None) => "the token is not bound to a key",
        (Scheme::Dpop, key) if *key != proof => "the token is bound to another key",
        _ if bound.certificate.is_some() && bound.certificate.as_deref() != incoming.certificate() => {
            "the token is bound to another certificate"
        }
        _ => return Ok(()),
    };
    Err(scheme.refuse(Problem::InvalidToken(problem)))
}

/// OpenID Connect Core section 5.3: what is told of a user is told by `openid`.
fn check_user(grant: &Grant) -> Result<(), Problem> {
    match grant.scopes.contains("openid") {
        true => Ok(()),
        false => Err(Problem::InsufficientScope("openid".to_owned())),
    }
}

fn check_settings(incoming: &Incoming<'_>, model: &Model, grant: &Grant) -> Result<(), Problem> {
    let settings = &incoming.shared.settings;
    if let Some(audience) = &settings.required_audience
        && !grant.audience.contains(audience)
    {
        return Err(Problem::InvalidToken("the token is for another audience"));
    }
    if let Some(scope) = &settings.required_scope
        && !grant.scopes.contains(scope)
    {
        return Err(Problem::InsufficientScope(scope.clone()));
    }
    let mut requirements = model.api.requirements(incoming.parts.uri.path());
    match requirements.find(|requirement| !requirement.is_met_by(grant)) {
        None => Ok(()),
        Some(requirement) => Err(Problem::unmet(requirement)),
    }
}
