//! Layers from settings (feature `config`).

mod arbitrary;
mod credentials;
mod documents;
mod environment;
mod grants;
mod mistakes;
mod outside;
mod secrets;
mod tables;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use oauth_test_server::{Client, Endpoint, RecordedRequest, TestServer};
use oauth_tokens::HttpClient;
use serde_json::{Value, json};
use tests::canned::{self, Canned};
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_oauth::{ConfiguredLayer, OAuthConfig};

fn config(value: Value) -> OAuthConfig {
    serde_json::from_value(value).expect("reading never fails")
}

fn toml(text: &str) -> OAuthConfig {
    toml::from_str(text).unwrap_or_else(|error| panic!("no TOML: {error}"))
}

/// Settings that are enough for a [`server`]. Its client's secret is in a variable that every process has.
fn minimal() -> Value {
    json!({
        "server": { "issuer": "https://id.test" },
        "client": { "id": "m2m", "secret": { "env": "PATH" } },
        "origins": ["https://api.test"],
    })
}

fn client() -> Client {
    Client::new("m2m").secret(std::env::var("PATH").expect("a variable")).scopes(["read", "write"])
}

fn server() -> TestServer {
    TestServer::builder().client(client()).build()
}

/// The settings with this value at a path such as `client/secret`.
fn with(mut settings: Value, path: &str, value: Value) -> Value {
    let at = path.split('/').fold(&mut settings, |at, key| match key.parse::<usize>() {
        Ok(index) => &mut at[index],
        Err(_) => &mut at[key],
    });
    *at = value;
    settings
}

/// For settings that are only built.
fn nobody() -> HttpClient {
    Canned::always(canned::json(500, "")).http()
}

/// Builds over the server's own service: no sockets.
fn build(config: &OAuthConfig, server: &TestServer) -> ConfiguredLayer {
    let http = HttpClient::new(server.authorization_service());
    config.build_via(http).unwrap_or_else(|error| panic!("{error}"))
}

/// A client of the API that knows nothing of tokens.
fn api(
    configured: &ConfiguredLayer,
    server: &TestServer,
) -> impl Service<Request<Empty<Bytes>>, Response = Response<impl Sized + use<>>, Error = BoxError, Future: Send>
+ Clone
+ use<> {
    configured.layer().layer(server.api_service())
}

async fn call(configured: &ConfiguredLayer, server: &TestServer, url: &str) -> u16 {
    let request = Request::get(url).body(Empty::new()).expect("a URL");
    let response = api(configured, server).oneshot(request).await.expect("an answer");
    response.status().as_u16()
}

fn token_requests(server: &TestServer) -> Vec<RecordedRequest> {
    server.requests_to(Endpoint::Token)
}

/// What went out with the API's requests.
fn tokens_sent(server: &TestServer) -> Vec<Option<String>> {
    let requests = server.requests_to(Endpoint::Api);
    requests.iter().map(|request| request.bearer_token().map(str::to_owned)).collect()
}
