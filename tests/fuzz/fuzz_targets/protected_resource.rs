//! What a protected resource may say of itself (RFC 9728, D7). `$R` stands for the resource, `$I` for the allowed issuer.

#![no_main]

#[path = "../canned.rs"]
mod canned;

use canned::{Canned, block_on, shown};
use http::Response;
use libfuzzer_sys::fuzz_target;
use oauth_tokens::{AuthorizationServer, ClientAuth, ProtectedResource, TokenSource};

const RESOURCE: &str = "https://api.test/mcp";
const ISSUER: &str = "https://id.test";
const SECRET: &str = "Q7 secret/+";

fuzz_target!(|data: &[u8]| {
    let body = String::from_utf8_lossy(data).replace("$R", RESOURCE).replace("$I", ISSUER);
    let metadata = Canned::http(Response::new(body.clone().into()));
    let token = r#"{"access_token":"t","token_type":"Bearer","issuer":"https://id.test","token_endpoint":"https://id.test/token"}"#;
    let client = AuthorizationServer::via(Canned::http(Response::new(token.into())))
        .issuer(ISSUER)
        .and_then(|server| server.client("m2m", ClientAuth::secret_basic(SECRET)))
        .expect("a client");
    let resource = ProtectedResource::via(metadata, RESOURCE).expect("a resource").allow(client);
    match block_on(resource.fetch()) {
        Ok(_) => {
            let json: serde_json::Value = serde_json::from_str(&body).expect("metadata are JSON");
            assert_eq!(json["resource"].as_str(), Some(RESOURCE));
            let servers = json["authorization_servers"].as_array().expect("a list");
            assert!(servers.iter().any(|server| server.as_str() == Some(ISSUER)));
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.chars().any(char::is_control) && message.len() < 16 * 1024, "{message:?}");
            assert!(!shown(&error).contains(SECRET));
        }
    }
});
