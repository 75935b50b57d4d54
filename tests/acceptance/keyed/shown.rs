//! S1: a key may name a person, and an extra scope a secret in the wrong place: neither is shown anywhere.

use tests::{
    capture::Capture,
    script::{Answer, Script},
    support::shown,
};
use tower::{Layer, ServiceExt};
use tower_oauth::{OAuthLayer, TokenOptions};

use super::{API, Issuer, Tenant, WAYS};

const NAME: &str = "ada-lovelace";

#[tokio::test]
async fn s1_neither_keys_nor_scopes_are_shown() {
    let capture = Capture::start();
    let tenant = Tenant(NAME);
    let mut texts = Vec::new();
    for way in WAYS {
        let issuer = Issuer::default();
        let pool = issuer.pool().capacity(1);
        let layer = way.layer(pool.clone(), &tenant);
        let api = Script::new([Answer::status(401), Answer::status(401)]);
        let service = layer.layer(api.clone());
        texts.push(format!("{layer:?} {layer:#?} {service:#?} {:?}", layer.middleware()));
        let mut request = way.request("https://api.test/x", &tenant);
        request.extensions_mut().insert(TokenOptions::new().scope("s3cret-scope"));
        if let Err(error) = service.clone().oneshot(request).await {
            texts.push(shown(&*error));
        }
        let _in_use = pool.get(&Tenant("acme"));
        if let Err(error) = service.oneshot(way.request("https://api.test/x", &tenant)).await {
            texts.push(shown(&*error));
        }
    }
    let keyed = OAuthLayer::keyed(API, Issuer::default().pool()).expect("an origin");
    let service = keyed.layer(Script::new([]));
    texts.push(format!("{keyed:#?} {service:#?} {:#?}", service.key(tenant)));
    texts.push(format!("{:?}", TokenOptions::new().scope("s3cret-scope")));
    texts.push(capture.text());
    for text in texts {
        // The tokens' names are the tenants', in these tests.
        assert!(!text.contains(NAME) && !text.contains("s3cret-scope"), "{text}");
    }
}
