//! When nothing stronger is to be had, the caller gets the first response, unread, and is told why.

use http::Response;
use oauth_tokens::{Error, TokenCache, TokenSet, source_fn};
use tests::{
    numbered::Numbered,
    probe::{Probe, ProbeBody},
    script::{Answer, Script},
    steps::post,
};
use tower::{Layer, ServiceExt};
use tower_oauth::{OAuthLayer, StepUp};

use super::{Hook, SCOPE, SIGN_IN, call, layer, told};

fn answer(status: u16, challenge: &str) -> (Answer, Probe) {
    let body = ProbeBody::of(&["why"]);
    let probe = body.probe();
    let response = Response::builder().status(status).header("www-authenticate", challenge).body(body);
    (Answer::new(response.expect("a response")), probe)
}

async fn is_first_response(layer: &OAuthLayer, status: u16, challenge: &str, expected: &str) {
    let (first, probe) = answer(status, challenge);
    let api = Script::new([first]);
    let response = call(layer, &api).await;
    assert_eq!(told(&response), (status, expected.to_owned()), "{challenge}");
    assert_eq!((api.seen().len(), probe.polls(), probe.is_dropped()), (1, 0, false), "{status} {challenge}");
}

/// The status, the challenge, and the name of what was not met.
const DEMANDS: [(u16, &str, &str); 4] = [
    (401, SCOPE, "InsufficientScope"),
    (403, SCOPE, "InsufficientScope"),
    (401, SIGN_IN, "InsufficientUserAuthentication"),
    (403, SIGN_IN, "InsufficientUserAuthentication"),
];

#[tokio::test]
async fn r14_a_hook_without_tokens() {
    for (status, challenge, expected) in DEMANDS {
        let step_up = StepUp::new(|_, _| None).allow_scopes(["write"]).allow_acr_values(["mfa"]);
        is_first_response(&layer(&Numbered::new(), step_up), status, challenge, expected).await;
    }
}

#[tokio::test]
async fn r14_a_demand_above_the_ceiling() {
    for (status, challenge, expected) in DEMANDS {
        let hook = Hook::default();
        is_first_response(&layer(&Numbered::new(), hook.bare()), status, challenge, expected).await;
        assert_eq!(hook.calls(), 0);
    }
}

#[tokio::test]
async fn r8_stronger_tokens_that_fail() {
    for (status, challenge, _) in DEMANDS {
        let failing = || async { Err::<TokenSet, _>(Error::source_failed("no user is there")) };
        let step_up = StepUp::new(move |_, _| Some(TokenCache::new(source_fn(failing))));
        let layer = layer(&Numbered::new(), step_up.allow_scopes(["write"]).allow_acr_values(["mfa"]));
        is_first_response(&layer, status, challenge, "NotRenewed(Source)").await;
    }
}

/// A failure is remembered where it happened: the authorization server is not asked at each demand (F7).
#[tokio::test(start_paused = true)]
async fn f7_stronger_tokens_that_fail_are_not_asked_for_again_and_again() {
    let counted = tests::source::Source::scripted(|_| tests::source::Answer::Now(Err(Error::source_failed("no"))));
    let cache = counted.cache();
    let step_up = StepUp::new(move |_, _| Some(cache.clone())).allow_scopes(["write"]);
    let layer = layer(&Numbered::new(), step_up);
    for _ in 0..50 {
        is_first_response(&layer, 403, SCOPE, "NotRenewed(Source)").await;
    }
    assert_eq!(counted.fetches(), 1);
}

/// A body that cannot be sent again, and no `ReplayLayer`.
#[tokio::test]
async fn r10_a_body_that_cannot_be_sent_again() {
    for (status, challenge, _) in DEMANDS {
        let (tokens, hook) = (Numbered::new(), Hook::default());
        let (first, probe) = answer(status, challenge);
        let api = Script::new([first]);
        let request = post("https://api.test/x", "body").map(http_body_util::BodyExt::boxed);
        let client = layer(&tokens, hook.step_up()).layer(api.clone());
        let response = client.oneshot(request).await.expect("a response");
        assert_eq!(told(&response), (status, "Body(Opaque)".to_owned()));
        assert_eq!((api.seen().len(), probe.polls(), tokens.fetches()), (1, 0, 1));
    }
}

/// A server that gives for more scope the very token that did not suffice: sending it again would change nothing.
#[tokio::test]
async fn r14_a_stronger_token_that_is_the_same_token_is_not_sent_again() {
    for (status, challenge, _) in DEMANDS {
        let tokens = Numbered::new();
        let same = tokens.cache.token().await.expect("a token");
        let step_up = StepUp::new(move |_, _| TokenCache::fixed(same.secret()).ok());
        let layer = layer(&tokens, step_up.allow_scopes(["write"]).allow_acr_values(["mfa"]));
        is_first_response(&layer, status, challenge, "NotRenewed(SameToken)").await;
        assert_eq!(tokens.fetches(), 1, "and it is not to blame");
    }
}
