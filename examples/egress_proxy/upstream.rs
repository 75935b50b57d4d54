//! A client of an upstream, with the OAuth layer on it.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response, header::AUTHORIZATION};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tower::{ServiceBuilder, ServiceExt, filter::FilterLayer, util::BoxCloneSyncService};
use tower_oauth::{BoxError, ConfiguredLayer, Replay, ReplayLayer, oauth_tokens::TokenCache};

use super::{
    body::RequestBody,
    routes::base_uri,
    settings::{Settings, UpstreamSettings},
};

/// For how long a connection that nobody uses is kept.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// A place where requests go, with tokens.
pub(super) struct Upstream {
    pub(super) name: Arc<str>,
    pub(super) tokens: TokenCache,
    /// Whether cookies pass, both ways.
    pub(super) cookies: bool,
    service: BoxCloneSyncService<Request<RequestBody>, Response<Incoming>, BoxError>,
}

impl Upstream {
    /// All upstreams of the settings, in their order. No network.
    pub(super) fn all(settings: &Settings) -> Result<Vec<Arc<Self>>> {
        let roots = system_roots();
        let mut credentials = BTreeMap::new();
        for (name, config) in &settings.oauth {
            let oauth = config.build().with_context(|| format!("`oauth.{name}` cannot be used"))?;
            let client = client(&oauth, roots.clone(), settings)
                .with_context(|| format!("there is no client with the certificates of `oauth.{name}`"))?;
            credentials.insert(name.as_str(), (oauth, client));
        }
        let upstream = |named: &UpstreamSettings| -> Result<Arc<Self>> {
            let known = credentials.get(named.oauth.as_str());
            let (oauth, client) = known.context("its `oauth` is not the name of credentials")?;
            let url = base_uri(&named.url)?;
            // Never without a token: where none would go, a typing error would be an open door.
            let tokens = oauth.tokens_for(&url).with_context(|| {
                format!("no origin of `oauth.{}` covers the `url`: its requests would get no token", named.oauth)
            })?;
            let service = ServiceBuilder::new()
                .layer(ReplayLayer::new().max_bytes(settings.limits.replay_bytes))
                .layer(oauth.layer())
                .layer(FilterLayer::new(authorized as fn(Request<Body>) -> Result<Request<Body>, Unauthorized>))
                .service(client.clone());
            let service = BoxCloneSyncService::new(service);
            Ok(Arc::new(Self {
                name: named.name.as_str().into(),
                tokens: tokens.clone(),
                cookies: named.cookies,
                service,
            }))
        };
        let named = settings.upstreams.iter();
        named.map(|named| upstream(named).with_context(|| format!("the upstream `{}`", named.name))).collect()
    }

    pub(super) fn send(
        &self,
        request: Request<RequestBody>,
    ) -> BoxFuture<'static, Result<Response<Incoming>, BoxError>> {
        self.service.clone().oneshot(request).boxed()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

type Body = Replay<RequestBody>;

/// The last look before the wire: whatever the layers above were told, nothing goes out without a token.
fn authorized(request: Request<Body>) -> Result<Request<Body>, Unauthorized> {
    if request.headers().contains_key(AUTHORIZATION) { Ok(request) } else { Err(Unauthorized) }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Unauthorized;

impl fmt::Display for Unauthorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request without a token was not sent")
    }
}

impl std::error::Error for Unauthorized {}

/// Trusts the system's roots and those of `server.root_certificates`, and shows the certificate of `client.certificate`. Takes
/// no proxy from the environment, and follows no redirects.
fn client(
    oauth: &ConfiguredLayer,
    mut roots: RootCertStore,
    settings: &Settings,
) -> Result<Client<HttpsConnector<HttpConnector>, Body>> {
    if let Some(pem) = oauth.root_certificates() {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate?)?;
        }
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let tls = match oauth.certificate_files() {
        None => tls.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
            tls.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?
        }
    };
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(settings.timeouts.connect));
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .http1_max_buf_size(settings.limits.head_bytes)
        .build(connector))
}

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the system's root certificates cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}
