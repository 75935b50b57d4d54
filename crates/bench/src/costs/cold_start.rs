//! From nothing to the first authorised response: what arrives at an authorization server and an API on loopback.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use oauth_tokens::{AuthorizationServer, ClientAuth, HttpClient, Secret, TokenCache};
use reqwest_middleware::ClientWithMiddleware;
use tokio::runtime::Builder;
use tower::{Layer as _, Service as _, ServiceExt as _};
use tower_oauth::{OAuth, OAuthLayer};

use crate::{BoxError, end_to_end::server::Server};

/// After the first.
pub(super) const CALLS: usize = 100;
/// While these are made.
pub(super) const REVOCATIONS: usize = 5;

/// What the requests go through.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stack {
    HyperUtil,
    Reqwest,
}

impl Stack {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HyperUtil => "hyper-util",
            Self::Reqwest => "reqwest",
        }
    }

    fn http(self) -> HttpClient {
        match self {
            Self::HyperUtil => HttpClient::new(hyper_util_client()),
            Self::Reqwest => HttpClient::reqwest(),
        }
    }
}

/// What is known of the authorization server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lookup {
    Issuer,
    Endpoint,
}

impl Lookup {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Issuer => "an issuer",
            Self::Endpoint => "a token endpoint",
        }
    }
}

/// What has arrived so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) discovery: usize,
    pub(super) token: usize,
    pub(super) api: usize,
    /// At the authorization server, and at the API.
    pub(super) connections: [usize; 2],
}

/// Up to the first response, and some calls later.
///
/// # Errors
///
/// When it is not what it has to be, or something fails.
pub(super) fn costs(stack: Stack, lookup: Lookup) -> Result<(Cost, Cost), BoxError> {
    let discovery = match lookup {
        Lookup::Issuer => 1,
        Lookup::Endpoint => 0,
    };
    let first = Cost { discovery, token: 1, api: 1, connections: [1, 1] };
    let later = Cost { token: 1 + REVOCATIONS, api: 1 + CALLS + REVOCATIONS, ..first };
    let measured = Builder::new_current_thread().enable_all().build()?.block_on(measured(stack, lookup))?;
    if measured != (first, later) {
        return Err(format!("{stack:?}, {lookup:?}: {measured:?}, and should be {:?}", (first, later)).into());
    }
    Ok(measured)
}

async fn measured(stack: Stack, lookup: Lookup) -> Result<(Cost, Cost), BoxError> {
    let servers = Servers::start().await?;
    let mut api = Api::over(stack, &servers.api.address.to_string(), servers.tokens(stack, lookup)?)?;
    if servers.so_far() != (Cost { discovery: 0, token: 0, api: 0, connections: [0, 0] }) {
        return Err("something was sent before there was a call".into());
    }
    api.call().await?;
    let first = servers.so_far();
    for call in 0..CALLS {
        if call % (CALLS / REVOCATIONS) == 0 {
            servers.seen.revoked.fetch_add(1, SeqCst);
        }
        api.call().await?;
    }
    Ok((first, servers.so_far()))
}

/// An API behind the layer.
enum Api {
    HyperUtil(Box<OAuth<Client<HttpConnector, Full<Bytes>>>>, String),
    Reqwest(ClientWithMiddleware, String),
}

impl Api {
    fn over(stack: Stack, address: &str, tokens: TokenCache) -> Result<Self, BoxError> {
        let origin = format!("http://{address}");
        let layer = OAuthLayer::new(&*origin, tokens)?;
        let url = format!("{origin}/v1/orders/42");
        Ok(match stack {
            Stack::HyperUtil => Self::HyperUtil(Box::new(layer.layer(hyper_util_client())), url),
            Stack::Reqwest => Self::Reqwest(layer.reqwest(reqwest::Client::builder())?, url),
        })
    }

    async fn call(&mut self) -> Result<(), BoxError> {
        let status = match self {
            Self::HyperUtil(service, url) => {
                let response = service.ready().await?.call(Request::get(&*url).body(Full::default())?).await?;
                let status = response.status();
                response.into_body().collect().await?;
                status
            }
            Self::Reqwest(client, url) => {
                let response = client.get(&*url).send().await?;
                let status = response.status();
                response.bytes().await?;
                status
            }
        };
        if status == StatusCode::OK { Ok(()) } else { Err(format!("the API answered {status}").into()) }
    }
}

fn hyper_util_client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// Both servers, and what they have seen.
struct Servers {
    authorization: Server,
    api: Server,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    discovery: AtomicUsize,
    token: AtomicUsize,
    api: AtomicUsize,
    /// Tokens have numbers; those below this one are revoked.
    revoked: AtomicUsize,
}

impl Servers {
    async fn start() -> Result<Self, BoxError> {
        let seen = Arc::<Seen>::default();
        let (at_server, at_api) = (Arc::clone(&seen), Arc::clone(&seen));
        let authorization = Server::start(move |request| authorization(Arc::clone(&at_server), request)).await?;
        let api = Server::start(move |request| protected(Arc::clone(&at_api), request)).await?;
        Ok(Self { authorization, api, seen })
    }

    fn tokens(&self, stack: Stack, lookup: Lookup) -> Result<TokenCache, BoxError> {
        let (via, issuer) = (AuthorizationServer::via(stack.http()), format!("http://{}", self.authorization.address));
        let server = match lookup {
            Lookup::Issuer => via.issuer(&issuer)?,
            Lookup::Endpoint => via.token_endpoint(&format!("{issuer}/token"))?,
        };
        let client = server.client("orders", ClientAuth::secret_basic(Secret::new("s3cret")))?;
        Ok(client.client_credentials().cached()?)
    }

    fn so_far(&self) -> Cost {
        Cost {
            discovery: self.seen.discovery.load(SeqCst),
            token: self.seen.token.load(SeqCst),
            api: self.seen.api.load(SeqCst),
            connections: [self.authorization.opened(), self.api.opened()],
        }
    }
}

async fn authorization(seen: Arc<Seen>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let issuer = format!("http://{host}");
    if request.method() == Method::GET {
        seen.discovery.fetch_add(1, SeqCst);
        return json(format!(r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token"}}"#));
    }
    let _ = request.into_body().collect().await;
    let number = seen.token.fetch_add(1, SeqCst);
    json(format!(r#"{{"access_token":"{number}","token_type":"Bearer","expires_in":3600}}"#))
}

async fn protected(seen: Arc<Seen>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    seen.api.fetch_add(1, SeqCst);
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let number = authorization.and_then(|value| value.strip_prefix("Bearer ")?.parse().ok());
    let mut response = json("{}".to_owned());
    if number.is_none_or(|number: usize| number < seen.revoked.load(SeqCst)) {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
    }
    response
}

fn json(text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_response_takes_no_more_round_trips_than_it_has_to() {
        for stack in [Stack::HyperUtil, Stack::Reqwest] {
            for lookup in [Lookup::Issuer, Lookup::Endpoint] {
                costs(stack, lookup).expect("right counts");
            }
        }
    }
}
