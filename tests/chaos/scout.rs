//! Whether a process gets through to its authorization server.

use std::{
    fmt,
    time::{Duration, Instant},
};

use oauth_tokens::{AuthorizationServer, ClientCredentials, TokenRequest, TokenSource};
use tokio::time::{sleep, timeout_at};

use super::lanes::request_of;

/// Asks for a token of its own in the name of one process.
///
/// A lane whose process shares a store may be well by a token that another process got. Its own process has not noticed yet
/// that the server is up again, may not for the longest pause between two probes, and would be refused if that token had its
/// end within them. So a process has recovered when its scout has, too.
pub(crate) struct Scout(TokenRequest<ClientCredentials>);

impl Scout {
    pub(crate) fn of(server: &AuthorizationServer, process: usize) -> Self {
        Self(request_of(server, &scout(process)))
    }

    /// Asks until there is a token, no longer than to that moment.
    pub(crate) async fn gets_through(&self, by: Instant) -> bool {
        while Instant::now() < by {
            if let Ok(Ok(_)) = timeout_at(by.into(), self.0.fetch()).await {
                return true;
            }
            sleep(Duration::from_millis(50)).await;
        }
        false
    }
}

/// The client of this process.
pub(crate) fn scout(process: usize) -> String {
    format!("scout-{process}")
}

impl fmt::Debug for Scout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scout").field(&self.0).finish()
    }
}
