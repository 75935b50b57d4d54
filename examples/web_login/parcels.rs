//! The API, called on the user's behalf: nothing here speaks of tokens.

use std::time::Duration;

use anyhow::{Context, Result};
use axum_oauth::{Refusal, User, UserKey};
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::time::timeout;
use tower::ServiceExt;
use tower_oauth::{BoxError, Keyed, OAuthLayer, oauth_tokens::UserTokens};

/// How long a page waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of an answer is shown.
const MAX_ANSWER: usize = 16 * 1024;

type Http = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// The API, as long as it is said for whom.
pub(super) struct Parcels {
    api: Keyed<Http, UserKey>,
    url: Uri,
}

/// What it answered, or why it did not.
pub(super) struct Answer {
    pub(super) status: String,
    pub(super) body: String,
    is_good: bool,
}

impl Answer {
    pub(super) fn class(&self) -> &'static str {
        if self.is_good { "good" } else { "bad" }
    }

    fn failed(what: &str) -> Self {
        Self { status: "no answer".to_owned(), body: what.to_owned(), is_good: false }
    }
}

impl Parcels {
    pub(super) fn new(url: &str, users: &UserTokens<UserKey>) -> Result<Self> {
        let url: Uri = url.parse().context("the API's URL is none")?;
        let (scheme, authority) =
            (url.scheme_str().unwrap_or_default(), url.authority().context("the API's URL has no host")?);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let origin = format!("{scheme}://{authority}");
        Ok(Self { api: OAuthLayer::keyed(origin.as_str(), users)?.layer(client), url })
    }

    /// Asks for this user. The error is for a user who has to sign in again; all else is an answer.
    pub(super) async fn ask(&self, user: &User) -> Result<Answer, Refusal> {
        match timeout(PATIENCE, self.get(user.key())).await {
            Ok(Ok((StatusCode::UNAUTHORIZED, _))) => Err(user.sign_in_again()),
            Ok(Ok((status, body))) => {
                Ok(Answer { status: status.to_string(), body: readable(&body), is_good: status.is_success() })
            }
            Ok(Err(error)) => {
                let refusal = user.refusal(error);
                if refusal.is_sign_in() {
                    return Err(refusal);
                }
                tracing::warn!(error = refusal.error().map(ToString::to_string), "the API could not be asked");
                Ok(Answer::failed("The parcel service cannot be asked right now."))
            }
            Err(_) => Ok(Answer::failed("The parcel service took too long.")),
        }
    }

    async fn get(&self, key: &UserKey) -> Result<(StatusCode, Bytes), BoxError> {
        let request = Request::get(&self.url).body(Empty::new())?;
        let (head, body) = self.api.key(key.clone()).oneshot(request).await?.into_parts();
        Ok((head.status, Limited::new(body, MAX_ANSWER).collect().await?.to_bytes()))
    }
}

fn readable(body: &[u8]) -> String {
    let value = serde_json::from_slice::<Value>(body).and_then(|value| serde_json::to_string_pretty(&value));
    value.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned())
}
