//! An embedded OAuth 2 authorization server and the API that it protects: for tests of code that gets
//! tokens and calls APIs with them.
//!
//! One [`TestServer`] is both, and serves in two ways.
//!
//! # Over sockets
//!
//! [`TestServer::start`] listens on two free ports of 127.0.0.1, with TLS if asked.
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, StatusCode};
//! use http_body_util::{BodyExt, Full};
//! use hyper_util::client::legacy::Client;
//! use hyper_util::rt::TokioExecutor;
//! use oauth_test_server::TestServer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::start().await?;
//! let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//!
//! let form = "grant_type=client_credentials&client_id=m2m&client_secret=secret";
//! let request = Request::post(server.token_endpoint())
//!     .header("content-type", "application/x-www-form-urlencoded")
//!     .body(Full::from(form))?;
//! let body = client.request(request).await?.into_body().collect().await?.to_bytes();
//! let answer: serde_json::Value = serde_json::from_slice(&body)?;
//! let token = answer["access_token"].as_str().ok_or("no token")?;
//!
//! let request = Request::get(server.api_url("/things"))
//!     .header("authorization", format!("Bearer {token}"))
//!     .body(Full::default())?;
//! assert_eq!(client.request(request).await?.status(), StatusCode::OK);
//!
//! assert_eq!(server.counters().tokens_issued, 1);
//! assert_eq!(server.counters().api_accepted, 1);
//! # Ok(()) }
//! ```
//!
//! # Without sockets, in paused time
//!
//! [`TestServer::authorization_service`] and [`TestServer::api_service`] are plain tower services on
//! tokio's clock. With that clock paused an hour takes no time, and each tick can be looked at.
//!
//! ```
//! use std::time::Duration;
//!
//! use http::{Request, StatusCode};
//! use http_body_util::Empty;
//! use oauth_test_server::{Fault, TestServer};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::builder()
//!     .token_lifetime(Some(Duration::from_secs(3600)))
//!     .build();
//! let token = server.issue_access_token("m2m", "api");
//! let call = || {
//!     let request = Request::get(server.api_url("/things"))
//!         .header("authorization", format!("Bearer {token}"))
//!         .body(Empty::<bytes::Bytes>::new())
//!         .expect("a request");
//!     server.api_service().oneshot(request)
//! };
//!
//! tokio::time::advance(Duration::from_millis(3_599_999)).await;
//! assert_eq!(call().await?.status(), StatusCode::OK);
//! tokio::time::advance(Duration::from_millis(1)).await;
//! assert_eq!(call().await?.status(), StatusCode::UNAUTHORIZED);
//!
//! // What goes wrong on demand: see `Fault`.
//! server.api_faults().push(1, Fault::Disconnect);
//! assert!(call().await.is_err());
//! assert_eq!(server.counters().api_unauthorized, 1);
//! # Ok(()) }
//! ```
//!
//! # People sign in
//!
//! In a real browser the server shows a sign-in page and asks for consent; in a test
//! [`TestServer::authorize`] is the user. An application that runs this flow by itself hands it the URL,
//! and gets the one that the browser would come back with.
//!
//! ```
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//! use oauth_test_server::{Client, DecodedJwt, TestServer, User};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let app = Client::new("app")
//!     .secret("secret")
//!     .scopes(["openid", "profile"])
//!     .redirect_uri("https://app.test/callback");
//! let alice = User::new("alice").password("correct horse").claim("name", "Alice Example");
//! let server = TestServer::builder().client(app).user(alice).build();
//!
//! let url = format!(
//!     "{}?response_type=code&client_id=app&redirect_uri=https://app.test/callback&scope=openid+profile&state=s1&nonce=n1",
//!     server.authorization_endpoint()
//! );
//! let callback = server.authorize(&url, "alice").await?;
//! let code = callback.strip_prefix("https://app.test/callback?code=").ok_or("no code")?;
//! let (code, rest) = code.split_once('&').ok_or("only a code")?;
//! assert_eq!(rest, "state=s1&iss=https%3A%2F%2Fid.test");
//!
//! let form = format!(
//!     "grant_type=authorization_code&code={code}&redirect_uri=https://app.test/callback\
//!      &client_id=app&client_secret=secret"
//! );
//! let request = Request::post(server.token_endpoint())
//!     .header("content-type", "application/x-www-form-urlencoded")
//!     .body(Full::<bytes::Bytes>::from(form))?;
//! let answer = server.authorization_service().oneshot(request).await?;
//! let body = answer.into_body().collect().await?.to_bytes();
//! let tokens: serde_json::Value = serde_json::from_slice(&body)?;
//! let id_token = DecodedJwt::decode(tokens["id_token"].as_str().ok_or("no ID token")?).ok_or("no JWT")?;
//! assert_eq!((id_token.claims["sub"].as_str(), id_token.claims["nonce"].as_str()), (Some("alice"), Some("n1")));
//! # Ok(()) }
//! ```
//!
//! What a client must not take, the server does on demand: [`TestServer::tamper_id_tokens`],
//! [`TestServer::set_authorization_response`], [`TestServer::set_authorization_error`],
//! [`TestServer::tamper_logout_tokens`], [`TestServer::set_userinfo`].
//!
//! # What the authorization server does
//!
//! - Metadata at `{issuer}/.well-known/openid-configuration` and, by RFC 8414, at
//!   `/.well-known/oauth-authorization-server{path of the issuer}`; either can be switched off.
//! - Token endpoint `{issuer}/token`; scopes, `resource` (RFC 8707) and `audience`, several of each,
//!   `authorization_details` (RFC 9396).
//! - Introspection `{issuer}/introspect` (RFC 7662), revocation `{issuer}/revoke` (RFC 7009), and keys
//!   `{issuer}/jwks` for JWT access tokens and ID tokens, which rotate when a test says so.
//! - Authorization endpoint `{issuer}/authorize`: the code flow with PKCE (S256, for public clients
//!   always), `state`, `nonce`, `prompt`, `max_age`, `login_hint`, `acr_values`, `id_token_hint`, `resource`,
//!   `dpop_jkt`, `response_mode` `query` and `form_post`; the answer names the issuer (RFC 9207). Redirect
//!   URIs are exact, but for the port of a loopback address. Whatever `acr_values` asks for first, the user
//!   has done by signing in.
//! - Pushed authorization requests `{issuer}/par` (RFC 9126), each good once, for a minute, for its client.
//! - Pages: `{issuer}/sign-in`, `{issuer}/consent`, both the targets of forms. A session lives in a cookie
//!   until `{issuer}/end_session` (OpenID Connect RP-Initiated Logout) or [`TestServer::end_sessions`] ends
//!   it; clients with a [back-channel logout URI](Client::backchannel_logout_uri) are told.
//! - `{issuer}/userinfo`, for Bearer and DPoP, as JSON or as a signed JWT.
//!
//! | grant | what there is to know |
//! |---|---|
//! | `authorization_code` | a code is good once, for a minute; one that comes again revokes what it brought |
//! | `client_credentials` | confidential clients only |
//! | `refresh_token` | tokens rotate; an old one that comes again revokes its whole family |
//! | token exchange (RFC 8693) | takes this server's access tokens and JWTs of a [`TrustedIssuer`]; no more scopes than the subject's token and the client have; an actor becomes the `act` claim |
//! | JWT bearer (RFC 7523) | takes JWTs of a [`TrustedIssuer`] |
//! | device code (RFC 8628) | begins at `{issuer}/device_authorization`; the user is [`TestServer::approve_device`] and [`TestServer::deny_device`], or a page at `{issuer}/device` |
//!
//! With the scope `openid` an ID token comes along wherever a user has signed in: with a code, a device
//! code, an assertion, and with each refresh ([`Builder::refresh_id_tokens`]). It is signed with RS256, or as
//! [`Client::id_token_algorithm`] says.
//!
//! Clients authenticate at every endpoint in the ways that they are registered for, never in two at
//! once:
//!
//! | method | registered by |
//! |---|---|
//! | `client_secret_basic`, `client_secret_post` | [`Client::secret`] |
//! | `client_secret_jwt` | [`Client::secret`] and [`Client::auth_methods`] |
//! | `private_key_jwt` (RFC 7523) | [`Client::key`], [`Client::jwks`]; ES256, ES384, RS256, PS256, EdDSA |
//! | the JWT of another issuer | [`Client::federated`] and [`Builder::trusted_issuer`] |
//! | a JWT-SVID of SPIFFE | [`Client::spiffe_id`] and [`Builder::trusted_issuer`] |
//! | `tls_client_auth` (RFC 8705) | [`Client::certificate`] and `Builder::mtls` |
//! | `self_signed_tls_client_auth` | [`Client::certificate_thumbprint`] and `Builder::mtls` |
//! | `none` | [`Client::new`] alone |
//!
//! A client's own assertion must have the client as `iss` and `sub`, the issuer as its `aud` (one
//! string), an `exp` at most 5 minutes ahead, and a `jti` that it has not used before. One that comes
//! again is refused, even after an answer that asked for a DPoP nonce.
//!
//! Access tokens are bound to the key of a DPoP proof (RFC 9449) with [`Builder::dpop`], and to the
//! client's certificate (RFC 8705) with [`Client::certificate_bound_tokens`].
//!
//! ```
//! use http::Request;
//! use http_body_util::Full;
//! use oauth_test_server::{Algorithm, Client, TestKey, TestServer};
//! use serde_json::json;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = TestKey::generate(Algorithm::Es256);
//! let server = TestServer::builder().client(Client::new("m2m").key(&key)).build();
//!
//! let now = server.unix_time().as_secs();
//! let assertion = key.sign(&json!({
//!     "iss": "m2m", "sub": "m2m", "aud": server.issuer(),
//!     "iat": now, "exp": now + 60, "jti": "1",
//! }));
//! let form = format!(
//!     "grant_type=client_credentials&client_assertion={assertion}\
//!      &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
//! );
//! let ask = || {
//!     let request = Request::post(server.token_endpoint())
//!         .header("content-type", "application/x-www-form-urlencoded")
//!         .body(Full::<bytes::Bytes>::from(form.clone()))
//!         .expect("a request");
//!     server.authorization_service().oneshot(request)
//! };
//! assert_eq!(ask().await?.status(), 200);
//! assert_eq!(ask().await?.status(), 401);
//! assert_eq!(server.counters().replays_refused, 1);
//! # Ok(()) }
//! ```
//!
//! # What the API does
//!
//! It reads the whole request, asks for a token (RFC 6750; with [`Builder::dpop`] also RFC 9449) and
//! answers:
//!
//! | path | answer |
//! |---|---|
//! | any other | JSON: `method`, `path`, `query`, `body_len`, and `client_id`, `sub`, `scope`, `aud` of the token, with `cnf`, `act`, `authorization_details`, `acr` and `auth_time` if it has them |
//! | `/echo` | the request's body |
//! | `/status/{code}` | that status |
//! | `/redirect?to=URL` | 302 to the URL; `/redirect/307?to=URL` for another status |
//! | `/mcp` | a small MCP server: JSON-RPC `initialize`, `ping`, `tools/list` and `tools/call` (the tool `whoami`) by POST |
//! | `/public`, `/public/...` | the same, without a token |
//! | `/.well-known/oauth-protected-resource`, and with the path of a resource behind it | its metadata (RFC 9728), without a token; a test may make it wrong |
//!
//! [`TestServer::require`] asks for more under a path: a scope, a stronger or more recent sign-in (RFC
//! 9470), claims (as Entra's continuous access evaluation does), an audience. The token endpoint's
//! parameters `acr_values`, `max_age` and `claims` make tokens that fulfil this, without further ado.
//!
//! A DPoP proof is for the URL that the client has asked for, by the request's own scheme and authority.
//!
//! # What it does not do
//!
//! No implicit and no hybrid flow, no request objects, no front-channel logout, no registration of users or
//! clients over HTTP. No SAML, no encrypted JWTs, no `x5c` or `jku` headers. Nobody counts wrong passwords.
//! Its RSA keys are those of the process: several servers share them, under different names.
//! Certificates are looked up, not verified along a chain: those that the server has issued and those
//! that a client is registered with are good, until a test says otherwise; they do not expire. The
//! signatures of its own access tokens are not verified, as the server remembers each. Its tokens come
//! from a fast generator that is not secret, and its record keeps every request with all secrets in it
//! (`Debug` shows none): for tests only.

