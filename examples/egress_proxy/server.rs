//! Listeners, connections, the end.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use tower::ServiceExt;
use tower_oauth::BoxError;

use super::{
    admin::{self, Admin},
    figures,
    gateway::Gateway,
    headers::Via,
    routes::Routes,
    settings::{Limits, Settings, Timeouts},
    stream::CallerStream,
    upstream::Upstream,
};

/// How long to wait when a connection cannot be accepted, for want of file descriptors for example.
const BREATH: Duration = Duration::from_millis(50);
/// Health checks and scrapers are few.
const ADMIN_CONNECTIONS: usize = 16;
/// For which their requests may go on after the last caller's.
const ADMIN_SHUTDOWN: Duration = Duration::from_secs(1);
/// How often figures are tidied up, should nobody ask for them.
const UPKEEP: Duration = Duration::from_secs(5);

/// A proxy that listens, and serves when it is told to.
pub struct Proxy {
    listener: TcpListener,
    admin_listener: TcpListener,
    admin: Admin,
    gateway: Arc<Gateway>,
    limits: Limits,
    timeouts: Timeouts,
}

impl Proxy {
    /// Judges the settings and binds the listeners. No other network: it starts while authorization servers are down.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings, or with an address.
    pub async fn bind(settings: &Settings) -> Result<Self> {
        let (gateway, upstreams) = Self::judge(settings)?;
        let figures = figures::recorder()?;
        let listener = TcpListener::bind(settings.listen).await.context("`listen` cannot be bound")?;
        let admin_listener = TcpListener::bind(settings.admin).await.context("`admin` cannot be bound")?;
        let is_loopback = settings.admin.ip().is_loopback();
        let admin = Admin { upstreams, figures, is_ending: Arc::default(), is_loopback };
        let (limits, timeouts) = (settings.limits.clone(), settings.timeouts.clone());
        Ok(Self { listener, admin_listener, admin, gateway: Arc::new(gateway), limits, timeouts })
    }

    /// Judges the settings, and what they refer to, and does nothing else.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn check(settings: &Settings) -> Result<()> {
        Self::judge(settings).map(drop)
    }

    fn judge(settings: &Settings) -> Result<(Gateway, Vec<Arc<Upstream>>)> {
        settings.check()?;
        let upstreams = Upstream::all(settings)?;
        let routes = Routes::new(settings, &upstreams)?;
        Ok((Gateway { routes, timeouts: settings.timeouts.clone(), via: Via::new() }, upstreams))
    }

    /// Where programs find the proxy.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Where `/metrics` and `/healthz` are.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn admin_address(&self) -> Result<SocketAddr> {
        Ok(self.admin_listener.local_addr()?)
    }

    /// Serves until it is told to end. Requests that are under way then have `timeouts.shutdown` to come to their end.
    ///
    /// # Errors
    ///
    /// When it was cut off from its runtime.
    pub async fn serve(self, end: impl Future<Output = ()>) -> Result<()> {
        let mut tasks = JoinSet::new();
        for upstream in &self.admin.upstreams {
            let tokens = upstream.tokens.clone();
            // So that the first request need not wait. Should it fail, health checks say so.
            tasks.spawn(async move { drop(tokens.ready().await) });
        }
        let figures = self.admin.figures.clone();
        tasks.spawn(async move {
            let mut upkeep = interval(UPKEEP);
            loop {
                upkeep.tick().await;
                figures.run_upkeep();
            }
        });
        let is_ending = Arc::clone(&self.admin.is_ending);
        let end = async move {
            end.await;
            is_ending.store(true, Ordering::Relaxed);
        };
        let (ended, has_ended) = oneshot::channel::<()>();
        let limits = Limits { connections: ADMIN_CONNECTIONS, ..self.limits.clone() };
        let router = admin::router(self.admin);
        let service = service_fn(move |request: Request<Incoming>| router.clone().oneshot(request));
        let admin = Connections::new(service, &limits, &self.timeouts);
        let admin_listener = self.admin_listener;
        let admin = tokio::spawn(async move {
            admin.serve(admin_listener, async { drop(has_ended.await) }, ADMIN_SHUTDOWN).await;
        });

        let gateway = self.gateway;
        let service = service_fn(move |request| {
            let gateway = Arc::clone(&gateway);
            async move { Ok::<_, Infallible>(gateway.answer(request).await) }
        });
        let connections = Connections::new(service, &self.limits, &self.timeouts);
        connections.serve(self.listener, end, self.timeouts.shutdown).await;
        // Told last, so that health checks have an answer up to the end.
        drop(ended);
        Ok(admin.await?)
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

/// The connections of one listener.
struct Connections<S> {
    service: S,
    http: http1::Builder,
    idle: Duration,
    places: Arc<Semaphore>,
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
}

impl<S, B> Connections<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    fn new(service: S, limits: &Limits, timeouts: &Timeouts) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(timeouts.request_head);
        http.max_header_size(limits.head_bytes).max_buf_size(limits.head_bytes);
        Self {
            service,
            http,
            idle: timeouts.idle,
            places: Arc::new(Semaphore::new(limits.connections)),
            graceful: GracefulShutdown::new(),
            tasks: JoinSet::new(),
        }
    }

    async fn serve(mut self, listener: TcpListener, end: impl Future<Output = ()>, grace: Duration) {
        let mut end = pin!(end);
        loop {
            tokio::select! {
                () = &mut end => break,
                () = self.accept(&listener) => {}
            }
            while self.tasks.try_join_next().is_some() {}
        }
        // Nobody new.
        drop(listener);
        if timeout(grace, self.graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still under way when their time was over; they are cut off");
        }
        self.tasks.shutdown().await;
    }

    /// One more connection, once there is a place for it.
    async fn accept(&mut self, listener: &TcpListener) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                return sleep(BREATH).await;
            }
        };
        let connection = self.connection(stream);
        self.tasks.spawn(async move {
            connection.await;
            drop(place);
        });
    }

    fn connection(&self, stream: TcpStream) -> impl Future<Output = ()> + Send + use<S, B> {
        let _ = stream.set_nodelay(true);
        let stream = CallerStream::new(stream, self.idle);
        let connection = self.http.serve_connection(TokioIo::new(stream), self.service.clone());
        let connection = self.graceful.watch(connection);
        async move {
            if let Err(error) = connection.await {
                // Callers go away, or talk nonsense: nothing to be done about it.
                tracing::debug!(%error, "a caller's connection ended");
            }
        }
    }
}
