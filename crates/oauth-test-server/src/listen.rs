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
use crate::tls::Tls;

/// Two bound ports, not yet served: the issuer's name depends on them.
pub(crate) struct Listeners {
    authorization: TcpListener,
    authorization_origin: String,
    api: TcpListener,
    api_origin: String,
    tls: Option<Tls>,
}

impl Listeners {
    pub(crate) async fn bind(tls: bool) -> io::Result<Self> {
        let tls = if tls { Some(Tls::generate()?) } else { None };
        let authorization = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Self {
            authorization_origin: format!("{scheme}://{}", authorization.local_addr()?),
            api_origin: format!("{scheme}://{}", api.local_addr()?),
            authorization,
            api,
            tls,
        })
    }

    pub(crate) fn authorization_origin(&self) -> &str {
        &self.authorization_origin
    }

    pub(crate) fn api_origin(&self) -> String {
        self.api_origin.clone()
    }

    pub(crate) fn serve(self, shared: &Arc<Shared>) -> Sockets {
        let start = |listener, side| {
            let service = TestService::new(shared.clone(), side);
            tokio::spawn(accept(listener, self.tls.clone(), service)).abort_handle()
        };
        Sockets { tasks: [start(self.authorization, Side::Authorization), start(self.api, Side::Api)], tls: self.tls }
    }
}

/// The tasks that serve the sockets. They end with it, and their connections with them.
#[derive(Debug)]
pub(crate) struct Sockets {
    tasks: [AbortHandle; 2],
    tls: Option<Tls>,
}

impl Sockets {
    pub(crate) fn ca_certificate_pem(&self) -> Option<&str> {
        self.tls.as_ref().map(Tls::ca_certificate_pem)
    }
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
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, service).await;
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
