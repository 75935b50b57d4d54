//! The same in a stack of layers.
//
// error: the method `service` exists for struct `ServiceBuilder<Stack<KeyedLayer<
// names: It is a layer as soon as it has a key: `.key(tenant)` gives one.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt};
use tower_oauth::{
    BoxError, OAuthLayer,
    oauth_tokens::{AccessToken, TokenPool, TokenSet, source_fn},
};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let tenants =
        TokenPool::new(|_: &u32| Ok(source_fn(|| async { Ok(TokenSet::new(AccessToken::bearer("t0k3n")?)) })));
    let crm = OAuthLayer::keyed("https://crm.example.com", tenants)?;
    let crm = ServiceBuilder::new().layer(crm).service(client);

    let response = crm.oneshot(Request::get("https://crm.example.com/x").body(Full::default())?).await?;
    println!("{}", response.status());
    Ok(())
}
