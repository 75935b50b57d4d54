//! `ReplayLayer` over a client whose body type is written out as the body that the caller has.
//
// error: the method `oneshot` exists for struct `ReplayService<
// names: a client below has `Replay<B>` for its body type, not `B`

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt};
use tower_oauth::{BoxError, OAuthLayer, ReplayLayer, oauth_tokens::TokenCache};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let api = ServiceBuilder::new()
        .layer(ReplayLayer::new())
        .layer(OAuthLayer::new("https://api.example.com", TokenCache::fixed("t0k3n")?)?)
        .service(client);

    let request = Request::post("https://api.example.com/upload").body(Full::<Bytes>::from("x"))?;
    let response = api.oneshot(request).await?;
    println!("{}", response.status());
    Ok(())
}
