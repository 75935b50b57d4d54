use std::{fmt, future::ready, time::Duration};

use http::StatusCode;
use zeroize::Zeroizing;

use super::security_token::ReadToken;
use crate::{
    AccessToken, Error, Exchange, Form, Grant, SecurityToken, TokenCache, TokenRequest, TokenSet, TokenType,
    call::Reader,
    response::{Answer, granted_scope, secret},
    retry::Repeat,
};

/// The token-exchange grant (RFC 8693); made by [`TokenClient::token_exchange`](crate::TokenClient::token_exchange).
pub struct TokenExchange {
    subject: SecurityToken,
    actor: Option<SecurityToken>,
    requested: Option<TokenType>,
}

impl TokenExchange {
    /// An exchange of this token: whoever it speaks of is who the new token speaks of.
    #[must_use]
    pub fn new(subject: impl Into<SecurityToken>) -> Self {
        Self { subject: subject.into(), actor: None, requested: None }
    }

    /// Exchanges. When the server does not accept a token that came from a cache, the cache renews it, and the exchange is
    /// tried once more.
    async fn exchange<T>(&self, exchange: &Exchange<'_>, read: Reader<'_, T>) -> Result<T, Error> {
        let mut may_renew = true;
        loop {
            let (subject, actor) = self.read().await?;
            let form = self.form(&subject, actor.as_ref());
            let handed_in = HandedIn::new(exchange, [subject.cached, actor.and_then(|actor| actor.cached)]);
            let sent = exchange.send_read(&|| Box::pin(ready(Ok(form.clone()))), Repeat::Freely, read).await;
            match sent {
                Ok(answer) => {
                    handed_in.accepted();
                    return Ok(answer);
                }
                Err(error) if !may_renew || !is_about_the_token(&error) => return Err(error),
                Err(error) => {
                    may_renew = false;
                    if !handed_in.renew().await {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn read(&self) -> Result<(ReadToken<'_>, Option<ReadToken<'_>>), Error> {
        let subject = self.subject.read("subject token").await?;
        let actor = match &self.actor {
            Some(actor) => Some(actor.read("actor token").await?),
            None => None,
        };
        Ok((subject, actor))
    }

    /// RFC 8693, section 2.1.
    fn form(&self, subject: &ReadToken<'_>, actor: Option<&ReadToken<'_>>) -> Form {
        let mut form =
            Form::new().with("subject_token", subject.value.as_str()).with("subject_token_type", subject.kind.as_str());
        if let Some(actor) = actor {
            form.push("actor_token", actor.value.as_str());
            form.push("actor_token_type", actor.kind.as_str());
        }
        if let Some(requested) = &self.requested {
            form.push("requested_token_type", requested.as_str());
        }
        form
    }
}

/// The tokens that came from caches, and the server that gets them: to a cache it is an origin like an API's.
struct HandedIn<'a> {
    cached: Vec<(&'a TokenCache, AccessToken)>,
    server: String,
}

impl<'a> HandedIn<'a> {
    fn new(exchange: &Exchange<'_>, cached: [Option<(&'a TokenCache, AccessToken)>; 2]) -> Self {
        Self { cached: cached.into_iter().flatten().collect(), server: exchange.client().server().to_string() }
    }

    fn accepted(&self) {
        self.cached.iter().for_each(|(cache, token)| cache.accepted(&self.server, token));
    }

    /// Whether there is another one now. Nobody says which of two was refused.
    async fn renew(&self) -> bool {
        let mut renewed = false;
        for (cache, token) in &self.cached {
            renewed |= cache.renew_for(&self.server, token).await.is_ok();
        }
        renewed
    }
}

/// RFC 8693, section 2.2.2, says `invalid_request` of a token that is not valid; others say what fits better.
fn is_about_the_token(error: &Error) -> bool {
    error
        .oauth()
        .is_some_and(|oauth| matches!(oauth.code.as_str(), "invalid_request" | "invalid_grant" | "invalid_token"))
}

impl Grant for TokenExchange {
    fn grant_type(&self) -> &str {
        "urn:ietf:params:oauth:grant-type:token-exchange"
    }

    fn holds_state(&self) -> bool {
        false
    }

    async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
        self.exchange(exchange, &|answer| exchange.tokens(answer)).await
    }

    async fn identity(&self) -> Result<Option<Form>, Error> {
        let (subject, actor) = self.read().await?;
        Ok(Some(self.form(&subject, actor.as_ref())))
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        let actor = self.actor.as_ref().and_then(SecurityToken::fingerprint);
        match (self.subject.fingerprint(), actor) {
            (Some(subject), Some(actor)) => Some(subject.rotate_left(1) ^ actor),
            (subject, actor) => subject.or(actor),
        }
    }

    fn validate(&self) -> Result<(), Error> {
        self.subject.validate("subject token")?;
        self.actor.as_ref().map_or(Ok(()), |actor| actor.validate("actor token"))
    }
}

impl TokenRequest<TokenExchange> {
    /// Says who acts for the subject (delegation; RFC 8693, section 1.1). Without an actor the new token is as good as the
    /// subject's own (impersonation).
    pub fn actor(mut self, actor: impl Into<SecurityToken>) -> Self {
        self.grant.actor = Some(actor.into());
        self
    }

    /// Asks for a token of this type. Without it, servers issue what suits the resource: most often an access token.
    pub fn requested_token_type(mut self, requested: TokenType) -> Self {
        self.grant.requested = Some(requested);
        self
    }

    /// Exchanges once for a token that is to be handed in elsewhere, and need not be an access token (`token_type` `N_A`;
    /// RFC 8693, section 2.2.1). [`fetch`](crate::TokenSource::fetch) and [`cached`](Self::cached) refuse such a token:
    /// it must not be sent as a credential.
    ///
    /// ```no_run
    /// # #[cfg(feature = "reqwest")]
    /// # async fn example() -> Result<(), oauth_tokens::Error> {
    /// use std::sync::Arc;
    /// use oauth_tokens::{AuthorizationServer, ClientAuth, Secret, SecurityToken, TokenType};
    ///
    /// // Our own server vouches for the user, and another company's server gives a token for that.
    /// let ours = AuthorizationServer::issuer("https://id.example.com")?;
    /// let theirs = AuthorizationServer::issuer("https://id.partner.example")?;
    ///
    /// # let id_token = "";
    /// let voucher = ours
    ///     .client("crm", ClientAuth::secret_basic(Secret::file("/run/secrets/crm")))?
    ///     .token_exchange(SecurityToken::id_token(id_token))
    ///     .requested_token_type(TokenType::JWT)
    ///     .audience("https://id.partner.example");
    /// let voucher = Arc::new(voucher);
    /// let assertion = Secret::from_fn(move || {
    ///     let voucher = Arc::clone(&voucher);
    ///     async move { Ok(voucher.issue().await?.token.to_string()) }
    /// });
    /// let tokens = theirs
    ///     .client("example-crm", ClientAuth::secret_basic(Secret::file("/run/secrets/partner")))?
    ///     .jwt_bearer(assertion)
    ///     .cached()?;
    /// # let _ = tokens;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`fetch`](crate::TokenSource::fetch).
    pub async fn issue(&self) -> Result<IssuedToken, Error> {
        self.grant.validate()?;
        let parameters = self.parameters(None)?;
        let exchange = Exchange::new(&self.client, self.grant.grant_type(), &parameters);
        let read = |answer: &Answer<'_>| IssuedToken::read(&exchange, answer);
        let issued = exchange.within_deadline(self.grant.exchange(&exchange, &read));
        exchange.traced(issued, |issued| issued.expires_in).await
    }
}

/// What a token exchange issued (RFC 8693, section 2.2.1), to be handed in elsewhere; see
/// [`issue`](TokenRequest::issue).
#[derive(Clone)]
#[non_exhaustive]
pub struct IssuedToken {
    /// The token: a secret.
    pub token: Zeroizing<String>,
    /// What kind of token it is, when the server said so.
    pub issued_token_type: Option<TokenType>,
    /// How long it lives. None: the server did not say.
    pub expires_in: Option<Duration>,
    /// The scope that was granted, when the server said so.
    pub scope: Option<String>,
    /// A refresh token that came with it: a secret.
    pub refresh_token: Option<Zeroizing<String>>,
}

impl IssuedToken {
    fn read(exchange: &Exchange<'_>, answer: &Answer<'_>) -> Result<Self, Error> {
        let object = answer.object(&[StatusCode::OK])?;
        if !object.text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("n_a")) {
            return exchange.tokens(answer).map(Self::of);
        }
        let token = secret(&object, "access_token")
            .ok_or_else(|| answer.invalid("it holds no `access_token` that is a string"))?;
        Ok(Self {
            issued_token_type: object.text("issued_token_type").and_then(TokenType::read),
            expires_in: object.seconds("expires_in"),
            scope: granted_scope(&object, answer.secrets, &token),
            refresh_token: secret(&object, "refresh_token"),
            token,
        })
    }

    fn of(tokens: TokenSet) -> Self {
        Self {
            token: Zeroizing::new(tokens.access_token.secret().to_owned()),
            issued_token_type: tokens.issued_token_type,
            expires_in: tokens.expires_in,
            scope: tokens.scope,
            refresh_token: tokens.refresh_token,
        }
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken")
            .field("issued_token_type", &self.issued_token_type)
            .field("expires_in", &self.expires_in)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchange")
            .field("subject", &self.subject)
            .field("actor", &self.actor)
            .field("requested", &self.requested)
            .finish()
    }
}
