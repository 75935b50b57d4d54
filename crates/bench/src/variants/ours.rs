//! This project's layer, over a cache whose token lives for an hour.

use std::{future::ready, hint::black_box, time::Duration};

use http::Request;
use oauth_tokens::{AccessToken, TokenCache, TokenSet, source_fn};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_oauth::OAuthLayer;

use super::{Caller, Calling, Entry, Family, Setting, Variant};
use crate::{
    BoxError,
    inner::Inner,
    poll,
    request::{Body, ORIGIN, Requests},
};

const LIFETIME: Duration = Duration::from_secs(3600);

/// Ours, as it is used by default.
pub(crate) const OURS: &str = "ours";
pub(crate) const OURS_NEVER_RETRY: &str = "ours-never-retry";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: OURS,
        family: Family::Ours,
        retries: true,
        setup: "`OAuthLayer::new`, as it is: every request is kept for a retry after a 401.",
        make: |setting| Calling::boxed(layer(setting)?.layer(Inner), setting),
    },
    Entry {
        name: OURS_NEVER_RETRY,
        family: Family::Ours,
        retries: false,
        setup: "`OAuthLayer::never_retry`: no request is kept.",
        make: |setting| Calling::boxed(layer(setting)?.never_retry().layer(Inner), setting),
    },
    Entry {
        name: "ours-oneshot",
        family: Family::Ours,
        retries: true,
        setup: "As *ours*; each request is sent with a clone of the service, as `oneshot` does.",
        make: |setting| OneShot::boxed(layer(setting)?.layer(Inner), setting),
    },
    Entry {
        name: "ours-never-retry-oneshot",
        family: Family::Ours,
        retries: false,
        setup: "As *ours-never-retry*; each request is sent with a clone of the service.",
        make: |setting| OneShot::boxed(layer(setting)?.never_retry().layer(Inner), setting),
    },
];

fn layer(setting: &Setting) -> Result<OAuthLayer, BoxError> {
    let tokens = TokenSet::new(AccessToken::bearer(&setting.token)?).expiring_in(LIFETIME);
    let cache = TokenCache::new(source_fn(move || ready(Ok(tokens.clone()))));
    poll::runtime()?.block_on(cache.ready())?;
    Ok(OAuthLayer::new(ORIGIN, cache)?)
}

/// Calls a new clone of a service each time.
struct OneShot<S> {
    service: S,
    requests: Requests,
}

impl<S> OneShot<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
{
    fn boxed(service: S, setting: &Setting) -> Result<Box<dyn Variant>, BoxError> {
        Ok(Box::new(Self { service, requests: Requests::new(setting.shape)? }))
    }
}

impl<S> Caller for OneShot<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
{
    #[inline]
    fn call(&mut self) {
        let request = self.requests.make();
        let mut service = self.service.clone();
        if poll::to_end!(service.ready()).is_ok() {
            let _ = black_box(poll::to_end!(service.call(request)));
        }
    }

    fn fork(&self) -> Result<Self, BoxError> {
        Ok(Self { service: self.service.clone(), requests: Requests::new(self.requests.shape())? })
    }
}
