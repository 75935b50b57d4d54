//! What a demand leads to: one retry with a stronger token, and nothing for the next request.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tests::{
    numbered::Numbered,
    probe::ProbeBody,
    script::{Answer, Script, outcome},
    steps::{API, guarded, post, settle},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use tower_oauth::{OAuthLayer, ReplayLayer, StepUp};

use super::{Hook, SCOPE, SIGN_IN, call, layer, retried, told};

#[tokio::test]
async fn r14_a_demand_is_met_by_a_stronger_token_for_that_request_alone() {
    for (status, challenge) in [(403, SCOPE), (401, SCOPE), (401, SIGN_IN), (403, SIGN_IN)] {
        let (tokens, hook) = (Numbered::new(), Hook::default());
        let layer = layer(&tokens, hook.step_up());
        let api = Script::new([Answer::challenges(status, &[challenge])]);
        assert_eq!(told(&call(&layer, &api).await), retried(200), "{status} {challenge}");
        assert_eq!(told(&call(&layer, &api).await), (200, "-".to_owned()));
        assert_eq!(api.authorizations(), ["Bearer t1", "Bearer s1.1", "Bearer t1"], "{status} {challenge}");
        // The next one that is asked gets the same stronger token.
        api.answer_next(Answer::challenges(status, &[challenge]));
        assert_eq!(told(&call(&layer, &api).await), retried(200));
        assert_eq!(api.authorizations()[3..], ["Bearer t1", "Bearer s1.1"]);
        assert_eq!((hook.calls(), tokens.fetches()), (1, 1));
    }
}

#[tokio::test]
async fn r14_no_other_status_makes_a_demand() {
    for status in [200, 302, 400, 402, 404, 407, 429, 500, 503] {
        let (tokens, hook) = (Numbered::new(), Hook::default());
        let api = Script::new([Answer::challenges(status, &[SCOPE])]);
        let response = call(&layer(&tokens, hook.step_up()), &api).await;
        assert_eq!((told(&response), api.seen().len()), ((status, "-".to_owned()), 1));
        assert_eq!(hook.calls(), 0, "{status}");
    }
}

/// Without the opt-in a demand is the caller's to read.
#[tokio::test]
async fn r6_without_step_up_nothing_is_asked_for() {
    for (status, expected) in [(401, "InsufficientScope"), (403, "-")] {
        let tokens = Numbered::new();
        let layer = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin");
        let api = Script::new([Answer::challenges(status, &[SCOPE])]);
        let response = call(&layer, &api).await;
        assert_eq!((told(&response), api.seen().len()), ((status, expected.to_owned()), 1));
        let demand = tower_oauth::Demand::of(response.headers()).expect("readable by the caller");
        assert_eq!(demand.scopes, ["write"]);
    }
}

#[tokio::test]
async fn r2_the_retry_is_the_same_request_but_for_the_token() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let api = Script::new([Answer::challenges(403, &[SCOPE])]);
    let request = Request::put("https://api.test/x?q=1").header("x-a", "1").header("x-a", "2");
    let request = request.body(Full::<Bytes>::from("a body")).expect("a request");
    let response = layer(&tokens, hook.step_up()).layer(api.clone()).oneshot(request).await.expect("a response");
    assert_eq!(told(&response), retried(200));
    let seen = api.seen();
    let but_token = |index: usize| {
        let head = &seen[index].head;
        let mut headers = head.headers.clone();
        headers.remove(http::header::AUTHORIZATION);
        (head.method.clone(), head.uri.clone(), head.version, headers, seen[index].body.clone(), seen[index].exact_size)
    };
    assert_eq!(but_token(0), but_token(1));
    assert_eq!(seen[1].body.as_deref(), Some(&b"a body"[..]));
    assert!(seen.iter().all(|seen| seen.head.headers[http::header::AUTHORIZATION].is_sensitive()));
}

