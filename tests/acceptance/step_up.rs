//! R14: what an API asks of the next token: more scope, another sign-in, claims. Acted on within a ceiling, and only if asked.

mod bound;
mod claims;
mod demands;
mod grpc;
mod kept;
mod middleware;
mod outcomes;
mod retries;
mod server;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use http::Response;
use oauth_tokens::{AccessToken, TokenCache, TokenSet, source_fn};
use tests::{
    numbered::Numbered,
    probe::ProbeBody,
    script::{Script, outcome},
    steps::{API, get},
};
use tower::{Layer, ServiceExt};
use tower_oauth::{Demand, OAuthLayer, StepUp};

/// An API's words for what it wants.
const SCOPE: &str = r#"Bearer error="insufficient_scope", scope="write""#;
const SIGN_IN: &str = r#"Bearer error="insufficient_user_authentication", acr_values="mfa""#;

/// A hook that gives a cache of its own for each demand, and what it was asked. The tokens of the first are `s1.1`, `s1.2`,
/// ..., of the second `s2.1`.
#[derive(Clone, Default)]
struct Hook {
    asked: Arc<Mutex<Vec<(String, Demand)>>>,
}

impl Hook {
    /// Everything that these tests speak of is allowed.
    fn step_up(&self) -> StepUp {
        self.bare().allow_scopes(["read", "write"]).allow_acr_values(["mfa", "phr"]).allow_max_age()
    }

    fn bare(&self) -> StepUp {
        let this = self.clone();
        StepUp::new(move |origin, demand| Some(this.next(origin.as_str(), demand)))
    }

    fn next(&self, origin: &str, demand: &Demand) -> TokenCache {
        let mut asked = self.lock();
        asked.push((origin.to_owned(), demand.clone()));
        numbered(&format!("s{}", asked.len()))
    }

    fn calls(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Demand)>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tokens `name.1`, `name.2`, ...
fn numbered(name: &str) -> TokenCache {
    let (name, count) = (name.to_owned(), AtomicU64::new(0));
    TokenCache::new(source_fn(move || {
        let token = AccessToken::bearer(&format!("{name}.{}", count.fetch_add(1, SeqCst) + 1));
        std::future::ready(token.map(TokenSet::new))
    }))
}

fn layer(tokens: &Numbered, step_up: StepUp) -> OAuthLayer {
    OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").step_up(step_up)
}

async fn call(layer: &OAuthLayer, api: &Script) -> Response<ProbeBody> {
    layer.layer(api.clone()).oneshot(get("https://api.test/x")).await.expect("a response")
}

/// The status, and what the extension says.
fn told<B>(response: &Response<B>) -> (u16, String) {
    (response.status().as_u16(), outcome(response.extensions()))
}

fn retried(status: u16) -> (u16, String) {
    (status, "Retried".to_owned())
}
