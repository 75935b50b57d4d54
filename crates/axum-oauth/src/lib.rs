//! Signs users in to an axum application (OpenID Connect), and keeps their tokens on the server.
//!
//! The application writes routes; what keeps them safe is here. A browser gets a session's id in a cookie. Access and refresh tokens
//! stay on the server, where [`UserTokens`](oauth_tokens::UserTokens) keeps them fresh, and a layer of `tower-oauth` puts the user's
//! own on each call to an API. The ID token goes through the browser once: in the redirect of the sign-out, to the server that issued
//! it (`id_token_hint`).
//!
//! ```
//! use axum::{Router, routing::get};
//! use axum_oauth::{Refusal, SignIn, User};
//! # use axum_oauth::oauth_tokens::{self, AuthorizationServer, ClientAuth, FileStore, Secret, StoreKeys, TokenClient};
//! # use axum_oauth::tower_sessions::SessionStore;
//!
//! # fn example(client: TokenClient, sessions: impl SessionStore + Clone) -> Result<Router, oauth_tokens::Error> {
//! // At the server: https://shop.example.com/auth/callback and https://shop.example.com/auth/signed-out.
//! let sign_in = SignIn::builder(client, "https://shop.example.com")
//!     .scope("profile email orders offline_access")
//!     .store(FileStore::new("/var/lib/shop/users").encrypted(StoreKeys::new(Secret::file("/run/secrets/shop-keys"))))
//!     .build()?;
//!
//! async fn hello(user: Option<User>) -> String {
//!     user.map_or("Hello! Sign in at /auth/login".to_owned(), |user| format!("Hello {:?}!", user.name()))
//! }
//!
//! // Whoever is not signed in is sent to the server first, and comes back here.
//! async fn orders(user: User) -> Result<String, Refusal> {
//!     call_the_api(&user).await.map_err(|error| user.refusal(error))
//! }
//! # async fn call_the_api(_: &User) -> Result<String, oauth_tokens::BoxError> { Ok(String::new()) }
//!
//! let app = Router::new()
//!     .route("/", get(hello))
//!     .route("/orders", get(orders))
//!     .merge(sign_in.routes())
//!     .layer(sign_in.sessions(sessions)); // a store of tower-sessions
//! # Ok(app)
//! # }
//! ```
//!
//! With `tower-oauth`, the API is `OAuthLayer::keyed("https://api.example.com", sign_in.users())?.layer(client)`, and a call on the
//! user's behalf is `api.key(user.key().clone()).oneshot(request)`. One user's renewal holds up nobody else. The example
//! `web_login` is a whole application.
//!
//! # What is taken care of
//!
//! | what could go wrong | what is done |
//! |---|---|
//! | a callback that somebody else began (login CSRF), a stolen code | each sign-in is bound to its browser by a cookie of its own, and to PKCE and `nonce`; good for one callback, also of two at once; ten minutes, eight at a time |
//! | session fixation | a new session id at each sign-in; what another user left in the session goes |
//! | cross-site requests, sign-out among them | `SameSite=Lax`; requests that may change something are refused by `Sec-Fetch-Site` and `Origin`; no token in forms |
//! | open redirects | users come back to local paths only, and never into the sign-in itself |
//! | stolen cookies | `HttpOnly`, and over https `Secure` and `__Host-`; plain http for loopback only |
//! | caches, logs, `Referer` | `no-store` on answers to requests that asked for a [`User`]; a callback's address is left by a redirect with `no-referrer`; no secret is logged |
//! | a session that is written back after the sign-out | what has ended is written down, and looked up |
//! | a dead refresh token | the user signs in again, once, and never in a circle: see [`Refusal`] |
//! | a user who is signed out elsewhere | back-channel logout, for all processes that share the [store](SignInBuilder::store) |
//! | links that say untrue things | the page "You are signed out" looks whether that is so; no sign-in leads to it, or to a page about a problem |
//!
//! What is left to the application: a limit for how often an address may begin to sign in (each leaves a small record for ten
//! minutes; a store of files keeps it somewhat longer, until it tidies up), and the headers of its own pages. A form that signs out
//! is redirected to the server, so a `form-action` of a content security policy has to name the origin of the server's
//! `end_session_endpoint`, too, which at some servers is another host than the issuer's, and wherever that redirects to. Responses come
//! as a query (`response_mode` is left alone): a posted one would come without `SameSite=Lax` cookies.
//!
//! # What a request costs
//!
//! A handler that asks for a [`User`] loads the session, and looks up whether the sign-in has ended: by its key, by the
//! server's session and by the user, three small records side by side. In memory that is nothing; with Redis, one round trip besides
//! the session's; with files, three that are not there. A handler that does not ask costs neither.
//!
//! A store that does not work signs nobody in and shows nobody's page: 503.
//!
//! # How long
//!
//! A sign-in ends when the user signs out, when its [lifetime](SignInBuilder::lifetime) is over, or when the server says so by its
//! back channel. A sign-out revokes the tokens. The other two delete them, as soon as that browser comes back, and a refresh token may
//! live on at the server; until then, whoever has kept the [`UserKey`] gets tokens by it, a WebSocket or a job for example. Ask for the
//! `User` again where that matters.
//!
//! A server may send logout tokens with a session and a user: then the sign-ins of that user end, too, whose ID token named no session.
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `test-util` | no | puts the clock on tokio's, so that tests can pause and advance it |

mod asked;
mod builder;
mod clock;
mod ended;
mod key;
mod layer;
mod origin;
mod pages;
mod paths;
mod pending;
mod problem;
mod problem_details;
mod random;
mod refusal;
mod routes;
mod session;
mod session_cookie;
mod sign_in;
mod user;

pub use builder::SignInBuilder;
pub use key::UserKey;
pub use layer::{SessionLayer, SessionService};
pub use oauth_tokens;
pub use problem::{Problem, ProblemQuery};
pub use refusal::Refusal;
pub use sign_in::SignIn;
pub use tower_sessions;
pub use user::User;
