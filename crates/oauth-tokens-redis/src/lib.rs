//! Access tokens that a fleet shares: a [`TokenStore`](oauth_tokens::TokenStore) on Redis.
//!
//! Eight processes that need the same token ask the authorization server once, not eight times: one of them takes the lease and
//! fetches, the others wait a moment and load what it stored. Redis is a help, never a need: while it is down, slow or holds
//! garbage, each process fetches for itself.
//!
//! ```no_run
//! use oauth_tokens::{Error, Secret, SharedStore, StoreKeys, TokenCache, TokenClient};
//! use oauth_tokens_redis::RedisStore;
//!
//! fn tokens(client: &TokenClient) -> Result<TokenCache, Error> {
//!     // `openssl rand -base64 32 > store-keys`
//!     let keys = StoreKeys::new(Secret::file("/run/secrets/store-keys"));
//!     let store = RedisStore::new("rediss://fleet:password@redis.example.com", keys)?;
//!     client.client_credentials().scope("orders").stored(SharedStore::new(store)).cached()
//! }
//! ```
//!
//! The example `fleet` shows it with eight processes, and with a Redis that is killed in the middle.
//!
//! What is kept, how it is protected and how Redis is to be set up is told at [`RedisStore`].
//!
//! | file | idea |
//! |---|---|
//! | `store.rs`, `builder.rs` | the store and its settings |
//! | `wanted_lease.rs` | a lease that may be ours without our knowing |
//! | `script.rs` | what has to be one step on the server, in Lua |
//! | `cluster.rs` | which node to ask |
//! | `node.rs`, `link.rs`, `connect.rs`, `tls.rs` | one node, its connection, how that is made and encrypted |
//! | `address.rs`, `settings.rs`, `failure.rs` | URLs, what connections have in common, errors |

mod address;
mod builder;
mod cluster;
mod connect;
mod failure;
mod link;
mod node;
mod script;
mod settings;
mod store;
mod tls;
mod wanted_lease;

pub use builder::RedisStoreBuilder;
pub use store::RedisStore;
