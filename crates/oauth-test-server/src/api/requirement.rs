use std::time::Duration;

use serde_json::{Map, Value};

use crate::token::Grant;

/// What the API asks of a token besides that it is good, for all paths under one: see
/// `TestServer::require`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Requirement {
    /// A scope. Without it: 403 `insufficient_scope`, which names it (RFC 6750 section 3.1).
    Scope(String),
    /// A sign-in that is strong or recent enough. Without it: 401 `insufficient_user_authentication`
    /// (RFC 9470 section 3). A token has the `acr` that its token request asked for with `acr_values`;
    /// it is as old as its sign-in.
    Authentication {
        /// Any one of these will do; separated by spaces.
        acr_values: Option<String>,
        /// How long ago the sign-in may be, in whole seconds.
        max_age: Option<Duration>,
    },
    /// These members in the `claims` of the token request. Without them: 401 `insufficient_claims`,
    /// with these as base64 (the challenge of Entra's continuous access evaluation).
    Claims(Value),
    /// An audience. Without it: 401 `invalid_token`.
    Audience(String),
}

impl Requirement {
    pub(super) fn is_met_by(&self, grant: &Grant) -> bool {
        match self {
            Self::Scope(scope) => grant.scopes.contains(scope),
            Self::Authentication { acr_values, max_age } => {
                let strong = acr_values.as_ref().is_none_or(|values| {
                    grant.acr.as_deref().is_some_and(|acr| values.split_whitespace().any(|value| value == acr))
                });
                strong && max_age.is_none_or(|max_age| grant.auth_time.elapsed() <= max_age)
            }
            Self::Claims(claims) => grant.requested_claims.as_ref().is_some_and(|asked| contains(asked, claims)),
            Self::Audience(audience) => grant.audience.contains(audience),
        }
    }
}

/// Whether all members of `part` are in `whole`, at any depth.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| contains(whole, part)))
        }
        _ => whole == part,
    }
}

/// What tests have set at the API.
#[derive(Debug, Default)]
pub(crate) struct ApiState {
    /// Requirements with the paths that they are for.
    pub(crate) requirements: Vec<(String, Requirement)>,
    /// Members of the protected resource metadata; `null` removes one.
    pub(crate) metadata: Map<String, Value>,
    /// Where challenges say that the metadata is.
    pub(crate) metadata_url: Option<String>,
}

impl ApiState {
    pub(super) fn requirements(&self, path: &str) -> impl Iterator<Item = &Requirement> {
        let under = move |prefix: &str| {
            let rest = path.strip_prefix(prefix.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.requirements.iter().filter(move |(prefix, _)| under(prefix)).map(|(_, requirement)| requirement)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_requirement_is_for_a_path_and_what_is_under_it() {
        let requirement = Requirement::Scope("x".to_owned());
        for (prefix, path, applies) in [
            ("/", "/", true),
            ("/", "/a", true),
            ("/a", "/a", true),
            ("/a", "/a/b", true),
            ("/a/", "/a", true),
            ("/a", "/ab", false),
            ("/a", "/", false),
            ("/a", "/b/a", false),
        ] {
            let state =
                ApiState { requirements: vec![(prefix.to_owned(), requirement.clone())], ..ApiState::default() };
            assert_eq!(state.requirements(path).count(), usize::from(applies), "{prefix} {path}");
        }
    }

    #[test]
    fn claims_contain_claims() {
        let asked = json!({ "access_token": { "nbf": { "essential": true, "value": "1" }, "xms_cc": ["cp1"] } });
        for (part, contained) in [
            (json!({}), true),
            (json!({ "access_token": {} }), true),
            (json!({ "access_token": { "nbf": { "value": "1" } } }), true),
            (json!({ "access_token": { "nbf": { "value": "2" } } }), false),
            (json!({ "access_token": { "acrs": {} } }), false),
            (json!({ "id_token": {} }), false),
        ] {
            assert_eq!(contains(&asked, &part), contained, "{part}");
        }
    }
}
