//! Users who sign in to a web application (L2, S1): the router of `axum-oauth` as a tower service, and a browser that is played.

mod backchannel;
mod browser;
mod callbacks;
mod cookies;
mod foreign;
mod logout;
mod once_more;
mod pages;
mod private_files;
mod renewals;
mod restart;
mod return_to;
mod secrets;
mod tabs;
mod whose;

use axum::{Router, routing::get};
use axum_oauth::{Refusal, SignIn, SignInBuilder, User, tower_sessions::SessionStore};
use http_body_util::{BodyExt, Empty};
use oauth_test_server::{Builder, Client, TestServer, TestService};
use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient, TokenClient};
use tower::ServiceExt;
use tower_oauth::{Keyed, OAuthLayer};
use tower_sessions::{MemoryStore, Session};

const APP: &str = "https://shop.test";

/// What goes wrong at a server.
type Wrong = fn(&TestServer);

/// A server that knows the application.
fn server() -> TestServer {
    settings().build()
}

fn settings() -> Builder {
    registered(TestServer::builder()).claims_in_id_tokens()
}

fn registered(server: Builder) -> Builder {
    let shop = Client::new("shop")
        .secret("s3cr3t")
        .scopes(["openid", "profile", "email", "api", "offline_access"])
        .redirect_uri("https://shop.test/auth/callback")
        .post_logout_redirect_uri("https://shop.test/auth/signed-out")
        .post_logout_redirect_uri("https://shop.test/bye");
    server.client(shop).refresh_tokens(true)
}

fn client(server: &TestServer) -> TokenClient {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .and_then(|server| server.client("shop", ClientAuth::secret_basic("s3cr3t")))
        .expect("a client")
}

fn sign_in(server: &TestServer) -> SignInBuilder {
    SignIn::builder(client(server), APP).scope("profile email api offline_access")
}

/// The application: one process of it, perhaps of a fleet.
fn app(server: &TestServer, sign_in: &SignIn, sessions: impl SessionStore + Clone) -> Router {
    let api = OAuthLayer::keyed(server.api_origin(), sign_in.users()).expect("a layer").layer(server.api_service());
    let url = server.api_url("/things");
    let call = move |user: User| call(api, url, user);
    let hello = |user: Option<User>| async move {
        user.map_or_else(|| "nobody".to_owned(), |user| format!("hello {}", user.subject()))
    };
    let who = |user: User| async move { format!("hello {}", user.name().unwrap_or_default()) };
    Router::new()
        .route("/", get(hello))
        .route("/orders", get(who).post(who))
        .route("/call", get(call.clone()))
        .route("/cart", get(add_to_cart))
        .fallback(call)
        .merge(sign_in.routes())
        .layer(sign_in.sessions(sessions))
}

/// Something of the application's own in the session, signed in or not.
async fn add_to_cart(session: Session) -> String {
    let items = session.get::<u32>("cart").await.expect("a store").unwrap_or_default() + 1;
    session.insert("cart", items).await.expect("a store");
    items.to_string()
}

async fn call(api: Keyed<TestService, axum_oauth::UserKey>, url: String, user: User) -> Result<String, Refusal> {
    let request = http::Request::get(url).body(Empty::<bytes::Bytes>::new()).expect("a request");
    let response = api.key(user.key().clone()).oneshot(request).await.map_err(|error| user.refusal(error))?;
    if response.status() == 401 {
        return Err(user.sign_in_again());
    }
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// An application, a server, and nobody signed in.
fn start() -> (TestServer, SignIn, Router) {
    start_with(server(), |sign_in| sign_in)
}

fn start_with(
    server: TestServer,
    settings: impl FnOnce(SignInBuilder) -> SignInBuilder,
) -> (TestServer, SignIn, Router) {
    let sign_in = settings(sign_in(&server)).build().expect("settings that can be used");
    let router = app(&server, &sign_in, MemoryStore::default());
    (server, sign_in, router)
}
