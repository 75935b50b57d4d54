//! One exchange at a token endpoint: form -> client authentication -> request -> response.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::Full;
use tracing::{Instrument, Span, field::Empty};

use crate::{
    Error, Form, TokenClient, TokenSet,
    request::EXCHANGE_DEADLINE,
    response::Answer,
    retry::{Attempts, Repeat},
    text::Secrets,
};

/// How long one attempt may take (T3).
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// One exchange with an authorization server, as a [`Grant`](crate::Grant) sees it. It displays as what is tried, where,
/// and by whom.
pub struct Exchange<'a> {
    client: &'a TokenClient,
    grant_type: &'a str,
    /// Scope, resource, audience and extra parameters.
    parameters: &'a Form,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(client: &'a TokenClient, grant_type: &'a str, parameters: &'a Form) -> Self {
        Self { client, grant_type, parameters }
    }

    /// Sends the grant's own parameters, with everything else that belongs into the request: at most three attempts, the
    /// client's secret read anew for each.
    ///
    /// # Errors
    ///
    /// Whatever keeps a token from being issued; see [`ErrorKind`](crate::ErrorKind).
    pub async fn send(&self, form: Form) -> Result<TokenSet, Error> {
        self.send_repeating(form, Repeat::Freely).await
    }

    /// Like [`send`](Self::send), for a grant that is used up by being redeemed, as a rotating refresh token or a code is:
    /// one attempt as long as the exchange's deadline. It is repeated only if the request surely was not sent, or was
    /// answered by 503; a server that was merely slow would take a repetition for theft.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_once(&self, form: Form) -> Result<TokenSet, Error> {
        self.send_repeating(form, Repeat::IfUnsent).await
    }

    async fn send_repeating(&self, form: Form, repeat: Repeat) -> Result<TokenSet, Error> {
        let mut attempts = Attempts::default();
        let timeout = match repeat {
            Repeat::Freely => ATTEMPT_TIMEOUT,
            Repeat::IfUnsent => EXCHANGE_DEADLINE,
        };
        loop {
            match self.attempt(form.clone(), timeout).await {
                Ok(tokens) => return Ok(tokens),
                Err(error) => {
                    // Whatever is not a token endpoint's own word: it may have moved.
                    if error.oauth().is_none() {
                        self.client.server().suspect_metadata();
                    }
                    tracing::debug!(%error, "a token request failed");
                    attempts.another(error, repeat).await?;
                }
            }
        }
    }

    async fn attempt(&self, form: Form, timeout: Duration) -> Result<TokenSet, Error> {
        let server = self.client.server();
        let url = server.find_token_endpoint().await?;
        let mut secrets = Secrets::default();
        let mut full = Form::new().with("grant_type", self.grant_type);
        secrets.add_query(url.uri().query());
        for (_, value) in form.iter().chain(self.parameters.iter().filter(|(name, _)| !is_public(name))) {
            secrets.add(value);
        }
        full.merge(form)?;
        full.merge(self.parameters.clone())?;
        let mut headers = HeaderMap::new();
        self.client.auth().apply(self.client.id(), &mut full, &mut headers, &mut secrets).await?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));

        let mut request = Request::new(Full::new(Bytes::from(full.encoded())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.uri().clone();
        *request.headers_mut() = headers;
        let what = match url.to_string() {
            known if known == server.to_string() => self.to_string(),
            discovered => format!("{self}, sent to {discovered},"),
        };
        let response = server.http().send(&url, request, &what, timeout).await?;
        Answer {
            what: &what,
            status: response.status(),
            headers: response.headers(),
            body: response.body(),
            secrets: &secrets,
            clock: server.clock(),
        }
        .tokens()
    }

    /// The span and the closing event of an exchange: who asked whom for what, how it ended and how long it took.
    pub(crate) async fn traced(
        &self,
        exchange: impl Future<Output = Result<TokenSet, Error>>,
    ) -> Result<TokenSet, Error> {
        let span = tracing::info_span!(
            "oauth.exchange",
            server = %self.client.server(),
            grant = self.grant_type,
            client_id = self.client.id(),
            outcome = Empty,
            duration_ms = Empty,
        );
        let clock = self.client.server().clock();
        let began = clock.now();
        async {
            let result = exchange.await;
            let duration_ms = u64::try_from(clock.now().saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX);
            let outcome = match &result {
                Ok(_) => "issued".to_owned(),
                Err(error) => error.oauth().map_or_else(|| format!("{:?}", error.kind()), |oauth| oauth.code.clone()),
            };
            Span::current().record("outcome", &outcome).record("duration_ms", duration_ms);
            match &result {
                Ok(tokens) => {
                    tracing::debug!(outcome, duration_ms, expires_in = ?tokens.expires_in, "the token exchange succeeded");
                }
                Err(error) => tracing::debug!(outcome, duration_ms, %error, "the token exchange failed"),
            }
            result
        }
        .instrument(span)
        .await
    }
}

/// What a server may repeat in its errors, and should: it names what is wrong. Extra parameters may be keys.
fn is_public(parameter: &str) -> bool {
    matches!(parameter, "scope" | "resource" | "audience")
}

impl fmt::Display for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (grant, id, auth) = (self.grant_type, self.client.id(), self.client.auth().name());
        write!(f, "the {grant} token request of client {id:?} ({auth}) at {}", self.client.server())
    }
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({self})")
    }
}
