//! aliri_tokens 0.3.2: its `TokenWatcher`, which has the current token in a watch channel.
//!
//! On the path: the channel's read lock, and the token formatted into a new header value.
//!
//! Like ours: renewed ahead of expiry. Unlike ours: it hands out tokens, and the rest is up to the caller; it renews by the
//! clock of a task and in no other way, so a rejected token stays until it is stale, and an expired one is handed out, too.
//!
//! In its favour: a source that has its token at once, no jitter, and nothing asks for the token's age.

use aliri_clock::DurationSecs;
use aliri_tokens::{TokenWatcher, backoff::ErrorBackoffConfig, jitter::NullJitter, sources::ConstTokenSource};
use http::{Request, Response, header::AUTHORIZATION};
use tower::ServiceExt as _;

use super::{End, Entry, Family, Sender, Sending, bearer};
use crate::{BoxError, inner::Inner, poll, request::Body};

pub(super) const ENTRY: Entry = Entry {
    name: "aliri-tokens",
    family: Family::Peer,
    retries: false,
    setup: "aliri_tokens 0.3.2: a `TokenWatcher`; the header is made from its token for each request.",
    make: |setting| {
        let source = ConstTokenSource::new(setting.token.as_str()).with_token_valid_for(DurationSecs(3600));
        let spawned = TokenWatcher::spawn_from_token_source(source, NullJitter, ErrorBackoffConfig::default());
        let watcher = poll::runtime()?.block_on(spawned)?;
        Sending::boxed(Watched { watcher, end: Inner }, setting.shape)
    },
};

#[derive(Clone)]
struct Watched<E> {
    watcher: TokenWatcher,
    end: E,
}

impl<E: End> Sender for Watched<E> {
    #[inline]
    async fn send(&mut self, mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let header = bearer(self.watcher.token().access_token().as_str())?;
        request.headers_mut().insert(AUTHORIZATION, header);
        Ok(self.end.ready().await?.call(request).await?)
    }
}
