//! The service, and its client of the CRM.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{Method, StatusCode},
    routing::{get, post},
};
use bytes::Bytes;
use examples::chain;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt;
use tower_oauth::{
    BoxError, Keyed, OAuthLayer, TokenOptions,
    oauth_tokens::{
        AuthorizationServer, ClientAuth, Error, ErrorKind, Introspection, PoolStatus, Secret, TokenClient, TokenPool,
    },
};

use crate::tenant::{Directory, Tenant};

/// What an answer of the CRM may have.
const MAX_ANSWER: usize = 64 * 1024;
/// For the CRM to answer, wholly; waiting for a token counts.
const CRM_WITHIN: Duration = Duration::from_secs(30);

/// What the portal needs, shared by all requests.
pub(crate) struct Portal {
    /// The portal itself, at the authorization server.
    ourselves: TokenClient,
    directory: Directory,
    accounts: Arc<Accounts>,
    tokens: TokenPool<Tenant>,
    /// No service yet: it becomes one by `key`, so nobody can forget whose request it is.
    crm: Keyed<HyperClient<HttpConnector, Full<Bytes>>, Tenant>,
    crm_origin: String,
}

/// What a tenant is known by at the CRM.
pub(crate) struct Account {
    pub(crate) client_id: String,
    pub(crate) secret: Secret,
}

type Accounts = RwLock<HashMap<String, Account>>;

/// What a handler gives up with.
pub(crate) type Refusal = (StatusCode, Json<Value>);

impl Portal {
    /// No I/O: the service starts while its authorization server is down.
    pub(crate) fn new(
        issuer: &str,
        crm: &str,
        directory: Directory,
        accounts: impl IntoIterator<Item = (String, Account)>,
    ) -> anyhow::Result<Self> {
        let server = AuthorizationServer::issuer(issuer)?;
        let ourselves = server.client("portal", ClientAuth::secret_basic("p"))?;
        let accounts = Arc::<Accounts>::new(RwLock::new(accounts.into_iter().collect()));
        let known = Arc::clone(&accounts);
        // Asked at each fetch: where accounts are looked up, one that comes or changes needs no restart.
        let tokens = TokenPool::new(move |tenant: &Tenant| {
            let accounts = known.read().unwrap_or_else(PoisonError::into_inner);
            let account = accounts.get(tenant.name()).ok_or_else(no_account)?;
            let client = server.client(&account.client_id, ClientAuth::secret_basic(account.secret.clone()))?;
            Ok(client.client_credentials().scope("crm.read"))
        })
        .capacity(100_000);
        // One connection pool for all tenants: a token belongs to a request, not to a connection.
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        let layer = OAuthLayer::keyed(crm, tokens.clone())?;
        Ok(Self { ourselves, directory, accounts, tokens, crm: layer.layer(http), crm_origin: crm.to_owned() })
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(crate) async fn introspect(&self, token: &str) -> Result<Introspection, Refusal> {
        self.ourselves.introspect(token).await.map_err(|error| refusal_of(&error))
    }

    /// For a health check.
    pub(crate) fn health(&self) -> PoolStatus {
        self.tokens.status()
    }

    /// A tenant leaves: its users are let in no more, it has no account to get tokens with, and those that are kept are forgotten.
    /// In this order, so that nothing which is taken away can come back; requests under way come to their end. Whether there was
    /// anything.
    pub(crate) fn offboard(&self, tenant: &str) -> bool {
        let Some(tenant) = self.directory.remove(tenant) else {
            return false;
        };
        self.accounts.write().unwrap_or_else(PoisonError::into_inner).remove(tenant.name());
        self.tokens.forget(&tenant)
    }

    /// Asks the CRM for a tenant.
    async fn ask_crm(
        &self,
        tenant: Tenant,
        method: Method,
        path: &str,
        options: TokenOptions,
    ) -> Result<Value, Refusal> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.crm_origin)).extension(options);
        let request = request.body(Full::default()).map_err(|_| refuse(StatusCode::BAD_REQUEST, "no such path"))?;
        let too_late = |_| refuse(StatusCode::GATEWAY_TIMEOUT, "the CRM did not answer in time");
        timeout(CRM_WITHIN, self.exchange(tenant, request)).await.map_err(too_late)?
    }

    async fn exchange(&self, tenant: Tenant, request: Request<Full<Bytes>>) -> Result<Value, Refusal> {
        let response = self.crm.key(tenant).oneshot(request).await.map_err(|error| match token_error(&error) {
            Some(error) => refusal_of(error),
            None => refuse(StatusCode::BAD_GATEWAY, "the CRM cannot be reached"),
        })?;
        let unreadable = || refuse(StatusCode::BAD_GATEWAY, "the CRM's answer cannot be read");
        if !response.status().is_success() {
            return Err(refuse(StatusCode::BAD_GATEWAY, "the CRM refused"));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|_| unreadable())?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| unreadable())
    }
}

pub(crate) fn router(portal: Arc<Portal>) -> Router {
    Router::new().route("/customers", get(customers)).route("/orders", post(order)).with_state(portal)
}

async fn customers(State(portal): State<Arc<Portal>>, tenant: Tenant) -> Result<Json<Value>, Refusal> {
    let seen = portal.ask_crm(tenant, Method::GET, "/customers", TokenOptions::new()).await?;
    Ok(summary(&seen))
}

/// More than reading takes: this request asks for it, and its token serves no other kind of request.
async fn order(State(portal): State<Arc<Portal>>, tenant: Tenant) -> Result<Json<Value>, Refusal> {
    let options = TokenOptions::new().scope("crm.write");
    let seen = portal.ask_crm(tenant, Method::POST, "/orders", options).await?;
    Ok(summary(&seen))
}

fn summary(seen: &Value) -> Json<Value> {
    Json(json!({ "account": seen["client_id"], "scope": seen["scope"], "path": seen["path"] }))
}

fn no_account() -> Error {
    Error::source_failed("the tenant has no account at the CRM").permanent()
}

fn token_error(error: &BoxError) -> Option<&Error> {
    error.downcast_ref::<tower_oauth::Error>().and_then(tower_oauth::Error::token_error)
}

/// What a caller is told when there is no token: never why, which is between us and the authorization server.
fn refusal_of(error: &Error) -> Refusal {
    match error.kind() {
        ErrorKind::Source => refuse(StatusCode::FORBIDDEN, "your organisation has no CRM"),
        _ if error.is_transient() => refuse(StatusCode::SERVICE_UNAVAILABLE, "try again later"),
        _ => {
            eprintln!("{}", chain(error));
            refuse(StatusCode::BAD_GATEWAY, "your organisation's access to the CRM does not work at present")
        }
    }
}

pub(crate) fn refuse(status: StatusCode, why: &str) -> Refusal {
    (status, Json(json!({ "error": why })))
}
