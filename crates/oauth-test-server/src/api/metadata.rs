//! Protected resource metadata (RFC 9728).

use http::{Response, StatusCode, Uri};
use serde_json::{Map, json};

use crate::api::requirement::Requirement;
use crate::body::ResponseBody;
use crate::incoming::Incoming;
use crate::jws::Algorithm;
use crate::respond;
use crate::state::{Shared, overlay};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The path of the resource whose metadata this is: what comes after the well-known part (section 3.1).
pub(super) fn resource(uri: &Uri) -> Option<&str> {
    let rest = uri.path().strip_prefix(WELL_KNOWN)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Section 2.
pub(super) fn answer(shared: &Shared, resource: &str) -> Response<ResponseBody> {
    let settings = &shared.settings;
    let model = shared.lock();
    let path = if resource.is_empty() { "/" } else { resource };
    let of_paths = model.api.requirements(path).filter_map(|requirement| match requirement {
        Requirement::Scope(scope) => Some(scope),
        _ => None,
    });
    let fields = [
        ("resource", json!(format!("{}{resource}", settings.api_origin))),
        ("authorization_servers", json!([settings.issuer])),
        ("bearer_methods_supported", json!(["header"])),
        ("scopes_supported", json!(settings.required_scope.iter().chain(of_paths).collect::<Vec<_>>())),
    ];
    let mut metadata: Map<_, _> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    if shared.offers_dpop() {
        metadata.insert("dpop_signing_alg_values_supported".to_owned(), json!(Algorithm::asymmetric_names()));
        metadata.insert("dpop_bound_access_tokens_required".to_owned(), json!(shared.requires_dpop()));
    }
    overlay(&mut metadata, &model.api.metadata);
    respond::json(StatusCode::OK, &metadata.into())
}

/// What a challenge says of where the metadata is (section 5.1), if it says so.
pub(super) fn challenge_url(incoming: &Incoming<'_>) -> Option<String> {
    let shared = incoming.shared;
    if let Some(url) = &shared.lock().api.metadata_url {
        return Some(url.clone());
    }
    let path = incoming.parts.uri.path();
    let resource = if path == super::MCP || path.starts_with("/mcp/") { super::MCP } else { "" };
    let origin = &shared.settings.api_origin;
    shared.settings.resource_metadata.then(|| format!("{origin}{WELL_KNOWN}{resource}"))
}
