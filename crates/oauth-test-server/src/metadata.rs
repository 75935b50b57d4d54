//! The authorization server's metadata.

use serde_json::{Map, Value, json};

use crate::authorization::{INTROSPECT, JWKS, REVOKE, TOKEN};
use crate::authorize;
use crate::client::ClientAuthMethod;
use crate::device;
use crate::grants::GRANT_TYPES;
use crate::jws::Algorithm;
use crate::logout::END_SESSION;
use crate::pushed::PUSHED_AUTHORIZATION;
use crate::state::{Model, Shared, overlay};
use crate::userinfo::USERINFO;

const ENDPOINTS: [(&str, &str); 5] = [
    ("token_endpoint", TOKEN),
    ("introspection_endpoint", INTROSPECT),
    ("revocation_endpoint", REVOKE),
    ("device_authorization_endpoint", device::AUTHORIZATION),
    ("pushed_authorization_request_endpoint", PUSHED_AUTHORIZATION),
];

/// RFC 8414 section 2, with what OpenID Connect Discovery and later RFCs ask for besides.
pub(crate) fn metadata(shared: &Shared) -> Map<String, Value> {
    let model = shared.lock();
    let mut scopes: Vec<&String> = model.clients.values().flat_map(|c| &c.scopes).collect();
    scopes.sort();
    scopes.dedup();
    let mut metadata = Map::new();
    let mut insert = |name: &str, value: Value| metadata.insert(name.to_owned(), value);
    insert("issuer", json!(shared.settings.issuer));
    for (name, path) in ENDPOINTS {
        insert(name, json!(shared.endpoint_url(path)));
    }
    insert("jwks_uri", json!(shared.endpoint_url(JWKS)));
    insert("grant_types_supported", json!(GRANT_TYPES));
    let methods = auth_methods(&model);
    for endpoint in ["token", "introspection", "revocation"] {
        insert(&format!("{endpoint}_endpoint_auth_methods_supported"), json!(methods));
        if model.clients.values().any(|client| client.auth_methods.iter().any(|method| method.is_assertion())) {
            let algorithms = std::iter::once(Algorithm::Hs256).chain(Algorithm::ASYMMETRIC).map(Algorithm::name);
            let algorithms: Vec<&str> = algorithms.collect();
            insert(&format!("{endpoint}_endpoint_auth_signing_alg_values_supported"), json!(algorithms));
        }
    }
    insert("authorization_endpoint", json!(shared.endpoint_url(authorize::AUTHORIZATION)));
    insert("userinfo_endpoint", json!(shared.endpoint_url(USERINFO)));
    insert("end_session_endpoint", json!(shared.endpoint_url(END_SESSION)));
    insert("backchannel_logout_supported", json!(true));
    insert("backchannel_logout_session_supported", json!(true));
    insert("userinfo_signing_alg_values_supported", json!(id_token_algorithms(&model)));
    insert("response_types_supported", json!(["code"]));
    insert("response_modes_supported", json!(["query", "form_post"]));
    insert("code_challenge_methods_supported", json!(["S256"]));
    insert("prompt_values_supported", json!(["none", "login", "consent", "select_account"]));
    insert("authorization_response_iss_parameter_supported", json!(shared.settings.response_iss));
    insert("require_pushed_authorization_requests", json!(shared.settings.require_pushed_requests));
    insert("request_parameter_supported", json!(false));
    insert("request_uri_parameter_supported", json!(false));
    insert("scopes_supported", json!(scopes));
    insert("subject_types_supported", json!(["public"]));
    insert("id_token_signing_alg_values_supported", json!(id_token_algorithms(&model)));
    if let Some(types) = &shared.settings.authorization_details_types {
        insert("authorization_details_types_supported", json!(types));
    }
    if shared.offers_dpop() {
        insert("dpop_signing_alg_values_supported", json!(Algorithm::asymmetric_names()));
    }
    if shared.settings.mtls_origin.is_some() {
        let alias = |(name, path): (&str, &str)| Some((name.to_owned(), json!(shared.mtls_url(path)?)));
        let aliases: Map<String, Value> = ENDPOINTS.into_iter().filter_map(alias).collect();
        insert("mtls_endpoint_aliases", json!(aliases));
        insert("tls_client_certificate_bound_access_tokens", json!(true));
    }
    overlay(&mut metadata, &model.metadata);
    metadata
}

/// RS256, which every server has, and those that clients are registered with.
fn id_token_algorithms(model: &Model) -> Vec<&'static str> {
    let mut algorithms = model.signing_algorithms();
    algorithms.retain(|algorithm| *algorithm != Algorithm::Rs256);
    std::iter::once(Algorithm::Rs256).chain(algorithms).map(Algorithm::name).collect()
}

/// Those that every server has, and those that a client is registered with.
fn auth_methods(model: &Model) -> Vec<&'static str> {
    let usual = [ClientAuthMethod::ClientSecretBasic, ClientAuthMethod::ClientSecretPost, ClientAuthMethod::None];
    let mut methods: Vec<&str> = usual.map(ClientAuthMethod::name).to_vec();
    let mut registered: Vec<&str> =
        model.clients.values().flat_map(|client| &client.auth_methods).map(|method| method.name()).collect();
    registered.sort_unstable();
    for method in registered {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    methods
}
