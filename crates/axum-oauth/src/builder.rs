//! How an application says what its sign-in is like.

use std::{fmt, sync::Arc, time::Duration};

use oauth_tokens::{Error, MemoryStore, SharedStore, SignInRequest, StoreKey, TokenClient, UserTokens};
use zeroize::Zeroizing;

use crate::{
    SignIn, UserKey,
    ended::{CLOCKS_DIFFER_BY, Ended},
    origin::Origin,
    pages::Pages,
    paths::Paths,
    pending::PendingSignIns,
    random::random_text,
    sign_in::Inner,
};

/// A working day: whoever leaves a browser open is not signed in for long.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
const SHORTEST: Duration = Duration::from_secs(60);
const PATH: &str = "/auth";
const CLAIMS: [&str; 3] = ["name", "preferred_username", "email"];

type Configure = Arc<dyn Fn(SignInRequest) -> SignInRequest + Send + Sync>;

type ConfigureUsers = Box<dyn FnOnce(UserTokens<UserKey>) -> UserTokens<UserKey> + Send>;

/// Makes a [`SignIn`]; see [`SignIn::builder`].
#[must_use]
pub struct SignInBuilder {
    client: TokenClient,
    origin: String,
    path: String,
    scopes: Vec<String>,
    resources: Vec<String>,
    claims: Vec<String>,
    userinfo: bool,
    lifetime: Duration,
    store: Option<SharedStore>,
    users: Vec<ConfigureUsers>,
    request: Vec<Configure>,
    problem_page: Option<String>,
    signed_out_page: Option<String>,
}

impl SignInBuilder {
    pub(crate) fn new(client: TokenClient, origin: String) -> Self {
        Self {
            client,
            origin,
            path: PATH.to_owned(),
            scopes: Vec::new(),
            resources: Vec::new(),
            claims: CLAIMS.map(str::to_owned).to_vec(),
            userinfo: false,
            lifetime: LIFETIME,
            store: None,
            users: Vec::new(),
            request: Vec::new(),
            problem_page: None,
            signed_out_page: None,
        }
    }

    /// Asks for these scopes, separated by spaces, besides `openid`; call it again for more. Many servers give a refresh token only for
    /// `offline_access`.
    pub fn scope(mut self, scopes: impl AsRef<str>) -> Self {
        self.scopes.extend(scopes.as_ref().split_ascii_whitespace().map(str::to_owned));
        self
    }

    /// Names an API that the access tokens are for (RFC 8707), at the sign-in and at each renewal; call it again for more.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Keeps users' tokens here, sign-ins that are under way, and which sign-ins have ended. A fleet shares one store. Whoever has
    /// it has the users' refresh tokens: encrypt it.
    ///
    /// Default: in the memory of this process, so that all users have to sign in again after a restart, and a fleet does not work:
    /// what one process knows, the others do not.
    pub fn store(mut self, store: impl Into<SharedStore>) -> Self {
        self.store = Some(store.into());
        self
    }

    /// Below which path the routes are. Default: `/auth`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Keeps these claims of the ID token in the session, for [`User::claim`](crate::User::claim). Default: `name`,
    /// `preferred_username` and `email`. `sub` and `iss` are always kept; a claim of more than 4 KiB is not.
    pub fn claims<C: Into<String>>(mut self, claims: impl IntoIterator<Item = C>) -> Self {
        self.claims = claims.into_iter().map(Into::into).collect();
        self
    }

    /// Asks the server for the claims that the ID token does not have (OpenID Connect Core, section 5.3), once for each sign-in. If it
    /// cannot be asked, the user is signed in without them.
    pub fn userinfo(mut self) -> Self {
        self.userinfo = true;
        self
    }

    /// How long a user is signed in at most, whatever they do. Default: 12 hours. Then the server decides whether they are asked for
    /// their password again.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Shows what went wrong with a sign-in on a page of the application's own: a local path. What it was, the extractor
    /// [`ProblemQuery`](crate::ProblemQuery) says. The page is not to begin a sign-in by itself. Default: a plain page.
    pub fn problem_page(mut self, path: impl Into<String>) -> Self {
        self.problem_page = Some(path.into());
        self
    }

