//! A socket on a loopback address, and the connections to it, all of them bounded.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Sleep,
};

use super::door::Door;
use crate::{Error, ErrorKind, timer};

/// A browser opens some at once; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 16;
/// How long the head of a request may take, also of one that never comes: browsers connect in advance.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may last in all: a callback waits until its code is redeemed.
const CONNECTION: Duration = Duration::from_secs(60);
/// For the head of a request, in bytes. The callback's query needs 16 KiB at most; the rest is for cookies, which programs on
/// other ports of this machine have set, too.
const MAX_HEAD: usize = 64 * 1024;
/// Before the next try, when the system has no more file descriptors for example.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// A listener at work. Dropped, it ends with all its connections.
pub(super) struct Serving {
    socket: TcpListener,
    door: Arc<Door>,
    connections: JoinSet<()>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Listener {
    /// A literal loopback address, never `localhost`: what that leads to is up to a resolver (RFC 8252, section 8.3).
    pub(super) async fn bind() -> Result<Self, Error> {
        timer::runtime_with_timer()?;
        let bound = match bind(Ipv4Addr::LOCALHOST.into()).await {
            Ok(bound) => Ok(bound),
            Err(error) => bind(Ipv6Addr::LOCALHOST.into()).await.map_err(|_| error),
        };
        let (socket, address) = bound.map_err(|error| {
            let message = "a sign-in needs a port on 127.0.0.1 or [::1] to listen on, and none can be had";
            Error::new(ErrorKind::SignInCancelled, message).caused_by(error)
        })?;
        Ok(Self { socket, address })
    }

    /// What a browser writes into `Host`.
    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn serve(self, door: Arc<Door>) -> Serving {
        Serving { socket: self.socket, door, connections: JoinSet::new(), pause: None }
    }
}

async fn bind(address: IpAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpListener::bind((address, 0)).await?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

impl Serving {
    /// Serves while this future runs, and no longer.
    pub(super) async fn during<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| {
            self.poll_connections(cx);
            future.as_mut().poll(cx)
        })
        .await
    }

    fn poll_connections(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(_)) = self.connections.poll_join_next(cx) {}
        if self.pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_pending()) {
            return;
        }
        self.pause = None;
        while self.connections.len() < MAX_CONNECTIONS {
            match self.socket.poll_accept(cx) {
                Poll::Pending => return,
                Poll::Ready(Ok((stream, _))) => drop(self.connections.spawn(connection(stream, self.door.clone()))),
                Poll::Ready(Err(_)) => return self.pause(cx),
            }
        }
        // The first that ends wakes us.
        while let Poll::Ready(Some(_)) = self.connections.poll_join_next(cx) {}
    }

    fn pause(&mut self, cx: &mut Context<'_>) {
        self.pause = timer::sleep(PAUSE).ok();
        if self.pause.as_mut().is_none_or(|pause| pause.as_mut().poll(cx).is_ready()) {
            cx.waker().wake_by_ref();
        }
    }
}

async fn connection(stream: TcpStream, door: Arc<Door>) {
    let farewell = AtomicBool::new(false);
    let answer = service_fn(|request| {
        farewell.fetch_or(door.is_farewell(&request), Relaxed);
        let door = door.clone();
        async move { Ok::<_, Infallible>(door.answer(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MAX_HEAD).keep_alive(false);
    // Whatever went wrong with it is the other end's business.
    let _ = timer::timeout(CONNECTION, http.serve_connection(TokioIo::new(stream), answer)).await;
    if farewell.load(Relaxed) {
        door.note_farewell();
    }
}
