//! `/healthz` and `/metrics`, on a listener of their own: what is behind the proxy's own port belongs to upstreams.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::future::join_all;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::upstream::Upstream;

/// For how long a health check waits for a token that is not there yet.
const READY_WITHIN: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Admin {
    pub(super) upstreams: Vec<Arc<Upstream>>,
    pub(super) figures: PrometheusHandle,
    pub(super) is_ending: Arc<AtomicBool>,
    /// Then only this machine's names are answered to: a page that had its own name resolved to here must not read this.
    pub(super) is_loopback: bool,
}

pub(super) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(admin.clone(), only_by_its_name))
        .with_state(admin)
}

/// 200 when there is a token for every upstream, else 503. A token that is missing is fetched, or waited for; the cache sees to
/// it that checks, however often they come, do not trouble the authorization server.
async fn health(State(admin): State<Admin>) -> (StatusCode, Json<Value>) {
    let upstreams = join_all(admin.upstreams.iter().map(|upstream| async {
        let is_ready = matches!(timeout(READY_WITHIN, upstream.tokens.ready()).await, Ok(Ok(())));
        (upstream.name.to_string(), is_ready)
    }));
    let upstreams = upstreams.await;
    let (status, word) = match upstreams.iter().all(|(_, is_ready)| *is_ready) {
        // New requests are to go elsewhere.
        _ if admin.is_ending.load(Ordering::Relaxed) => (StatusCode::SERVICE_UNAVAILABLE, "ending"),
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    let upstreams: serde_json::Map<_, _> = upstreams.into_iter().map(|(name, ready)| (name, json!(ready))).collect();
    (status, Json(json!({ "status": word, "upstreams": upstreams })))
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    admin.figures.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.figures.render())
}

async fn only_by_its_name(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    if !admin.is_loopback || host.is_some_and(|host| is_loopback_name(host.host())) {
        next.run(request).await
    } else {
        StatusCode::MISDIRECTED_REQUEST.into_response()
    }
}

fn is_loopback_name(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
