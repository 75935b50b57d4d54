//! What a 401 leads to: R6, R7, R8, and what the response's extension says of it.

use std::time::Duration;

use http::Response;
use tests::{
    numbered::{Next, Numbered},
    probe::ProbeBody,
    script::{Answer, Script, outcome},
    steps::{API, assert_waits, get, post, settle},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use tower_oauth::{NotRetried, OAuthLayer, RetryOutcome, challenge};

fn layer(tokens: &Numbered) -> OAuthLayer {
    OAuthLayer::new(API, tokens.cache.clone()).expect("an origin")
}

async fn call(layer: &OAuthLayer, api: &Script) -> Response<ProbeBody> {
    layer.layer(api.clone()).oneshot(get("https://api.test/x")).await.expect("a response")
}

/// Challenges of a 401, and what is made of them.
const CHALLENGES: &[(&[&str], &str)] = &[
    // No readable challenge.
    (&[], "Retried"),
    (&[""], "Retried"),
    (&["Bearer realm=\"unclosed"], "Retried"),
    (&["Bearer error=insufficient_scope error_uri=x"], "Retried"),
    // Bearer or DPoP with `invalid_token`, or without an error.
    (&["Bearer"], "Retried"),
    (&["bEARER realm=\"api\""], "Retried"),
    (&["DPoP algs=\"ES256\""], "Retried"),
    (&["Bearer error=\"invalid_token\", error_description=\"expired\""], "Retried"),
    (&["DPoP error=invalid_token"], "Retried"),
    (&["Basic realm=\"x\", Bearer error=invalid_token"], "Retried"),
    (&["Negotiate", "Bearer"], "Retried"),
    (&["Basic realm=\"Bearer error=insufficient_scope\", Bearer"], "Retried"),
    // Other schemes only.
    (&["Basic realm=\"x\""], "OtherScheme"),
    (&["Negotiate", "NTLM"], "OtherScheme"),
    (&["Basic error=invalid_token"], "OtherScheme"),
    (&["Bearerx error=invalid_token"], "OtherScheme"),
    // Errors that another token does not cure.
    (&["Bearer error=\"insufficient_scope\", scope=\"write\""], "InsufficientScope"),
    (&["Basic realm=x", "Bearer error=insufficient_scope"], "InsufficientScope"),
    (&["Bearer error=\"insufficient_user_authentication\", acr_values=\"high\""], "InsufficientUserAuthentication"),
    (&["Bearer error=invalid_request"], "InvalidRequest"),
    (&["Bearer error=\"something_new\""], "UnknownError"),
    (&["DPoP error=\"use_dpop_nonce\""], "UnknownError"),
    (&["Bearer error=\"INVALID_TOKEN\""], "UnknownError"),
    (&["Bearer error=\"\""], "UnknownError"),
];

#[tokio::test]
async fn r6_a_401_is_retried_once_if_its_challenges_ask_for_that() {
    for (challenges, expected) in CHALLENGES {
        let tokens = Numbered::new();
        let api = Script::new([Answer::challenges(401, challenges)]);
        let response = call(&layer(&tokens), &api).await;
        assert_eq!(outcome(response.extensions()), *expected, "{challenges:?}");
        if *expected == "Retried" {
            assert_eq!(response.status(), 200, "{challenges:?}");
            assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2"], "{challenges:?}");
            assert_eq!(tokens.fetches(), 2);
        } else {
            assert_eq!(response.status(), 401, "{challenges:?}");
            assert_eq!(api.authorizations(), ["Bearer t1"], "{challenges:?}");
            settle().await;
            assert_eq!(tokens.fetches(), 1, "nor is anything renewed: {challenges:?}");
            // The caller can read the challenge, and the body.
            assert_eq!(challenge::parse(response.headers()).is_empty(), challenges.is_empty());
            assert_eq!(response.body().probe().polls(), 0);
        }
    }
}

#[tokio::test]
async fn r6_other_schemes_are_a_reason_only_if_so_set() {
    for (challenges, expected) in CHALLENGES {
        let tokens = Numbered::new();
        let api = Script::new([Answer::challenges(401, challenges)]);
        let response = call(&layer(&tokens).renew_on_other_schemes(), &api).await;
        let expected = if *expected == "OtherScheme" { "Retried" } else { expected };
        assert_eq!(outcome(response.extensions()), expected, "{challenges:?}");
    }
}

#[tokio::test]
async fn r6_no_other_status_is_retried() {
    for status in [200, 204, 301, 302, 307, 400, 402, 403, 404, 407, 408, 409, 429, 500, 502, 503] {
        let tokens = Numbered::new();
        let api = Script::new([Answer::challenges(status, &["Bearer error=invalid_token"])]);
        let response = call(&layer(&tokens), &api).await;
        assert_eq!(response.status(), status);
        assert_eq!(outcome(response.extensions()), "-", "there was no 401: {status}");
        assert_eq!((api.seen().len(), tokens.fetches(), response.body().probe().polls()), (1, 1, 0), "{status}");
    }
}

#[tokio::test]
async fn r7_a_second_401_is_returned() {
    let tokens = Numbered::new();
    let second = Response::builder().status(401).header("x-answer", "second").body(ProbeBody::of(&["x"]));
    let api = Script::new([Answer::status(401), Answer::new(second.expect("a response"))]);
    let response = call(&layer(&tokens), &api).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-answer"]),
        (401, &"second".parse().expect("a value"))
    );
    assert_eq!(outcome(response.extensions()), "Retried");
    assert_eq!((api.seen().len(), tokens.fetches()), (2, 2));
    assert_eq!(response.body().probe().polls(), 0, "its body is the caller's");
}

