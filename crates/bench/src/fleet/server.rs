//! One authorization server, simulated: a tower service that counts.

use std::{
    convert::Infallible,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::{Instant, sleep};

use super::{Outcome, Rates};

/// How long each answer takes.
const LATENCY: Duration = Duration::from_millis(50);

/// The authorization server of a fleet, and what its API knows of the tokens.
pub(super) struct Server {
    began: Instant,
    lifetime: Duration,
    /// When it answers 503.
    down: Range<Duration>,
    /// When all tokens of before are revoked.
    revocation: Option<Duration>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    issued: u64,
    requests: Rates,
    failed_calls: Rates,
}

impl Server {
    pub(super) fn new(lifetime: Duration, down: Range<Duration>, revocation: Option<Duration>) -> Self {
        Self { began: Instant::now(), lifetime, down, revocation, counts: Mutex::default() }
    }

    /// A token, or none while it is down.
    pub(super) async fn issue(&self) -> Option<String> {
        let at = self.began.elapsed();
        self.counts().requests.count(at);
        sleep(LATENCY).await;
        if self.down.contains(&at) {
            return None;
        }
        let mut counts = self.counts();
        counts.issued += 1;
        Some(format!("{}-{}", counts.issued, self.began.elapsed().as_millis()))
    }

    /// The token endpoint.
    pub(super) async fn respond(&self, _: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
        let mut response = Response::default();
        match self.issue().await {
            None => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
            Some(token) => {
                let lifetime = self.lifetime.as_secs();
                let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{lifetime}}}"#);
                *response.body_mut() = Full::from(body);
            }
        }
        Ok(response)
    }

    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// How long it takes until all tokens of before are revoked, if that is still to come.
    pub(super) fn revoked_in(&self) -> Option<Duration> {
        self.revocation?.checked_sub(self.began.elapsed()).filter(|left| !left.is_zero())
    }

    /// What the API says of a token.
    pub(super) fn accepts(&self, token: &str) -> bool {
        let Some(Ok(issued)) = token.split_once('-').map(|(_, issued)| issued.parse()) else { return false };
        let (issued, now) = (Duration::from_millis(issued), self.began.elapsed());
        let is_revoked = self.revocation.is_some_and(|at| issued < at && at <= now);
        !is_revoked && now < issued + self.lifetime
    }

    /// Notes a call without a token that the API takes.
    pub(super) fn count_failed_call(&self) {
        let at = self.began.elapsed();
        self.counts().failed_calls.count(at);
    }

    pub(super) fn outcome(&self) -> Outcome {
        let counts = self.counts();
        Outcome { requests: counts.requests.clone(), failed_calls: counts.failed_calls.clone() }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
