//! rmcp 3.9.0: its `AuthorizationManager`, asked for the token of each request, as its own HTTP client asks.
//!
//! On the path: a boxed future of the store, an async read lock, a copy of all that the store has (identifier, scopes, token,
//! refresh token), the wall clock, and the token formatted into a new header value.
//!
//! Like ours: renewed ahead of expiry. Unlike ours: the caller that finds a renewal due does it, and so does each that comes
//! meanwhile; a 401 is an error that asks for a new login; tokens go to any origin.
//!
//! In its favour: the store in memory, with neither scopes nor an issuer to copy, and the manager shared without the mutex
//! that its client for messages has around it.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use http::{Request, Response, header::AUTHORIZATION};
use rmcp::transport::auth::{AuthorizationManager, CredentialStore as _, InMemoryCredentialStore, StoredCredentials};
use tower::ServiceExt as _;

use super::{End, Entry, Family, Sender, Sending, bearer};
use crate::{
    BoxError,
    inner::Inner,
    poll,
    request::{Body, ORIGIN},
};

pub(super) const ENTRY: Entry = Entry {
    name: "rmcp",
    family: Family::Peer,
    retries: false,
    setup: "rmcp 3.9.0: `AuthorizationManager::get_access_token` for each request, with its store in memory.",
    make: |setting| {
        let token = serde_json::from_value(serde_json::json!({
            "access_token": setting.token, "token_type": "bearer", "expires_in": 7200,
        }))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let manager = poll::runtime()?.block_on(async {
            let store = InMemoryCredentialStore::new();
            store.save(StoredCredentials::new("orders".into(), Some(token), Vec::new(), Some(now))).await?;
            let mut manager = AuthorizationManager::new(ORIGIN).await?;
            manager.set_credential_store(store);
            Ok::<_, BoxError>(Arc::new(manager))
        })?;
        Sending::boxed(Managed { manager, end: Inner }, setting.shape)
    },
};

#[derive(Clone)]
struct Managed<E> {
    manager: Arc<AuthorizationManager>,
    end: E,
}

impl<E: End> Sender for Managed<E> {
    #[inline]
    async fn send(&mut self, mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let token = self.manager.get_access_token().await?;
        request.headers_mut().insert(AUTHORIZATION, bearer(&token)?);
        Ok(self.end.ready().await?.call(request).await?)
    }
}
