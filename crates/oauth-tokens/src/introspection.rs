//! Token introspection (RFC 7662).

use std::{
    fmt,
    pin::Pin,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use serde_json::Value;

use crate::{Error, TokenClient, TokenHint, json::Object, response::Answer, revocation::Presented};

impl TokenClient {
    /// Asks what the server knows of a token (RFC 7662): for an API that gets tokens it cannot read itself. The API is a
    /// client here, with a secret of its own.
    ///
    /// The answer is not kept: whether a token is still good is what one asks for.
    ///
    /// ```no_run
    /// # async fn example(client: oauth_tokens::TokenClient, bearer: &str) -> Result<bool, oauth_tokens::Error> {
    /// let token = client.introspect(bearer).await?;
    /// let may_write = token.is_active() && token.has_scope("orders.write");
    /// # Ok(may_write)
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingEndpoint`](crate::ErrorKind::MissingEndpoint) when the server has no introspection endpoint;
    /// whatever keeps it from answering. A token that is not active is no error.
    pub fn introspect(&self, token: impl AsRef<str>) -> IntrospectionRequest {
        IntrospectionRequest(Presented::new(self, token.as_ref()))
    }
}

/// A question about a token, to be awaited; see [`TokenClient::introspect`].
#[must_use = "nothing is asked until it is awaited"]
pub struct IntrospectionRequest(Presented);

impl IntrospectionRequest {
    /// Says what kind of token it is, which spares the server a search.
    pub fn hint(mut self, hint: TokenHint) -> Self {
        self.0.hint = Some(hint);
        self
    }

    async fn send(self) -> Result<Introspection, Error> {
        let form = self.0.form()?;
        let read = |answer: &Answer<'_>| {
            let object = answer.object(&[StatusCode::OK])?;
            Introspection::read(object).ok_or_else(|| answer.invalid("it does not say whether the token is `active`"))
        };
        self.0.client.call("introspection_endpoint", "introspection request", &form, &read).await
    }
}

impl IntoFuture for IntrospectionRequest {
    type Output = Result<Introspection, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for IntrospectionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionRequest")
            .field("client", &self.0.client)
            .field("hint", &self.0.hint)
            .finish_non_exhaustive()
    }
}

/// What a server knows of a token (RFC 7662, section 2.2).
///
/// Of a token that is not active nothing else is known, whatever the server said. What is not active may have been never
/// issued, expired, revoked, or be for somebody else.
pub struct Introspection {
    /// None: the token is not active.
    members: Option<Object>,
}

impl Introspection {
    fn read(members: Object) -> Option<Self> {
        let active = members.get("active")?.as_bool()?;
        Some(Self { members: active.then_some(members) })
    }

    /// Whether the token is good now, for whoever asked.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.members.is_some()
    }

    /// The scopes of the token, separated by spaces.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.text("scope")
    }

    /// Whether the token has this scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scope().is_some_and(|scopes| scopes.split(' ').any(|known| known == scope))
    }

    /// The client that the token was issued to.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.text("client_id")
    }

    /// Whom the token speaks of: most often the user who granted it.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// A name of the user, for people.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.text("username")
    }

    /// Who issued it.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// Whom the token is for: several, one, or not said.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        let one = self.text("aud").into_iter();
        let several = self.get("aud").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        one.chain(several)
    }

    /// Whether the token is for this audience.
    #[must_use]
    pub fn has_audience(&self, audience: &str) -> bool {
        self.audiences().any(|known| known == audience)
    }

    /// `Bearer`, `DPoP`.
    #[must_use]
    pub fn token_type(&self) -> Option<&str> {
        self.text("token_type")
    }

    /// When the token expires.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.time("exp")
    }

    /// When it was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.time("iat")
    }

    /// From when on it is good.
    #[must_use]
    pub fn not_before(&self) -> Option<SystemTime> {
        self.time("nbf")
    }

    /// Any member, one of the server's own for example.
    #[must_use]
    pub fn get(&self, member: &str) -> Option<&Value> {
        self.members.as_ref()?.get(member)
    }

    fn text(&self, member: &str) -> Option<&str> {
        self.members.as_ref()?.text(member)
    }

    /// `NumericDate` (RFC 7519, section 2).
    fn time(&self, member: &str) -> Option<SystemTime> {
        let since_epoch = Duration::try_from_secs_f64(self.get(member)?.as_f64()?).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(since_epoch)
    }
}

/// Members are named only: some servers say more than they should.
impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.members.iter().flat_map(Object::iter).map(|(name, _)| name).collect();
        f.debug_struct("Introspection").field("active", &self.is_active()).field("members", &names).finish()
    }
}
