//! Whether a JWT was signed by one of the server's keys.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, crypto::aws_lc::DEFAULT_PROVIDER};
use serde_json::Value;

use super::{
    Failure,
    jwt::Jwt,
    rules::{Bearer, TENANT},
};
use crate::{Algorithm, AuthorizationServer, Jwk, JwkSet};

/// So many keys are tried at most: those of one name are one as a rule, those without a name are few.
const MAX_KEYS: usize = 8;
/// RSA keys have so many bits (RFC 7518, sections 3.3 and 3.5; the library takes no longer ones).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Says whether one of the server's keys signed this.
///
/// When none of those that are known did, the keys are fetched again, at most once a minute: servers rotate them. What strangers
/// bring is counted apart.
pub(super) async fn verify(jwt: &Jwt<'_>, server: &AuthorizationServer, bearer: Bearer) -> Result<(), Failure> {
    let placeholder = server.expected_issuer().filter(|issuer| issuer.contains(TENANT));
    let keys = server.jwks().await?;
    let Err(why) = verify_by(jwt, &keys, placeholder) else { return Ok(()) };
    let newer = match bearer {
        Bearer::Server => server.newer_jwks_for_own(&keys).await?,
        Bearer::Anybody => server.newer_jwks(&keys).await?,
    };
    if Arc::ptr_eq(&keys, &newer) {
        return Err(why.into());
    }
    Ok(verify_by(jwt, &newer, placeholder)?)
}

fn verify_by(jwt: &Jwt<'_>, keys: &JwkSet, placeholder: Option<&str>) -> Result<(), &'static str> {
    let mut problem =
        "the server has no key for it, as far as is known (its keys are fetched again at most once a minute)";
    let of_issuer = |key: &&Jwk| placeholder.is_none_or(|placeholder| may_sign_for(key, jwt, placeholder));
    for key in keys.iter().filter(|key| fits(key, jwt)).filter(of_issuer).take(MAX_KEYS) {
        match verify_with(jwt, key) {
            Ok(()) => return Ok(()),
            Err(why) => problem = why,
        }
    }
    Err(problem)
}

/// Whether a key is meant for this: by its name, its use, its algorithm and its kind (RFC 7517, section 4).
fn fits(key: &Jwk, jwt: &Jwt<'_>) -> bool {
    let is = |member: &str, expected: &str| key.get(member).is_none_or(|value| value == expected);
    let may_verify = match key.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    };
    let (kind, curve) = kind_of(jwt.algorithm);
    let is_of_algorithm = match key.get("alg") {
        None => true,
        // Two names for one algorithm (RFC 9864, section 2.2).
        Some(name) if curve == Some("Ed25519") => name == "EdDSA" || name == "Ed25519",
        Some(name) => name == jwt.algorithm.name(),
    };
    let is_named = jwt.key_id.is_none() || key.key_id() == jwt.key_id.as_deref();
    let is_of_kind =
        key.key_type() == Some(kind) && curve.is_none_or(|curve| key.get("crv").is_some_and(|crv| crv == curve));
    is_named && is("use", "sig") && may_verify && is_of_algorithm && is_of_kind
}

/// Of a server with many issuers, a key may be one issuer's alone, and then says whose: Entra ID has such keys.
fn may_sign_for(key: &Jwk, jwt: &Jwt<'_>, placeholder: &str) -> bool {
    key.get("issuer").is_none_or(|issuer| issuer == placeholder || Some(issuer) == jwt.claims.get("iss"))
}

/// `kty` and `crv` of an algorithm's keys.
fn kind_of(algorithm: Algorithm) -> (&'static str, Option<&'static str>) {
    match algorithm {
        Algorithm::Es256 => ("EC", Some("P-256")),
        Algorithm::Es384 => ("EC", Some("P-384")),
        Algorithm::EdDsa | Algorithm::Ed25519 => ("OKP", Some("Ed25519")),
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => ("RSA", None),
    }
}

/// The library is asked for nothing but this: its default provider is one for the whole process, and panics when a build has
/// two of them (some other crate's features are enough for that), or none. The one named here cannot change.
///
/// Nor are its claims checked by it: its time is not our clock's, and much of OpenID Connect is unknown to it.
fn verify_with(jwt: &Jwt<'_>, key: &Jwk) -> Result<(), &'static str> {
    let key = decoding_key(jwt.algorithm, key)?;
    let algorithm = in_library(jwt.algorithm);
    let verifier =
        (DEFAULT_PROVIDER.verifier_factory)(&algorithm, &key).map_err(|_| "the server's key cannot be used")?;
    verifier.verify(jwt.signed.as_bytes(), &jwt.signature).map_err(|_| "its signature is not of the server's key")
}

fn in_library(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
        Algorithm::EdDsa | Algorithm::Ed25519 => jsonwebtoken::Algorithm::EdDSA,
    }
}

/// The key of a JWK (RFC 7518, section 6, and RFC 8037, section 2). Whether a point is on its curve the library checks, when it
/// verifies.
fn decoding_key(algorithm: Algorithm, key: &Jwk) -> Result<DecodingKey, &'static str> {
    const INVALID: &str = "the server's key is malformed";
    let text = |member: &str| key.get(member).and_then(Value::as_str).ok_or(INVALID);
    let bytes = |member: &str| BASE64_URL_SAFE_NO_PAD.decode(text(member)?).map_err(|_| INVALID);
    let of_length = |member: &str, length: usize| match bytes(member)?.len() == length {
        true => text(member),
        false => Err(INVALID),
    };
    let made = match algorithm {
        Algorithm::Es256 => DecodingKey::from_ec_components(of_length("x", 32)?, of_length("y", 32)?),
        Algorithm::Es384 => DecodingKey::from_ec_components(of_length("x", 48)?, of_length("y", 48)?),
        Algorithm::EdDsa | Algorithm::Ed25519 => DecodingKey::from_ed_components(of_length("x", 32)?),
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            let (n, e) = (without_zeros(&n), without_zeros(&e));
            if !RSA_BITS.contains(&bits(n)) {
                return Err("the server's RSA key has less than 2048 bits, or more than 8192");
            }
            Ok(DecodingKey::from_rsa_raw_components(n, e))
        }
    };
    made.map_err(|_| INVALID)
}

/// Some servers write a number with a leading zero byte.
fn without_zeros(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    number.get(first..).unwrap_or_default()
}

fn bits(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - unused
}
