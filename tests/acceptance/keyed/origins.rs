//! Rule 1, R4, R15: a tenant's token goes to the origins of its pool, and one pool has one origin unless that is said.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tests::{script::Script, steps::get};
use tower::{Layer, ServiceExt};
use tower_oauth::{ErrorKind, KeyedLayer, OAuthLayer};

use super::{API, Issuer, Tenant, WAYS, kind};

const OTHER: &str = "https://other.test";

#[tokio::test]
async fn r4_no_tenants_token_goes_elsewhere() {
    for way in WAYS {
        for url in [
            "https://other.test/x",
            "https://api.test.evil.test/x",
            "https://api.test:8443/x",
            "http://api.test/x",
            "https://evil.test@api.test/x",
        ] {
            let (issuer, api) = (Issuer::default(), Script::new([]));
            let tenant = Tenant("acme");
            let client = way.layer(issuer.pool(), &tenant).layer(api.clone());
            client.oneshot(way.request(url, &tenant)).await.expect("a response");
            assert_eq!((api.authorizations(), issuer.issued_in_all()), (vec![String::new()], 0), "{way:?} {url}");
        }
    }
}

/// What tells the key is somebody's code: it is not even asked for what goes elsewhere, or is refused.
#[tokio::test]
async fn r4_the_origin_is_looked_at_before_the_key() {
    let (issuer, api, asked) = (Issuer::default(), Script::new([]), Arc::new(AtomicUsize::new(0)));
    let layer = OAuthLayer::keyed_by("https://api.test/v2", issuer.pool(), {
        let asked = asked.clone();
        move |_| {
            asked.fetch_add(1, SeqCst);
            Some(Tenant("acme"))
        }
    });
    let client = layer.expect("an origin").layer(api.clone());
    for (url, refused) in [
        ("https://other.test/v2/x", None),
        ("https://api.test/v1", None),
        ("https://api.test/v2/../v1", Some(ErrorKind::AmbiguousPath)),
        ("/v2/x", Some(ErrorKind::NoAuthority)),
    ] {
        let result = client.clone().oneshot(get(url)).await;
        match refused {
            Some(refused) => assert_eq!(kind(result), refused, "{url}"),
            None => drop(result.expect("it passes")),
        }
    }
    let mut request = get("https://api.test/v2/x");
    request.headers_mut().insert("host", "other.test".parse().expect("a value"));
    assert_eq!(kind(client.clone().oneshot(request).await), ErrorKind::HostMismatch);
    assert_eq!((asked.load(SeqCst), issuer.issued_in_all()), (0, 0));
    client.oneshot(get("https://api.test/v2/x")).await.expect("a response");
    assert_eq!((asked.load(SeqCst), api.authorizations().pop()), (1, Some("Bearer acme.1".to_owned())));
}

/// The same tenant at two origins, each with a pool of its own: neither origin sees what the other one is sent.
#[tokio::test]
async fn f14_a_tenant_has_another_token_at_another_origin() {
    let (here, there) = (Issuer::marked("here-"), Issuer::marked("there-"));
    let given = OAuthLayer::keyed(API, here.pool()).and_then(|layer| layer.origin(OTHER, there.pool()));
    let by_extension = OAuthLayer::keyed_by_extension::<Tenant>(API, here.pool())
        .and_then(|layer| layer.origin_keyed_by_extension::<Tenant>(OTHER, there.pool()));
    let by_function = OAuthLayer::keyed_by(API, here.pool(), |_| Some(Tenant("acme")))
        .and_then(|layer| layer.origin_keyed_by(OTHER, there.pool(), |_| Some(Tenant("acme"))));
    let given = given.map(|layer: KeyedLayer<Tenant>| layer.key(Tenant("acme")));
    for layer in [given, by_extension, by_function] {
        let (layer, api) = (layer.expect("origins"), Script::new([]));
        for url in ["https://api.test/x", "https://other.test/x", "https://third.test/x"] {
            let mut request = get(url);
            request.extensions_mut().insert(Tenant("acme"));
            layer.layer(api.clone()).oneshot(request).await.expect("a response");
        }
        let sent = api.authorizations();
        let origins = ["Bearer here-acme", "Bearer there-acme", ""];
        let all_are_right = sent.iter().zip(origins).all(|(sent, origin)| sent.split('.').next() == Some(origin));
        assert!(all_are_right && sent.len() == 3, "{sent:?}");
    }
}

