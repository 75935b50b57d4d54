//! One process of a fleet: its tokens, and whoever calls the API with them.

use std::{sync::Arc, time::Duration};

use oauth_tokens::{AccessToken, AuthorizationServer, ClientAuth, Error, HttpClient, TokenCache};
use tokio::time::{Instant, sleep};
use tower::service_fn;

use super::server::Server;

const API: &str = "https://api.test";

/// Where a process has its tokens from.
pub(super) enum Tokens {
    Ours(TokenCache),
    FixedWindow(FixedWindow),
}

impl Tokens {
    /// A cache of ours over a client of its own: processes share nothing but the server.
    pub(super) fn ours(server: &Arc<Server>) -> Result<Self, Error> {
        let server = Arc::clone(server);
        let http = HttpClient::new(service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { server.respond(request).await }
        }));
        let server = AuthorizationServer::via(http).token_endpoint("https://id.test/token")?;
        server.client("m2m", ClientAuth::secret_basic("secret"))?.client_credentials().cached().map(Self::Ours)
    }

    /// One call of the API, tried again once with another token when it rejects the first. Whether it succeeds.
    async fn call(&mut self, server: &Server) -> bool {
        match self {
            Self::Ours(cache) => call_with_cache(cache, server).await.is_ok_and(|accepted| accepted),
            Self::FixedWindow(tokens) => tokens.try_token(server).await || tokens.try_another(server).await,
        }
    }

    /// For how long a call does nothing but take the token that there is.
    fn fresh_for(&self) -> Duration {
        match self {
            Self::Ours(cache) => cache.status().refresh_in,
            Self::FixedWindow(tokens) => tokens.fresh_for(),
        }
        .unwrap_or_default()
    }
}

/// What the layer does.
async fn call_with_cache(cache: &TokenCache, server: &Server) -> Result<bool, Error> {
    let accepts = |token: &AccessToken| {
        let accepts = server.accepts(token.secret());
        if accepts {
            cache.accepted(API, token);
        }
        accepts
    };
    let token = cache.token().await?;
    Ok(accepts(&token) || accepts(&cache.renew_for(API, &token).await?))
}

/// A token is renewed by the first call in the last minute of its life. When that fails, it serves while it lives, and the next
/// call tries again.
#[derive(Default)]
pub(super) struct FixedWindow {
    current: Option<(String, Instant)>,
}

impl FixedWindow {
    const WINDOW: Duration = Duration::from_secs(60);

    async fn try_token(&mut self, server: &Server) -> bool {
        if self.fresh_for().is_none() {
            let asked_at = Instant::now();
            if let Some(token) = server.issue().await {
                self.current = Some((token, asked_at + server.lifetime()));
            }
        }
        self.current.as_ref().is_some_and(|(token, _)| server.accepts(token))
    }

    async fn try_another(&mut self, server: &Server) -> bool {
        self.current = None;
        self.try_token(server).await
    }

    fn fresh_for(&self) -> Option<Duration> {
        let (_, expiry) = self.current.as_ref()?;
        expiry.checked_duration_since(Instant::now() + Self::WINDOW)
    }
}

/// Calls again and again, at random moments, every `pause` in the mean.
///
/// Calls that a fresh token serves are left out: they change nothing, and as the calls are a Poisson process, when the next one
/// comes does not depend on them.
pub(super) async fn run(mut tokens: Tokens, server: Arc<Server>, pause: Duration) {
    loop {
        if !tokens.call(&server).await {
            server.count_failed_call();
        }
        let fresh_for = tokens.fresh_for();
        sleep(server.revoked_in().map_or(fresh_for, |revoked_in| revoked_in.min(fresh_for))).await;
        sleep(pause.mul_f64(-(1.0 - fastrand::f64()).ln())).await;
    }
}
