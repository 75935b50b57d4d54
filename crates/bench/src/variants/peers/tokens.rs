//! Where the peers get their tokens: from memory where they let us, else from a token endpoint on loopback.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Request, Response, header::CONTENT_TYPE};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{poll, request::Body};

/// Each token once, in their order; the last one for ever.
#[derive(Clone)]
pub(super) struct Tokens {
    rest: Arc<Mutex<Vec<String>>>,
}

impl Tokens {
    pub(super) fn new(mut tokens: Vec<String>) -> Self {
        tokens.reverse();
        Self { rest: Arc::new(Mutex::new(tokens)) }
    }

    pub(super) fn take(&self) -> String {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let last = rest.last().cloned().unwrap_or_default();
        if rest.len() > 1 {
            rest.pop();
        }
        last
    }

    /// The URL of a token endpoint that hands them out: as many as there are, each for a connection of its own.
    pub(super) fn serve(&self) -> io::Result<String> {
        let listener = poll::runtime()?.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let address: SocketAddr = listener.local_addr()?;
        let tokens = self.clone();
        let connections = tokens.rest.lock().unwrap_or_else(PoisonError::into_inner).len();
        poll::runtime()?.spawn(async move {
            for _ in 0..connections {
                let Ok((stream, _)) = listener.accept().await else { return };
                let answer = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(response(&tokens.take())));
                // A client that goes away early misses its token, and the variant fails to be made.
                let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), answer).await;
            }
        });
        Ok(format!("http://{address}/token"))
    }
}

// Not with its content: it is shown where something failed.
impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

fn response(token: &str) -> Response<Body> {
    let json = serde_json::json!({"access_token": token, "token_type": "Bearer", "expires_in": 7200});
    let mut response = Response::new(Body::from(json.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