#[tokio::test]
async fn r7_whatever_comes_of_the_retry_is_the_answer() {
    for status in [204, 302, 403, 404, 500, 503] {
        let api = Script::new([Answer::status(401), Answer::status(status)]);
        let response = call(&layer(&Numbered::new()), &api).await;
        assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (status, "Retried"));
    }
    let api = Script::new([Answer::status(401), Answer::error(std::io::ErrorKind::BrokenPipe)]);
    let client = layer(&Numbered::new()).layer(api.clone());
    let error = client.oneshot(get("https://api.test/x")).await.expect_err("the retry failed");
    let error = error.downcast_ref::<std::io::Error>().expect("the inner error, unchanged");
    assert_eq!((error.kind(), api.seen().len()), (std::io::ErrorKind::BrokenPipe, 2));
}

#[tokio::test]
async fn r8_no_different_token_no_retry_and_the_body_unread() {
    for (next, expected) in [(Next::Failure, "NotRenewed(Source)"), (Next::Same, "NotRenewed(SameToken)")] {
        let tokens = Numbered::new();
        let body = ProbeBody::of(&["why"]);
        let probe = body.probe();
        let api = Script::new([Answer::status(200), Answer::unauthorized(body)]);
        call(&layer(&tokens), &api).await;
        tokens.will(next);
        let response = call(&layer(&tokens), &api).await;
        assert_eq!(response.status(), 401);
        assert_eq!(outcome(response.extensions()), expected);
        assert_eq!(api.seen().len(), 2, "no retry");
        assert_eq!((probe.polls(), probe.is_dropped()), (0, false), "the body is all the caller's");
    }
}

#[tokio::test]
async fn r8_a_fixed_token_is_not_renewed() {
    let tokens = tower_oauth::oauth_tokens::TokenCache::fixed("t0").expect("a token");
    let layer = OAuthLayer::new(API, tokens).expect("an origin");
    let api = Script::new([Answer::status(401)]);
    let response = call(&layer, &api).await;
    assert_eq!((response.status().as_u16(), api.seen().len()), (401, 1));
    assert_eq!(outcome(response.extensions()), "NotRenewed(SameToken)");
}

/// The reason can be read: what a caller's metrics and logs need.
#[tokio::test]
async fn r8_the_extension_carries_the_renewals_error() {
    let tokens = Numbered::new();
    let api = Script::new([Answer::status(200), Answer::status(401)]);
    call(&layer(&tokens), &api).await;
    tokens.will(Next::Failure);
    let response = call(&layer(&tokens), &api).await;
    let Some(RetryOutcome::NotRetried(NotRetried::NotRenewed(error))) = response.extensions().get() else {
        panic!("{:?}", response.extensions().get::<RetryOutcome>());
    };
    assert_eq!(error.to_string(), tests::numbered::FAILURE);
}

