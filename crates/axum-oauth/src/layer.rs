//! The layer over all routes: sessions, and what goes with them.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, Method, Request,
    header::{CACHE_CONTROL, SET_COOKIE, UPGRADE},
};
use tower_layer::Layer;
use tower_service::Service;
use tower_sessions::{
    Expiry, SessionManagerLayer, SessionStore,
    cookie::{SameSite, time},
};

use crate::{SignIn, asked::NO_STORE, problem::Problem, problem_details::ProblemDetails, session_cookie};

const SESSION: &str = "session";

/// Sessions in a store of `tower-sessions`, with all that a browser is to be told about them; made by
/// [`SignIn::sessions`](crate::SignIn::sessions).
///
/// - The cookie holds the session's id and nothing else: `HttpOnly`, `SameSite=Lax` (as the server sends the user back from another
///   site), and over https `Secure` and `__Host-session`, which no other host of the domain can set, by
///   another spelling of its name either.
/// - A second one, for a minute after a sign-in, ends what would go round in circles: where nobody is signed in all the same, the
///   session does not stick, and a page says so.
/// - A session is of one application, as a client of one server: others may share the store.
/// - A request that may change something (POST, PUT, DELETE, ...; a WebSocket) and that a browser sends for a page of another origin is answered 403:
///   `Sec-Fetch-Site` or `Origin` tell. It needs no token in forms. What is not from a browser has neither, and passes.
/// - What was answered to a request that asked for the `User` is not cached, unless the handler says otherwise; and what sets a
///   cookie of ours never is.
#[derive(Clone)]
pub struct SessionLayer<Store: SessionStore> {
    sign_in: SignIn,
    manager: SessionManagerLayer<Store>,
}

impl<Store: SessionStore> SessionLayer<Store> {
    pub(crate) fn new(sign_in: SignIn, store: Store) -> Self {
        let origin = &sign_in.0.origin;
        let lifetime = time::Duration::try_from(sign_in.0.lifetime).unwrap_or(time::Duration::MAX);
        let manager = SessionManagerLayer::new(store)
            .with_name(origin.cookie_name(SESSION))
            .with_secure(origin.is_https())
            .with_same_site(SameSite::Lax)
            .with_http_only(true)
            .with_path("/")
            .with_expiry(Expiry::OnInactivity(lifetime));
        Self { sign_in, manager }
    }
}

impl<Store: SessionStore> fmt::Debug for SessionLayer<Store> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").field("sign_in", &self.sign_in).finish_non_exhaustive()
    }
}

impl<S, Store: SessionStore> Layer<S> for SessionLayer<Store> {
    type Service = SessionService<<SessionManagerLayer<Store> as Layer<S>>::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        let cookie = self.sign_in.0.origin.cookie_name(SESSION);
        SessionService { inner: self.manager.layer(inner), sign_in: self.sign_in.clone(), cookie: cookie.into() }
    }
}

/// What [`SessionLayer`] makes of an application.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    sign_in: SignIn,
    cookie: Arc<str>,
}

/// What a request found out about the user.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Noted>);

#[derive(Default)]
struct Noted {
    /// It asked who it is.
    asked: AtomicBool,
    /// The sign-in has ended: to sign in again is right, however lately the last time was.
    ended: AtomicBool,
}

impl Seen {
    pub(crate) fn note(&self) {
        self.0.asked.store(true, Relaxed);
    }

    pub(crate) fn note_end(&self) {
        self.0.ended.store(true, Relaxed);
    }
}

impl<S> Service<Request<Body>> for SessionService<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // A WebSocket begins with a GET, and no browser keeps other sites from opening one.
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
            && !request.headers().contains_key(UPGRADE);
        if !is_safe && self.sign_in.0.origin.is_foreign(request.headers()) == Some(true) {
            let foreign = ProblemDetails::new(Problem::Foreign.status(), Problem::Foreign.title());
            return Box::pin(async { Ok(foreign.into_response()) });
        }
        session_cookie::keep_the_real_one(request.headers_mut(), &self.cookie);
        let seen = Seen::default();
        request.extensions_mut().insert(self.sign_in.clone());
        request.extensions_mut().insert(seen.clone());
        let answer = self.inner.call(request);
        let sign_in = self.sign_in.clone();
        Box::pin(async move {
            let mut response = answer.await?;
            let headers = response.headers_mut();
            if seen.0.ended.load(Relaxed)
                && let Ok(cookie) = HeaderValue::try_from(sign_in.0.pending.no_longer_just_signed_in().to_string())
            {
                headers.append(SET_COOKIE, cookie);
            }
            // A cache that kept a cookie would give it to others.
            let sets_cookie = headers.contains_key(SET_COOKIE);
            if sets_cookie || (seen.0.asked.load(Relaxed) && !headers.contains_key(CACHE_CONTROL)) {
                headers.insert(CACHE_CONTROL, NO_STORE);
            }
            Ok(response)
        })
    }
}
