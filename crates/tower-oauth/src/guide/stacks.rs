//! A short page for each kind of client that the layer goes over.

#[doc = include_str!("stacks/hyper.md")]
pub mod hyper {}

#[doc = include_str!("stacks/reqwest.md")]
pub mod reqwest {}

#[doc = include_str!("stacks/reqwest_middleware.md")]
pub mod reqwest_middleware {}

#[doc = include_str!("stacks/tonic.md")]
pub mod tonic {}

#[doc = include_str!("stacks/axum.md")]
pub mod axum {}

#[doc = include_str!("stacks/tower_http_client.md")]
pub mod tower_http_client {}

#[doc = include_str!("stacks/tower.md")]
pub mod tower {}
