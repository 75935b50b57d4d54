//! Which token a request gets: several origins, shared caches, selectors (R4, R15), and what a layer refuses to be built of.

use tests::{
    numbered::Numbered,
    script::{Answer, Script},
    steps::{API, get},
};
use tower::{Layer, ServiceExt};
use tower_oauth::{Error, ErrorKind, OAuthLayer, Origin, oauth_tokens::TokenCache};

fn fixed(token: &str) -> TokenCache {
    TokenCache::fixed(token).expect("a token")
}

async fn token_for(layer: &OAuthLayer, url: &str) -> String {
    let api = Script::new([]);
    layer.layer(api.clone()).oneshot(get(url)).await.expect("a response");
    api.authorizations().pop().expect("it was sent")
}

#[tokio::test]
async fn r4_each_origin_has_its_own_tokens_and_the_closest_prefix_wins() {
    let order: &[&[(&str, &str)]] = &[
        &[("https://api.test", "all"), ("https://api.test/v2", "v2"), ("https://api.test/v2/admin", "admin")],
        &[("https://api.test/v2/admin", "admin"), ("https://api.test", "all"), ("https://api.test/v2", "v2")],
    ];
    for origins in order {
        let (first, rest) = origins.split_first().expect("some");
        let mut layer = OAuthLayer::new(first.0, fixed(first.1)).expect("an origin");
        for (origin, token) in rest {
            layer = layer.origin(*origin, fixed(token)).expect("an origin");
        }
        layer = layer.origin("https://other.test:8443", fixed("other")).expect("an origin");
        for (url, token) in [
            ("https://api.test/", "Bearer all"),
            ("https://api.test/v20", "Bearer all"),
            ("https://api.test/v2", "Bearer v2"),
            ("https://api.test/v2/adm", "Bearer v2"),
            ("https://api.test/v2/admin/x", "Bearer admin"),
            ("https://other.test:8443/v2", "Bearer other"),
            ("https://other.test/v2", ""),
        ] {
            assert_eq!(token_for(&layer, url).await, token, "{url}");
        }
    }
}

#[tokio::test]
async fn r15_sharing_a_cache_is_an_explicit_call() {
    let tokens = fixed("shared");
    let one = || OAuthLayer::new(API, tokens.clone()).expect("an origin");
    for other in ["https://other.test", "https://api.test:8443", "https://api.test/v2"] {
        let error = one().origin(other, tokens.clone()).expect_err("not by accident");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("origin_sharing"), "{error}");

        let layer = one().origin_sharing(other, tokens.clone()).expect("it is meant");
        assert_eq!(token_for(&layer, other).await, "Bearer shared");
        assert_eq!(token_for(&layer, API).await, "Bearer shared");
    }
    // Equal tokens, but not one cache.
    assert!(one().origin("https://other.test", fixed("shared")).is_ok());
}

/// Sharing is by name, so one origin's 401 renews the token for both.
#[tokio::test]
async fn r15_what_is_shared_is_renewed_once() {
    let tokens = Numbered::new();
    let layer = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin");
    let layer = layer.origin_sharing("https://other.test", tokens.cache.clone()).expect("it is meant");
    let api = Script::new([Answer::status(401), Answer::status(200), Answer::status(200)]);
    let client = layer.layer(api.clone());
    client.clone().oneshot(get("https://api.test/x")).await.expect("a response");
    client.oneshot(get("https://other.test/x")).await.expect("a response");
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2", "Bearer t2"]);
    assert_eq!(tokens.fetches(), 2);
}

