//! The same where the whole stack is boxed: in the state of a server, for example.
//
// error: a second copy of the body `StreamBody<
// names: wrap the body in `tower_oauth::Replay`, or put a `tower_oauth::ReplayLayer` above the OAuth layer

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_oauth::{BoxError, OAuthLayer, oauth_tokens::TokenCache};

type Upload = StreamBody<BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>>;
type Api = BoxCloneSyncService<Request<Upload>, Response<hyper::body::Incoming>, BoxError>;

fn api() -> Result<Api, BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let layer = OAuthLayer::new("https://api.example.com", TokenCache::fixed("t0k3n")?)?;
    Ok(BoxCloneSyncService::new(ServiceBuilder::new().layer(layer).service(client)))
}

fn main() {
    println!("{}", api().is_ok());
}
