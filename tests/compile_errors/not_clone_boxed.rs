//! A boxed service that is not `Clone`, below the layer, and a buffer above instead of between.
//
// error: the OAuth layer cannot go directly over `BoxService<
// names: put a `tower::buffer::Buffer` between them: `.layer(oauth).buffer(64).service(..)`

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, util::BoxService};
use tower_oauth::{BoxError, OAuthLayer, oauth_tokens::TokenCache};

async fn call(client: BoxService<Request<Full<Bytes>>, Response<Full<Bytes>>, BoxError>) -> Result<(), BoxError> {
    let api = ServiceBuilder::new()
        .buffer(64)
        .layer(OAuthLayer::new("https://api.example.com", TokenCache::fixed("t0k3n")?)?)
        .service(client);

    let response = api.oneshot(Request::get("https://api.example.com/x").body(Full::default())?).await?;
    println!("{}", response.status());
    Ok(())
}

fn main() {
    let _ = call;
}