#[tokio::test]
async fn r10_a_streaming_body_is_sent_again_too() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let api = Script::new([Answer::challenges(403, &[SCOPE])]);
    let client = ReplayLayer::new().layer(layer(&tokens, hook.step_up()).layer(api.clone()));
    let body = Request::post("https://api.test/x").body(ProbeBody::of(&["one ", "two"])).expect("a request");
    let response = client.oneshot(body).await.expect("a response");
    assert_eq!(told(&response), retried(200));
    assert!(api.seen().iter().all(|seen| seen.body.as_deref() == Some(b"one two")));
}

#[tokio::test]
async fn r9_the_first_response_is_drained_before_the_retry() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let body = ProbeBody::of(&["not ", "allowed"]);
    let probe = body.probe();
    let first = http::Response::builder().status(403).header("www-authenticate", SCOPE).body(body);
    let api = Script::new([Answer::new(first.expect("a response"))]);
    assert_eq!(told(&call(&layer(&tokens, hook.step_up()), &api).await), retried(200));
    assert!(probe.has_ended() && probe.is_dropped());
}

#[tokio::test]
async fn r14_at_most_one_step_up_for_a_request() {
    for (first, second) in [(403, 403), (401, 403), (403, 401), (401, 401)] {
        let (tokens, hook) = (Numbered::new(), Hook::default());
        // The second demand is another one, and would be allowed.
        let more = r#"Bearer error="insufficient_scope", scope="read write""#;
        let api = Script::new([Answer::challenges(first, &[SCOPE]), Answer::challenges(second, &[more])]);
        let response = call(&layer(&tokens, hook.step_up()), &api).await;
        assert_eq!(told(&response), retried(second));
        assert_eq!((api.seen().len(), hook.calls()), (2, 1));
        assert_eq!(response.body().probe().polls(), 0, "it is the caller's");
    }
}

/// A dead token before the demand, and a dead stronger token after it: each of the two caches renews its own, but one request
/// causes one renewal.
#[tokio::test]
async fn r14_a_dead_token_is_renewed_before_or_after_the_step_up() {
    let dead = || Answer::challenges(401, &["Bearer error=invalid_token"]);
    let weak = || Answer::challenges(403, &[SCOPE]);
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let api = Script::new([weak(), dead()]);
    assert_eq!(told(&call(&layer(&tokens, hook.step_up()), &api).await), retried(200));
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer s1.1", "Bearer s1.2"]);
    assert_eq!(tokens.fetches(), 1, "the base token is not to blame");

    let (tokens, hook) = (Numbered::new(), Hook::default());
    let api = Script::new([dead(), weak()]);
    assert_eq!(told(&call(&layer(&tokens, hook.step_up()), &api).await), retried(200));
    assert_eq!(api.authorizations(), ["Bearer t1", "Bearer t2", "Bearer s1.1"]);

    let (tokens, hook) = (Numbered::new(), Hook::default());
    let api = Script::new([dead(), weak(), dead(), Answer::status(200)]);
    assert_eq!(told(&call(&layer(&tokens, hook.step_up()), &api).await), retried(401));
    assert_eq!((api.seen().len(), hook.calls()), (3, 1));

    let (tokens, hook) = (Numbered::new(), Hook::default());
    let api = Script::new([weak(), dead(), dead(), Answer::status(200)]);
    assert_eq!(told(&call(&layer(&tokens, hook.step_up()), &api).await), retried(401));
    assert_eq!(api.seen().len(), 3);
    let api = Script::new([weak(), dead(), weak(), Answer::status(200)]);
    let (tokens, hook) = (Numbered::new(), Hook::default());
    assert_eq!(told(&call(&layer(&tokens, hook.step_up()), &api).await), retried(403));
    assert_eq!((api.seen().len(), hook.calls()), (3, 1));
}

/// An API that demands for ever costs each request one more, and renews nothing.
#[tokio::test]
async fn r14_an_api_that_always_demands_causes_no_storm() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let layer = layer(&tokens, hook.step_up());
    let api = Script::new((0..200).map(|_| Answer::challenges(403, &[SCOPE])));
    for _ in 0..100 {
        assert_eq!(told(&call(&layer, &api).await), retried(403));
    }
    assert_eq!((api.seen().len(), tokens.fetches(), hook.calls()), (200, 1, 1));
}

