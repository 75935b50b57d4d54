//! The two services over sockets.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::service::{Side, TestService};
use crate::state::Shared;
use crate::tls::{Authority, Tls};

/// Bound ports, not yet served: the issuer's name depends on them.
pub(crate) struct Listeners {
    authorization: Port,
    api: Port,
    /// The authorization server's second, which asks for a client certificate.
    mtls: Option<Port>,
}

struct Port {
    listener: TcpListener,
    origin: String,
    tls: Option<Tls>,
}

impl Port {
    async fn bind(tls: Option<Tls>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Self { origin: format!("{scheme}://{}", listener.local_addr()?), listener, tls })
    }
}

impl Listeners {
    /// With an authority they speak TLS; with `mtls` they ask the client for a certificate, but for the
    /// authorization server's first.
    pub(crate) async fn bind(authority: Option<&Authority>, mtls: bool) -> io::Result<Self> {
        let plain = authority.map(|authority| Tls::new(authority, false)).transpose()?;
        let asking = authority.filter(|_| mtls).map(|authority| Tls::new(authority, true)).transpose()?;
        Ok(Self {
            authorization: Port::bind(plain.clone()).await?,
            api: Port::bind(asking.clone().or(plain)).await?,
            mtls: match asking {
                Some(tls) => Some(Port::bind(Some(tls)).await?),
                None => None,
            },
        })
    }

    pub(crate) fn authorization_origin(&self) -> &str {
        &self.authorization.origin
    }

    pub(crate) fn api_origin(&self) -> String {
        self.api.origin.clone()
    }

    pub(crate) fn mtls_origin(&self) -> Option<String> {
        Some(self.mtls.as_ref()?.origin.clone())
    }

    pub(crate) fn serve(self, shared: &Arc<Shared>) -> Sockets {
        let start = |port: Port, side| {
            let service = TestService::new(shared.clone(), side);
            tokio::spawn(accept(port.listener, port.tls, service)).abort_handle()
        };
        let mut tasks = vec![start(self.authorization, Side::Authorization), start(self.api, Side::Api)];
        tasks.extend(self.mtls.map(|port| start(port, Side::Authorization)));
        Sockets { tasks }
    }
}

/// The tasks that serve the sockets. They end with it, and their connections with them.
#[derive(Debug)]
pub(crate) struct Sockets {
    tasks: Vec<AbortHandle>,
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn accept(listener: TcpListener, tls: Option<Tls>, service: TestService) {
    // Owned by this task, so that aborting it closes every connection.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, for one. Others get time to give some back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, tls.clone(), service.clone()));
    }
}

async fn connection(stream: TcpStream, tls: Option<Tls>, service: TestService) {
    // A client that goes away, or that does not trust us, is its own test's affair.
    stream.set_nodelay(true).ok();
    match tls {
        None => serve(stream, service).await,
        Some(tls) => {
            if let Ok((stream, certificate)) = tls.accept(stream).await {
                serve(stream, service.of_connection(certificate)).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: TestService) {
    auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await
        .ok();
}
