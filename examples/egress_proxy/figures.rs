//! What is counted: requests by upstream, method and class of status, problems by code; and all that tower-oauth counts.
//!
//! Labels are of closed sets: what a caller or an upstream makes up gets into none.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Result, anyhow};
use http::{Method, StatusCode};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::Instant;

use super::problem::Problem;

const DURATION: &str = "http.server.request.duration";
const ACTIVE: &str = "http.server.active_requests";
const PROBLEMS: &str = "egress_proxy.problems";

/// Seconds, as OpenTelemetry suggests for HTTP.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Seconds, for what was left of a token when the next one came.
const LIFETIMES: [f64; 8] = [0.0, 1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0];

/// The process's recorder, installed by whoever asks first.
pub(super) fn recorder() -> Result<PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let left = Matcher::Full("oauth.token.time_to_expiry".to_owned());
        let builder = PrometheusBuilder::new().with_recommended_naming(true).set_buckets(&BUCKETS).ok()?;
        let handle = builder.set_buckets_for_metric(left, &LIFETIMES).ok()?.install_recorder().ok()?;
        tower_oauth::describe_metrics();
        describe_histogram!(DURATION, Unit::Seconds, "Time from a request's head to the end of its answer");
        describe_gauge!(ACTIVE, Unit::Count, "Requests that are under way");
        describe_counter!(PROBLEMS, Unit::Count, "Requests that the proxy itself answered, by its reason");
        Some(handle)
    };
    let recorder = RECORDER.get_or_init(install).clone();
    recorder.ok_or_else(|| anyhow!("this process has another recorder of metrics already"))
}

/// One request, from its head to the end of its answer: counted, and logged in one line.
///
/// The line has neither path nor query, which may hold what is nobody's business.
#[derive(Debug)]
pub(super) struct Account {
    began: Instant,
    method: &'static str,
    upstream: Arc<str>,
    status: Option<StatusCode>,
    problem: Option<(Problem, Option<String>)>,
}

impl Account {
    pub(super) fn open(method: &Method) -> Self {
        gauge!(ACTIVE).increment(1);
        let (began, upstream) = (Instant::now(), "none".into());
        Self { began, method: known(method), upstream, status: None, problem: None }
    }

    pub(super) fn goes_to(&mut self, upstream: &Arc<str>) {
        self.upstream = Arc::clone(upstream);
    }

    pub(super) fn failed(&mut self, problem: Problem, cause: Option<String>) {
        counter!(PROBLEMS, "code" => problem.code()).increment(1);
        self.problem = Some((problem, cause));
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        gauge!(ACTIVE).decrement(1);
        let labels = [
            ("upstream", self.upstream.to_string()),
            ("http.request.method", self.method.to_owned()),
            ("http.response.status_class", class(self.status).to_owned()),
        ];
        histogram!(DURATION, &labels).record(took);
        log(self, took);
    }
}

fn log(account: &Account, took: Duration) {
    let status = account.status.map(|status| status.as_u16());
    let (method, upstream, took) = (account.method, &account.upstream, took.as_millis());
    match &account.problem {
        None => tracing::info!(%upstream, method, status, took_ms = took, "answered"),
        Some((problem, cause)) => {
            let (problem, cause) = (problem.code(), cause.as_deref());
            tracing::info!(%upstream, method, status, took_ms = took, problem, cause, "not passed on");
        }
    }
}

/// Anybody can make up methods.
fn known(method: &Method) -> &'static str {
    let names = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    names.into_iter().find(|name| *name == method.as_str()).unwrap_or("_OTHER")
}

/// And an upstream statuses.
fn class(status: Option<StatusCode>) -> &'static str {
    match status.map(|status| status.as_u16() / 100) {
        Some(2) => "2xx",
        Some(3) => "3xx",
        Some(4) => "4xx",
        Some(5) => "5xx",
        Some(_) => "other",
        // The caller went away first.
        None => "none",
    }
}
