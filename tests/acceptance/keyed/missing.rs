//! F14, R3: a request of nobody's is refused, and nothing is sent.

use tests::{
    script::{Answer, Script},
    steps::get,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_oauth::{BoxError, ErrorKind, OAuthLayer};

use super::{API, Issuer, Tenant, Way, kind};

#[tokio::test]
async fn f14_a_request_without_a_key_is_refused() {
    for way in [Way::Extension, Way::Function] {
        let (issuer, api) = (Issuer::default(), Script::new([]));
        let layer = way.layer(issuer.pool(), &Tenant("acme"));
        let error = layer.layer(api.clone()).oneshot(get("https://api.test/x")).await.expect_err("whose?");
        assert!(error.to_string().contains("https://api.test"), "{error}");
        assert_eq!(kind::<()>(Err(error)), ErrorKind::MissingKey, "{way:?}");
        assert_eq!((api.seen().len(), issuer.issued_in_all()), (0, 0));
    }
}

/// Another type among the extensions is no key, be it as like as it may.
#[tokio::test]
async fn f14_an_extension_of_another_type_is_no_key() {
    #[derive(Clone)]
    #[expect(dead_code, reason = "nobody is to look at it")]
    struct Tenant(&'static str);
    let (issuer, api) = (Issuer::default(), Script::new([]));
    let layer = Way::Extension.layer(issuer.pool(), &super::Tenant("acme"));
    let mut request = get("https://api.test/x");
    request.extensions_mut().insert(Tenant("acme"));
    request.extensions_mut().insert("acme");
    assert_eq!(kind(layer.layer(api.clone()).oneshot(request).await), ErrorKind::MissingKey);
    assert_eq!((api.seen().len(), issuer.issued_in_all()), (0, 0));
}

/// Plain requests of reqwest's have no extensions; the error says what to do.
#[tokio::test]
async fn f14_plain_reqwest_requests_need_a_function() {
    let sent = service_fn(|request: reqwest::Request| async move {
        let token = tests::script::authorization(request.headers());
        Ok::<_, BoxError>(http::Response::new(token))
    });
    let request = || reqwest::Request::new(http::Method::GET, "https://api.test/acme/x?q=1".parse().expect("a URL"));
    let issuer = Issuer::default();
    let layer = Way::Extension.layer(issuer.pool(), &Tenant("acme"));
    let error = layer.layer(sent).oneshot(request()).await.expect_err("no extensions");
    assert!(error.to_string().contains("keyed_by"), "{error}");
    assert_eq!(kind::<()>(Err(error)), ErrorKind::MissingKey);

    let layer = OAuthLayer::keyed_by(API, issuer.pool(), |head| {
        assert!(head.extensions.is_none());
        (head.path == "/acme/x" && head.query == Some("q=1")).then_some(Tenant("acme"))
    });
    let response = layer.expect("an origin").layer(sent).oneshot(request()).await.expect("a response");
    assert_eq!(response.into_body(), "Bearer acme.1");
    let given = Way::Given.layer(issuer.pool(), &Tenant("beta"));
    let response = given.layer(sent).oneshot(request()).await.expect("a response");
    assert_eq!(response.into_body(), "Bearer beta.1");
}

/// The caller's own header goes before (R1): nobody is asked.
#[tokio::test]
async fn r1_a_callers_own_token_needs_no_key() {
    for way in [Way::Extension, Way::Function] {
        let (issuer, api) = (Issuer::default(), Script::new([Answer::status(401)]));
        let layer = way.layer(issuer.pool(), &Tenant("acme"));
        let mut request = get("https://api.test/x");
        request.headers_mut().insert(http::header::AUTHORIZATION, "Bearer own".parse().expect("a value"));
        let response = layer.layer(api.clone()).oneshot(request).await.expect("a response");
        assert_eq!((response.status().as_u16(), api.authorizations()), (401, vec!["Bearer own".to_owned()]));
        assert_eq!(issuer.issued_in_all(), 0);
    }
}
