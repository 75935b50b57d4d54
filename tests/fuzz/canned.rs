//! One answer to every request, and a runtime whose clock is paused: retries wait for no time at all.

use std::{
    convert::Infallible,
    error::Error,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use oauth_tokens::HttpClient;
use tokio::runtime::{Builder, Runtime};
use tower_service::Service;

/// A service that always answers the same.
#[derive(Clone)]
pub struct Canned(Response<Bytes>);

impl Canned {
    /// As the client that exchanges go through.
    pub fn http(response: Response<Bytes>) -> HttpClient {
        HttpClient::new(Self(response))
    }
}

impl Service<Request<Full<Bytes>>> for Canned {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(self.0.clone().map(Full::new)))
    }
}

/// Runs a future to its end.
pub fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: Runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// An error's `Display` and `Debug`, and those of every cause.
pub fn shown(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        text.push_str(&format!("{error}\n{error:?}\n"));
        next = error.source();
    }
    text
}
