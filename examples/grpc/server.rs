//! The other side, embedded: a greeter that wants a token for each call.

use std::{net::Ipv4Addr, pin::Pin};

use anyhow::Result;
use futures_util::FutureExt;
use http::{Request, StatusCode, header::AUTHORIZATION};
use http_body_util::Empty;
use oauth_test_server::TestServer;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::{Response, Status, Streaming, transport::Server};
use tower::Service;

use crate::greeter::{
    Greeting, Name,
    greeter_server::{Greeter, GreeterServer},
};

/// Listens on a free port of 127.0.0.1, and says where.
pub(crate) async fn start(authorization: &TestServer) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let authorization = authorization.clone();
    let greeter = GreeterServer::with_interceptor(Polite, move |call| check(&authorization, call));
    tokio::spawn(Server::builder().add_service(greeter).serve_with_incoming(TcpListenerStream::new(listener)));
    Ok(origin)
}

/// Asks the authorization server's own API, which knows all tokens and answers at once. A server of yours verifies a
/// signature here.
fn check(authorization: &TestServer, call: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
    let mut request = Request::new(Empty::<bytes::Bytes>::new());
    if let Some(value) = call.metadata().as_ref().get(AUTHORIZATION) {
        request.headers_mut().insert(AUTHORIZATION, value.clone());
    }
    match authorization.api_service().call(request).now_or_never() {
        Some(Ok(answer)) if answer.status() == StatusCode::OK => Ok(call),
        _ => Err(Status::unauthenticated("a token that is good, please")),
    }
}

struct Polite;

type Greetings = Pin<Box<dyn Stream<Item = Result<Greeting, Status>> + Send>>;

#[tonic::async_trait]
impl Greeter for Polite {
    type GreetAllDayStream = Greetings;
    type GreetEachStream = Greetings;

    async fn greet(&self, name: tonic::Request<Name>) -> Result<Response<Greeting>, Status> {
        Ok(Response::new(greeting("Hello", &name.into_inner().name)))
    }

    async fn greet_all_day(&self, name: tonic::Request<Name>) -> Result<Response<Greetings>, Status> {
        let name = name.into_inner().name;
        let words = ["Good morning", "Good day", "Good evening"];
        let greetings = tokio_stream::iter(words).map(move |words| Ok(greeting(words, &name)));
        Ok(Response::new(Box::pin(greetings)))
    }

    async fn greet_together(&self, names: tonic::Request<Streaming<Name>>) -> Result<Response<Greeting>, Status> {
        let names: Vec<Name> = names.into_inner().collect::<Result<_, _>>().await?;
        let names: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
        Ok(Response::new(greeting("Hello", &names.join(" and "))))
    }

    async fn greet_each(&self, names: tonic::Request<Streaming<Name>>) -> Result<Response<Greetings>, Status> {
        let greetings = names.into_inner().map(|name| Ok(greeting("Hello", &name?.name)));
        Ok(Response::new(Box::pin(greetings)))
    }
}

fn greeting(words: &str, name: &str) -> Greeting {
    Greeting { text: format!("{words}, {name}!") }
}
