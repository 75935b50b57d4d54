//! azure_core 1.1.0: its `BearerTokenAuthorizationPolicy`, over a credential that has its token at once.
//!
//! On the path: a boxed future for each of four traits, two async read locks, the wall clock, the token formatted into a new
//! header, a list of the scopes, and an entry in the request's map of headers.
//!
//! Like ours: one renewal for many waiting callers, five minutes ahead of expiry; only `https`; a 401 drops the token, and with
//! a challenge the request is sent again, its body rewound, a stream's as well. Unlike ours: a 401 drops whatever token is
//! there by then; the caller that finds a renewal due waits for it; tokens go to any origin; the request is its own type.
//!
//! In its favour: the policy alone, without the ten others of a pipeline; a transport that drops the request; header values
//! that are static text. With its callback for challenges set, which it calls only after a 401.

use std::{hint::black_box, sync::Arc};

use async_trait::async_trait;
use azure_core::{
    Bytes,
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::{
        AsyncRawResponse, Context, Method, Request, StatusCode, Url,
        headers::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, Headers, USER_AGENT, WWW_AUTHENTICATE},
        policies::{
            Policy, PolicyResult,
            auth::{Authorizer, BearerTokenAuthorizationPolicy, OnChallenge},
        },
    },
    time::{Duration, OffsetDateTime},
};
use http::{HeaderMap, HeaderValue};

use super::{Caller, End, Entry, Family, Setting, Tokens, Variant};
use crate::{
    BoxError,
    inner::Inner,
    poll,
    request::{ORIGIN, Shape},
};

pub(super) const ENTRY: Entry = Entry {
    name: "azure-core",
    family: Family::Peer,
    retries: true,
    setup: "azure_core 1.1.0: `BearerTokenAuthorizationPolicy` with a callback for challenges, and a credential with its token at \
            hand; requests of its own type, to be compared with *azure-core-static*.",
    make: |Setting { shape, token }| variant(&Tokens::new(vec![token.clone()]), *shape, Inner),
};

pub(super) const STATIC: Entry = Entry {
    name: "azure-core-static",
    retries: false,
    setup: "The same transport of azure_core below a policy that inserts a static header.",
    make: |Setting { shape, token }| Azure::boxed(Arc::new(Static(format!("Bearer {token}"))), *shape, Inner),
    ..ENTRY
};

const SCOPE: &str = "https://api.example.com/.default";
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("accept-encoding");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) fn variant<E: End>(tokens: &Tokens, shape: Shape, end: E) -> Result<Box<dyn Variant>, BoxError> {
    let credential = Arc::new(Credential(tokens.clone()));
    let policy = BearerTokenAuthorizationPolicy::new(credential, [SCOPE]).with_on_challenge(Arc::new(Renew));
    Azure::boxed(Arc::new(policy), shape, end)
}

#[derive(Debug)]
struct Credential(Tokens);

#[async_trait]
impl TokenCredential for Credential {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new(self.0.take(), OffsetDateTime::now_utc() + Duration::hours(1)))
    }
}

#[derive(Debug)]
struct Renew;

#[async_trait]
impl OnChallenge for Renew {
    async fn on_challenge(
        &self,
        _: &Context,
        request: &mut Request,
        authorizer: &dyn Authorizer,
        _: &Headers,
    ) -> azure_core::Result<()> {
        authorizer.authorize(request, &[SCOPE], TokenRequestOptions::default()).await
    }
}

#[derive(Debug)]
struct Static(String);

#[async_trait]
impl Policy for Static {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        request.insert_header(AUTHORIZATION, &self.0);
        next[0].send(context, request, &next[1..]).await
    }
}

/// The transport.
#[derive(Debug)]
struct Transport<E>(E);

#[async_trait]
impl<E: End> Policy for Transport<E> {
    async fn send(&self, _: &Context, request: &mut Request, _: &[Arc<dyn Policy>]) -> PolicyResult {
        let status = StatusCode::from(self.0.answer(|| to_http(request.headers())).as_u16());
        let mut headers = Headers::new();
        if status == StatusCode::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#);
        }
        Ok(AsyncRawResponse::from_bytes(status, headers, Bytes::new()))
    }
}

fn to_http(headers: &Headers) -> HeaderMap {
    let pairs = headers.iter().filter_map(|(name, value)| {
        let name = http::HeaderName::try_from(name.as_str()).ok()?;
        Some((name, HeaderValue::try_from(value.as_str()).ok()?))
    });
    pairs.collect()
}

#[derive(Clone)]
struct Azure {
    policy: Arc<dyn Policy>,
    next: [Arc<dyn Policy>; 1],
    url: Url,
    shape: Shape,
}

impl Azure {
    fn boxed<E: End>(policy: Arc<dyn Policy>, shape: Shape, end: E) -> Result<Box<dyn Variant>, BoxError> {
        let url = Url::parse(&format!("{ORIGIN}/v1/orders/42"))?;
        Ok(Box::new(Self { policy, next: [Arc::new(Transport(end))], url, shape }))
    }

    #[inline]
    fn request(&self) -> Request {
        let mut request = Request::new(self.url.clone(), Method::Get);
        request.insert_header(ACCEPT, "application/json");
        request.insert_header(USER_AGENT, "orders/1.4.2");
        request.insert_header(ACCEPT_ENCODING, "gzip, br");
        request.insert_header(REQUEST_ID, "3f2a9c51-7d0e-4b8f-9a66-1c5e8d7b2f40");
        if self.shape == Shape::Post5 {
            request.set_method(Method::Post);
            request.insert_header(CONTENT_TYPE, "application/json");
            request.set_body(vec![b'x'; 64]);
        }
        request
    }
}

impl Caller for Azure {
    #[inline]
    fn call(&mut self) {
        let mut request = self.request();
        let _ = black_box(poll::to_end!(self.policy.send(&Context::new(), &mut request, &self.next)));
    }

    fn fork(&self) -> Result<Self, BoxError> {
        Ok(self.clone())
    }
}
