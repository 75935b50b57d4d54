//! A service that calls the next one on behalf of whoever called it: token exchange (RFC 8693).
//!
//! ```sh
//! cargo run -p examples --example on_behalf_of
//! ```
//!
//! It needs nothing but this machine. `orders` is an axum service. Its callers' tokens are for it and for nobody else, so it
//! does not pass them on: it exchanges each for a token that is for the stock API, speaks of the same user, and says that
//! `orders` acts. The servers' own counters and logs are looked into at the end, and the exit code is 0 only if all of it is as
//! it should be.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    routing::get,
};
use examples::{Steps, chain, token_requests};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use oauth_test_server::{Client, Endpoint, TestServer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};
use tower_oauth::{
    OAuthLayer,
    oauth_tokens::{AuthorizationServer, ClientAuth, Error, SecurityToken, TokenCache, TokenClient},
};

#[tokio::main]
async fn main() -> Result<()> {
    let server = start_servers().await?;
    let orders = start_orders(Orders::new(&server)?).await?;
    let mut steps = Steps::default();

    steps.begin("Alice's browser calls `orders`, with a token that is hers.");
    let alice = server.issue_access_token_for("alice", "frontend", "orders stock");
    let (status, answer) = call(&orders, Some(&alice)).await?;
    steps.note(format!("{status}: {answer}"));
    ensure!(status == StatusCode::OK, "the call should have succeeded");
    ensure!(answer["stock"]["sub"] == "alice", "the stock API should have seen Alice");
    ensure!(answer["acting"] == json!({ "sub": "orders" }), "the token should say that `orders` acts");
    steps.note(token_requests(&server));

    steps.begin("Bob calls. He gets a token of his own: nothing of Alice's is lying around.");
    let bob = server.issue_access_token_for("bob", "frontend", "orders stock");
    let (_, answer) = call(&orders, Some(&bob)).await?;
    steps.note(&answer);
    ensure!(answer["stock"]["sub"] == "bob", "the stock API should have seen Bob");

    steps.begin("Carol may see orders, but no stock. The exchange gives her no more than she has.");
    let carol = server.issue_access_token_for("carol", "frontend", "orders");
    let (status, answer) = call(&orders, Some(&carol)).await?;
    steps.note(format!("{status}: {answer}"));
    ensure!(status == StatusCode::FORBIDDEN, "Carol must not see the stock");

    steps.begin("A token that was revoked, and no token at all.");
    server.revoke(&bob);
    for token in [Some(bob.as_str()), None] {
        let (status, answer) = call(&orders, token).await?;
        steps.note(format!("{status}: {answer}"));
        ensure!(status == StatusCode::UNAUTHORIZED, "nobody knows who called");
    }

    let calls = server.requests_to(Endpoint::Api);
    let passed_on =
        calls.iter().filter(|call| [&alice, &bob, &carol].iter().any(|theirs| call.bearer_token() == Some(*theirs)));
    ensure!(passed_on.count() == 0, "a caller's own token came to the stock API");
    println!("\nno caller's token came to the stock API");
    println!("calls to the stock API: {}", calls.len());
    println!("{}", token_requests(&server));
    ensure!(calls.len() == 2, "only Alice's and Bob's calls should have come through");
    // One for what `orders` acts as, and an exchange for each of the three.
    ensure!(server.counters().token_requests == 4, "there should have been four token requests");
    Ok(())
}

// ---- The service.

/// `orders`: what it needs, shared by all requests.
struct Orders {
    client: TokenClient,
    /// Who acts: the service itself.
    ourselves: TokenCache,
    stock_api: String,
    http: HyperClient<HttpConnector, Empty<bytes::Bytes>>,
}

/// What a handler gives up with.
type Refusal = (StatusCode, Json<Value>);

