//! aws-smithy-runtime 1.16.2: its lazy `IdentityCache` and its `BearerAuthScheme`, which the AWS SDK is made of.
//!
//! On the path: a boxed sleep for a load that does not happen, a boxed future of the cache, a lock around its partitions, an
//! async read lock, the wall clock, and the token formatted into a new header value.
//!
//! Like ours: one load for many waiting callers, ahead of expiry. Unlike ours: a cache cannot be told that its token was
//! rejected, the caller that finds a renewal due waits for it, and requests are of a type of its own.
//!
//! In its favour: of what is done for each request of the SDK, only these two steps; a sleep that needs no timer; the load's
//! timeout is given, so it is not computed for each request.

use std::{
    future::pending,
    hint::black_box,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_smithy_async::{
    rt::sleep::{AsyncSleep, Sleep},
    time::SystemTimeSource,
};
use aws_smithy_runtime::client::{
    auth::http::BearerAuthScheme, identity::IdentityCache, orchestrator::endpoints::StaticUriEndpointResolver,
    retries::strategy::NeverRetryStrategy,
};
use aws_smithy_runtime_api::client::{
    auth::{
        AuthScheme as _, AuthSchemeEndpointConfig, http::HTTP_BEARER_AUTH_SCHEME_ID,
        static_resolver::StaticAuthSchemeOptionResolver,
    },
    identity::{ResolveCachedIdentity as _, SharedIdentityCache, SharedIdentityResolver, http::Token},
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::{body::SdkBody, config_bag::ConfigBag};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::AUTHORIZATION};

use super::{Caller, End, Entry, Family, RequestParts, Setting, Variant};
use crate::{
    BoxError,
    inner::Inner,
    poll,
    request::{ORIGIN, Shape},
};

pub(super) const ENTRY: Entry = Entry {
    name: "aws-smithy",
    family: Family::Peer,
    retries: false,
    setup: "aws-smithy-runtime 1.16.2: the lazy `IdentityCache` and the signer of `BearerAuthScheme`, without the rest of an \
            operation; its requests, to be compared with *aws-smithy-static*.",
    make: |Setting { shape, token }| {
        let bearer = Bearer::new(token)?;
        Smithy::boxed(move |request| bearer.sign(request), *shape)
    },
};

pub(super) const STATIC: Entry = Entry {
    name: "aws-smithy-static",
    setup: "The same request with a static header.",
    make: |Setting { shape, token }| {
        let header = super::bearer(token)?;
        let insert = move |request: &mut HttpRequest| {
            request.headers_mut().insert(AUTHORIZATION, header.clone());
            Ok(())
        };
        Smithy::boxed(insert, *shape)
    },
    ..ENTRY
};

#[derive(Clone)]
struct Bearer {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    scheme: Arc<BearerAuthScheme>,
    components: Arc<RuntimeComponents>,
    config: Arc<ConfigBag>,
}

impl Bearer {
    fn new(token: &str) -> Result<Self, BoxError> {
        let token = Token::new(token, Some(SystemTime::now() + Duration::from_secs(3600)));
        let cache = IdentityCache::lazy().load_timeout(Duration::from_secs(5)).build();
        // Most of it is asked for by nobody here; without it, there are no components.
        let components = RuntimeComponents::builder("bench")
            .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![
                HTTP_BEARER_AUTH_SCHEME_ID,
            ])))
            .with_endpoint_resolver(Some(StaticUriEndpointResolver::uri(ORIGIN)))
            .with_auth_scheme(BearerAuthScheme::new())
            .with_identity_cache(Some(cache.clone()))
            .with_identity_resolver(HTTP_BEARER_AUTH_SCHEME_ID, token.clone())
            .with_retry_strategy(Some(NeverRetryStrategy::new()))
            .with_sleep_impl(Some(Never))
            .with_time_source(Some(SystemTimeSource::new()))
            .build()?;
        Ok(Self {
            cache,
            resolver: SharedIdentityResolver::new(token),
            scheme: Arc::new(BearerAuthScheme::new()),
            components: Arc::new(components),
            config: Arc::new(ConfigBag::base()),
        })
    }

    #[inline]
    fn sign(&self, request: &mut HttpRequest) -> Result<(), BoxError> {
        let resolver = self.resolver.clone();
        let identity = poll::to_end!(self.cache.resolve_cached_identity(resolver, &self.components, &self.config))?;
        let endpoint = AuthSchemeEndpointConfig::empty();
        self.scheme.signer().sign_http_request(request, &identity, endpoint, &self.components, &self.config)
    }
}

/// What no load waits for.
#[derive(Debug)]
struct Never;

impl AsyncSleep for Never {
    fn sleep(&self, _: Duration) -> Sleep {
        Sleep::new(pending())
    }
}

struct Smithy<F> {
    sign: F,
    parts: RequestParts,
}

impl<F> Smithy<F>
where
    F: Fn(&mut HttpRequest) -> Result<(), BoxError> + Clone + Send + 'static,
{
    fn boxed(sign: F, shape: Shape) -> Result<Box<dyn Variant>, BoxError> {
        Ok(Box::new(Self { sign, parts: RequestParts::new(shape)? }))
    }

    #[inline]
    fn send(&self) -> Result<StatusCode, BoxError> {
        let (parts, body) = self.parts.make();
        let request = http::Request::from_parts(parts, body.map_or_else(SdkBody::empty, SdkBody::from));
        let mut request = HttpRequest::try_from(request)?;
        (self.sign)(&mut request)?;
        Ok(Inner.answer(|| to_http(&request)))
    }
}

fn to_http(request: &HttpRequest) -> HeaderMap {
    let pairs = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?)));
    pairs.collect()
}

impl<F> Caller for Smithy<F>
where
    F: Fn(&mut HttpRequest) -> Result<(), BoxError> + Clone + Send + 'static,
{
    #[inline]
    fn call(&mut self) {
        let _ = black_box(self.send());
    }

    fn fork(&self) -> Result<Self, BoxError> {
        Ok(Self { sign: self.sign.clone(), parts: RequestParts::new(self.parts.shape)? })
    }
}
