//! One call of a client at one of its server's endpoints: form -> client authentication -> request -> response. The only
//! I/O besides discovery.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::Full;

use crate::{
    Error, ErrorKind, Form, TokenClient,
    dpop::BoundKey,
    endpoint_url::EndpointUrl,
    gate::Pass,
    request::EXCHANGE_DEADLINE,
    response::Answer,
    retry::{Attempts, Repeat},
    server::TOKEN_ENDPOINT,
    text::Secrets,
    token::Possession as _,
};

/// How long one attempt may take (T3).
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the form of each attempt.
pub(crate) type FormOf<'a> = &'a (dyn Fn() -> Pin<Box<dyn Future<Output = Result<Form, Error>> + Send + 'a>> + Sync);

/// Makes something of an answer.
pub(crate) type Reader<'a, T> = &'a (dyn Fn(&Answer<'_>) -> Result<T, Error> + Sync);

/// What a client calls, and how.
pub(crate) struct Call<'a> {
    pub(crate) client: &'a TokenClient,
    /// The endpoint, by its name in the metadata (RFC 8414, section 2).
    pub(crate) endpoint: &'static str,
    /// What is tried, by whom: the beginning of every message.
    pub(crate) what: &'a str,
    pub(crate) repeat: Repeat,
    /// Of the exchange that it belongs to.
    pub(crate) id: u64,
    /// The key that the answer is to be bound to.
    pub(crate) key: Option<&'a BoundKey>,
    /// What the server knows of and may echo, though this call does not say it.
    pub(crate) known_secrets: &'a [&'a str],
}

impl Call<'_> {
    /// Sends the form, the client's credentials read anew for each attempt, until the answer can be read, or trying again is
    /// no use.
    ///
    /// A client that is not known any more by the credential that was sent, but has got another one since, tries that: at
    /// once, and once (T15).
    pub(crate) async fn send<T>(&self, form: FormOf<'_>, read: Reader<'_, T>) -> Result<T, Error> {
        let server = self.client.server();
        let mut pass =
            (self.endpoint == TOKEN_ENDPOINT).then(|| server.gate().pass(self.id, server.clock(), self.what));
        let mut attempts = Attempts::default();
        let mut may_read_credential_again = true;
        let mut asked_nonce = None;
        let mut may_prove_again = true;
        let mut failed = None;
        loop {
            let credential = self.client.credential_fingerprint();
            let error = match self.attempt(form, read, asked_nonce.take(), pass.as_mut()).await {
                Ok(answer) => return Ok(answer),
                // What the server said before it came to this says more.
                Err(error) if error.kind() == ErrorKind::ServerUnavailable => return Err(failed.unwrap_or(error)),
                Err(error) => error,
            };
            // Whatever is not an endpoint's own word: it may have moved.
            if error.oauth().is_none() {
                server.suspect_metadata();
            }
            tracing::debug!(%error, "a request to the authorization server failed");
            // The server asks for a nonce that it gave just now (RFC 9449, section 8).
            if let (true, Some(asked)) = (may_prove_again, error.asked_nonce()) {
                // For the next attempt alone: the answer to that may bring another.
                (may_prove_again, asked_nonce) = (false, Some(asked.to_owned()));
                continue;
            }
            let is_unknown = error.oauth().is_some_and(|oauth| oauth.code == "invalid_client");
            if is_unknown && may_read_credential_again && credential != self.client.credential_fingerprint() {
                may_read_credential_again = false;
                continue;
            }
            failed = Some(error.clone());
            attempts.another(error, self.repeat).await?;
        }
    }

    async fn attempt<T>(
        &self,
        form: FormOf<'_>,
        read: Reader<'_, T>,
        nonce: Option<String>,
        mut pass: Option<&mut Pass<'_>>,
    ) -> Result<T, Error> {
        if let Some(pass) = &pass {
            pass.look()?;
        }
        let server = self.client.server();
        let url = server.find_endpoint(self.endpoint, self.client.auth()).await?;
        let mut form = form().await?;
        let mut secrets = Secrets::default();
        secrets.add_query(url.uri().query());
        for (_, value) in form.iter().filter(|(name, _)| !is_public(name)) {
            secrets.add(value);
        }
        for secret in self.known_secrets {
            secrets.add(secret);
        }
        let mut headers = HeaderMap::new();
        self.client.auth().apply(self.client, &mut form, &mut headers, &mut secrets).await?;
        let mut sent_nonce = None;
        if let Some(key) = self.key {
            let proof = key.proof(&Method::POST, url.as_str(), None, nonce.as_deref());
            sent_nonce = proof.nonce().map(str::to_owned);
            secrets.add(sent_nonce.as_deref().unwrap_or_default());
            let proof = proof.await?;
            secrets.add(proof.to_str().unwrap_or_default());
            headers.insert("dpop", proof);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));

        let mut request = Request::new(Full::new(Bytes::from(form.encoded())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.uri().clone();
        *request.headers_mut() = headers;
        let what = match url.to_string() {
            known if known == server.to_string() => self.what.to_owned(),
            discovered => format!("{}, sent to {discovered},", self.what),
        };
        if let Some(pass) = &mut pass {
            pass.enter().await?;
        }
        let sent = server.http().send(&url, request, &what, self.timeout()).await;
        let result = sent.and_then(|response| self.read(read, &response, &url, &what, &secrets, sent_nonce.as_deref()));
        let is_known = pass.is_some_and(|pass| pass.ended(result.as_ref().err()));
        let is_refused = self.client.note_refusal(result.as_ref().err());
        result.map_err(|error| error.with_known(is_known || is_refused))
    }

    fn read<T>(
        &self,
        read: Reader<'_, T>,
        response: &Response<Bytes>,
        url: &EndpointUrl,
        what: &str,
        secrets: &Secrets,
        sent_nonce: Option<&str>,
    ) -> Result<T, Error> {
        let brought = self.key.and_then(|key| key.learn_nonce(url.as_str(), response.headers()));
        let answer = Answer {
            what,
            endpoint: self.endpoint,
            invalid_client: self.client.auth().hint(),
            status: response.status(),
            headers: response.headers(),
            body: response.body(),
            secrets,
            clock: self.client.server().clock(),
        };
        read(&answer).map_err(|error| error.with_nonce(brought.filter(|nonce| sent_nonce != Some(nonce.as_str()))))
    }

    fn timeout(&self) -> Duration {
        match self.repeat {
            Repeat::Freely => ATTEMPT_TIMEOUT,
            // There may be no second one.
            Repeat::IfUnsent | Repeat::Never => EXCHANGE_DEADLINE,
        }
    }
}

/// What a server may repeat in its errors, and should: it names what is wrong. Extra parameters may be keys.
fn is_public(parameter: &str) -> bool {
    let names = [
        "grant_type",
        "scope",
        "resource",
        "audience",
        "token_type_hint",
        "subject_token_type",
        "actor_token_type",
        "requested_token_type",
        "response_type",
        "response_mode",
        "redirect_uri",
        "code_challenge_method",
        "prompt",
        "acr_values",
        "claims_locales",
        "ui_locales",
        "max_age",
        "display",
    ];
    names.contains(&parameter)
}