/// Kinds may be mixed: each origin goes by its own.
#[tokio::test]
async fn f14_origins_of_different_kinds_go_together() {
    let (issuer, single) = (Issuer::default(), tests::numbered::Numbered::new());
    let layer = OAuthLayer::new(OTHER, single.cache.clone())
        .and_then(|layer| layer.origin_keyed_by_extension::<Tenant>(API, issuer.pool()))
        .expect("origins");
    let api = Script::new([]);
    let client = layer.layer(api.clone());
    client.clone().oneshot(get("https://other.test/x")).await.expect("a response");
    let mut request = get("https://api.test/x");
    request.extensions_mut().insert(Tenant("acme"));
    client.clone().oneshot(request).await.expect("a response");
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer acme.1"]);
    assert_eq!(kind(client.oneshot(get("https://api.test/x")).await), ErrorKind::MissingKey);
}

/// Whoever runs one origin could use its tenants' tokens at the other.
#[tokio::test]
async fn r15_one_pool_at_two_origins_has_to_be_said() {
    let issuer = Issuer::default();
    let pool = issuer.pool();
    let given = OAuthLayer::keyed(API, pool.clone()).expect("an origin");
    let function = OAuthLayer::keyed_by(API, pool.clone(), |_| Some(Tenant("acme"))).expect("an origin");
    let extension = OAuthLayer::keyed_by_extension::<Tenant>(API, pool.clone()).expect("an origin");
    let refused = [
        given.clone().origin(OTHER, pool.clone()).map(drop),
        given.key(Tenant("acme")).origin_keyed_by_extension::<Tenant>(OTHER, pool.clone()).map(drop),
        function.clone().origin_keyed_by(OTHER, pool.clone(), |_| Some(Tenant("acme"))).map(drop),
        function.clone().origin_keyed_by_extension::<Tenant>(OTHER, pool.clone()).map(drop),
        extension.clone().origin_keyed_by_extension::<Tenant>(OTHER, pool.clone()).map(drop),
        extension.clone().origin_keyed_by(OTHER, pool, |_| Some(Tenant("acme"))).map(drop),
    ];
    for error in refused {
        let error = error.expect_err("R15");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("origin_sharing_with"), "{error}");
    }
    let shared = [
        given.origin_sharing_with(OTHER, API).map(|layer| layer.key(Tenant("acme"))),
        function.origin_sharing_with(OTHER, API),
        extension.origin_sharing_with(OTHER, "https://API.test:443/"),
    ];
    for layer in shared {
        let (layer, api) = (layer.expect("origins"), Script::new([]));
        for url in ["https://api.test/x", "https://other.test/x"] {
            let mut request = get(url);
            request.extensions_mut().insert(Tenant("acme"));
            layer.layer(api.clone()).oneshot(request).await.expect("a response");
        }
        assert_eq!(api.authorizations(), ["Bearer acme.1", "Bearer acme.1"]);
    }
    assert_eq!(issuer.issued_in_all(), 1);
}

#[test]
fn r15_only_an_origin_that_is_there_can_be_shared_with() {
    let layer = || OAuthLayer::keyed(API, Issuer::default().pool()).expect("an origin");
    for (origin, known) in [(OTHER, "https://third.test"), (OTHER, "https://api.test/v2"), (API, API), ("x", API)] {
        let error = layer().origin_sharing_with(origin, known).expect_err(known);
        assert_eq!(error.kind(), ErrorKind::Config, "{origin} {known}");
    }
    let single = OAuthLayer::new(API, oauth_tokens::TokenCache::fixed("t").expect("a token")).expect("an origin");
    single.origin_sharing_with("https://api.test/v2", API).expect("a cache's tokens, too");
}

#[test]
fn r4_what_a_keyed_layer_refuses_to_be_built_of() {
    let pool = || Issuer::default().pool();
    for origin in ["", "api.test", "http://api.test", "https://user@api.test", "https://*.test", "https://127.1"] {
        let errors = [
            OAuthLayer::keyed(origin, pool()).map(drop),
            OAuthLayer::keyed_by_extension::<Tenant>(origin, pool()).map(drop),
            OAuthLayer::keyed_by(origin, pool(), |_| None::<Tenant>).map(drop),
            OAuthLayer::keyed(API, pool()).and_then(|layer| layer.origin(origin, pool())).map(drop),
        ];
        for error in errors {
            assert_eq!(error.expect_err(origin).kind(), ErrorKind::Config, "{origin}");
        }
    }
    let twice = OAuthLayer::keyed(API, pool()).and_then(|layer| layer.origin("https://API.test/", pool()));
    assert_eq!(twice.expect_err("twice").kind(), ErrorKind::Config);
}
