//! Through the layer, against the test server: what an MCP client lives through.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use oauth_test_server::{Client, Endpoint, Requirement, ResponseBody, TestServer};
use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, HttpClient, ProtectedResource, TokenClient};
use serde_json::{Value, json};
use tests::script::outcome;
use tokio::time::advance;
use tower::{Layer, ServiceExt};
use tower_oauth::OAuthLayer;

const MINUTE: Duration = Duration::from_secs(60);

/// An MCP server that takes only tokens that are meant for it.
fn mcp_server() -> TestServer {
    let server = TestServer::builder().resource_metadata(true).build();
    server.require("/mcp", Requirement::Audience(server.api_url("/mcp")));
    server
}

fn client_of(server: &TestServer) -> TokenClient {
    let http = HttpClient::new(server.authorization_service());
    let authorization = AuthorizationServer::via(http).issuer(server.issuer()).expect("an issuer");
    authorization.client("m2m", ClientAuth::secret_basic("secret")).expect("a client")
}

fn layer(server: &TestServer) -> OAuthLayer {
    let resource = ProtectedResource::via(HttpClient::new(server.api_service()), &server.api_url("/mcp"));
    let tokens = resource.expect("a resource").allow(client_of(server)).scope("api").cached().expect("a resource");
    OAuthLayer::new(server.api_url("/mcp").as_str(), tokens).expect("an origin")
}

async fn call(server: &TestServer, layer: &OAuthLayer, method: &str) -> Response<ResponseBody> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": { "name": "whoami" } }).to_string();
    let request = Request::post(server.api_url("/mcp")).body(Full::<Bytes>::from(body)).expect("a request");
    layer.layer(server.api_service()).oneshot(request).await.expect("a response")
}

async fn result(response: Response<ResponseBody>) -> Value {
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice::<Value>(&body).expect("JSON")["result"].take()
}

#[tokio::test(start_paused = true)]
async fn d7_a_client_gets_in_with_a_token_for_that_resource_alone() {
    let server = mcp_server();
    let layer = layer(&server);
    assert_eq!(result(call(&server, &layer, "initialize").await).await["serverInfo"]["name"], "oauth-test-server");
    assert_eq!(result(call(&server, &layer, "tools/list").await).await["tools"][0]["name"], "whoami");
    let told = result(call(&server, &layer, "tools/call").await).await;
    assert_eq!(told["content"][0]["text"], "m2m");
    assert_eq!((server.counters().token_requests, server.counters().api_unauthorized), (1, 0));
    let form = String::from_utf8_lossy(&server.requests_to(Endpoint::Token)[0].body).into_owned();
    assert!(form.contains("grant_type=client_credentials"), "{form}");
    let resources: Vec<_> = form.split('&').filter(|pair| pair.starts_with("resource=")).collect();
    assert_eq!(resources, [format!("resource={}", server.api_url("/mcp").replace(':', "%3A").replace('/', "%2F"))]);
}

/// A client of the same server without `resource` does not get in: the test server does look.
#[tokio::test(start_paused = true)]
async fn d7_a_token_that_is_not_for_the_resource_is_refused() {
    let server = mcp_server();
    let tokens = client_of(&server).client_credentials().scope("api").cached().expect("a request");
    let layer = OAuthLayer::new(server.api_url("/mcp").as_str(), tokens).expect("an origin");
    let response = call(&server, &layer, "initialize").await;
    assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (401, "Retried"));
}

