//! A greeter on a real socket.

use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::{
    Status, Streaming,
    body::Body,
    transport::{Channel, Endpoint, Server},
};
use tower::Service;
use tower_oauth::BoxError;

use super::greeter::{Greeting, Name, greeter_server::Greeter};

/// A server that ends when it is dropped.
#[derive(Debug)]
pub struct Served {
    origin: String,
    task: JoinHandle<()>,
}

impl Served {
    /// Where it listens.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A channel to it, not connected yet.
    ///
    /// # Panics
    ///
    /// Never: the origin is one.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.endpoint().connect_lazy()
    }

    /// Where channels go.
    ///
    /// # Panics
    ///
    /// Never: the origin is one.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(self.origin.clone()).expect("an origin")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves on a free port of loopback.
///
/// # Panics
///
/// When there is none.
pub async fn serve<S, B>(server: Server, service: S) -> Served
where
    S: Service<Request<Body>, Response = Response<B>, Future: Send, Error: Into<BoxError> + Send>
        + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("its address"));
    let serving = server.serve_with_incoming(service, TcpListenerStream::new(listener));
    let task = tokio::spawn(async move { serving.await.expect("it serves") });
    Served { origin, task }
}

/// Greets whoever comes; who may come is somebody else's affair.
#[derive(Clone, Debug, Default)]
pub struct Greets;

type Greetings = Pin<Box<dyn Stream<Item = Result<Greeting, Status>> + Send>>;

#[tonic::async_trait]
impl Greeter for Greets {
    type GreetAllDayStream = Greetings;
    type GreetEachStream = Greetings;

    async fn greet(&self, name: tonic::Request<Name>) -> Result<tonic::Response<Greeting>, Status> {
        Ok(tonic::Response::new(hello(&name.into_inner().name)))
    }

    async fn greet_all_day(&self, name: tonic::Request<Name>) -> Result<tonic::Response<Greetings>, Status> {
        let name = name.into_inner().name;
        let hours = (0..24).map(move |hour| Ok(Greeting { text: format!("It is {hour}, {name}.") }));
        Ok(tonic::Response::new(Box::pin(tokio_stream::iter(hours))))
    }

    async fn greet_together(
        &self,
        names: tonic::Request<Streaming<Name>>,
    ) -> Result<tonic::Response<Greeting>, Status> {
        let names: Vec<Name> = names.into_inner().collect::<Result<_, _>>().await?;
        let names: Vec<_> = names.into_iter().map(|name| name.name).collect();
        Ok(tonic::Response::new(hello(&names.join(" and "))))
    }

    async fn greet_each(&self, names: tonic::Request<Streaming<Name>>) -> Result<tonic::Response<Greetings>, Status> {
        let greetings = names.into_inner().map(|name| Ok(hello(&name?.name)));
        Ok(tonic::Response::new(Box::pin(greetings)))
    }
}

fn hello(name: &str) -> Greeting {
    Greeting { text: format!("Hello, {name}!") }
}
