//! Real servers, which nobody here wrote: oidc-provider and django-oauth-toolkit, each with an API that it protects.
//!
//! Each test runs against both, where both can do what it is about: much is oidc-provider's alone. Names begin with the
//! numbers of `ACCEPTANCE` that they show. Time is real here.

mod api;
mod bound_tokens;
mod call_api;
mod client;
mod client_auth;
mod device;
mod discovery;
mod dpop;
mod egress_proxy;
mod endpoints;
mod jwt_bearer;
mod layer;
mod lifetimes;
mod mtls;
mod rar;
mod refresh;
mod renewal;
mod server;
mod token_errors;
mod token_exchange;
mod tokens;

/// Makes each of these functions a test against oidc-provider and a test against django-oauth-toolkit, in servers that
/// all tests share; `alone:` ones get a server each, because they count what it counts.
macro_rules! against_both {
    ($($name:ident),* ; alone: $($alone:ident),*) => {
        mod oidc {
            $(#[tokio::test] async fn $name() { super::$name(crate::server::oidc()).await; })*
            $(#[tokio::test] async fn $alone() { super::$alone(&crate::server::RealServer::start("oidc")).await; })*
        }
        mod django {
            $(#[tokio::test] async fn $name() { super::$name(crate::server::django()).await; })*
            $(#[tokio::test] async fn $alone() { super::$alone(&crate::server::RealServer::start("django")).await; })*
        }
    };
    ($($name:ident),* $(,)?) => { crate::against_both!($($name),* ; alone: ); };
}
use against_both;