#[tokio::test(start_paused = true)]
async fn d7_a_server_that_moves_to_a_stranger_is_refused_with_a_clear_error() {
    let server = mcp_server();
    let layer = layer(&server);
    result(call(&server, &layer, "initialize").await).await;

    server.set_resource_metadata("authorization_servers", json!(["https://evil.test"]));
    server.revoke_access_tokens();
    advance(MINUTE).await;
    let response = call(&server, &layer, "initialize").await;
    assert_eq!(
        (response.status().as_u16(), outcome(response.extensions()).as_str()),
        (401, "NotRenewed(ServerNotAllowed)")
    );
    let Some(tower_oauth::RetryOutcome::NotRetried(tower_oauth::NotRetried::NotRenewed(error))) =
        response.extensions().get()
    else {
        panic!("{:?}", response.extensions().get::<tower_oauth::RetryOutcome>());
    };
    assert!(error.to_string().contains("\"https://evil.test\""), "{error}");
    assert_eq!(server.counters().token_requests, 1, "no further token of the old one either");

    // A client that starts now is told before anything is sent.
    let before = server.counters().api_requests;
    let body = Full::<Bytes>::from("{}");
    let request = Request::post(server.api_url("/mcp")).body(body).expect("a request");
    let error = self::layer(&server).layer(server.api_service()).oneshot(request).await.expect_err("no token");
    let error = error.downcast_ref::<tower_oauth::Error>().expect("the layer's own");
    assert_eq!(error.token_error().map(oauth_tokens::Error::kind), Some(ErrorKind::ServerNotAllowed));
    assert_eq!(server.counters().api_requests, before + 1, "the metadata, and nothing else");
}

#[tokio::test(start_paused = true)]
async fn d7_a_server_that_moves_to_another_that_is_allowed_is_followed() {
    let old = mcp_server();
    let new = TestServer::builder()
        .issuer("https://new.test")
        .client(Client::new("agent").secret("secret").scopes(["api"]))
        .build();
    let http = HttpClient::new(new.authorization_service());
    let authorization = AuthorizationServer::via(http).issuer("https://new.test").expect("an issuer");
    let client = authorization.client("agent", ClientAuth::secret_basic("secret")).expect("a client");
    let resource = ProtectedResource::via(HttpClient::new(old.api_service()), &old.api_url("/mcp"));
    let tokens = resource.expect("a resource").allow(client_of(&old)).allow(client).scope("api");
    let layer = OAuthLayer::new(old.api_url("/mcp").as_str(), tokens.cached().expect("a resource")).expect("an origin");
    result(call(&old, &layer, "initialize").await).await;

    old.set_resource_metadata("authorization_servers", json!(["https://new.test"]));
    old.revoke_access_tokens();
    // Within the minute the old server is asked once more; after it, the new one, whose tokens this API would take.
    advance(MINUTE).await;
    let response = call(&old, &layer, "initialize").await;
    assert_eq!(outcome(response.extensions()), "Retried");
    assert_eq!((old.counters().token_requests, new.counters().token_requests), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn d7_a_challenge_that_names_a_stranger_leads_nowhere() {
    let server = mcp_server();
    let layer = layer(&server);
    result(call(&server, &layer, "initialize").await).await;
    for url in ["https://evil.test/meta", "http://169.254.169.254/", "not a URL", &"https://api.test/".repeat(300)] {
        server.set_resource_metadata_url(Some(url.to_owned()));
        server.revoke_access_tokens();
        advance(10 * MINUTE).await;
        let response = call(&server, &layer, "initialize").await;
        assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (200, "Retried"), "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn r14_claims_are_heeded_if_so_set() {
    for accepts in [false, true] {
        let server = mcp_server();
        let resource = ProtectedResource::via(HttpClient::new(server.api_service()), &server.api_url("/mcp"));
        let mut resource = resource.expect("a resource").allow(client_of(&server)).scope("api");
        if accepts {
            resource = resource.accept_claims_challenges();
        }
        let tokens = resource.cached().expect("a resource");
        assert_eq!(tokens.accepts_claims(), accepts);
        let layer = OAuthLayer::new(server.api_url("/mcp").as_str(), tokens).expect("an origin");
        result(call(&server, &layer, "initialize").await).await;
        server.require("/mcp", Requirement::Claims(json!({ "access_token": { "acrs": { "value": "c1" } } })));
        let response = call(&server, &layer, "initialize").await;
        let expected = if accepts { (200, "Retried") } else { (401, "InsufficientClaims") };
        assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), expected);
    }
}