#[derive(Clone)]
struct Tenant(&'static str);

#[tokio::test]
async fn r4_a_selector_chooses_by_what_it_sees_within_the_origin() {
    let layer = OAuthLayer::selecting(["https://api.test/v2"], |head| {
        let tenant = head.extensions.and_then(|extensions| extensions.get::<Tenant>())?;
        Some(fixed(&format!("{}-{}-{}", tenant.0, head.method, head.headers.get("x-kind")?.to_str().ok()?)))
    })
    .expect("an origin");
    let request = |url: &str| {
        let mut request = get(url);
        request.extensions_mut().insert(Tenant("acme"));
        request.headers_mut().insert("x-kind", "k".parse().expect("a header value"));
        request
    };
    let send = async |request| {
        let api = Script::new([]);
        let result = layer.layer(api.clone()).oneshot(request).await;
        (result.map_err(|error| error.downcast_ref::<Error>().map(Error::kind)).err(), api.authorizations())
    };
    assert_eq!(send(request("https://api.test/v2/x")).await, (None, vec!["Bearer acme-GET-k".to_owned()]));
    // A selector obeys the same rule as any other: it is not even asked about other places.
    for elsewhere in ["https://api.test/v1", "https://other.test/v2"] {
        assert_eq!(send(request(elsewhere)).await, (None, vec![String::new()]), "{elsewhere}");
    }
    // None: refused, and nothing sent (R3).
    assert_eq!(send(get("https://api.test/v2/x")).await, (Some(Some(ErrorKind::NoToken)), vec![]));
}

/// The tokens that were selected are the ones that are renewed, also when the selector would choose others by now.
#[tokio::test]
async fn r4_what_was_selected_is_renewed() {
    let (first, second) = (Numbered::new(), Numbered::new());
    let turns = std::sync::atomic::AtomicU64::new(0);
    let caches = [first.cache.clone(), second.cache.clone()];
    let layer = OAuthLayer::selecting([API], move |_| {
        let turn = turns.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        caches.get(usize::try_from(turn).ok()?).cloned()
    })
    .expect("an origin");
    let api = Script::new([Answer::status(401)]);
    let response = layer.layer(api.clone()).oneshot(get("https://api.test/x")).await.expect("a response");
    assert_eq!((response.status().as_u16(), first.fetches(), second.fetches()), (200, 2, 0));
}

#[test]
fn r4_what_a_layer_refuses_to_be_built_of() {
    for origin in [
        "",
        "api.test",
        "ftp://api.test",
        "http://api.test",
        "https://",
        "https://user@api.test",
        "https://*.test",
        "https://127.1",
        "https://[::1%25eth0]",
        "https://api.test:0",
        "https://api.test/a/../b",
        "https://api.test/?q",
        "https://api.test/#f",
        "https://b\u{fc}cher.example",
        "https://api.test\r\n",
    ] {
        let errors = [
            OAuthLayer::new(origin, fixed("t")).map(drop),
            OAuthLayer::for_connection(origin, fixed("t")).map(drop),
            OAuthLayer::selecting([origin], |_| None).map(drop),
            OAuthLayer::new(API, fixed("t")).and_then(|layer| layer.origin(origin, fixed("u"))).map(drop),
            OAuthLayer::new(API, fixed("t")).and_then(|layer| layer.origin_sharing(origin, fixed("u"))).map(drop),
        ];
        for error in errors {
            let error = error.expect_err(origin);
            assert_eq!(error.kind(), ErrorKind::Config, "{origin}");
            assert!(error.token_error().is_none());
        }
        Origin::parse(origin).expect_err(origin);
    }
}

#[tokio::test]
async fn r4_a_selector_sees_which_of_its_origins_it_is() {
    let origins = ["https://api.test", "https://api.test/v2", "https://other.test"];
    let layer = OAuthLayer::selecting(origins, |head| TokenCache::fixed(head.origin.as_str()).ok()).expect("origins");
    for (url, origin) in [
        ("https://api.test/v1", "https://api.test"),
        ("https://API.test:443/v2/x", "https://api.test/v2"),
        ("https://other.test/v2", "https://other.test"),
    ] {
        assert_eq!(token_for(&layer, url).await, format!("Bearer {origin}"));
    }
    assert_eq!(token_for(&layer, "https://elsewhere.test").await, "");
    let none: [&str; 0] = [];
    assert_eq!(OAuthLayer::selecting(none, |_| None).expect_err("no origin").kind(), ErrorKind::Config);
    assert_eq!(OAuthLayer::selecting([API, API], |_| None).expect_err("twice").kind(), ErrorKind::Config);
}

#[test]
fn r15_an_origin_is_named_once() {
    let one = || OAuthLayer::new(API, fixed("t")).expect("an origin");
    for same in [API, "https://API.test:443/", "https://api.test."] {
        assert_eq!(one().origin(same, fixed("u")).expect_err(same).kind(), ErrorKind::Config);
        assert_eq!(one().origin_sharing(same, fixed("u")).expect_err(same).kind(), ErrorKind::Config);
    }
    assert!(OAuthLayer::selecting([API], |_| None).expect("an origin").origin(API, fixed("u")).is_err());
}

/// Building does no I/O and asks for nothing: there is not even a runtime here.
#[test]
fn r4_a_layer_is_built_without_asking_for_anything() {
    let tokens = Numbered::new();
    let layer = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").never_retry().renew_on_other_schemes();
    let _service = layer.layer(Script::new([]));
    assert_eq!(tokens.fetches(), 0);
}
