//! A service of a pool's tokens, and nobody says whose.
//
// error: the method `oneshot` exists for struct `Keyed<
// names: It is a service as soon as it has a key: `.key(tenant)` gives one.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::ServiceExt;
use tower_oauth::{
    BoxError, OAuthLayer,
    oauth_tokens::{AccessToken, TokenPool, TokenSet, source_fn},
};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let tenants =
        TokenPool::new(|_: &u32| Ok(source_fn(|| async { Ok(TokenSet::new(AccessToken::bearer("t0k3n")?)) })));
    let crm = OAuthLayer::keyed("https://crm.example.com", tenants)?.layer(client);

    let response = crm.oneshot(Request::get("https://crm.example.com/x").body(Full::default())?).await?;
    println!("{}", response.status());
    Ok(())
}