/// Late 401s for an old token take the new one, and a dead token is renewed once (the cache's F2, F3 seen from here).
#[tokio::test]
async fn r6_a_401_for_an_old_token_is_retried_with_the_current_one() {
    let tokens = Numbered::gated(1);
    let api = Script::new([Answer::status(200), Answer::status(401), Answer::status(401)]);
    call(&layer(&tokens), &api).await;
    let client = layer(&tokens).layer(api.clone());
    let mut calls = [(); 2].map(|()| Box::pin(client.clone().oneshot(get("https://api.test/x"))));
    calls.iter_mut().for_each(assert_waits);
    settle().await;
    tokens.open(1);
    for call in calls {
        assert_eq!(call.await.expect("a response").status(), 200);
    }
    assert_eq!(api.authorizations(), ["t1", "t1", "t1", "t2", "t2"].map(|token| format!("Bearer {token}")));
    assert_eq!(tokens.fetches(), 2);
}

#[tokio::test]
async fn r6_never_retry_only_renews_for_the_next_call() {
    let tokens = Numbered::new();
    let layer = layer(&tokens).never_retry();
    let api = Script::new([Answer::status(401)]);
    let response = layer.layer(api.clone()).oneshot(post("https://api.test/x", "body")).await.expect("a response");
    assert_eq!((response.status().as_u16(), outcome(response.extensions()).as_str()), (401, "Never"));
    settle().await;
    assert_eq!(tokens.fetches(), 2, "renewed, though nobody waited");
    assert_eq!(call(&layer, &api).await.status(), 200);
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2"]);
    // What renewing cannot cure is not renewed here either.
    api.answer_next(Answer::challenges(401, &["Bearer error=insufficient_scope"]));
    assert_eq!(outcome(call(&layer, &api).await.extensions()), "InsufficientScope");
    settle().await;
    assert_eq!(tokens.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn r6_the_retry_is_at_once() {
    let began = Instant::now();
    let api = Script::new([Answer::status(401)]);
    assert_eq!(call(&layer(&Numbered::new()), &api).await.status(), 200);
    assert_eq!(began.elapsed(), Duration::ZERO, "no back-off before the one retry");
}

/// A renewal that does not cure the 401s is not repeated at each call (F10); a success ends that.
#[tokio::test(start_paused = true)]
async fn r6_an_api_that_rejects_everything_causes_few_renewals() {
    let tokens = Numbered::new();
    let api = Script::new((0..40).map(|_| Answer::status(401)));
    let mut outcomes = Vec::new();
    for _ in 0..20 {
        outcomes.push(outcome(call(&layer(&tokens), &api).await.extensions()));
    }
    assert_eq!(outcomes[0], "Retried");
    assert!(outcomes[1..].iter().all(|outcome| outcome == "NotRenewed(Held)"), "{outcomes:?}");
    assert_eq!((api.seen().len(), tokens.fetches()), (21, 2));
}

/// An endpoint may answer 401 where another is content: a redirect or a success shows that the token is good.
#[tokio::test(start_paused = true)]
async fn r6_success_at_the_origin_releases_the_guard() {
    for status in [200, 204, 304, 302] {
        let tokens = Numbered::new();
        let api = Script::new([Answer::status(401), Answer::status(401), Answer::status(status), Answer::status(401)]);
        assert_eq!(call(&layer(&tokens), &api).await.status(), 401);
        assert_eq!(call(&layer(&tokens), &api).await.status(), status);
        assert_eq!(outcome(call(&layer(&tokens), &api).await.extensions()), "Retried", "{status}");
    }
    for status in [400, 403, 404, 500] {
        let tokens = Numbered::new();
        let api = Script::new([Answer::status(401), Answer::status(401), Answer::status(status), Answer::status(401)]);
        assert_eq!(call(&layer(&tokens), &api).await.status(), 401);
        assert_eq!(call(&layer(&tokens), &api).await.status(), status);
        assert_eq!(outcome(call(&layer(&tokens), &api).await.extensions()), "NotRenewed(Held)", "{status}");
    }
}
