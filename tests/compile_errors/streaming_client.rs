//! A client whose body type is written out, and is a stream: rustc then says only that the layer's service is none.
//
// error: the method `oneshot` exists for struct `OAuth<
// names: put a `ReplayLayer` above, or wrap them in `Replay`

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};
use tower_oauth::{BoxError, OAuthLayer, oauth_tokens::TokenCache};

type Upload = StreamBody<BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Upload>();
    let api = OAuthLayer::new("https://api.example.com", TokenCache::fixed("t0k3n")?)?.layer(client);

    let body: Upload = StreamBody::new(Box::pin(stream::empty()));
    let response = api.oneshot(Request::post("https://api.example.com/upload").body(body)?).await?;
    println!("{}", response.status());
    Ok(())
}
