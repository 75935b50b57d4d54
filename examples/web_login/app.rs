//! How the parts are put together.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{Router, body::Body, middleware::map_response, response::Response, routing::get};
use axum_oauth::SignIn;
use http::{
    HeaderName, HeaderValue, Uri,
    header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rusqlite::Connection;
use tower_oauth::oauth_tokens::{AuthorizationServer, ClientAuth, FileStore, StoreKeys};
use tower_sessions_rusqlite_store::RusqliteStore;

use super::{Settings, pages, parcels::Parcels};
use crate::{make_private_file, make_private_folder};

/// How often sessions that have expired are deleted.
const TIDY_UP_EVERY: Duration = Duration::from_secs(3600);

/// What handlers need.
pub(super) struct App {
    pub(super) sign_in: SignIn,
    pub(super) parcels: Parcels,
}

/// The application, which serves when it is told to.
pub struct WebLogin {
    router: Router,
    tidying: JoinHandle<()>,
}

impl WebLogin {
    /// Judges the settings, and opens what is in its folder. No network.
    ///
    /// # Errors
    ///
    /// What is wrong with either.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let database = private_database(&settings.data)?;
        let sign_in = sign_in(settings)?;
        let parcels = Parcels::new(&settings.api, sign_in.users())?;
        let sessions = sessions(&database).await?;
        let tidying = tokio::spawn(tidy_up(sessions.clone()));
        let app = Arc::new(App { sign_in: sign_in.clone(), parcels });
        let policy = policy(&settings.issuer)?;
        let router = Router::new()
            .route("/", get(pages::home))
            .route("/problem", get(pages::problem))
            .route("/signed-out", get(pages::signed_out))
            .fallback(pages::not_found)
            .with_state(app)
            .merge(sign_in.routes())
            .layer(sign_in.sessions(sessions))
            // They need no session.
            .route("/style.css", get(pages::style))
            .route("/icon.svg", get(pages::icon))
            .layer(map_response(move |response| protect(response, policy.clone())));
        Ok(Self { router, tidying })
    }

    /// Serves until this has come to pass; requests under way may finish.
    ///
    /// # Errors
    ///
    /// None at present.
    pub async fn serve(&self, listener: TcpListener, end: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        Ok(axum::serve(listener, self.router.clone()).with_graceful_shutdown(end).await?)
    }
}

impl Drop for WebLogin {
    fn drop(&mut self) {
        self.tidying.abort();
    }
}

impl std::fmt::Debug for WebLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebLogin").finish_non_exhaustive()
    }
}

/// All that there is to do about signing in.
fn sign_in(settings: &Settings) -> Result<SignIn> {
    let client = AuthorizationServer::issuer(&settings.issuer)?
        .client(&settings.client_id, ClientAuth::secret_basic(settings.client_secret.clone()))?;
    let tokens = FileStore::new(settings.data.join("tokens")).encrypted(StoreKeys::new(settings.store_keys.clone()));
    let prompt = settings.prompt.clone();
    let sign_in = SignIn::builder(client, &settings.origin)
        .scope(&settings.scope)
        .request(move |request| match &prompt {
            Some(prompt) => request.prompt(prompt.as_str()),
            None => request,
        })
        .userinfo()
        .store(tokens)
        .problem_page("/problem")
        .signed_out_page("/signed-out")
        .build()?;
    Ok(sign_in)
}

/// A file for the sessions: whoever can read it can be anybody who is signed in. SQLite would make it readable by all, and gives
/// the files beside it the same mode.
fn private_database(folder: &Path) -> Result<PathBuf> {
    make_private_folder(folder)?;
    let file = folder.join("sessions.sqlite");
    make_private_file(&file, b"")?;
    Ok(file)
}

/// Sessions that outlive the process.
async fn sessions(database: &Path) -> Result<RusqliteStore> {
    let connection = Connection::open(database).await.context("the sessions cannot be opened")?;
    let sessions = RusqliteStore::new(connection);
    sessions.migrate().await.context("the sessions cannot be written")?;
    Ok(sessions)
}

async fn tidy_up(sessions: RusqliteStore) {
    use axum_oauth::tower_sessions::ExpiredDeletion;
    loop {
        tokio::time::sleep(TIDY_UP_EVERY).await;
        if let Err(error) = sessions.delete_expired().await {
            tracing::warn!(%error, "expired sessions could not be deleted");
        }
    }
}

/// Nothing but our own styles and images, and forms that lead here or, after signing out, to the identity server.
fn policy(issuer: &str) -> Result<HeaderValue> {
    let issuer: Uri = issuer.parse().context("the issuer is no URL")?;
    let (scheme, authority) =
        (issuer.scheme_str().unwrap_or_default(), issuer.authority().context("the issuer has no host")?);
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' {scheme}://{authority}; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    Ok(policy.try_into()?)
}

/// What browsers are told with every page.
async fn protect(mut response: Response<Body>, policy: HeaderValue) -> Response<Body> {
    let headers = response.headers_mut();
    let told: [(HeaderName, HeaderValue); 4] = [
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    for (name, value) in told {
        headers.entry(name).or_insert(value);
    }
    response
}