    /// Shows this page of the application's own to whoever has signed out: a local path that needs no sign-in. With the origin before
    /// it, it is the `post_logout_redirect_uri`, to be registered at the server. Default: a plain page, `/auth/signed-out`.
    pub fn signed_out_page(mut self, path: impl Into<String>) -> Self {
        self.signed_out_page = Some(path.into());
        self
    }

    /// Says more of each sign-in: `prompt`, `max_age`, `acr_values` and the like. Scopes and resources are there already.
    pub fn request(mut self, configure: impl Fn(SignInRequest) -> SignInRequest + Send + Sync + 'static) -> Self {
        self.request.push(Arc::new(configure));
        self
    }

    /// Says more of how users' tokens are kept: [`UserTokens::capacity`]; [`UserTokens::idle`], if something else than requests of the
    /// user's uses them. Default: they are forgotten when they were not renewed for [the lifetime](Self::lifetime).
    pub fn users(
        mut self,
        configure: impl FnOnce(UserTokens<UserKey>) -> UserTokens<UserKey> + Send + 'static,
    ) -> Self {
        self.users.push(Box::new(configure));
        self
    }

    /// The sign-in. No I/O.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](oauth_tokens::ErrorKind::Config) when the origin is none, or plain http beyond loopback; when a path is
    /// not a local one; when the lifetime is under a minute.
    pub fn build(self) -> Result<SignIn, Error> {
        let origin = Origin::parse(&self.origin)?;
        if self.lifetime < SHORTEST {
            return Err(Error::config("users who are signed in for less than a minute would go round in circles"));
        }
        if self.path.trim_end_matches('/').is_empty() {
            return Err(Error::config("the routes of a sign-in need a path of their own, as \"/auth\""));
        }
        for path in [Some(&self.path), self.problem_page.as_ref(), self.signed_out_page.as_ref()].into_iter().flatten()
        {
            if !SignInRequest::is_return_path(path) || path.contains(['?', '#', '{', '}', ':', '*']) {
                return Err(Error::config(format!("{path:?} is no local path, as \"/auth\" is")));
            }
        }
        let paths = Paths::new(&self.path, [self.problem_page.as_ref(), self.signed_out_page.as_ref()]);
        let pages = Pages::new(&paths, self.problem_page, self.signed_out_page);
        // Without a session, nobody has a use for them.
        let mut users = UserTokens::new(self.client.clone()).idle(self.lifetime.saturating_add(CLOCKS_DIFFER_BY));
        // Apart from one another: a flood of sign-ins must not keep anybody from signing out.
        let (mut pending, mut ended) = (MemoryStore::new().into(), MemoryStore::new().into());
        if let Some(store) = &self.store {
            users = users.store(store);
            (pending, ended) = (store.clone(), store.clone());
        }
        let mut request = self.client.sign_in(format!("{origin}{}", paths.callback)).scope("openid");
        for scope in self.scopes.iter().filter(|scope| *scope != "openid") {
            request = request.scope(scope);
        }
        for resource in &self.resources {
            request = request.resource(resource);
            users = users.resource(resource);
        }
        let request = self.request.iter().fold(request, |request, configure| configure(request));
        let users = self.users.into_iter().fold(users, |users, configure| configure(users));
        let realm = realm(&self.client, &origin, self.store.is_some())?;
        Ok(SignIn(Arc::new(Inner {
            pending: PendingSignIns::new(pending, &origin),
            ended: Ended::new(ended, &self.client, self.lifetime),
            client: self.client,
            users,
            request,
            origin,
            paths,
            pages,
            claims: self.claims,
            userinfo: self.userinfo,
            lifetime: self.lifetime,
            realm,
        })))
    }
}

/// What a session's user is bound to. Without a store of tokens nobody outlives this process: who has no tokens is not signed in.
fn realm(client: &TokenClient, origin: &Origin, has_store: bool) -> Result<String, Error> {
    let (server, origin) = (client.server().to_string(), origin.to_string());
    let process = if has_store { Zeroizing::default() } else { random_text()? };
    let parts = [b"realm", server.as_bytes(), client.id().as_bytes(), origin.as_bytes(), process.as_bytes()];
    Ok(StoreKey::digest(&parts).as_str().to_owned())
}

impl fmt::Debug for SignInBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInBuilder")
            .field("client", &self.client)
            .field("origin", &self.origin)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
