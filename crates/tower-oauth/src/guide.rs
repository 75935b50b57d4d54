//! Longer answers, each compiled as a test.
//!
//! - [`stack`]: where the layer belongs among other tower layers, and why
//! - [`stacks`]: a short page for each kind of client: hyper, reqwest, tonic, axum and others
//! - [`servers`]: how IdentityServer, SimpleIdServer, Keycloak, Auth0, Entra, Okta and Cognito are configured
//! - [`which_one`]: which grant, and which client authentication
//! - [`challenges`]: APIs that ask for a stronger token, or say which authorization server they trust
//! - [`many_tenants`]: a token for each tenant or user, and what one request asks for
//! - `sign_in` (feature `sign-in`): people who sign in, to a web application or a command-line tool
//! - [`configuration`]: a layer from TOML, JSON or the environment
//! - [`coming_from`]: what maps to what, for people who have a token client already
//! - [`errors`]: what can go wrong, and what a program does about it
//! - [`bad_days`]: what happens when the authorization server is slow, down or wrong
//! - [`fleet`]: what ten thousand processes do to their authorization server, on good days and bad ones
//! - `stores` (feature `store`): tokens that outlive a process, are shared by a fleet, or belong to users who sign in
//! - [`testing`]: tests of your own service, with and without sockets

#[doc = include_str!("guide/stack.md")]
pub mod stack {}

pub mod stacks;

#[doc = include_str!("guide/servers.md")]
pub mod servers {}

#[doc = include_str!("guide/which_one.md")]
pub mod which_one {}

#[doc = include_str!("guide/challenges.md")]
pub mod challenges {}

#[doc = include_str!("guide/many_tenants.md")]
pub mod many_tenants {}

#[cfg(feature = "sign-in")]
#[doc = include_str!("guide/sign_in.md")]
pub mod sign_in {}

#[doc = include_str!("guide/configuration.md")]
pub mod configuration {}

pub mod coming_from;

#[doc = include_str!("guide/errors.md")]
pub mod errors {}

#[doc = include_str!("guide/bad_days.md")]
pub mod bad_days {}

#[doc = include_str!("guide/fleet.md")]
#[doc = include_str!("guide/fleet.svg")]
pub mod fleet {}

#[cfg(feature = "store")]
#[doc = include_str!("guide/stores.md")]
pub mod stores {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}
