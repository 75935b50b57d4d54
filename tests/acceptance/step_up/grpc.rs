//! What counts as a demand in gRPC: 7 and 16 among the headers, with a challenge beside them.

use http::Response;
use oauth_tokens::TokenCache;
use tests::{
    grpc::{GREET, raw, trailers_only, trailers_only_with},
    numbered::Numbered,
    probe::ProbeBody,
    script::{Answer, Script},
    steps::{API, guarded, settle},
};
use tower::ServiceExt;
use tower_oauth::{OAuthLayer, StepUp};

use super::{Hook, SCOPE, SIGN_IN, retried, told};

fn layer(tokens: &TokenCache, step_up: StepUp) -> OAuthLayer {
    OAuthLayer::for_connection(API, tokens.clone()).expect("an origin").step_up(step_up)
}

async fn call(layer: &OAuthLayer, api: &Script) -> Response<ProbeBody> {
    let request = raw(GREET, &[]);
    guarded(layer.grpc(api.clone()).oneshot(request)).await.expect("a response")
}

fn demanding(status: &str, challenge: &str) -> Answer {
    trailers_only_with(status, &[("www-authenticate", challenge)])
}

#[tokio::test]
async fn r14_grpc_permission_denied_and_unauthenticated_with_a_challenge_are_demands() {
    for (status, challenge) in [("7", SCOPE), ("16", SCOPE), ("7", SIGN_IN), ("16", SIGN_IN)] {
        let (tokens, hook) = (Numbered::new(), Hook::default());
        let layer = layer(&tokens.cache, hook.step_up());
        let api = Script::new([demanding(status, challenge)]);
        assert_eq!(told(&call(&layer, &api).await), retried(200), "{status} {challenge}");
        call(&layer, &api).await;
        assert_eq!(api.authorizations(), ["Bearer t1", "Bearer s1.1", "Bearer t1"]);
        let seen = api.seen();
        assert_eq!(seen[0].body, seen[1].body, "the message once more");
        assert_eq!((tokens.fetches(), hook.calls()), (1, 1));
    }
}

#[tokio::test]
async fn r14_grpc_no_other_status_makes_a_demand() {
    for status in ["0", "1", "2", "3", "5", "9", "13", "14", "17", "07", " 7", "7 ", "70"] {
        let (tokens, hook) = (Numbered::new(), Hook::default());
        let api = Script::new([demanding(status, SCOPE)]);
        let response = call(&layer(&tokens.cache, hook.step_up()), &api).await;
        settle().await;
        assert_eq!((told(&response), hook.calls()), ((200, "-".to_owned()), 0), "{status:?}");
        assert_eq!((api.seen().len(), tokens.fetches()), (1, 1), "{status:?}");
    }
}

#[tokio::test]
async fn r14_grpc_permission_denied_without_a_demand_is_the_callers() {
    for challenge in ["", "Bearer", "Bearer error=invalid_token", "Bearer error=insufficient_scope", "Basic error=x"] {
        let (tokens, hook) = (Numbered::new(), Hook::default());
        let answer = if challenge.is_empty() { trailers_only("7") } else { demanding("7", challenge) };
        let api = Script::new([answer]);
        call(&layer(&tokens.cache, hook.step_up()), &api).await;
        settle().await;
        assert_eq!((api.seen().len(), tokens.fetches(), hook.calls()), (1, 1, 0), "{challenge}");
    }
}

/// Seven means nothing to a plain HTTP request: there it is a header like any other.
#[tokio::test]
async fn r14_grpc_status_7_is_a_demand_in_grpc_only() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let layer = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").step_up(hook.step_up());
    let api = Script::new([demanding("7", SCOPE)]);
    assert_eq!(told(&super::call(&layer, &api).await), (200, "-".to_owned()));
    assert_eq!(hook.calls(), 0);
}

#[tokio::test]
async fn r14_grpc_a_proxys_403_counts_as_over_http() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let api = Script::new([Answer::challenges(403, &[SCOPE])]);
    assert_eq!(told(&call(&layer(&tokens.cache, hook.step_up()), &api).await), retried(200));
}

#[tokio::test]
async fn r14_grpc_above_the_ceiling_or_without_tokens_it_is_the_callers() {
    let failing = || async { Err::<oauth_tokens::TokenSet, _>(oauth_tokens::Error::source_failed("no user")) };
    let hook = Hook::default();
    for status in ["7", "16"] {
        let vectors = [
            (hook.bare(), "InsufficientScope"),
            (StepUp::new(|_, _| None).allow_scopes(["write"]), "InsufficientScope"),
            (
                StepUp::new(move |_, _| Some(TokenCache::new(oauth_tokens::source_fn(failing))))
                    .allow_scopes(["write"]),
                "NotRenewed(Source)",
            ),
        ];
        for (step_up, expected) in vectors {
            let tokens = Numbered::new();
            let api = Script::new([demanding(status, SCOPE)]);
            let response = call(&layer(&tokens.cache, step_up), &api).await;
            assert_eq!(told(&response), (200, expected.to_owned()), "{status}");
            assert_eq!((api.seen().len(), tokens.fetches(), hook.calls()), (1, 1, 0), "{status}");
        }
    }
}
