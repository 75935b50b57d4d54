//! cf-gears-toolkit-auth 0.8.3: its layers `BearerAuthLayer` and `BearerAuthAutoRefreshLayer`.
//!
//! On the path: an `ArcSwap` load, the monotonic clock, two copies of the token that are wiped afterwards, and a boxed future
//! for the call; with the retry also two more boxes, clones of the request, of the service and of the options.
//!
//! Like ours: a tower layer, one renewal for many waiting callers, which outlives them, ahead of expiry in a task of its own;
//! with the retry also one second attempt after a 401, and none with an unchanged token. Unlike ours: after one rejection it
//! renews no other for 15 minutes, whichever token is rejected; every body has to be `Clone`, so a stream cannot be sent at
//! all; tokens go to whatever origin the request names.
//!
//! In its favour: the token is there, the client below costs nothing and its error is what the layer asks for. It gets its
//! tokens over HTTP in no other way, so there is a token endpoint on loopback, asked once.

use std::convert::Infallible;

use http::{Request, Response};
use toolkit_auth::{BearerAuthAutoRefreshLayer, BearerAuthLayer, OAuthClientConfig, SecretString, TokenProvider};
use toolkit_http::{HttpClientConfig, HttpError};
use tower::{Layer, Service, ServiceExt as _, util::MapErr};

use super::{End, Entry, Family, Setting, Tokens, Variant};
use crate::{BoxError, inner::Inner, poll, request::Body, variants::Calling};

pub(super) const PLAIN: Entry = Entry {
    name: "cf-gears",
    family: Family::Peer,
    retries: false,
    setup: "cf-gears-toolkit-auth 0.8.3: `BearerAuthLayer`, which renews ahead of expiry and never sends again.",
    make: |setting| {
        let provider = provider(&Tokens::new(vec![setting.token.clone()]))?;
        variant(&BearerAuthLayer::new(provider), setting, Inner)
    },
};

pub(super) const RETRY: Entry = Entry {
    name: "cf-gears-refresh",
    retries: true,
    setup: "cf-gears-toolkit-auth 0.8.3: `BearerAuthAutoRefreshLayer`, as it is; it clones each request for the second attempt \
            after a 401.",
    make: |setting| refreshing(&Tokens::new(vec![setting.token.clone()]), setting, Inner),
    ..PLAIN
};

pub(super) fn refreshing<E: End>(tokens: &Tokens, setting: &Setting, end: E) -> Result<Box<dyn Variant>, BoxError> {
    variant(&BearerAuthAutoRefreshLayer::new(provider(tokens)?), setting, end)
}

type Below<E> = MapErr<E, fn(Infallible) -> HttpError>;

fn variant<L, E>(layer: &L, setting: &Setting, end: E) -> Result<Box<dyn Variant>, BoxError>
where
    E: End,
    L: Layer<Below<E>>,
    L::Service: Service<Request<Body>, Response = Response<Body>, Error = HttpError> + Clone + Send + 'static,
{
    let below: Below<E> = end.map_err(|never| match never {});
    Calling::boxed(layer.layer(below), setting)
}

fn provider(tokens: &Tokens) -> Result<TokenProvider, BoxError> {
    let config = OAuthClientConfig {
        token_endpoint: Some(tokens.serve()?.parse()?),
        client_id: "orders".into(),
        client_secret: SecretString::new("secret"),
        http_config: Some(HttpClientConfig::for_testing()),
        ..OAuthClientConfig::default()
    };
    poll::runtime()?.block_on(async {
        let provider = TokenProvider::new(config)?;
        provider.get().await?;
        Ok(provider)
    })
}
