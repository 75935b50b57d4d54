//! The sign-in of an application: what its parts share.

use std::{fmt, sync::Arc, time::Duration};

use axum::Router;
use oauth_tokens::{Error, SignInRequest, TokenClient, UserTokens};
use tower_sessions::{Session, SessionStore};

use crate::{
    Problem, SessionLayer, SignInBuilder, UserKey,
    ended::{Ended, Name},
    origin::Origin,
    pages::Pages,
    paths::Paths,
    pending::PendingSignIns,
    routes,
    session::{self, SignedInUser},
};

/// Signs users in to an application. Cheap to clone.
///
/// See [the crate](crate) for what it does, and for an example.
#[derive(Clone)]
pub struct SignIn(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) client: TokenClient,
    pub(crate) users: UserTokens<UserKey>,
    /// What every sign-in begins with.
    pub(crate) request: SignInRequest,
    pub(crate) origin: Origin,
    pub(crate) paths: Paths,
    pub(crate) pages: Pages,
    pub(crate) pending: PendingSignIns,
    pub(crate) ended: Ended,
    pub(crate) claims: Vec<String>,
    pub(crate) userinfo: bool,
    pub(crate) lifetime: Duration,
    /// What a session's user is bound to: this application, as a client of this server.
    pub(crate) realm: String,
}

/// What a session says of a user.
pub(crate) enum Current {
    SignedIn(SignedInUser),
    /// Somebody was signed in until now.
    Ended,
    Nobody,
}

impl SignIn {
    /// For an application that browsers find at this origin (`https://shop.example.com`, or `http://127.0.0.1:3000` for
    /// development), whatever is between: no header of a request is believed in that.
    ///
    /// At the server, register `https://shop.example.com/auth/callback` as a redirect URI,
    /// `https://shop.example.com/auth/signed-out` as where a user comes to after signing out, and
    /// `https://shop.example.com/auth/backchannel-logout` as the back-channel logout URI if it has such a thing.
    pub fn builder(client: TokenClient, origin: impl Into<String>) -> SignInBuilder {
        SignInBuilder::new(client, origin.into())
    }

    /// The users' tokens, for an `OAuthLayer::keyed`; a [`User`](crate::User) knows the key.
    #[must_use]
    pub fn users(&self) -> &UserTokens<UserKey> {
        &self.0.users
    }

    /// The routes, to be merged into the application's own:
    ///
    /// | | |
    /// |---|---|
    /// | `GET /auth/login?return_to=/orders` | sends the user to the server; a link to it is the button |
    /// | `GET /auth/callback` | where the server sends the user to |
    /// | `POST /auth/logout` | signs out: a form with this action, and a button |
    /// | `POST /auth/backchannel-logout` | where the server itself says that a sign-in has ended |
    /// | `GET /auth/problem`, `GET /auth/signed-out` | plain pages, unless the application has its own |
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        routes::router(self)
    }

    /// The layer that goes over all routes, ours and the application's: sessions in this store, with cookies that are as they should
    /// be, and what [`User`](crate::User) needs.
    pub fn sessions<Store: SessionStore + Clone>(&self, store: Store) -> SessionLayer<Store> {
        SessionLayer::new(self.clone(), store)
    }

    /// The path of a sign-in that leads back to this local path, for a link.
    #[must_use]
    pub fn login_path(&self, return_to: &str) -> String {
        self.0.paths.login_to(return_to)
    }

    /// The path to sign out at, for a form's `action`; its method is POST.
    #[must_use]
    pub fn logout_path(&self) -> &str {
        &self.0.paths.logout
    }
}

impl SignIn {
    /// Who is signed in by this session, and whose sign-in has not ended meanwhile.
    pub(crate) async fn current(&self, session: &Session) -> Result<Current, Problem> {
        let user = session::load(session, &self.0.realm).await.map_err(|error| unavailable(&error))?;
        let Some(user) = user else { return Ok(Current::Nobody) };
        let is_over = user.age() >= self.0.lifetime;
        if !is_over && !self.0.ended.has_ended(&user).await.map_err(|error| unavailable(&error))? {
            return Ok(Current::SignedIn(user));
        }
        self.drop_tokens(&user.key).await;
        session.flush().await.map_err(|error| unavailable(&error))?;
        Ok(Current::Ended)
    }

    /// Ends a sign-in, for whoever still has its session.
    pub(crate) async fn end(&self, user: &SignedInUser) -> Result<(), Error> {
        self.0.ended.end(Name::SignIn(&user.key), user.issued_at).await
    }

    /// Ends a sign-in in whose place the same browser has another one. Its tokens are not revoked: at many servers that ends the
    /// new ones, too.
    pub(crate) async fn replaced(&self, previous: &SignedInUser) {
        if let Err(error) = self.end(previous).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a former sign-in could not be ended");
        }
        self.drop_tokens(&previous.key).await;
    }

    async fn drop_tokens(&self, key: &UserKey) {
        if let Err(error) = self.0.users.discard(key).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "tokens of a former sign-in could not be deleted");
        }
    }
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::warn!(error, "it could not be found out who is signed in");
    Problem::Unavailable
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIn")
            .field("client", &self.0.client)
            .field("origin", &self.0.origin)
            .field("paths", &self.0.paths)
            .finish_non_exhaustive()
    }
}
