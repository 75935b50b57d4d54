//! `Balance`, of which there is only one, directly below the layer.
//
// error: the OAuth layer cannot go directly over `Balance<
// error: the method `oneshot` exists for struct `OAuth<
// names: put a `tower::buffer::Buffer` between them: `.layer(oauth).buffer(64).service(..)`

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt, balance::p2c::Balance, discover::ServiceList, load::Constant};
use tower_oauth::{BoxError, OAuthLayer, oauth_tokens::TokenCache};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let endpoints = [Constant::new(client.clone(), 1), Constant::new(client, 1)];
    let balance = Balance::new(ServiceList::new::<Request<Full<Bytes>>>(endpoints));
    let api = ServiceBuilder::new()
        .layer(OAuthLayer::new("https://api.example.com", TokenCache::fixed("t0k3n")?)?)
        .service(balance);

    let response = api.oneshot(Request::get("https://api.example.com/x").body(Full::default())?).await?;
    println!("{}", response.status());
    Ok(())
}
