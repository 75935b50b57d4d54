//! A service of something else than HTTP.
//
// error: `String` is no request that the OAuth layer takes
// error: `String` is no response that the OAuth layer takes
// names: the layer takes `http::Request<B>`, and `reqwest::Request` with the feature `reqwest`
// names: the layer takes `http::Response<B>` where `B` is an `http_body::Body`, and `reqwest::Response`

use tower::{Layer, service_fn, util::BoxCloneService};
use tower_oauth::{BoxError, OAuthLayer, oauth_tokens::TokenCache};

fn main() -> Result<(), BoxError> {
    let echo = service_fn(|line: String| async move { Ok::<_, BoxError>(line) });
    let api = OAuthLayer::new("https://api.example.com", TokenCache::fixed("t0k3n")?)?.layer(echo);
    let boxed: BoxCloneService<String, String, BoxError> = BoxCloneService::new(api);
    println!("{boxed:?}");
    Ok(())
}
