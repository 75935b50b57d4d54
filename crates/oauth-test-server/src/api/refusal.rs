use std::fmt::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::WWW_AUTHENTICATE;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::api::metadata;
use crate::api::requirement::Requirement;
use crate::body::ResponseBody;
use crate::incoming::Incoming;
use crate::jws::Algorithm;
use crate::respond::{self, header_value};
use crate::service::Side;

/// How a token is presented.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scheme {
    Bearer,
    Dpop,
}

impl Scheme {
    pub(super) fn refuse(self, problem: Problem) -> Refusal {
        Refusal::Problem(self, problem)
    }
}

pub(super) enum Refusal {
    /// Without credentials, no error code: the client may not have known (RFC 6750 section 3.1).
    NoToken,
    Problem(Scheme, Problem),
}

pub(super) enum Problem {
    InvalidRequest(&'static str),
    InvalidToken(&'static str),
    InsufficientScope(String),
    InvalidProof(&'static str),
    UseNonce,
    InsufficientAuthentication { acr_values: Option<String>, max_age: Option<Duration> },
    InsufficientClaims(Value),
}

impl Problem {
    pub(super) fn unmet(requirement: &Requirement) -> Self {
        match requirement {
            Requirement::Scope(scope) => Self::InsufficientScope(scope.clone()),
            Requirement::Authentication { acr_values, max_age } => {
                Self::InsufficientAuthentication { acr_values: acr_values.clone(), max_age: *max_age }
            }
            Requirement::Claims(claims) => Self::InsufficientClaims(claims.clone()),
            Requirement::Audience(_) => Self::InvalidToken("the token is for another audience"),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::InvalidRequest(_) => StatusCode::BAD_REQUEST,
            Self::InsufficientScope(_) => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    fn error(&self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidRequest(why) => ("invalid_request", why),
            Self::InvalidToken(why) => ("invalid_token", why),
            Self::InsufficientScope(_) => ("insufficient_scope", "the token lacks a scope"),
            Self::InvalidProof(why) => ("invalid_dpop_proof", why),
            Self::UseNonce => ("use_dpop_nonce", "the proof must have a nonce of this server"),
            Self::InsufficientAuthentication { .. } => {
                ("insufficient_user_authentication", "a stronger or more recent sign-in is needed")
            }
            Self::InsufficientClaims(_) => ("insufficient_claims", "a token with these claims is needed"),
        }
    }

    /// What the challenge says besides the error.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::InsufficientScope(scope) => vec![("scope", scope.clone())],
            Self::InsufficientAuthentication { acr_values, max_age } => {
                let acr_values = acr_values.clone().map(|values| ("acr_values", values));
                let max_age = max_age.map(|max_age| ("max_age", max_age.as_secs().to_string()));
                acr_values.into_iter().chain(max_age).collect()
            }
            Self::InsufficientClaims(claims) => vec![("claims", STANDARD.encode(claims.to_string()))],
            _ => Vec::new(),
        }
    }
}

impl Refusal {
    pub(super) fn into_response(self, incoming: &Incoming<'_>, side: Side) -> Response<ResponseBody> {
        let shared = incoming.shared;
        let (status, body, challenges) = match &self {
            Self::NoToken => {
                let schemes =
                    [(!shared.requires_dpop()).then_some(Scheme::Bearer), shared.offers_dpop().then_some(Scheme::Dpop)];
                let challenges = schemes.into_iter().flatten().map(|scheme| challenge(incoming, side, scheme, None));
                let body = json!({ "error": null, "error_description": "" });
                (StatusCode::UNAUTHORIZED, body, challenges.collect())
            }
            Self::Problem(scheme, problem) => {
                let (error, description) = problem.error();
                let body = json!({ "error": error, "error_description": description });
                (problem.status(), body, vec![challenge(incoming, side, *scheme, Some(problem))])
            }
        };
        let mut response = respond::json(status, &body);
        for challenge in challenges {
            response.headers_mut().append(WWW_AUTHENTICATE, header_value(&challenge));
        }
        response
    }
}

fn challenge(incoming: &Incoming<'_>, side: Side, scheme: Scheme, problem: Option<&Problem>) -> String {
    let realm = match side {
        Side::Api => "api",
        Side::Authorization => "userinfo",
    };
    let mut challenge = match scheme {
        Scheme::Bearer => format!("Bearer realm=\"{realm}\""),
        Scheme::Dpop => format!("DPoP realm=\"{realm}\", algs=\"{}\"", Algorithm::asymmetric_names().join(" ")),
    };
    let mut parameter = |name: &str, value: &str| {
        let value = value.replace(['"', '\\'], "?");
        write!(challenge, ", {name}=\"{value}\"").expect("a string takes any text");
    };
    if let Some(problem) = problem {
        let (error, description) = problem.error();
        parameter("error", error);
        parameter("error_description", description);
        for (name, value) in problem.parameters() {
            parameter(name, &value);
        }
    }
    // The metadata are those of the API.
    if side == Side::Api
        && let Some(url) = metadata::challenge_url(incoming)
    {
        parameter("resource_metadata", &url);
    }
    challenge
}
