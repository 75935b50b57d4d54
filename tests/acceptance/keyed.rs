//! Many tenants through one layer: whose token is sent, and what happens where that is not said (F14, F15, R3, R4, R15).

mod connection;
mod middleware;
mod missing;
mod options;
mod origins;
mod pool;
mod shown;
mod tenants;
mod users;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use oauth_tokens::{AccessToken, Error, TokenPool, TokenSet, TokenSource};
use tests::{
    probe::ProbeBody,
    script::{Script, outcome},
    steps::API,
};
use tower::{Layer, ServiceExt};
use tower_oauth::{BoxError, ErrorKind, OAuthLayer};

/// What a request is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tenant(&'static str);

/// An authorization server that issues `acme.1`, `acme.2`, ... to acme, and `acme+write.1`, ... if asked for `write` besides.
#[derive(Clone, Default)]
struct Issuer {
    mark: &'static str,
    issued: Arc<Mutex<BTreeMap<String, u64>>>,
    lifetime: Option<Duration>,
}

struct OfTenant {
    issuer: Issuer,
    name: String,
}

impl Issuer {
    /// One whose tokens begin with a mark.
    fn marked(mark: &'static str) -> Self {
        Self { mark, ..Self::default() }
    }

    fn pool(&self) -> TokenPool<Tenant> {
        let issuer = self.clone();
        TokenPool::new(move |tenant: &Tenant| match tenant.0 {
            "unknown" => Err(Error::source_failed("nobody knows this tenant").permanent()),
            name => Ok(OfTenant { issuer: issuer.clone(), name: name.to_owned() }),
        })
    }

    /// How many tokens were issued for a name.
    fn issued(&self, name: &str) -> u64 {
        self.lock().get(name).copied().unwrap_or_default()
    }

    fn issued_in_all(&self) -> u64 {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenSource for OfTenant {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        let number = {
            let mut issued = self.issuer.lock();
            let number = issued.entry(self.name.clone()).or_default();
            *number += 1;
            *number
        };
        let mut tokens = TokenSet::new(AccessToken::bearer(&format!("{}{}.{number}", self.issuer.mark, self.name))?);
        tokens.expires_in = self.issuer.lifetime;
        Ok(tokens)
    }

    fn scoped(self, scopes: &[String]) -> Result<Self, Error> {
        Ok(Self { name: format!("{}+{}", self.name, scopes.join("+")), ..self })
    }

    fn holds_state(&self) -> bool {
        false
    }
}

/// The three ways to say whose a request is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Given,
    Extension,
    Function,
}

const WAYS: [Way; 3] = [Way::Given, Way::Extension, Way::Function];

/// A header that only this program sets.
const HEADER: &str = "x-tenant";

impl Way {
    /// A layer for requests of one tenant.
    fn layer(self, pool: TokenPool<Tenant>, tenant: &Tenant) -> OAuthLayer {
        let layer = match self {
            Self::Given => OAuthLayer::keyed(API, pool).map(|layer| layer.key(tenant.clone())),
            Self::Extension => OAuthLayer::keyed_by_extension::<Tenant>(API, pool),
            Self::Function => OAuthLayer::keyed_by(API, pool, |head| {
                let name = head.headers.get(HEADER)?.to_str().ok()?;
                ["acme", "beta", "gamma", "unknown"].into_iter().find(|known| *known == name).map(Tenant)
            }),
        };
        layer.expect("an origin")
    }

    fn request(self, url: &str, tenant: &Tenant) -> Request<Empty<Bytes>> {
        let mut request = tests::steps::get(url);
        match self {
            Self::Given => {}
            Self::Extension => drop(request.extensions_mut().insert(tenant.clone())),
            Self::Function => {
                request.headers_mut().insert(HEADER, tenant.0.parse().expect("a value"));
            }
        }
        request
    }

    async fn call(
        self,
        pool: &TokenPool<Tenant>,
        api: &Script,
        tenant: &Tenant,
    ) -> Result<Response<ProbeBody>, BoxError> {
        let layer = self.layer(pool.clone(), tenant);
        layer.layer(api.clone()).oneshot(self.request("https://api.test/x", tenant)).await
    }
}

/// The status, and what the extension says.
fn told<B>(response: &Response<B>) -> (u16, String) {
    (response.status().as_u16(), outcome(response.extensions()))
}

fn ok() -> (u16, String) {
    (200, "-".to_owned())
}

fn retried(status: u16) -> (u16, String) {
    (status, "Retried".to_owned())
}

fn kind<T>(result: Result<T, BoxError>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it is refused"),
        Err(error) => error.downcast_ref::<tower_oauth::Error>().expect("ours").kind(),
    }
}
