//! Pushed authorization requests (RFC 9126), `authorization_details` (RFC 9396), targets, and the keys.

use std::time::Duration;

use oauth_test_server::{Client, DecodedJwt, TestServer, TokenFormat};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::*;

fn encoded(value: &Value) -> String {
    utf8_percent_encode(&value.to_string(), NON_ALPHANUMERIC).to_string()
}

#[tokio::test(start_paused = true)]
async fn pushed_requests_are_kept_for_a_minute() {
    let server = TestServer::builder().client(m2m()).build();
    let push = async |parameters: &str| {
        authorize(&server, form(server.pushed_authorization_endpoint(), parameters)).await.unwrap()
    };
    let good = "client_id=m2m&client_secret=secret&response_type=code&scope=api&state=x";
    let answer = push(good).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (201, "no-store"));
    assert_eq!(answer.json()["expires_in"], 60);
    let uri = answer.text("request_uri");
    assert!(uri.starts_with("urn:ietf:params:oauth:request_uri:"));
    let pairs = [("client_id", "m2m"), ("response_type", "code"), ("scope", "api"), ("state", "x")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(server.pushed_request(&uri).unwrap(), pairs);
    assert_ne!(push(good).await.text("request_uri"), uri);

    for (parameters, status, error) in [
        (format!("{good}&request_uri={uri}"), 400, "invalid_request"),
        (good.replace("&response_type=code", ""), 400, "invalid_request"),
        (format!("{good}&resource=x"), 400, "invalid_target"),
        (format!("{good}&authorization_details=x"), 400, "invalid_authorization_details"),
        (good.replace("scope=api", "scope=admin"), 400, "invalid_scope"),
        (good.replace("secret=secret", "secret=wrong"), 401, "invalid_client"),
    ] {
        push(&parameters).await.assert_error(status, error);
    }
    assert_eq!(server.pushed_request("unknown"), None);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(server.pushed_request(&uri), None);
    assert_eq!(server.counters().pushed_authorizations, 8);
}

#[tokio::test(start_paused = true)]
async fn authorization_details_come_back() {
    let server = TestServer::builder()
        .client(m2m())
        .authorization_details_types(["payment", "account"])
        .token_format(TokenFormat::Jwt)
        .build();
    let details = json!([{ "type": "payment", "amount": "1.00" }, { "type": "account", "actions": ["read"] }]);
    let answer = token(&server, &format!("{CLIENT_CREDENTIALS}&authorization_details={}", encoded(&details))).await;
    assert_eq!(answer.json()["authorization_details"], details);
    let access = answer.text("access_token");
    assert_eq!(api(&server, &access).await.json()["authorization_details"], details);
    assert_eq!(DecodedJwt::decode(&access).unwrap().claims["authorization_details"], details);
    assert_eq!(server.metadata()["authorization_details_types_supported"], json!(["payment", "account"]));
    assert_eq!(token(&server, CLIENT_CREDENTIALS).await.json().get("authorization_details"), None);

    for bad in [json!({}), json!(["payment"]), json!([{}]), json!([{ "type": 1 }]), json!([{ "type": "other" }])] {
        let answer = token(&server, &format!("{CLIENT_CREDENTIALS}&authorization_details={}", encoded(&bad))).await;
        answer.assert_error(400, "invalid_authorization_details");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_may_narrow_authorization_details() {
    let server = TestServer::builder().client(m2m()).refresh_tokens(true).build();
    let [one, two] = ["one", "two"].map(|kind| json!({ "type": kind }));
    let both = format!("{CLIENT_CREDENTIALS}&authorization_details={}", encoded(&json!([one, two])));
    let refresh = token(&server, &both).await.text("refresh_token");
    let request = format!("grant_type=refresh_token&client_id=m2m&client_secret=secret&refresh_token={refresh}");
    let more = format!("{request}&authorization_details={}", encoded(&json!([{ "type": "three" }])));
    token(&server, &more).await.assert_error(400, "invalid_authorization_details");
    let less = format!("{request}&authorization_details={}", encoded(&json!([one])));
    let answer = token(&server, &less).await;
    assert_eq!(answer.json()["authorization_details"], json!([one]));
    let again = request.replace(&refresh, &answer.text("refresh_token"));
    assert_eq!(token(&server, &again).await.json()["authorization_details"], json!([one, two]));
}

#[tokio::test(start_paused = true)]
async fn a_client_may_have_few_targets() {
    let server = TestServer::builder().client(m2m().targets(["https://a.test", "b"])).build();
    for (parameters, status) in [
        ("&resource=https://a.test&audience=b", 200),
        ("", 200),
        ("&audience=a", 400),
        ("&resource=https://a.test/x", 400),
    ] {
        let answer = token(&server, &format!("{CLIENT_CREDENTIALS}{parameters}")).await;
        assert_eq!(answer.status.as_u16(), status, "{parameters}");
        if status == 400 {
            answer.assert_error(400, "invalid_target");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_keys_rotate() {
    let server = TestServer::builder().token_format(TokenFormat::Jwt).build();
    let key_ids = async || {
        let answer = authorize(&server, get(server.jwks_uri())).await.unwrap();
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        let keys = answer.json()["keys"].as_array().unwrap().clone();
        keys.into_iter().map(|key| key["kid"].clone()).collect::<Vec<_>>()
    };
    let signed_by = |token: &str| DecodedJwt::decode(token).unwrap().header["kid"].clone();
    let old = server.issue_access_token("m2m", "api");
    assert_eq!(key_ids().await, [signed_by(&old)]);
    server.rotate_keys();
    let new = server.issue_access_token("m2m", "api");
    assert_eq!(key_ids().await, [signed_by(&new), signed_by(&old)]);
    assert_ne!(signed_by(&new), signed_by(&old));
    server.drop_old_keys();
    assert_eq!(key_ids().await, [signed_by(&new)]);
    assert_eq!(api(&server, &old).await.status, 200);
    assert_eq!(server.counters().jwks_requests, 3);

    let server = TestServer::builder().jwks_max_age(None).build();
    assert_eq!(authorize(&server, get(server.jwks_uri())).await.unwrap().header("cache-control"), "");
}

#[tokio::test(start_paused = true)]
async fn metadata_tells_what_is_registered() {
    let key = oauth_test_server::TestKey::generate(oauth_test_server::Algorithm::Es256);
    let server = TestServer::builder().client(Client::new("m2m").key(&key)).build();
    let metadata = server.metadata();
    let methods = json!(["client_secret_basic", "client_secret_post", "none", "private_key_jwt"]);
    let algorithms = json!(["HS256", "ES256", "ES384", "RS256", "PS256", "EdDSA"]);
    for endpoint in ["token", "introspection", "revocation"] {
        assert_eq!(metadata[&format!("{endpoint}_endpoint_auth_methods_supported")], methods);
        assert_eq!(metadata[&format!("{endpoint}_endpoint_auth_signing_alg_values_supported")], algorithms);
    }
    assert_eq!(metadata["device_authorization_endpoint"], server.device_authorization_endpoint());
    assert_eq!(metadata["pushed_authorization_request_endpoint"], server.pushed_authorization_endpoint());
    assert_eq!(metadata["grant_types_supported"].as_array().unwrap().len(), 6);
    assert_eq!(metadata.get("mtls_endpoint_aliases"), None);
}
