//! A stream, sent through hyper-util's client and the layer without a word about its replay.
//
// error: a second copy of the body `StreamBody<
// names: wrap the body in `tower_oauth::Replay`, or put a `tower_oauth::ReplayLayer` above the OAuth layer

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};
use tower_oauth::{BoxError, OAuthLayer, oauth_tokens::TokenCache};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let api = OAuthLayer::new("https://api.example.com", TokenCache::fixed("t0k3n")?)?.layer(client);

    let frames = ["a ", "stream"].map(|part| Ok::<_, std::io::Error>(Frame::data(Bytes::from(part))));
    let body = StreamBody::new(stream::iter(frames));
    let response = api.oneshot(Request::post("https://api.example.com/upload").body(body)?).await?;
    println!("{}", response.status());
    Ok(())
}
