//! `ReplayLayer` on the wrong side.
//
// error: a second copy of the body `StreamBody<
// names: put a `tower_oauth::ReplayLayer` above the OAuth layer

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt};
use tower_oauth::{BoxError, OAuthLayer, ReplayLayer, oauth_tokens::TokenCache};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let api = ServiceBuilder::new()
        .layer(OAuthLayer::new("https://api.example.com", TokenCache::fixed("t0k3n")?)?)
        .layer(ReplayLayer::new())
        .service(client);

    let body = StreamBody::new(stream::empty::<Result<Frame<Bytes>, std::io::Error>>());
    let response = api.oneshot(Request::post("https://api.example.com/upload").body(body)?).await?;
    println!("{}", response.status());
    Ok(())
}
