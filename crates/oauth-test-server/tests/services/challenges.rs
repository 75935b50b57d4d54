//! Challenges on demand, protected resource metadata, and the small MCP server.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oauth_test_server::{Requirement, TestServer};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::*;

async fn at(server: &TestServer, path: &str, token: &str) -> Answer {
    let mut request = get(server.api_url(path));
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    call(server, request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_scope_for_a_path() {
    let server = TestServer::builder().client(m2m()).build();
    server.require("/admin", Requirement::Scope("admin".to_owned()));
    let weak = server.issue_access_token("m2m", "api");
    let answer = at(&server, "/admin/users", &weak).await;
    answer.assert_error(403, "insufficient_scope");
    assert!(answer.header("www-authenticate").ends_with(", scope=\"admin\""));
    assert_eq!(at(&server, "/others", &weak).await.status, 200);
    let strong = server.issue_access_token("m2m", "api admin");
    assert_eq!(at(&server, "/admin/users", &strong).await.status, 200);
    server.clear_requirements();
    assert_eq!(at(&server, "/admin/users", &weak).await.status, 200);
    assert_eq!(server.counters().api_forbidden, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stronger_sign_in() {
    let server = TestServer::builder().build();
    let strong = Requirement::Authentication { acr_values: Some("mfa hardware".to_owned()), max_age: None };
    server.require("/pay", strong);
    let weak = token(&server, CLIENT_CREDENTIALS).await.text("access_token");
    let answer = at(&server, "/pay", &weak).await;
    answer.assert_error(401, "insufficient_user_authentication");
    assert!(answer.header("www-authenticate").ends_with(", acr_values=\"mfa hardware\""));
    for (acr_values, status) in [("mfa", 200), ("hardware+other", 200), ("password+mfa", 401)] {
        let answer = token(&server, &format!("{CLIENT_CREDENTIALS}&acr_values={acr_values}")).await;
        let answer = at(&server, "/pay", &answer.text("access_token")).await;
        assert_eq!(answer.status.as_u16(), status, "{acr_values}");
        if status == 200 {
            assert_eq!(Some(answer.text("acr").as_str()), acr_values.split('+').next());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_more_recent_sign_in() {
    let server = TestServer::builder().client(m2m()).build();
    let recent = Requirement::Authentication { acr_values: None, max_age: Some(Duration::from_secs(60)) };
    server.require("/pay", recent);
    let refresh = server.issue_refresh_token("m2m", "api");
    let ask = async |refresh: &str, more: &str| {
        let request = "grant_type=refresh_token&client_id=m2m&client_secret=secret";
        token(&server, &format!("{request}&refresh_token={refresh}{more}")).await
    };
    let answer = ask(&refresh, "").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(at(&server, "/pay", &answer.text("access_token")).await.status, 200);
    tokio::time::advance(Duration::from_millis(1)).await;
    let refused = at(&server, "/pay", &answer.text("access_token")).await;
    refused.assert_error(401, "insufficient_user_authentication");
    assert!(refused.header("www-authenticate").ends_with(", max_age=\"60\""));

    // A refresh is no sign-in, unless it asks for one.
    let answer = ask(&answer.text("refresh_token"), "").await;
    assert_eq!(at(&server, "/pay", &answer.text("access_token")).await.status, 401);
    let answer = ask(&answer.text("refresh_token"), "&max_age=60").await;
    assert_eq!(at(&server, "/pay", &answer.text("access_token")).await.status, 200);
    ask(&answer.text("refresh_token"), "&max_age=x").await.assert_error(400, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn claims_that_a_token_must_be_asked_with() {
    let server = TestServer::builder().build();
    let claims = json!({ "access_token": { "nbf": { "essential": true, "value": "1604106651" } } });
    server.require("/", Requirement::Claims(claims.clone()));
    let ask = async |claims: &str| {
        let claims = utf8_percent_encode(claims, NON_ALPHANUMERIC);
        token(&server, &format!("{CLIENT_CREDENTIALS}&claims={claims}")).await
    };
    let weak = token(&server, CLIENT_CREDENTIALS).await.text("access_token");
    let answer = at(&server, "/", &weak).await;
    answer.assert_error(401, "insufficient_claims");
    let challenge = answer.header("www-authenticate");
    let sent = challenge.rsplit_once("claims=\"").unwrap().1.trim_end_matches('"');
    let sent = String::from_utf8(STANDARD.decode(sent).unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&sent).unwrap(), claims);

    let good = ask(&sent).await.text("access_token");
    assert_eq!(at(&server, "/", &good).await.status, 200);
    let mut more = claims.clone();
    more["access_token"]["xms_cc"] = json!({ "values": ["cp1"] });
    assert_eq!(at(&server, "/", &ask(&more.to_string()).await.text("access_token")).await.status, 200);
    let other = json!({ "access_token": { "nbf": { "essential": true, "value": "1" } } });
    assert_eq!(at(&server, "/", &ask(&other.to_string()).await.text("access_token")).await.status, 401);
    for bad in ["x", "[]", "1"] {
        ask(bad).await.assert_error(400, "invalid_request");
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_of_each_resource() {
    let server = TestServer::builder().resource_metadata(true).build();
    server.require("/mcp", Requirement::Scope("tools".to_owned()));
    for (path, well_known) in [
        ("/", "/.well-known/oauth-protected-resource"),
        ("/things", "/.well-known/oauth-protected-resource"),
        ("/mcp", "/.well-known/oauth-protected-resource/mcp"),
    ] {
        let answer = call(&server, get(server.api_url(path))).await.unwrap();
        let url = server.api_url(well_known);
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, format!("Bearer realm=\"api\", resource_metadata=\"{url}\""));
        let metadata = call(&server, get(url)).await.unwrap().json();
        let resource = server.api_url(path);
        let resource = if path == "/mcp" { &*resource } else { server.api_origin() };
        assert_eq!(metadata["resource"], resource);
        assert_eq!(metadata["authorization_servers"], json!([server.issuer()]));
        let scopes = if path == "/mcp" { json!(["tools"]) } else { json!([]) };
        assert_eq!(metadata["scopes_supported"], scopes);
    }
    let beside = call(&server, get(server.api_url("/.well-known/oauth-protected-resources"))).await.unwrap();
    assert_eq!(beside.status, 401);
}

#[tokio::test(start_paused = true)]
async fn wrong_metadata() {
    let server = TestServer::builder().build();
    server.set_resource_metadata_url(Some("https://evil.test/metadata".to_owned()));
    server.set_resource_metadata("resource", "https://evil.test");
    server.set_resource_metadata("authorization_servers", json!(["https://evil.test"]));
    server.set_resource_metadata("bearer_methods_supported", Value::Null);
    let answer = call(&server, get(server.api_url("/"))).await.unwrap();
    let challenge = "Bearer realm=\"api\", resource_metadata=\"https://evil.test/metadata\"";
    assert_eq!(answer.header("www-authenticate"), challenge);
    let url = server.api_url("/.well-known/oauth-protected-resource");
    let metadata = call(&server, get(url)).await.unwrap().json();
    assert_eq!(metadata["resource"], "https://evil.test");
    assert_eq!(metadata["authorization_servers"], json!(["https://evil.test"]));
    assert_eq!(metadata.get("bearer_methods_supported"), None);
    server.set_resource_metadata_url(None);
    let answer = call(&server, get(server.api_url("/"))).await.unwrap();
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"api\"");
}

#[tokio::test(start_paused = true)]
async fn a_small_mcp_server() {
    let server = TestServer::builder().build();
    server.require("/mcp", Requirement::Audience(server.api_url("/mcp")));
    let url = server.api_url("/mcp");
    let send = async |token: &str, message: &str| {
        let request = Request::post(&url)
            .header("authorization", format!("Bearer {token}"))
            .body(Full::from(message.to_owned()))
            .unwrap();
        call(&server, request).await.unwrap()
    };
    let elsewhere = token(&server, CLIENT_CREDENTIALS).await.text("access_token");
    send(&elsewhere, "{}").await.assert_error(401, "invalid_token");
    let token = token(&server, &format!("{CLIENT_CREDENTIALS}&resource={url}")).await.text("access_token");

    let ask = async |method: &str, params: Value| {
        let message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let answer = send(&token, &message.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
        assert_eq!((&answer.json()["jsonrpc"], &answer.json()["id"]), (&json!("2.0"), &json!(7)));
        answer.json()
    };
    let answer = ask("initialize", json!({ "protocolVersion": "2025-06-18", "capabilities": {} })).await;
    assert_eq!(answer["result"]["serverInfo"]["name"], "oauth-test-server");
    assert_eq!(ask("ping", json!({})).await["result"], json!({}));
    assert_eq!(ask("tools/list", json!({})).await["result"]["tools"][0]["name"], "whoami");
    let answer = ask("tools/call", json!({ "name": "whoami", "arguments": {} })).await;
    assert_eq!(answer["result"]["content"], json!([{ "type": "text", "text": "m2m" }]));
    assert_eq!(ask("tools/call", json!({ "name": "other" })).await["error"]["code"], -32602);
    assert_eq!(ask("resources/list", json!({})).await["error"]["code"], -32601);

    let notification = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let answer = send(&token, &notification.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0));
    for (message, code) in [("x", -32700), ("{\"id\":1}", -32600), ("[]", -32600)] {
        assert_eq!(send(&token, message).await.json()["error"]["code"], code, "{message}");
    }
    let answer = at(&server, "/mcp", &token).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"));
}
