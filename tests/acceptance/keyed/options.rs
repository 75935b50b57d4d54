//! What a single request asks of its token: more scopes, a longer life, or none at all.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tests::{
    numbered::Numbered,
    script::{Answer, Script},
    steps::{API, get},
};
use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt};
use tower_oauth::{ErrorKind, OAuthLayer, TokenOptions};

use super::{Issuer, Tenant, WAYS, Way, kind, ok, retried, told};

fn with(mut request: Request<Empty<Bytes>>, options: TokenOptions) -> Request<Empty<Bytes>> {
    request.extensions_mut().insert(options);
    request
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn f14_a_request_with_more_scopes_has_a_token_of_its_own() {
    for way in WAYS {
        let (issuer, api, acme) = (Issuer::default(), Script::new([]), Tenant("acme"));
        let client = way.layer(issuer.pool(), &acme).layer(api.clone());
        let call = async |options: Option<TokenOptions>| {
            let request = way.request("https://api.test/x", &acme);
            let request = options.into_iter().fold(request, with);
            client.clone().oneshot(request).await.expect("a response")
        };
        for options in [
            None,
            Some(TokenOptions::new().scope("write")),
            Some(TokenOptions::new().scope("write read")),
            Some(TokenOptions::new().scope("read").scope(" write  write")),
            Some(TokenOptions::new().scope("  ")),
            None,
        ] {
            assert_eq!(told(&call(options).await), ok());
        }
        let expected = ["acme.1", "acme+write.1", "acme+read+write.1", "acme+read+write.1", "acme.1", "acme.1"];
        assert_eq!(api.authorizations(), expected.map(|token| format!("Bearer {token}")), "{way:?}");

        // The retry asks for no less; and the others' tokens are not to blame.
        api.answer_next(Answer::status(401));
        assert_eq!(told(&call(Some(TokenOptions::new().scope("write"))).await), retried(200));
        assert_eq!(told(&call(None).await), ok());
        assert_eq!(api.authorizations()[6..], ["Bearer acme+write.1", "Bearer acme+write.2", "Bearer acme.1"]);
    }
}

/// Without a pool, nobody knows where such a token would come from.
#[tokio::test]
async fn r3_more_scopes_without_a_pool_are_refused() {
    let tokens = Numbered::new();
    let selected = tokens.cache.clone();
    let layers = [
        OAuthLayer::new(API, tokens.cache.clone()),
        OAuthLayer::selecting([API], move |_| Some(selected.clone())),
        OAuthLayer::for_connection(API, tokens.cache.clone()),
    ];
    for layer in layers {
        let (layer, api) = (layer.expect("an origin"), Script::new([]));
        let request = with(get("https://api.test/x"), TokenOptions::new().scope("write"));
        let error = layer.layer(api.clone()).oneshot(request).await.expect_err("no pool");
        assert!(error.to_string().contains("TokenPool"), "{error}");
        assert_eq!(kind::<()>(Err(error)), ErrorKind::NoPool);
        assert_eq!((api.seen().len(), tokens.fetches()), (0, 0));
        let elsewhere = with(get("https://other.test/x"), TokenOptions::new().scope("write"));
        layer.layer(api.clone()).oneshot(elsewhere).await.expect("it has no token anyway");
    }
}

#[tokio::test]
async fn r3_a_request_that_says_so_goes_without_a_token() {
    let tokens = Numbered::new();
    let selected = tokens.cache.clone();
    let issuer = Issuer::default();
    let mut layers = vec![
        OAuthLayer::new(API, tokens.cache.clone()).expect("an origin"),
        OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").refuse_caller_authorization(),
        OAuthLayer::selecting([API], move |_| Some(selected.clone())).expect("an origin"),
    ];
    layers.extend(WAYS.map(|way| way.layer(issuer.pool(), &Tenant("acme"))));
    for layer in layers {
        let api = Script::new([Answer::status(401)]);
        // No key either: it is nobody's.
        let request = with(get("https://api.test/x"), TokenOptions::without_token());
        let response = layer.layer(api.clone()).oneshot(request).await.expect("a response");
        assert_eq!((told(&response), api.authorizations()), ((401, "-".to_owned()), vec![String::new()]));
    }
    assert_eq!((tokens.fetches(), issuer.issued_in_all()), (0, 0));
}

/// For a long upload: a token that ends in between is renewed beforehand.
#[tokio::test(start_paused = true)]
async fn f8_a_token_that_lives_too_short_for_a_request_is_renewed_before_it() {
    let lasting = |seconds| TokenOptions::new().valid_for(s(seconds));
    for way in WAYS {
        let issuer = Issuer { lifetime: Some(s(3600)), ..Issuer::default() };
        let (api, acme) = (Script::new([]), Tenant("acme"));
        let client = way.layer(issuer.pool(), &acme).layer(api.clone());
        let call = async |options: Option<TokenOptions>| {
            let request = options.into_iter().fold(way.request("https://api.test/x", &acme), with);
            client.clone().oneshot(request).await.expect("a response");
            api.authorizations().pop().expect("it was sent")
        };
        assert_eq!(call(Some(lasting(1000))).await, "Bearer acme.1");
        advance(s(2000)).await;
        assert_eq!(call(Some(lasting(1500))).await, "Bearer acme.1");
        assert_eq!(call(Some(lasting(1700))).await, "Bearer acme.2", "{way:?}");
        assert_eq!(call(None).await, "Bearer acme.2");
        assert_eq!(issuer.issued("acme"), 2);
    }
}

/// A layer with a single token, too; and while renewing fails, what there is serves.
#[tokio::test(start_paused = true)]
async fn f8_a_single_token_is_renewed_for_a_long_request_too() {
    let source = tests::source::Source::issuing(Some(s(3600)));
    let layer = OAuthLayer::new(API, source.cache()).expect("an origin");
    let api = Script::new([]);
    let call = async |seconds| {
        let request = with(get("https://api.test/x"), TokenOptions::new().valid_for(s(seconds)));
        layer.layer(api.clone()).oneshot(request).await.expect("a response")
    };
    call(1000).await;
    advance(s(2000)).await;
    call(2000).await;
    advance(s(2000)).await;
    source.follow(|_| tests::source::Answer::Now(Err(oauth_tokens::Error::source_failed("down"))));
    call(2000).await;
    let tokens = ["token-1", "token-2", "token-2"].map(|token| format!("Bearer {token}"));
    assert_eq!((api.authorizations(), source.fetches()), (tokens.to_vec(), 3));
}

/// The retry keeps what was asked: it is not sent with a token that somebody else renewed long ago.
#[tokio::test(start_paused = true)]
async fn r2_a_retry_has_a_token_that_lives_long_enough() {
    let source = tests::source::Source::issuing(Some(s(3600)));
    let cache = source.cache();
    let layer = OAuthLayer::new(API, cache.clone()).expect("an origin");
    let (mock, mut peer) = tower_test::mock::pair::<Request<Empty<Bytes>>, http::Response<String>>();
    let request = with(get("https://api.test/x"), TokenOptions::new().valid_for(s(3000)));
    let call = layer.layer(mock).oneshot(request);
    let peer = async {
        let (request, answer) = peer.next_request().await.expect("the first");
        assert_eq!(tests::script::authorization(request.headers()), "Bearer token-1");
        cache.renew(&cache.token().await.expect("a token")).await.expect("another");
        advance(s(1000)).await;
        answer.send_response(http::Response::builder().status(401).body(String::new()).expect("a response"));
        let (request, answer) = peer.next_request().await.expect("the second");
        assert!(request.extensions().get::<TokenOptions>().is_some());
        assert_eq!(tests::script::authorization(request.headers()), "Bearer token-3");
        answer.send_response(http::Response::new(String::new()));
    };
    let (response, ()) = tokio::join!(call, peer);
    assert_eq!(told(&response.expect("a response")), retried(200));
}

/// A request's own time bounds the wait for a longer life, too.
#[tokio::test(start_paused = true)]
async fn r12_the_wait_for_a_longer_life_ends_with_the_requests_own_time() {
    let source = tests::source::Source::by_hand();
    let layer = Way::Extension.layer(oauth_tokens::TokenPool::new(move |_: &Tenant| Ok(source.clone())), &Tenant("a"));
    let mut request = tests::grpc::raw(tests::grpc::GREET, &[("grpc-timeout", "1S")]);
    request.extensions_mut().insert(TokenOptions::new().valid_for(s(600)));
    request.extensions_mut().insert(Tenant("a"));
    let channel = layer.over_one_connection().expect("one origin").grpc(Script::new([]));
    let began = Instant::now();
    let status = tests::steps::guarded(channel.oneshot(request)).await.map(drop).expect_err("no token in time");
    assert_eq!((status.code(), began.elapsed()), (tonic::Code::DeadlineExceeded, s(1)));
}