mod api;
mod authorization;
mod authorize;
mod body;
mod browser;
mod builder;
mod certificate;
mod client;
mod client_auth;
mod clock;
mod device;
mod dpop;
mod faults;
mod form;
mod grants;
mod id_token;
mod incoming;
mod issuer;
mod jws;
mod keys;
mod listen;
mod logout;
mod metadata;
mod page;
mod pushed;
mod record;
mod replays;
mod respond;
mod server;
mod service;
mod session;
mod state;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod token;
mod user;
mod userinfo;

pub use api::Requirement;
pub use body::ResponseBody;
pub use browser::Browser;
pub use builder::Builder;
#[cfg(feature = "tls")]
pub use certificate::TestCertificate;
pub use certificate::{CertificateName, PresentedCertificate};
pub use client::{Client, ClientAuthMethod};
pub use device::{DeviceCode, DeviceState};
pub use dpop::NoncePolicy;
pub use faults::{Fault, Faults};
pub use id_token::JwtDraft;
pub use issuer::TrustedIssuer;
pub use jws::{Algorithm, DecodedJwt, TestKey};
pub use logout::{BackchannelLogout, Delivery};
pub use record::{Counters, Endpoint, RecordedRequest};
pub use server::TestServer;
pub use service::TestService;
pub use token::TokenFormat;
pub use user::User;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