#[tokio::test]
async fn r14_never_retry_asks_for_no_stronger_token() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let layer = layer(&tokens, hook.step_up()).never_retry();
    for status in [401, 403] {
        let api = Script::new([Answer::challenges(status, &[SCOPE])]);
        let response = call(&layer, &api).await;
        assert_eq!((response.status().as_u16(), api.seen().len()), (status, 1));
    }
    settle().await;
    assert_eq!((hook.calls(), tokens.fetches()), (0, 1));
}

/// What goes elsewhere has no token, and so nothing that could be stronger.
#[tokio::test]
async fn r14_another_origins_demand_is_none_of_ours() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let api = Script::new([Answer::challenges(403, &[SCOPE])]);
    let client = layer(&tokens, hook.step_up()).layer(api.clone());
    let response = client.oneshot(post("https://other.test/x", "body")).await.expect("a response");
    assert_eq!((told(&response), hook.calls(), tokens.fetches()), ((403, "-".to_owned()), 0, 0));
    assert_eq!(api.authorizations(), [""]);
}

/// One's own header is one's own affair (R1).
#[tokio::test]
async fn r1_a_callers_own_token_is_not_stepped_up() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let api = Script::new([Answer::challenges(403, &[SCOPE])]);
    let mut request = tests::steps::get("https://api.test/x");
    request.headers_mut().insert(http::header::AUTHORIZATION, "Bearer own".parse().expect("a value"));
    let response = layer(&tokens, hook.step_up()).layer(api.clone()).oneshot(request).await.expect("a response");
    assert_eq!((told(&response), hook.calls(), api.seen().len()), ((403, "-".to_owned()), 0, 1));
}

/// The hook is told where.
#[tokio::test]
async fn r14_each_origin_has_tokens_of_its_own() {
    let (one, two, hook) = (Numbered::new(), Numbered::new(), Hook::default());
    let layer = layer(&one, hook.step_up()).origin("https://two.test/v2", two.cache.clone()).expect("an origin");
    for (url, expected) in
        [("https://api.test/x", "s1.1"), ("https://two.test/v2/x", "s2.1"), ("https://api.test/y", "s1.1")]
    {
        let api = Script::new([Answer::challenges(403, &[SCOPE])]);
        let response = layer.layer(api.clone()).oneshot(tests::steps::get(url)).await.expect("a response");
        assert_eq!(told(&response), retried(200));
        assert_eq!(api.authorizations()[1], format!("Bearer {expected}"));
    }
    let origins: Vec<String> = hook.lock().iter().map(|(origin, _)| origin.clone()).collect();
    assert_eq!(origins, ["https://api.test", "https://two.test/v2"]);
}

/// Who waits for the stronger token waits as for any other: within the exchange's deadline.
#[tokio::test(start_paused = true)]
async fn r14_a_stronger_token_that_never_comes_gives_the_first_response_back() {
    let tokens = Numbered::new();
    let never = Numbered::gated(0);
    let stronger = never.cache.clone();
    let step_up = StepUp::new(move |_, _| Some(stronger.clone())).allow_scopes(["write"]);
    let api = Script::new([Answer::challenges(403, &[SCOPE])]);
    let began = Instant::now();
    let response = guarded(call(&layer(&tokens, step_up), &api)).await;
    assert_eq!(told(&response), (403, "NotRenewed(Timeout)".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    assert_eq!(response.body().probe().polls(), 0);
}

/// What a stronger token is good for ends with the request; a success with it says nothing of the base token (F10).
#[tokio::test(start_paused = true)]
async fn f10_a_stronger_tokens_success_does_not_release_the_base_tokens_guard() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let layer = layer(&tokens, hook.step_up());
    // Renewed, and not cured: the next renewal is held.
    let api = Script::new([Answer::status(401), Answer::status(401)]);
    assert_eq!(told(&call(&layer, &api).await), retried(401));
    api.answer_next(Answer::challenges(403, &[SCOPE]));
    assert_eq!(told(&call(&layer, &api).await), retried(200));
    api.answer_next(Answer::status(401));
    let response = call(&layer, &api).await;
    assert_eq!(outcome(response.extensions()), "NotRenewed(Held)");
}
