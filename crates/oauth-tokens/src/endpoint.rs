//! One exchange at a token endpoint, as grants see it.

use std::{
    fmt,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;
use tracing::{Instrument, Span, field::Empty};

use crate::{
    Error, ErrorKind, Form, TokenClient, TokenSet,
    call::{Call, FormOf, Reader},
    dpop::BoundKey,
    request::within_deadline,
    response::Answer,
    retry::Repeat,
    server::TOKEN_ENDPOINT,
    telemetry,
};

/// One exchange with an authorization server, as a [`Grant`](crate::Grant) sees it. It displays as what is tried, where,
/// and by whom.
pub struct Exchange<'a> {
    client: &'a TokenClient,
    grant_type: &'a str,
    /// Scope, resource, audience and extra parameters.
    parameters: &'a Form,
    /// The key that the token is to be bound to.
    key: Option<Arc<BoundKey>>,
    /// What the server got in another request, and may echo now.
    known_secrets: &'a [&'a str],
    /// Whether a request was made: a grant may have its tokens already.
    asked: AtomicBool,
    id: u64,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(client: &'a TokenClient, grant_type: &'a str, parameters: &'a Form) -> Self {
        Self {
            client,
            grant_type,
            parameters,
            key: client.bound_key(),
            known_secrets: &[],
            asked: AtomicBool::new(false),
            id: client.server().gate().next_id(),
        }
    }

    /// Redacts these, too, from what the server says.
    #[cfg(feature = "sign-in")]
    pub(crate) fn redacting(self, known_secrets: &'a [&'a str]) -> Self {
        Self { known_secrets, ..self }
    }

    /// Sends the grant's own parameters, with everything else that belongs into the request: at most three attempts, the
    /// client's secret read anew for each.
    ///
    /// # Errors
    ///
    /// Whatever keeps a token from being issued; see [`ErrorKind`](crate::ErrorKind).
    pub async fn send(&self, form: Form) -> Result<TokenSet, Error> {
        self.send_fresh(|| ready(Ok(form.clone()))).await
    }

    /// Like [`send`](Self::send), with the parameters made anew for each attempt: for an assertion that is good for one use.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and those of the parameters.
    pub async fn send_fresh<F, Fut>(&self, form: F) -> Result<TokenSet, Error>
    where
        F: Fn() -> Fut + Sync,
        Fut: Future<Output = Result<Form, Error>> + Send,
    {
        self.send_repeating(&|| Box::pin(form()), Repeat::Freely).await
    }

    /// Like [`send`](Self::send), for a grant that is used up by being redeemed, as a rotating refresh token or a code is:
    /// one attempt as long as the exchange's deadline. It is repeated only if the request surely was not sent, or was
    /// answered by 503; a server that was merely slow would take a repetition for theft.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_once(&self, form: Form) -> Result<TokenSet, Error> {
        self.send_repeating(&|| Box::pin(ready(Ok(form.clone()))), Repeat::IfUnsent).await
    }

    async fn send_repeating(&self, form: FormOf<'_>, repeat: Repeat) -> Result<TokenSet, Error> {
        self.send_read(form, repeat, &|answer: &Answer<'_>| self.tokens(answer)).await
    }

    /// The tokens in an answer, bound to the exchange's key if it has one.
    pub(crate) fn tokens(&self, answer: &Answer<'_>) -> Result<TokenSet, Error> {
        answer.tokens(self.key.as_ref())
    }

    /// Sends, and reads the answer in the grant's own way.
    pub(crate) async fn send_read<T>(&self, form: FormOf<'_>, repeat: Repeat, read: Reader<'_, T>) -> Result<T, Error> {
        self.asked.store(true, Relaxed);
        let what = self.to_string();
        let key = self.key.as_deref();
        let known_secrets = self.known_secrets;
        let call = Call {
            client: self.client,
            endpoint: TOKEN_ENDPOINT,
            what: &what,
            repeat,
            id: self.id,
            key,
            known_secrets,
        };
        let full: FormOf<'_> = &|| {
            Box::pin(async {
                let mut full = Form::new().with("grant_type", self.grant_type);
                full.merge(form().await?)?;
                full.merge(self.parameters.clone())?;
                Ok(full)
            })
        };
        // Boxed, so that the futures above it stay small: callers nest them.
        Box::pin(call.send(full, read)).await
    }

    pub(crate) fn client(&self) -> &TokenClient {
        self.client
    }

    /// Holds what makes the exchange to its deadline, and counts how it ended.
    pub(crate) async fn within_deadline<T>(
        &self,
        exchange: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let began = self.now();
        let result = within_deadline(self, exchange).await.map_err(|error| {
            // The deadline itself says nothing of the server; but others may have said it.
            let is_known = error.kind() == ErrorKind::Timeout && self.client.server().gate().is_known(self.id);
            let is_known = is_known || error.is_known();
            error.with_known(is_known)
        });
        let failure = result.as_ref().err();
        let is_unsent = failure.is_some_and(|error| error.kind() == ErrorKind::ServerUnavailable);
        if self.asked.swap(false, Relaxed) && !is_unsent {
            telemetry::exchanged(self.grant_type, failure, self.now().saturating_duration_since(began));
        }
        result
    }

    /// The span and the closing event of an exchange: who asked whom for what, how it ended and how long it took.
    pub(crate) async fn traced<T>(
        &self,
        exchange: impl Future<Output = Result<T, Error>>,
        expires_in: impl Fn(&T) -> Option<Duration>,
    ) -> Result<T, Error> {
        let span = tracing::info_span!(
            "oauth.exchange",
            server = %self.client.server(),
            grant = self.grant_type,
            client_id = self.client.id(),
            outcome = Empty,
            duration_ms = Empty,
        );
        let began = self.now();
        async {
            let result = exchange.await;
            let duration_ms =
                u64::try_from(self.now().saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX);
            let outcome = match &result {
                Ok(_) => "issued".to_owned(),
                Err(error) => error.oauth().map_or_else(|| format!("{:?}", error.kind()), |oauth| oauth.code.clone()),
            };
            Span::current().record("outcome", &outcome).record("duration_ms", duration_ms);
            match &result {
                Ok(answer) => {
                    let expires_in = expires_in(answer);
                    tracing::debug!(outcome, duration_ms, ?expires_in, "the token exchange succeeded");
                }
                Err(error) => tracing::debug!(outcome, duration_ms, %error, "the token exchange failed"),
            }
            result
        }
        .instrument(span)
        .await
    }

    fn now(&self) -> Instant {
        self.client.server().clock().now()
    }
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