impl Orders {
    /// No I/O: the service starts while its authorization server is down.
    fn new(server: &TestServer) -> Result<Self, Error> {
        let client = AuthorizationServer::issuer(server.issuer())?.client("orders", ClientAuth::secret_basic("o"))?;
        Ok(Self {
            ourselves: client.client_credentials().scope("act").cached()?,
            client,
            stock_api: server.api_origin().to_owned(),
            http: HyperClient::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// The caller's token, which the authorization server knows to be good (RFC 7662). A service that verifies JWTs itself would take the keys from
    /// `AuthorizationServer::jwks` instead.
    async fn caller<'h>(&self, headers: &'h HeaderMap) -> Result<&'h str, Refusal> {
        let unauthorized = || refuse(StatusCode::UNAUTHORIZED, "who are you?");
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(unauthorized)?;
        let known = self.client.introspect(token).await.map_err(|error| upstream(&error))?;
        match known.is_active() {
            false => Err(unauthorized()),
            true if !known.has_scope("orders") => Err(refuse(StatusCode::FORBIDDEN, "you may not see orders")),
            true => Ok(token),
        }
    }

    /// Asks the stock API, on behalf of the caller.
    async fn stock(&self, caller: &str, item: &str) -> Result<Value, tower_oauth::BoxError> {
        // Building does no I/O either: the exchange happens when the layer needs the token, and again should the API reject
        // it. A service with many calls by few callers keeps these caches for a while, by caller.
        let tokens = self
            .client
            .token_exchange(SecurityToken::access_token(caller))
            .actor(&self.ourselves)
            .scope("stock")
            .cached()?;
        let api = OAuthLayer::new(&self.stock_api, tokens)?.layer(self.http.clone());
        let request = Request::get(format!("{}/stock/{item}", self.stock_api)).body(Empty::new())?;
        let body = api.oneshot(request).await?.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    }
}

async fn order(
    State(orders): State<Arc<Orders>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let caller = orders.caller(&headers).await?;
    let stock = orders.stock(caller, &id).await.map_err(|error| refusal_of(&error))?;
    Ok(Json(json!({ "order": id, "acting": stock["act"], "stock": stock })))
}

/// What our own caller is told when there was no token for the next service.
fn refusal_of(error: &tower_oauth::BoxError) -> Refusal {
    let token_error = error.downcast_ref::<tower_oauth::Error>().and_then(tower_oauth::Error::token_error);
    match token_error {
        Some(error) => upstream(error),
        None => refuse(StatusCode::BAD_GATEWAY, "the stock API could not be asked"),
    }
}

fn upstream(error: &Error) -> Refusal {
    let code = error.oauth().map(|oauth| oauth.code.as_str());
    match code {
        // The caller's own token is too weak, or has ended since we looked.
        Some("invalid_scope") => refuse(StatusCode::FORBIDDEN, "you may not see the stock"),
        Some("invalid_request" | "invalid_grant") => refuse(StatusCode::UNAUTHORIZED, "sign in again"),
        _ => {
            eprintln!("{}", chain(error));
            refuse(StatusCode::SERVICE_UNAVAILABLE, "try again later")
        }
    }
}

fn refuse(status: StatusCode, why: &str) -> Refusal {
    (status, Json(json!({ "error": why })))
}

// ---- The rest of the world: the other servers, and the callers.

/// An authorization server with two clients, and the stock API that it protects.
async fn start_servers() -> Result<TestServer> {
    let server = TestServer::builder()
        .client(Client::new("frontend").secret("f").scopes(["orders", "stock"]))
        .client(Client::new("orders").secret("o").scopes(["stock", "act"]))
        .required_scope("stock")
        .start()
        .await?;
    println!("authorization server  {}", server.issuer());
    println!("the stock API         {}", server.api_origin());
    Ok(server)
}

async fn start_orders(orders: Orders) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/orders/{id}", get(order)).with_state(Arc::new(orders));
    tokio::spawn(async move { axum::serve(listener, router).await });
    println!("the orders service    {origin}");
    Ok(origin)
}

async fn call(orders: &str, token: Option<&str>) -> Result<(StatusCode, Value)> {
    let mut request = Request::get(format!("{orders}/orders/7"));
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let http = HyperClient::builder(TokioExecutor::new()).build_http();
    let response = http.request(request.body(Body::empty())?).await.context("the orders service should answer")?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&body)?))
}
